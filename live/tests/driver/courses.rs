//! How moves go.

use godwit_envs::state::cluster::Health;
use godwit_live::config::Moves;
use godwit_live::control::Request;
use godwit_live::ledger::moves::{Outcome, Stage};

use crate::support::{Call, Course, Fake, driver, driver_with, lock, settle};

/// Six workloads of 1 on the first of three nodes.
const EVEN: [f32; 6] = [1.0; 6];

fn count(driver: &godwit_live::driver::Driver, outcome: Outcome) -> u64 {
    driver.ledger().outcomes.get(&outcome).copied().unwrap_or(0)
}

#[test]
fn an_uneven_cluster_is_levelled_and_predicted_is_compared_with_measured() {
    let (fake, folder) = (Fake::uneven(&EVEN), tempfile::tempdir().unwrap());
    let (mut driver, _) = driver(&fake, folder.path());
    settle(&mut driver, &fake);
    let mut sums = std::collections::BTreeMap::new();
    for node in lock(&fake).placement.values() {
        *sums.entry(node.clone()).or_insert(0) += 1;
    }
    assert_eq!(sums.values().copied().collect::<Vec<i32>>(), [2, 2, 2]);
    let ledger = driver.ledger();
    assert_eq!(count(&driver, Outcome::Succeeded), 4);
    let made: usize = ledger.assessed.iter().map(|assessed| assessed.made).sum();
    assert_eq!(made, 4);
    // From 6 of 10 on one node to 2 on each: the objective's gain is what was predicted.
    let predicted: f32 = ledger.assessed.iter().map(|assessed| assessed.predicted_gain).sum();
    let realised: f32 = ledger.assessed.iter().map(|assessed| assessed.realised_gain).sum();
    assert!(predicted > 0.0 && (predicted - realised).abs() < 1e-4, "{predicted} {realised}");
    // 1 GiB in 10 s, less the switch-over, in place of 1.25 GiB/s.
    assert!(ledger.calibration.bandwidth["a"] < 0.1, "{:?}", ledger.calibration);
}

#[test]
fn limits_on_moves_under_way_hold() {
    let (fake, folder) = (Fake::uneven(&EVEN), tempfile::tempdir().unwrap());
    let moves = Moves { in_all: 8, per_node: 1, ..Moves::default() };
    let (mut driver, _) = driver_with(&fake, folder.path(), moves);
    let mut most = 0;
    driver
        .run(|driver| {
            // Every move leaves the first node.
            most = most.max(lock(&fake).transfers.len());
            driver.is_settled()
        })
        .unwrap();
    assert_eq!(most, 1);
}

#[test]
fn what_the_cluster_puts_off_is_asked_for_again_and_what_it_refuses_is_not() {
    let (fake, folder) = (Fake::uneven(&EVEN), tempfile::tempdir().unwrap());
    lock(&fake).starts = vec![Call::Later, Call::Later, Call::Refuses];
    let (mut driver, _) = driver(&fake, folder.path());
    settle(&mut driver, &fake);
    assert_eq!(count(&driver, Outcome::Failed), 1);
    assert!(count(&driver, Outcome::Succeeded) >= 3);
}

#[test]
fn a_cluster_that_puts_off_for_ever_is_given_up() {
    let (fake, folder) = (Fake::uneven(&[4.0, 1.0]), tempfile::tempdir().unwrap());
    lock(&fake).starts = vec![Call::Later; 1000];
    let moves = Moves { tries: 3, back_off_s: 1.0, ..Moves::default() };
    let (mut driver, _) = driver_with(&fake, folder.path(), moves);
    let clock = std::sync::Arc::clone(&lock(&fake).clock);
    let until_s = clock.now_s() + 100.0;
    driver.run(|_| clock.now_s() > until_s).unwrap();
    assert!(count(&driver, Outcome::Failed) >= 1);
    let asked = 1000 - lock(&fake).starts.len() as u64;
    assert_eq!(asked / 3, count(&driver, Outcome::Failed));
}

#[test]
fn what_the_cluster_refuses_is_asked_for_less_and_less_often() {
    let (fake, folder) = (Fake::uneven(&[4.0, 1.0]), tempfile::tempdir().unwrap());
    lock(&fake).starts = vec![Call::Refuses; 1000];
    let (mut driver, _) = driver(&fake, folder.path());
    let clock = std::sync::Arc::clone(&lock(&fake).clock);
    let until_s = clock.now_s() + 3_000.0;
    driver.run(|_| clock.now_s() > until_s).unwrap();
    // A look every 30 s. Each of the two rests for 300, 600 and 1200 s, and is then in the next rest.
    let asked = 1000 - lock(&fake).starts.len();
    assert!((4..=8).contains(&asked), "{asked}");
}

#[test]
fn a_move_that_takes_too_long_is_given_up_and_its_workload_stays() {
    let (fake, folder) = (Fake::uneven(&[4.0, 1.0]), tempfile::tempdir().unwrap());
    lock(&fake).courses = vec![Course::Hangs];
    let moves = Moves { deadline_least_s: 20.0, ..Moves::default() };
    let (mut driver, _) = driver_with(&fake, folder.path(), moves);
    settle(&mut driver, &fake);
    assert_eq!(count(&driver, Outcome::TimedOut), 1);
    let timed_out = driver
        .ledger()
        .ended
        .iter()
        .find(|ended| matches!(ended.stage, Stage::Ended { outcome: Outcome::TimedOut, .. }));
    let order = &timed_out.unwrap().order;
    assert_eq!(lock(&fake).begun.iter().filter(|id| **id == order.id).count(), 1);
}

#[test]
fn a_move_that_breaks_off_fails_and_gains_nothing() {
    let (fake, folder) = (Fake::uneven(&[4.0, 1.0]), tempfile::tempdir().unwrap());
    lock(&fake).courses = vec![Course::Fails];
    let (mut driver, _) = driver(&fake, folder.path());
    settle(&mut driver, &fake);
    assert_eq!(count(&driver, Outcome::Failed), 1);
    let first = &driver.ledger().assessed[0];
    assert_eq!((first.made, first.realised_gain), (0, 0.0));
    assert!(first.predicted_gain > 0.0);
}

#[test]
fn halting_lets_moves_under_way_end_and_begins_no_others_until_someone_resumes() {
    let (fake, folder) = (Fake::uneven(&EVEN), tempfile::tempdir().unwrap());
    let (mut driver, control) = driver(&fake, folder.path());
    let clock = std::sync::Arc::clone(&lock(&fake).clock);
    driver.run(|_| !lock(&fake).begun.is_empty()).unwrap();
    control.ask(Request::Halt("a test".to_owned()));
    let until_s = clock.now_s() + 300.0;
    driver.run(|_| clock.now_s() > until_s).unwrap();
    assert_eq!((lock(&fake).begun.len(), count(&driver, Outcome::Succeeded)), (1, 1));
    // Also for the next process.
    drop(driver);
    let (mut driver, control) = self::driver(&fake, folder.path());
    let until_s = clock.now_s() + 300.0;
    driver.run(|_| clock.now_s() > until_s).unwrap();
    assert_eq!(lock(&fake).begun.len(), 1);
    control.ask(Request::Resume("a test".to_owned()));
    settle(&mut driver, &fake);
    assert_eq!(count(&driver, Outcome::Succeeded), 4);
}

#[test]
fn an_aborted_move_is_cancelled_where_it_is_under_way_and_never_begins_where_it_is_not() {
    let (fake, folder) = (Fake::uneven(&EVEN), tempfile::tempdir().unwrap());
    let (mut driver, control) = driver(&fake, folder.path());
    driver.run(|_| !lock(&fake).begun.is_empty()).unwrap();
    let ids: Vec<String> =
        driver.ledger().moves().map(|planned| planned.order.id.clone()).collect();
    for order in [ids[0].clone(), ids[1].clone(), "d9-0.0".to_owned()] {
        control.ask(Request::Abort { order, by: "a test".to_owned() });
    }
    driver.turn().unwrap();
    driver.run(|driver| driver.ledger().plans.is_empty()).unwrap();
    let outcome = |id: &String| {
        let ended = driver.ledger().ended.iter().find(|ended| ended.order.id == *id).unwrap();
        match ended.stage {
            Stage::Ended { outcome, .. } => outcome,
            _ => panic!("{ended:?}"),
        }
    };
    assert_eq!((outcome(&ids[0]), outcome(&ids[1])), (Outcome::Cancelled, Outcome::Superseded));
    assert!(!lock(&fake).begun.contains(&ids[1]));
}

/// Six workloads on one node of two, of which two are to leave. The first does; the second is refused,
/// and the node that they were to go to is full by then. A workload that was moved rests for 15
/// minutes.
#[test]
fn what_is_left_of_a_plan_that_was_cut_short_is_taken_back_without_a_rest_where_that_is_better() {
    let demands = [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 2.0];
    let (fake, folder) = (Fake::uneven(&demands), tempfile::tempdir().unwrap());
    {
        let mut fake = lock(&fake);
        fake.placement.insert("w6".to_owned(), "b".to_owned());
        fake.health[2].1 = Health::Failed;
        fake.starts = vec![Call::Works, Call::Refuses];
    }
    let (mut driver, _) = driver(&fake, folder.path());
    let until_s = lock(&fake).clock.now_s() + 300.0;
    driver
        .run(|_| {
            let mut fake = lock(&fake);
            if !fake.transfers.is_empty() {
                fake.demand[6].1 = 9.5;
            }
            let moved = fake.begun.len() >= 2 && fake.transfers.is_empty();
            moved || fake.clock.now_s() > until_s
        })
        .unwrap();
    let mut fake = lock(&fake);
    fake.settle();
    let on_b: Vec<&String> =
        fake.placement.iter().filter(|(_, node)| *node == "b").map(|(name, _)| name).collect();
    assert_eq!((fake.begun.len(), on_b), (2, vec![&"w6".to_owned()]));
}
