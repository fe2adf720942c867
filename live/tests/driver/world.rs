//! What changes under a plan.

use std::sync::Arc;

use godwit_envs::state::cluster::Health;
use godwit_live::config::Moves;
use godwit_live::ledger::moves::{Outcome, Stage};

use crate::support::{Course, Fake, driver, driver_with, lock, settle};

#[test]
fn moves_to_a_node_that_fails_are_given_up() {
    let (fake, folder) = (Fake::uneven(&[1.0; 6]), tempfile::tempdir().unwrap());
    lock(&fake).courses = vec![Course::Hangs];
    let moves = Moves { deadline_least_s: 1e6, ..Moves::default() };
    let (mut driver, _) = driver_with(&fake, folder.path(), moves);
    driver.run(|_| !lock(&fake).begun.is_empty()).unwrap();
    let to = lock(&fake).transfers.values().next().unwrap().destination.clone();
    let at = lock(&fake).health.iter().position(|(name, _)| *name == to).unwrap();
    lock(&fake).health[at].1 = Health::Failed;
    settle(&mut driver, &fake);
    let ended = driver.ledger().ended.iter().filter(|ended| ended.order.destination == to);
    let outcomes: Vec<Outcome> = ended
        .filter_map(|ended| match &ended.stage {
            Stage::Ended { outcome, .. } => Some(*outcome),
            _ => None,
        })
        .collect();
    assert_eq!(outcomes[0], Outcome::Cancelled);
    assert!(outcomes[1..].iter().all(|outcome| *outcome == Outcome::Superseded), "{outcomes:?}");
    assert!(lock(&fake).placement.values().all(|node| *node != to));
}

#[test]
fn a_balancer_that_undoes_our_moves_ends_in_a_halt() {
    let (fake, folder) = (Fake::uneven(&[3.0, 3.0]), tempfile::tempdir().unwrap());
    let (mut driver, _) = driver(&fake, folder.path());
    let clock = Arc::clone(&lock(&fake).clock);
    let until_s = clock.now_s() + 3_000.0;
    driver
        .run(|driver| {
            let mut fake = lock(&fake);
            // Somebody wants both on the first node.
            if fake.transfers.is_empty() && driver.ledger().plans.is_empty() {
                fake.placement.values_mut().for_each(|node| *node = "a".to_owned());
                // In a world that stands still nothing is moved twice.
                fake.demand[0].1 = 3.01 + fake.begun.len() as f32 * 0.05;
            }
            driver.ledger().halted.is_some() || clock.now_s() > until_s
        })
        .unwrap();
    assert!(driver.ledger().halted.is_some(), "{:?}", driver.ledger().outcomes);
    assert!(driver.ledger().alerts.iter().any(|(_, text)| text.contains("another balancer")));
    // Three moves were undone, and no more were made.
    assert_eq!(lock(&fake).begun.len(), 3);
}

#[test]
fn a_cluster_that_cannot_be_seen_is_left_alone_and_decided_about_when_it_is_back() {
    let (fake, folder) = (Fake::uneven(&[1.0; 6]), tempfile::tempdir().unwrap());
    lock(&fake).answers = false;
    let (mut driver, control) = driver(&fake, folder.path());
    let clock = Arc::clone(&lock(&fake).clock);
    let until_s = clock.now_s() + 100.0;
    driver.run(|_| clock.now_s() > until_s).unwrap();
    assert!(lock(&fake).begun.is_empty());
    assert_eq!(control.status().unwrap().unseen.as_deref(), Some("no route"));
    lock(&fake).answers = true;
    settle(&mut driver, &fake);
    assert_eq!(driver.ledger().outcomes[&Outcome::Succeeded], 4);
}
