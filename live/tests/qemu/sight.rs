//! What the cluster looks like through the monitors.

use godwit_envs::state::cluster::Health;

use crate::guests::hosts::wait;
use crate::lab::{Lab, impatient, order, settled};

#[test]
fn guests_are_shown_where_they_run_with_what_they_take() {
    let Some(mut lab) = Lab::with_guest(32, 8.0) else { return };
    lab.settings.dirty_rate_every_s = 1.0;
    let mut source = lab.source();
    let seen = source.look().unwrap();
    assert_eq!(seen.notes, Vec::<String>::new());
    assert_eq!(seen.snapshot.resources, ["cpu", "memory"]);
    let g = &seen.snapshot.workloads[0];
    // 128 MiB, and one virtual processor until there are two looks.
    assert_eq!((&*g.name, g.node.as_deref(), &*g.demand), ("g", Some("a"), &[1.0, 0.125][..]));
    assert_eq!((g.state_gib, g.dirty_gib_s, g.movable), (0.125, 0.0, true));

    // 8 MiB/s are pages of their own in each second; a sixty-fourth of them is looked at.
    let g = wait("a dirty rate", || {
        let seen = source.look().unwrap();
        let g = seen.snapshot.workloads.into_iter().next().unwrap();
        (g.dirty_gib_s > 0.0).then_some(g)
    });
    let mib_per_s = g.dirty_gib_s * 1024.0;
    assert!((1.0..=16.0).contains(&mib_per_s), "{mib_per_s}");
    assert!(g.demand[0] < 1.0, "{}", g.demand[0]);
}

#[test]
fn what_a_move_copied_is_taken_for_the_state() {
    let Some(lab) = Lab::with_guest(16, 32.0) else { return };
    lab.hosts.record_from("g", "a", 60);
    let cluster = godwit_live::clusters::qemu::open(&lab.settings).unwrap();
    let (executor, mut source) = (cluster.executor.unwrap(), cluster.source);
    let order = order("one.0", "a", "b");
    let handle = executor.start(&order).unwrap();
    settled(&*executor, &order, &handle);
    let seen = source.look().unwrap();
    let g = &seen.snapshot.workloads[0];
    assert_eq!(g.node.as_deref(), Some("b"));
    // The 16 MiB that it dirties, and some more: far from all 128.
    let mib = g.state_gib * 1024.0;
    assert!((15.0..64.0).contains(&mib), "{mib}");
}

#[test]
fn guests_that_run_nowhere_or_twice_are_told() {
    let Some(lab) = Lab::new(&["g", "h"]) else { return };
    for guest in ["g", "h"] {
        lab.hosts.write_disk(guest, 1, 0.0);
    }
    for host in ["a", "b"] {
        lab.hosts.begin("h", host, None);
        lab.hosts.record_from("h", host, 1);
    }
    let seen = lab.source().look().unwrap();
    assert_eq!(
        seen.notes,
        [
            "g: it is left out, as it runs nowhere",
            "h: it runs at more than one place: a and b; end the wrong process by hand (`quit`)",
        ]
    );
    let shown: Vec<_> = seen.snapshot.workloads.iter().map(|w| (&*w.name, w.movable)).collect();
    assert_eq!(shown, [("h", false)]);
}

#[test]
fn a_host_on_which_nothing_answers_takes_no_more_guests() {
    let Some(mut lab) = Lab::with_guest(1, 0.0) else { return };
    impatient(&mut lab.settings);
    lab.hosts.signal("g", "a", "STOP");
    let seen = lab.source().look().unwrap();
    let health: Vec<_> = seen.snapshot.nodes.iter().map(|node| node.health).collect();
    assert_eq!(health, [Health::Failed, Health::Healthy, Health::Healthy]);
    assert_eq!(seen.notes.len(), 2, "{:?}", seen.notes);
    assert_eq!(seen.notes[0], "a: no monitor answers there");
    assert!(seen.notes[1].starts_with("g: on a, no answer from unix:/"), "{:?}", seen.notes);
    let g = &seen.snapshot.workloads[0];
    assert_eq!((g.node.as_deref(), g.movable), (Some("a"), false));
    // It runs again as it did.
    lab.hosts.signal("g", "a", "CONT");
    lab.settings.time_out_s = 20.0;
    assert_eq!(lab.source().look().unwrap().notes, Vec::<String>::new());
}
