//! Processes that are killed or hang in the middle of a move.

use std::sync::Arc;

use godwit_live::cluster::{CallError, Executor, Handle, Order, Progress, Whereabouts};
use serde_json::json;

use crate::guests::boot_sector::TICKS_PER_S;
use crate::guests::hosts::wait;
use crate::lab::{Lab, impatient, order, says, settled, under_way};

/// A move of a guest that takes seconds, under way.
fn long_move(lab: &Lab) -> (Arc<dyn Executor>, Order, Handle) {
    lab.hosts.record_from("g", "a", 120);
    let (executor, long) = (lab.executor(), order("long.0", "a", "b"));
    let handle = executor.start(&long).unwrap();
    under_way(&*executor, &long, &handle);
    (executor, long, handle)
}

#[test]
fn a_guest_whose_source_is_killed_before_everything_was_copied_is_lost() {
    let Some(lab) = Lab::with_guest(64, 64.0).map(Lab::slow) else { return };
    let (executor, long, handle) = long_move(&lab);
    lab.hosts.signal("g", "a", "KILL");
    let progress = settled(&*executor, &long, &handle);
    assert_eq!(progress, Progress::Lost("no process of the guest is left".to_owned()));
    assert_eq!(lab.states(), [None, None, None]);
}

#[test]
fn a_guest_whose_destination_is_killed_runs_on_at_its_source() {
    let Some(lab) = Lab::with_guest(64, 64.0).map(Lab::slow) else { return };
    let before = lab.hosts.record_from("g", "a", 1);
    let (executor, long, handle) = long_move(&lab);
    lab.hosts.signal("g", "b", "KILL");
    let progress = settled(&*executor, &long, &handle);
    assert!(matches!(progress, Progress::Failed(_)), "{progress:?}");
    assert_eq!(lab.states(), [says("running"), None, None]);
    let now = lab.hosts.record("g", "a").unwrap();
    let after = lab.hosts.record_from("g", "a", now.counter + u64::from(TICKS_PER_S));
    assert_eq!((after.boots, after.nonce, after.wrong_pages), (1, before.nonce, 0));
}

#[test]
fn a_guest_whose_destination_hangs_runs_on_at_its_source_once_the_move_is_given_up() {
    let Some(mut lab) = Lab::with_guest(64, 64.0).map(Lab::slow) else { return };
    impatient(&mut lab.settings);
    let (executor, long, handle) = long_move(&lab);
    lab.hosts.signal("g", "b", "STOP");
    let told = executor.watch(&long, &handle);
    assert!(matches!(told, Ok(Progress::Running { .. })), "{told:?}");

    executor.cancel(&long, &handle).unwrap();

    assert_eq!(settled(&*executor, &long, &handle), Progress::Cancelled);
    assert_eq!(lab.state("a"), says("running"));
    // The process that hangs cannot be ended, so another move there is refused until it is gone.
    let again = order("again.0", "a", "b");
    let told = executor.start(&again);
    assert!(matches!(told, Err(CallError::Later { .. })), "{told:?}");
    // Awake again, it finds its source gone, and ends; it never runs.
    lab.hosts.signal("g", "b", "CONT");
    wait("the destination to end", || {
        let states = lab.states();
        assert_ne!(states[1], says("running"));
        (states == [says("running"), None, None]).then_some(())
    });
}

#[test]
fn a_destination_that_hangs_at_the_end_of_copying_never_makes_a_second_guest() {
    let Some(mut lab) = Lab::with_guest(1, 0.0) else { return };
    impatient(&mut lab.settings);
    let incoming = lab.begin_destination("b");
    lab.hosts.signal("g", "b", "STOP");
    let return_path = json!({ "capability": "return-path", "state": true });
    let capabilities = json!({ "capabilities": [return_path] });
    lab.tell("a", "migrate-set-capabilities", capabilities);
    lab.tell("a", "migrate", json!({ "uri": incoming }));
    let long = order("hangs.0", "a", "b");
    let executor = lab.executor();
    // Whatever was sent waits for a process that does not read.
    let told = executor.find(&long);
    assert!(matches!(told, Ok(Whereabouts::UnderWay(_))), "{told:?}");
    let handle = Handle(long.id.clone());
    executor.cancel(&long, &handle).unwrap();
    assert_eq!(settled(&*executor, &long, &handle), Progress::Cancelled);
    lab.hosts.signal("g", "b", "CONT");
    wait("the destination to end", || {
        let states = lab.states();
        assert_ne!(states[1], says("running"));
        (states == [says("running"), None, None]).then_some(())
    });
}
