//! Chains worked out by hand, and what all plans of chains promise.

use super::*;
use crate::baselines::baseline;
use crate::testing::{cluster, random_state, rules};
use godwit_envs::rng::stream;
use proptest::prelude::*;
use rand::RngExt;
use serde_json::json;

/// Makes the moves of a baseline in a static world; also what they earn.
fn play(name: &str, state: &mut ClusterState) -> (Vec<(usize, usize)>, f32) {
    let mut policy = baseline(name).unwrap();
    policy.reset(0);
    let (mut out, mut earned) = (Vec::new(), state.level());
    while state.moves_left > 0
        && let Action::Migrate { workload, destination } = policy.act(state)
    {
        let cost = state.migrate(workload, destination).unwrap();
        earned -= state.objective.value(&state.flow_terms(workload, &cost));
        state.start_tick();
        out.push((workload, destination));
    }
    (out, earned - state.level())
}

/// Nodes of 8 cores whose free supply counts in slots; those in `pinned` stay.
fn slots(size: f32, placed: &[(f32, u32)], pinned: &[usize]) -> ClusterState {
    let rules = rules(json!({"objective": {
        "weights": {"fragmentation": 1.0}, "slot": {"resource": "cpu", "size": size},
    }}));
    let nodes = placed.iter().map(|place| place.1 + 1).max().unwrap_or(0) as usize;
    let pin = |w: &mut [godwit_envs::state::cluster::WorkloadSpec]| {
        pinned.iter().for_each(|&k| w[k].movable = false);
    };
    cluster(rules, (nodes, 8.0), placed, pin)
}

#[test]
fn a_set_leaves_its_node_where_only_all_of_it_completes_a_slot() {
    // Free: 3 (2 and 3 on node 0), 2 and 3. The slot is a whole node, so it takes both: the 3 fits
    // on node 2 alone, the 2 is best kept by node 1, which it fills.
    let build = || slots(8.0, &[(2.0, 0), (3.0, 0), (6.0, 1), (5.0, 2)], &[2, 3]);
    assert_eq!(play("best-single-move", &mut build()).0, []);
    assert_eq!(play("best-move-or-swap", &mut build()).0, []);
    let (moves, earned) = play("chains", &mut build());
    assert_eq!(moves, [(0, 1), (1, 2)]);
    assert!((earned - 1.0).abs() < 1e-6, "{earned}");
    // With one move left there is nothing to gain.
    let mut last = build();
    last.moves_left = 1;
    assert_eq!(play("chains", &mut last).0, []);
}

#[test]
fn three_workloads_leave_together() {
    // 2, 2 and 1 on node 0; free elsewhere are 2, 2 and 1: each has one place.
    let placed = [(2.0, 0), (2.0, 0), (1.0, 0), (6.0, 1), (6.0, 2), (7.0, 3)];
    let mut state = slots(8.0, &placed, &[3, 4, 5]);
    let (mut moves, earned) = play("chains", &mut state);
    moves.sort_unstable();
    assert_eq!(moves.len(), 3);
    assert_eq!(moves[2], (2, 3));
    assert!((earned - 1.0).abs() < 1e-6, "{earned}");
}

#[test]
fn a_workload_makes_room_for_another_to_move_in() {
    // Free: 1 (4 and a pinned 3), 2 (2 and a pinned 4) and 2; slots of 5. Without the 4 node 0 has
    // one, but nobody takes a 4, unless the 2 goes to node 2 first. By itself that gains nothing.
    let placed = [(4.0, 0), (3.0, 0), (2.0, 1), (4.0, 1), (6.0, 2)];
    let build = || slots(5.0, &placed, &[1, 3, 4]);
    assert_eq!(play("best-single-move", &mut build()).0, []);
    let (moves, earned) = play("chains", &mut build());
    assert_eq!(moves, [(2, 2), (0, 1)]);
    assert!((earned - 1.0).abs() < 1e-6, "{earned}");
}

#[test]
fn two_workloads_change_places_in_a_cluster_too_large_for_all_pairs() {
    // The exchange of 7 and 5 that lowers the highest load (11 and 7 of 14), among 98 nodes that a
    // pinned 8 leaves without room for either.
    let mut placed = vec![(7.0, 0), (4.0, 0), (5.0, 1), (2.0, 1)];
    placed.extend((2..100).map(|node| (10.0, node)));
    let build = |w: &mut [godwit_envs::state::cluster::WorkloadSpec]| {
        w[3..].iter_mut().for_each(|w| w.movable = false);
    };
    let mut state = cluster(rules(json!({})), (100, 14.0), &placed, build);
    let (moves, earned) = play("chains", &mut state);
    // The 4 finds room where a pinned 10 is, but then that is at 14: the exchange stops at 10.
    assert_eq!(moves, [(0, 1), (2, 0)]);
    assert!((earned - 1.0 / 14.0).abs() < 1e-6, "{earned}");
}

#[test]
fn members_of_a_group_stay_apart_in_chains() {
    // As for the set, but node 1 has a member of the 2's group: the 2 has nowhere to go.
    let placed = [(2.0, 0), (3.0, 0), (6.0, 1), (5.0, 2)];
    let rules = rules(json!({"objective": {
        "weights": {"fragmentation": 1.0}, "slot": {"resource": "cpu", "size": 8.0},
    }}));
    let mut state = cluster(rules, (3, 8.0), &placed, |w| {
        w[2].movable = false;
        w[3].movable = false;
        w[0].anti_affinity = Some("g".into());
        w[2].anti_affinity = Some("g".into());
    });
    assert_eq!(play("chains", &mut state).0, []);
}

#[test]
fn chains_are_ahead_of_single_moves_in_a_fragmented_cluster() {
    for seed in 0..4 {
        let mut rng = stream(seed, "chains test");
        // Nearly full nodes of 8, in which sizes rarely add up.
        let mut placed = Vec::new();
        for node in 0..100 {
            let mut free: f32 = 8.0;
            while free > 2.0 {
                let size = f32::min([1.0, 1.5, 2.0, 3.0][rng.random_range(0..4)], free);
                placed.push((size, node));
                free -= size;
            }
        }
        let build = || {
            let mut state = slots(4.0, &placed, &[]);
            state.moves_left = 20;
            state
        };
        let (single, pairs) =
            (play("best-single-move", &mut build()).1, play("chains", &mut build()).1);
        assert!(pairs > single + 0.01, "{seed}: {pairs}, single moves {single}");
    }
}

proptest! {
    #[test]
    fn every_plan_is_feasible_and_none_loses_value(seed in any::<u64>(), budget in 1_u32..12) {
        // Feasible: `play` makes each move in its turn.
        let (_, earned) = play("chains", &mut random_state(seed, false, budget));
        prop_assert!(earned >= -1e-4, "{earned}");
    }

    #[test]
    fn online_moves_are_feasible_whatever_the_condition(seed in any::<u64>(), budget in 1_u32..4) {
        let mut state = random_state(seed, true, budget);
        let mut policy = baseline("chains").unwrap();
        for _ in 0..8 {
            match policy.act(&state) {
                Action::Migrate { workload, destination } => {
                    prop_assert!(state.migrate(workload, destination).is_ok());
                }
                Action::Stay => {
                    state.run_transfers(state.rules.episode.tick_s);
                    state.start_tick();
                }
            }
        }
    }
}
