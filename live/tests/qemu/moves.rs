//! What a move keeps, and what it tells.

use godwit_live::cluster::{CallError, Order, Progress};
use godwit_models::plan::Method;

use crate::guests::boot_sector::TICKS_PER_S;
use crate::guests::hosts::wait;
use crate::lab::{Lab, order, says, settled, under_way};

#[test]
fn a_guest_goes_on_from_where_it_was_and_runs_at_one_place_alone() {
    let Some(lab) = Lab::with_guest(16, 4.0) else { return };
    let executor = lab.executor();
    let before = lab.hosts.record_from("g", "a", 20);
    let order = order("one.0", "a", "b");

    let handle = executor.start(&order).unwrap();
    let Progress::Done(figures) = settled(&*executor, &order, &handle) else {
        panic!("expected a move that is done")
    };

    assert_eq!(lab.states(), [None, says("running"), None]);
    assert_eq!(lab.hosts.pid("g", "a"), None);
    let after = lab.hosts.record_from("g", "b", before.counter + 1);
    assert_eq!((after.boots, after.nonce), (before.boots, before.nonce));
    // A sweep of 16 MiB takes 4 s: pages from before the move are checked after it.
    let later = lab.hosts.record_from("g", "b", after.counter + 5 * u64::from(TICKS_PER_S));
    assert_eq!((later.boots, later.nonce), (before.boots, before.nonce));
    assert_eq!([before, after, later].map(|record| record.wrong_pages), [0; 3]);

    // What was dirtied so far was copied, and no more than all of its memory.
    let moved = figures.moved_gib.unwrap();
    assert!((0.001..0.15).contains(&moved), "{moved}");
    let [transfer, downtime] = [figures.transfer_s.unwrap(), figures.downtime_s.unwrap()];
    assert!(transfer > 0.0 && downtime > 0.0, "{figures:?}");
}

#[test]
fn a_guest_comes_back_to_where_it_was() {
    let Some(lab) = Lab::with_guest(2, 1.0) else { return };
    let executor = lab.executor();
    let before = lab.hosts.record_from("g", "a", 1);
    for (i, route) in [["a", "b"], ["b", "c"], ["c", "a"], ["a", "b"]].into_iter().enumerate() {
        let order = order(&format!("round.{i}"), route[0], route[1]);
        let handle = executor.start(&order).unwrap();
        let progress = settled(&*executor, &order, &handle);
        assert!(matches!(progress, Progress::Done(_)), "{progress:?}");
    }
    assert_eq!(lab.states(), [None, says("running"), None]);
    let after = lab.hosts.record_from("g", "b", before.counter + 1);
    assert_eq!((after.boots, after.nonce, after.wrong_pages), (1, before.nonce, 0));
}

#[test]
fn a_guest_is_handed_over_without_anybody_watching() {
    let Some(lab) = Lab::with_guest(2, 0.0) else { return };
    let executor = lab.executor();
    executor.start(&order("alone.0", "a", "b")).unwrap();
    wait("the hand-over", || (lab.states() == [None, says("running"), None]).then_some(()));
}

#[test]
fn a_move_that_is_given_up_leaves_its_guest_running_at_the_source() {
    let Some(lab) = Lab::with_guest(64, 64.0).map(Lab::slow) else { return };
    let executor = lab.executor();
    // All of its region is dirtied, so copying takes seconds.
    let before = lab.hosts.record_from("g", "a", 120);
    let order = order("given-up.0", "a", "b");
    let handle = executor.start(&order).unwrap();
    under_way(&*executor, &order, &handle);

    executor.cancel(&order, &handle).unwrap();

    assert_eq!(settled(&*executor, &order, &handle), Progress::Cancelled);
    assert_eq!(lab.states(), [says("running"), None, None]);
    let after = lab.hosts.record_from("g", "a", before.counter + u64::from(TICKS_PER_S));
    assert_eq!((after.boots, after.nonce, after.wrong_pages), (1, before.nonce, 0));
    // Giving up what is over changes nothing.
    executor.cancel(&order, &handle).unwrap();
    assert_eq!(lab.states(), [says("running"), None, None]);
}

#[test]
fn a_guest_that_dirties_faster_than_the_link_carries_stays_and_can_be_moved_later() {
    let Some(mut lab) = Lab::with_guest(64, 64.0).map(Lab::slow) else { return };
    lab.hosts.record_from("g", "a", 120);
    let executor = lab.executor();
    let first = order("never.0", "a", "b");
    let handle = executor.start(&first).unwrap();
    // More than all of its memory was sent: it does not converge.
    wait("a second round", || match executor.watch(&first, &handle) {
        Ok(Progress::Running { moved_gib, .. }) => moved_gib.filter(|moved| *moved > 0.08),
        other => panic!("expected a move that runs, got {other:?}"),
    });
    executor.cancel(&first, &handle).unwrap();
    assert_eq!(settled(&*executor, &first, &handle), Progress::Cancelled);
    assert_eq!(lab.states(), [says("running"), None, None]);

    lab.settings.hosts.iter_mut().for_each(|host| host.bandwidth_gib_s = 1.0);
    let executor = lab.executor();
    let second = order("later.0", "a", "b");
    let handle = executor.start(&second).unwrap();
    let progress = settled(&*executor, &second, &handle);
    assert!(matches!(progress, Progress::Done(_)), "{progress:?}");
    assert_eq!(lab.states(), [None, says("running"), None]);
}

#[test]
fn what_cannot_be_begun_is_refused_with_the_reason_and_changes_nothing() {
    let Some(lab) = Lab::with_guest(1, 0.0) else { return };
    let executor = lab.executor();
    let refusal = |order| match executor.start(&order) {
        Err(CallError::Refused(why)) => why,
        other => panic!("expected a refusal, got {other:?}"),
    };
    let cold = Order { method: Method::ColdRestart, ..order("x.0", "a", "b") };
    let expected = "expected a live move, got a cold restart: begin the guest anew by hand";
    assert_eq!(refusal(cold), expected);
    let expected = "[qemu]: expected the name of a host, got \"z\"";
    assert_eq!(refusal(order("x.0", "a", "z")), expected);
    let expected = "expected a move to another host, got one to \"a\"";
    assert_eq!(refusal(order("x.0", "a", "a")), expected);
    let why = refusal(order("x.0", "b", "c"));
    assert!(why.starts_with("expected a guest that runs at unix:/"), "{why}");
    assert!(why.ends_with("/b/g.qmp, got no process"), "{why}");
    assert_eq!(lab.states(), [says("running"), None, None]);
}

#[test]
fn a_second_order_for_a_guest_that_is_being_moved_has_to_wait() {
    let Some(lab) = Lab::with_guest(64, 64.0).map(Lab::slow) else { return };
    lab.hosts.record_from("g", "a", 120);
    let executor = lab.executor();
    let first = order("first.0", "a", "b");
    let handle = executor.start(&first).unwrap();
    let second = executor.start(&order("second.0", "a", "c"));
    assert!(matches!(second, Err(CallError::Later { .. })), "{second:?}");
    assert_eq!(lab.state("c"), None);
    executor.cancel(&first, &handle).unwrap();
    assert_eq!(settled(&*executor, &first, &handle), Progress::Cancelled);
}

#[test]
fn a_command_that_begins_no_destination_is_told_with_what_it_said() {
    let Some(mut lab) = Lab::with_guest(1, 0.0) else { return };
    lab.settings.spawn =
        ["sh", "-c", "echo no room for {guest} >&2; exit 3"].map(String::from).into();
    let told = lab.executor().start(&order("x.0", "a", "b")).unwrap_err();
    assert_eq!(
        told.to_string(),
        "spawn: \"sh -c echo no room for g >&2; exit 3\": exit status: 3: no room for g"
    );
    lab.settings.spawn = ["sleep", "60"].map(String::from).into();
    lab.settings.spawn_time_out_s = 0.1;
    let told = lab.executor().start(&order("x.1", "a", "b")).unwrap_err();
    assert!(matches!(told, CallError::Later { .. }));
    assert_eq!(
        told.to_string(),
        "spawn: \"sleep 60\": expected it to end once QEMU listens (-daemonize), got none in time"
    );
    assert_eq!(lab.states(), [says("running"), None, None]);
}

#[test]
fn a_second_guest_that_was_begun_in_place_of_a_destination_is_ended_at_once() {
    let Some(mut lab) = Lab::with_guest(1, 0.0) else { return };
    // The command ignores that it is to begin a destination.
    lab.settings.spawn.pop();
    let told = lab.executor().start(&order("x.0", "a", "b")).unwrap_err();
    assert_eq!(told.to_string(), "spawn: expected a QEMU with -incoming, got one without");
    assert_eq!(lab.states(), [says("running"), None, None]);
}

#[test]
fn eight_guests_that_are_moved_at_once_all_go_on() {
    let guests = ["g0", "g1", "g2", "g3", "g4", "g5", "g6", "g7"];
    let Some(lab) = Lab::new(&guests) else { return };
    for (i, guest) in guests.into_iter().enumerate() {
        lab.hosts.write_disk(guest, 1 + i as u32, i as f32);
        lab.hosts.begin(guest, "a", None);
    }
    let before = guests.map(|guest| lab.hosts.record_from(guest, "a", 10));
    let executor = lab.executor();
    let moves = guests.map(|guest| {
        let order =
            Order { workload: guest.to_owned(), ..order(&format!("all.{guest}"), "a", "c") };
        let handle = executor.start(&order).unwrap();
        (order, handle)
    });
    for (order, handle) in &moves {
        let progress = settled(&*executor, order, handle);
        assert!(matches!(progress, Progress::Done(_)), "{}: {progress:?}", order.workload);
    }
    for (guest, before) in guests.into_iter().zip(before) {
        assert_eq!(lab.hosts.pid(guest, "a"), None);
        let after = lab.hosts.record_from(guest, "c", before.counter + 110);
        assert_eq!((after.boots, after.nonce, after.wrong_pages), (1, before.nonce, 0));
    }
}
