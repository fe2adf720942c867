//! The process ends at any moment, and the next one goes on from the journal.

use std::panic::{AssertUnwindSafe, catch_unwind};

use godwit_live::cluster::Progress;
use godwit_live::journal::{Journal, ledger, records};
use godwit_live::ledger::moves::{Outcome, Stage};
use godwit_live::ledger::record::Event;
use proptest::prelude::*;

use crate::support::{Call, Course, Fake, Shared, driver, lock, settle};

fn calls() -> impl Strategy<Value = Vec<Call>> {
    let call = prop_oneof![
        4 => Just(Call::Works),
        1 => Just(Call::Refuses),
        2 => Just(Call::Later),
        2 => Just(Call::Vanishes),
        2 => Just(Call::WorksSilently),
        2 => Just(Call::WorksAndCrashes),
        2 => Just(Call::Crashes),
    ];
    prop::collection::vec(call, 0..16)
}

fn courses() -> impl Strategy<Value = Vec<Course>> {
    let course = prop_oneof![
        4 => Just(Course::Arrives),
        2 => Just(Course::Fails),
        1 => Just(Course::Hangs),
    ];
    prop::collection::vec(course, 0..8)
}

/// Runs one process after another until nothing is left to be done; each ends after so many turns, or
/// when a call ends it.
fn live_through(fake: &Shared, folder: &std::path::Path, turns: &[usize]) {
    for most in turns {
        // Told on standard error: that is what the test is about.
        let lived = catch_unwind(AssertUnwindSafe(|| {
            let (mut driver, _) = driver(fake, folder);
            let mut left = *most;
            driver
                .run(|_| {
                    left = left.saturating_sub(1);
                    left == 0
                })
                .unwrap();
        }));
        drop(lived);
    }
    lock(fake).starts.clear();
    let (mut driver, _) = driver(fake, folder);
    settle(&mut driver, fake);
    assert!(driver.is_settled(), "{:?}", driver.ledger().plans);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn nothing_is_begun_twice_and_the_journal_says_what_happened(
        starts in calls(),
        courses in courses(),
        turns in prop::collection::vec(1_usize..40, 1..6),
    ) {
        let (fake, folder) = (Fake::uneven(&[1.0; 6]), tempfile::tempdir().unwrap());
        (lock(&fake).starts, lock(&fake).courses) = (starts, courses);
        live_through(&fake, folder.path(), &turns);
        let fake = lock(&fake);
        let mut begun = fake.begun.clone();
        begun.sort_unstable();
        begun.dedup();
        prop_assert_eq!(begun.len(), fake.begun.len());
        // What is said of each order is what became of it.
        let all = records(folder.path()).unwrap();
        let mut ended = 0;
        for record in &all {
            let Event::Ended { order, outcome, .. } = &record.event else { continue };
            ended += 1;
            let arrived = matches!(fake.ended.get(order), Some(Progress::Done(_)));
            prop_assert_eq!(*outcome == Outcome::Succeeded, arrived, "{} {:?}", order, outcome);
            if *outcome == Outcome::Superseded {
                prop_assert!(!fake.begun.contains(order), "{} was begun", order);
            }
        }
        // Each exactly once, and none is left open.
        let decided: usize = all.iter().map(|record| match &record.event {
            Event::Decided(decided) => decided.plan.moves.len(),
            _ => 0,
        }).sum();
        prop_assert_eq!(ended, decided);
        prop_assert!(fake.transfers.is_empty());
        // The intent is there before the act.
        for order in &fake.begun {
            let intended = |event: &Event| matches!(event, Event::Intended { order: o } if o == order);
            prop_assert!(all.iter().any(|record| intended(&record.event)), "{}", order);
        }
    }
}

#[test]
fn a_move_that_began_without_an_answer_is_found_and_not_begun_again() {
    let (fake, folder) = (Fake::uneven(&[4.0, 1.0]), tempfile::tempdir().unwrap());
    lock(&fake).starts = vec![Call::WorksAndCrashes];
    live_through(&fake, folder.path(), &[5]);
    assert_eq!(lock(&fake).begun.len(), 1);
    let ledger = ledger(folder.path()).unwrap();
    assert!(matches!(ledger.ended[0].stage, Stage::Ended { outcome: Outcome::Succeeded, .. }));
}

#[test]
fn what_had_not_begun_is_not_begun_by_the_next_process() {
    let (fake, folder) = (Fake::uneven(&[4.0, 1.0]), tempfile::tempdir().unwrap());
    lock(&fake).starts = vec![Call::Crashes];
    live_through(&fake, folder.path(), &[5]);
    let ledger = ledger(folder.path()).unwrap();
    let first = ledger.ended.front().unwrap();
    assert!(matches!(first.stage, Stage::Ended { outcome: Outcome::Failed, .. }), "{first:?}");
    assert!(!lock(&fake).begun.contains(&first.order.id));
}

#[test]
fn what_happened_before_twenty_restarts_is_still_told() {
    let folder = tempfile::tempdir().unwrap();
    for start in 0..20 {
        let mut journal = Journal::open(folder.path()).unwrap();
        assert_eq!(journal.ledger().alerts.len(), start);
        journal.put(0.0, Event::Alert { text: start.to_string() }).unwrap();
        drop(journal);
        // What a process leaves that is killed while it writes.
        let path = folder.path().join("moves.journal");
        let mut torn = std::fs::read(&path).unwrap();
        torn.extend(b"0123456789abcdef {\"at_s\"");
        std::fs::write(&path, torn).unwrap();
    }
    assert_eq!(records(folder.path()).unwrap().len(), 20);
}
