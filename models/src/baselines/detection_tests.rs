//! Hand-worked decisions of the baselines that detect hot nodes.

use super::*;
use crate::testing::{cluster, rules};
use godwit_envs::scenario::Rules;
use godwit_envs::state::{Action, ClusterState};
use serde_json::json;
use std::sync::Arc;

fn migrate(workload: usize, destination: usize) -> Action {
    Action::Migrate { workload, destination }
}

/// Rules of a world whose clock runs.
fn online() -> Arc<Rules> {
    rules(json!({"episode": {"mode": "online", "ticks": 50, "moves_per_tick": 2}}))
}

/// Makes the moves of a policy in a static world.
fn play(policy: &mut dyn Policy, state: &mut ClusterState) -> Vec<(usize, usize)> {
    let mut out = Vec::new();
    while let Action::Migrate { workload, destination } = policy.act(state) {
        state.migrate(workload, destination).unwrap();
        out.push((workload, destination));
        assert!(out.len() < 20, "{out:?}");
    }
    out
}

#[test]
fn sandpiper_sheds_the_most_volume_per_size_to_the_least_volume() {
    // Node 0 is at 0.9. Volumes: 1 / (1 - 0.5) = 2, 1 / (1 - 0.2) = 1.25 (twice). Divided by the
    // states of 4, 1 and 2 GiB that is 0.5, 1.25 and 0.625: workload 1 goes first. Node 2 (at
    // 0.3) has less volume than node 1 (at 0.4). That leaves 0.7, which is not hot.
    let placed = [(5.0, 0), (2.0, 0), (2.0, 0), (4.0, 1), (3.0, 2)];
    let change = |w: &mut [godwit_envs::cluster::WorkloadSpec]| {
        w[0].state_gib = 4.0;
        w[2].state_gib = 2.0;
    };
    let mut state = cluster(rules(json!({})), (3, 10.0), &placed, change);
    assert_eq!(play(&mut *baseline("sandpiper").unwrap(), &mut state), [(1, 2)]);
}

#[test]
fn sandpiper_passes_over_what_would_make_the_destination_hot() {
    // Node 0 is at 0.9 (0.5 and 0.4), the others at 0.3 and 0.4. With equal states workload 0 has
    // the highest ratio (2), but would make 0.8 of node 1's 0.3; workload 1 makes 0.7 of it.
    let placed = [(5.0, 0), (4.0, 0), (3.0, 1), (4.0, 2)];
    let mut state = cluster(rules(json!({})), (3, 10.0), &placed, |_| {});
    assert_eq!(play(&mut *baseline("sandpiper").unwrap(), &mut state), [(1, 1)]);
}

#[test]
fn sandpiper_exchanges_where_nothing_can_leave() {
    // Nodes at 0.85 (0.45 and 0.4) and 0.6 (0.35 and 0.25): 0.6 + 0.4 exceeds 0.75. Exchanging
    // workload 0 (the highest ratio) with workload 3 (the lowest) leaves 0.65 and 0.8: too much.
    // With workload 2 it leaves 0.75 and 0.7. 0.45 does not fit on 0.6, and 0.35 not on 0.85, so
    // neither can start. Workload 1 (0.4): with workload 3 it leaves 0.7 and 0.75, and goes first,
    // as 0.6 + 0.4 just fits.
    let placed = [(4.5, 0), (4.0, 0), (3.5, 1), (2.5, 1)];
    let build = || cluster(rules(json!({})), (2, 10.0), &placed, |_| {});
    let mut policy = baseline("sandpiper").unwrap();
    assert_eq!(play(&mut *policy, &mut build()), [(1, 1), (3, 0)]);
    let mut last = build();
    last.moves_left = 1;
    policy.reset(0);
    assert_eq!(policy.act(&last), Action::Stay, "one move is not enough for an exchange");
}

#[test]
fn sandpiper_waits_online_until_the_threshold_was_exceeded_three_times() {
    // 0.9 of 0.75, and an empty node. Either workload may go, the first of equal ones does.
    let mut state = cluster(online(), (2, 10.0), &[(4.5, 0), (4.5, 0)], |_| {});
    let mut policy = baseline("sandpiper").unwrap();
    // At ticks 0 and 2 it is exceeded, at tick 1 not (0.7); tick 3 makes three of four.
    for (demand, expected) in [(4.5, Action::Stay), (2.5, Action::Stay), (4.5, Action::Stay)] {
        state.demand[1] = demand;
        state.rebuild();
        assert_eq!(policy.act(&state), expected);
        // Being asked twice in a tick counts once.
        assert_eq!(policy.act(&state), expected);
        state.start_tick();
    }
    assert_eq!(policy.act(&state), migrate(0, 1));
    // The source still holds what is leaving, but that is on its way.
    state.migrate(0, 1).unwrap();
    assert_eq!(policy.act(&state), Action::Stay);
}

#[test]
fn sandpiper_makes_the_second_half_of_an_exchange_once_the_first_has_arrived() {
    // As above without a clock: 1 goes to node 1, whose transfer keeps 3 from coming.
    let placed = [(4.5, 0), (4.0, 0), (3.5, 1), (2.5, 1)];
    let mut state = cluster(online(), (2, 10.0), &placed, |_| {});
    let mut policy = baseline("sandpiper").unwrap();
    for _ in 0..2 {
        assert_eq!(policy.act(&state), Action::Stay);
        state.start_tick();
    }
    assert_eq!(policy.act(&state), migrate(1, 1));
    state.migrate(1, 1).unwrap();
    assert_eq!(policy.act(&state), Action::Stay);
    state.run_transfers(60.0);
    state.start_tick();
    assert_eq!(policy.act(&state), migrate(3, 0));
}
