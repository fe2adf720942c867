//! Somebody who knows nothing but the order asks where its guest is, in every state that a crash can
//! leave behind.

use std::os::unix::net::UnixStream;
use std::time::Duration;

use godwit_live::cluster::{CallError, Progress, Whereabouts};
use serde_json::json;

use crate::guests::hosts::wait;
use crate::lab::{Lab, impatient, order, says, settled, under_way};

fn at(host: &str) -> Result<Whereabouts, CallError> {
    Ok(Whereabouts::At(host.to_owned()))
}

/// Looks for the guest of the order `crash.0` from `a` to `b`, knowing nothing else.
fn find(lab: &Lab) -> Result<Whereabouts, CallError> {
    lab.executor().find(&order("crash.0", "a", "b"))
}

/// A guest whose counter is still to be seen to go on.
fn resting_guest() -> Option<Lab> {
    Lab::with_guest(1, 0.0)
}

fn goes_on(lab: &Lab, host: &str) {
    let now = lab.hosts.record("g", host).unwrap();
    let later = lab.hosts.record_from("g", host, now.counter + 10);
    assert_eq!((later.boots, later.nonce, later.wrong_pages), (1, now.nonce, 0));
}

#[test]
fn before_anything_was_begun_the_guest_is_at_its_source() {
    let Some(lab) = resting_guest() else { return };
    assert_eq!(find(&lab), at("a"));
    assert_eq!(lab.states(), [says("running"), None, None]);
}

#[test]
fn a_destination_that_nothing_was_sent_to_is_ended() {
    let Some(lab) = resting_guest() else { return };
    lab.begin_destination("b");
    assert_eq!(find(&lab), at("a"));
    assert_eq!(lab.states(), [says("running"), None, None]);
    goes_on(&lab, "a");
}

#[test]
fn a_move_under_way_is_found_and_can_be_given_up() {
    let Some(lab) = Lab::with_guest(64, 64.0).map(Lab::slow) else { return };
    lab.hosts.record_from("g", "a", 120);
    let order = order("crash.0", "a", "b");
    let before = lab.executor();
    let handle = before.start(&order).unwrap();
    under_way(&*before, &order, &handle);
    drop(before);

    let executor = lab.executor();
    assert_eq!(executor.find(&order), Ok(Whereabouts::UnderWay(handle.clone())));
    executor.cancel(&order, &handle).unwrap();
    assert_eq!(settled(&*executor, &order, &handle), Progress::Cancelled);
    assert_eq!(lab.states(), [says("running"), None, None]);
}

#[test]
fn a_move_under_way_that_is_found_is_carried_to_its_end() {
    let Some(lab) = Lab::with_guest(24, 24.0).map(Lab::slow) else { return };
    lab.hosts.record_from("g", "a", 120);
    let order = order("crash.0", "a", "b");
    let before = lab.executor();
    let handle = before.start(&order).unwrap();
    under_way(&*before, &order, &handle);
    drop(before);

    let executor = lab.executor();
    assert_eq!(executor.find(&order), Ok(Whereabouts::UnderWay(handle.clone())));
    lab.tell("a", "migrate-set-parameters", json!({ "max-bandwidth": 1_u64 << 30 }));
    let progress = settled(&*executor, &order, &handle);
    assert!(matches!(progress, Progress::Done(_)), "{progress:?}");
    assert_eq!(lab.states(), [None, says("running"), None]);
    goes_on(&lab, "b");
}

#[test]
fn a_move_that_was_asked_about_once_is_handed_over_without_anybody_watching() {
    let Some(lab) = Lab::with_guest(24, 24.0).map(Lab::slow) else { return };
    lab.hosts.record_from("g", "a", 120);
    let order = order("crash.0", "a", "b");
    let before = lab.executor();
    let handle = before.start(&order).unwrap();
    under_way(&*before, &order, &handle);
    drop(before);

    let executor = lab.executor();
    let progress = executor.watch(&order, &handle);
    assert!(matches!(progress, Ok(Progress::Running { .. })), "{progress:?}");
    lab.tell("a", "migrate-set-parameters", json!({ "max-bandwidth": 1_u64 << 30 }));
    wait("the hand-over", || (lab.states() == [None, says("running"), None]).then_some(()));
}

#[test]
fn a_guest_that_was_copied_is_handed_over() {
    let Some(lab) = resting_guest() else { return };
    lab.copy();
    assert_eq!(find(&lab), at("b"));
    assert_eq!(lab.states(), [None, says("running"), None]);
    goes_on(&lab, "b");
}

#[test]
fn a_hand_over_that_was_begun_goes_on() {
    let Some(lab) = resting_guest() else { return };
    lab.copy();
    lab.mark("a");
    assert_eq!(find(&lab), at("b"));
    assert_eq!(lab.states(), [None, says("running"), None]);
    goes_on(&lab, "b");
}

#[test]
fn a_source_that_was_left_is_ended() {
    let Some(lab) = resting_guest() else { return };
    lab.copy();
    lab.mark("a");
    lab.tell("b", "cont", json!({}));
    assert_eq!(find(&lab), at("b"));
    assert_eq!(lab.states(), [None, says("running"), None]);
    goes_on(&lab, "b");
}

#[test]
fn a_move_that_is_over_is_found_at_the_destination() {
    let Some(lab) = resting_guest() else { return };
    lab.copy();
    lab.tell("b", "cont", json!({}));
    lab.tell("a", "quit", json!({}));
    wait("the source to end", || lab.state("a").is_none().then_some(()));
    assert_eq!(find(&lab), at("b"));
    goes_on(&lab, "b");
}

#[test]
fn the_only_copy_is_resumed() {
    let Some(lab) = resting_guest() else { return };
    lab.copy();
    lab.hosts.signal("g", "a", "KILL");
    wait("the source to end", || lab.state("a").is_none().then_some(()));
    assert_eq!(find(&lab), at("b"));
    assert_eq!(lab.states(), [None, says("running"), None]);
    goes_on(&lab, "b");
}

#[test]
fn a_guest_whose_destination_ended_before_it_ran_is_resumed_at_its_source() {
    let Some(lab) = resting_guest() else { return };
    lab.copy();
    lab.hosts.signal("g", "b", "KILL");
    wait("the destination to end", || lab.state("b").is_none().then_some(()));
    assert_eq!(find(&lab), at("a"));
    assert_eq!(lab.states(), [says("running"), None, None]);
    goes_on(&lab, "a");
    // And it can be moved afterwards.
    let (executor, next) = (lab.executor(), order("next.0", "a", "c"));
    let handle = executor.start(&next).unwrap();
    let progress = settled(&*executor, &next, &handle);
    assert!(matches!(progress, Progress::Done(_)), "{progress:?}");
    assert_eq!(lab.states(), [None, None, says("running")]);
}

#[test]
fn a_guest_that_may_have_run_at_a_destination_that_ended_is_not_resumed_at_its_source() {
    let Some(lab) = resting_guest() else { return };
    lab.copy();
    lab.mark("a");
    lab.hosts.signal("g", "b", "KILL");
    wait("the destination to end", || lab.state("b").is_none().then_some(()));
    assert_eq!(find(&lab), Ok(Whereabouts::Nowhere));
    // The old state is kept for whoever decides about it.
    assert_eq!(lab.states(), [says("postmigrate"), None, None]);
}

#[test]
fn a_source_that_was_resumed_by_hand_can_be_moved_again() {
    let Some(lab) = resting_guest() else { return };
    lab.copy();
    lab.mark("a");
    lab.hosts.signal("g", "b", "KILL");
    wait("the destination to end", || lab.state("b").is_none().then_some(()));
    lab.tell("a", "cont", json!({}));
    let (executor, next) = (lab.executor(), order("next.0", "a", "b"));
    let handle = executor.start(&next).unwrap();
    let progress = settled(&*executor, &next, &handle);
    assert!(matches!(progress, Progress::Done(_)), "{progress:?}");
    goes_on(&lab, "b");
}

#[test]
fn without_any_process_the_guest_is_nowhere() {
    let Some(lab) = resting_guest() else { return };
    lab.hosts.signal("g", "a", "KILL");
    wait("the source to end", || lab.state("a").is_none().then_some(()));
    assert_eq!(find(&lab), Ok(Whereabouts::Nowhere));
    lab.begin_destination("b");
    assert_eq!(find(&lab), Ok(Whereabouts::Nowhere));
    assert_eq!(lab.states(), [None, None, None]);
}

#[test]
fn a_guest_on_a_third_host_is_found_there() {
    let Some(lab) = resting_guest() else { return };
    assert_eq!(lab.executor().find(&order("crash.0", "b", "c")), at("a"));
    goes_on(&lab, "a");
}

#[test]
fn a_guest_that_runs_twice_is_told_and_left_alone() {
    let Some(lab) = resting_guest() else { return };
    lab.hosts.begin("g", "b", None);
    lab.hosts.record_from("g", "b", 1);
    assert_eq!(
        find(&lab),
        Err(CallError::Unknown(
            "the guest runs at two places: end the wrong process by hand (`quit`)".to_owned()
        ))
    );
    let told = lab.executor().start(&order("next.0", "a", "c"));
    assert_eq!(told, Err(CallError::Refused("the guest runs on a and on b".to_owned())));
    assert_eq!(lab.states(), [says("running"), says("running"), None]);
}

#[test]
fn where_a_place_does_not_answer_nobody_guesses() {
    let Some(mut lab) = resting_guest() else { return };
    impatient(&mut lab.settings);
    lab.copy();
    lab.hosts.signal("g", "b", "STOP");
    let told = find(&lab);
    assert!(matches!(told, Err(CallError::Unknown(_))), "{told:?}");
    assert_eq!(lab.state("a"), says("postmigrate"));
    lab.hosts.signal("g", "b", "CONT");
    assert_eq!(find(&lab), at("b"));
}

#[test]
fn a_destination_that_waits_for_a_source_that_is_gone_is_ended_once_the_move_is_given_up() {
    let Some(lab) = resting_guest() else { return };
    let incoming = lab.begin_destination("b");
    // Somebody connects as a source does, and sends nothing.
    let _source = UnixStream::connect(incoming.strip_prefix("unix:").unwrap()).unwrap();
    lab.hosts.signal("g", "a", "KILL");
    wait("the source to end", || lab.state("a").is_none().then_some(()));
    let (executor, order) = (lab.executor(), order("crash.0", "a", "b"));
    let found = wait("the destination to receive", || match executor.find(&order).unwrap() {
        Whereabouts::UnderWay(handle) => Some(Ok(handle)),
        // It had not noticed yet that somebody connected.
        Whereabouts::Nowhere => Some(Err(())),
        Whereabouts::At(host) => panic!("expected a guest that is nowhere, got one on {host}"),
    });
    if let Ok(handle) = found {
        executor.cancel(&order, &handle).unwrap();
        let progress = settled(&*executor, &order, &handle);
        assert_eq!(progress, Progress::Lost("no process of the guest is left".to_owned()));
    }
    assert_eq!(lab.states(), [None, None, None]);
}

#[test]
fn whoever_crashes_at_whatever_moment_of_a_move_leaves_one_guest_that_goes_on() {
    let Some(lab) = Lab::with_guest(8, 8.0) else { return };
    let before = lab.hosts.record_from("g", "a", 120);
    let mut host = "a";
    for moment in 0..12 {
        let next = if host == "a" { "b" } else { "a" };
        let order = order(&format!("crash.{moment}"), host, next);
        let executor = lab.executor();
        executor.start(&order).unwrap();
        // Any moment will do; these are spread over the length of a move.
        std::thread::sleep(Duration::from_millis(20 * moment));
        drop(executor);
        let executor = lab.executor();
        host = wait("the guest to be somewhere", || match executor.find(&order) {
            Ok(Whereabouts::At(found)) => Some(if found == next { next } else { host }),
            Ok(Whereabouts::Nowhere) => panic!("the guest is lost"),
            Ok(Whereabouts::UnderWay(_)) | Err(_) => None,
        });
        let running = lab.states().into_iter().flatten().collect::<Vec<_>>();
        assert_eq!(running, ["running"], "{moment}");
    }
    let now = lab.hosts.record("g", host).unwrap();
    let after = lab.hosts.record_from("g", host, now.counter + 110);
    assert!(now.counter > before.counter);
    assert_eq!((after.boots, after.nonce, after.wrong_pages), (1, before.nonce, 0));
}
