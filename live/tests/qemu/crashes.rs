//! Somebody who knows nothing but the order asks where its guest is, in every state that a crash can
//! leave behind.

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
