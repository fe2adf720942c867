//! Hand-worked decisions, and what every baseline promises.

mod anytime;
mod declarations;
mod detection;
mod foresight;
mod machine_reassignment;
mod needs_memory;
mod own_terms;
mod plain_formulas;
mod planning;

use super::greedy::threshold_rules;
use super::published::{hold_down, low_node_utilization, watcher_balance, watcher_stabilization};
use super::*;
use crate::policy::Policy;
use crate::rollout::rollout;
use crate::testing::{cluster, env, node, random_state, rules, workload};
use godwit_envs::env::cluster_env::ClusterEnv;
use godwit_envs::scenario::{Mode, Phase, Scenario, WorldTemplate};
use godwit_envs::state::cluster::{ClusterSpec, WorkloadSpec};
use godwit_envs::state::{Action, ClusterState};
use proptest::prelude::*;
use serde_json::json;
use std::sync::Arc;

/// Actions of a policy on an episode, up to and without the final `Stay`.
fn moves(name: &str, env: &mut ClusterEnv) -> Vec<(usize, usize)> {
    let mut policy = baseline(name).unwrap();
    let mut out = Vec::new();
    policy.reset(0);
    while let Action::Migrate { workload, destination } = policy.act(env.state()) {
        out.push((workload, destination));
        if env.apply(Action::Migrate { workload, destination }).unwrap().end.is_some() {
            break;
        }
    }
    out
}

#[test]
fn every_name_has_a_policy_of_that_name_and_a_description() {
    for row in BASELINES {
        assert_eq!(row.policy().name(), row.name);
        assert!(!row.description.is_empty());
        assert_eq!(NAMES.iter().filter(|name| **name == row.name).count(), 1);
    }
    assert_eq!(NAMES.len(), BASELINES.len());
    assert!(baseline("nobody").is_none());
}

#[test]
fn best_single_move_solves_the_founding_example_as_by_hand() {
    // Loads 2.8, 0, 0 with own loads 0.7, 0.8, 1.3. Moving workload 2 leaves max(1.5, 1.3): the
    // best of the first moves. Then 0 or 1 can leave node 0, either way max_load is 1.3; the tie
    // goes to the lower workload. Nothing beats 1.3.
    let mut env = env("founding-3x3", Phase::Evaluate);
    assert_eq!(moves("best-single-move", &mut env), [(2, 1), (0, 2)]);
    let outcome = rollout(&mut env, &mut *baseline("best-single-move").unwrap(), 0).unwrap();
    assert!((outcome.episode_return - 1.5).abs() < 1e-5, "{outcome:?}");
    assert!((outcome.level_terms_final[0] - 1.3).abs() < 1e-5);
    assert_eq!((outcome.moves, outcome.decision_seconds.len()), (2, 3));
}

#[test]
fn stay_earns_nothing_in_a_static_world() {
    let mut env = env("quickstart", Phase::Evaluate);
    let outcome = rollout(&mut env, &mut *baseline("stay").unwrap(), 3).unwrap();
    assert_eq!(
        (outcome.episode_return, outcome.moves, outcome.decision_seconds.len()),
        (0.0, 0, 1)
    );
}

#[test]
fn random_reaches_every_feasible_move_and_stay_about_equally_often() {
    // founding-3x3: 3 workloads x 2 other nodes, all feasible, and Stay: seven actions.
    let env = env("founding-3x3", Phase::Evaluate);
    let mut policy = baseline("random").unwrap();
    policy.reset(7);
    let mut counts = std::collections::HashMap::new();
    for _ in 0..7000 {
        *counts.entry(policy.act(env.state())).or_insert(0) += 1;
    }
    assert_eq!(counts.len(), 7);
    // Binomial(7000, 1/7) has a standard deviation of 29.
    assert!(counts.values().all(|&count: &i32| (count - 1000).abs() < 150), "{counts:?}");
}

#[test]
fn a_rollout_adds_up() {
    for name in ["quickstart", "founding-10x50"] {
        let mut env = env(name, Phase::Train);
        for policy in NAMES {
            let outcome = rollout(&mut env, &mut *baseline(policy).unwrap(), 5).unwrap();
            let again = rollout(&mut env, &mut *baseline(policy).unwrap(), 5).unwrap();
            assert_eq!(outcome.tick_rewards, again.tick_rewards, "{name} {policy}");
            let sum: f64 = outcome.tick_rewards.iter().map(|&reward| f64::from(reward)).sum();
            assert!((sum - outcome.episode_return).abs() < 1e-3, "{name} {policy}");
            let weights = env.state().objective.weights;
            let paid: f64 =
                weights.iter().zip(outcome.terms_paid).map(|(w, term)| f64::from(*w) * term).sum();
            assert!((paid + outcome.episode_return).abs() < 1e-2, "{name} {policy}");
        }
    }
}

#[test]
fn every_baseline_gets_through_faults_churn_and_constraints() {
    for name in ["faults", "churn", "gpu-defrag", "hetero", "bursty"] {
        let mut scenario = Scenario::embedded(name).unwrap();
        scenario.rules.episode.ticks = 24;
        let template = Arc::new(WorldTemplate::new(&scenario));
        let mut env = ClusterEnv::new(template, Phase::Train).unwrap();
        for policy in NAMES {
            // A refused move would be an error.
            let outcome = rollout(&mut env, &mut *baseline(policy).unwrap(), 7).unwrap();
            let weights = env.state().objective.weights;
            let paid: f64 =
                weights.iter().zip(outcome.terms_paid).map(|(w, term)| f64::from(*w) * term).sum();
            assert!((paid + outcome.episode_return).abs() < 1e-2, "{name} {policy}");
        }
    }
}

/// The scan's choice by brute force: every feasible pair, valued one by one.
fn brute_force(state: &ClusterState, scan: &scan::Scan) -> f32 {
    let mut best = f32::NEG_INFINITY;
    for k in 0..state.spec.workloads() {
        for node in 0..state.spec.nodes() {
            if state.check(k, node).is_ok() {
                best = best.max(scan.value(state, k, node));
            }
        }
    }
    best
}

#[test]
fn the_scan_finds_what_brute_force_finds() {
    let persistence = scan::Persistence { ticks: 9, forecast_share: 0.7 };
    for name in ["quickstart", "founding-10x50"] {
        let mut env = env(name, Phase::Train);
        let (mut scan, mut policy) = (scan::Scan::default(), baseline("random").unwrap());
        for _ in 0..8 {
            scan.prepare(env.state(), persistence);
            let best = scan.best(env.state(), f32::NEG_INFINITY).unwrap();
            let expected = brute_force(env.state(), &scan);
            assert!((best.gain - expected).abs() < 1e-4, "{name}: {best:?}, expected {expected}");
            let action = policy.act(env.state());
            if env.apply(action).unwrap().end.is_some() {
                break;
            }
        }
    }
}

#[test]
fn the_value_of_a_move_in_a_static_world_is_its_reward() {
    let mut env = env("quickstart", Phase::Train);
    let (mut scan, mut policy) = (scan::Scan::default(), baseline("random").unwrap());
    loop {
        let action = policy.act(env.state());
        let Action::Migrate { workload, destination } = action else { continue };
        scan.prepare(env.state(), scan::Persistence { ticks: 1, forecast_share: 1.0 });
        let value = scan.value(env.state(), workload, destination);
        let step = env.apply(action).unwrap();
        assert!((step.reward - value).abs() < 1e-5, "expected {value}, got {}", step.reward);
        if step.end.is_some() {
            return;
        }
    }
}

#[test]
fn the_gain_of_a_tick_is_interpolated_between_the_horizons() {
    let rules = rules(json!({
        "episode": {"mode": "online", "ticks": 20},
        "forecast": {"horizons": [1, 3], "period_ticks": 10},
    }));
    let mut state = cluster(rules, (2, 10.0), &[(1.0, 0)], |_| {});
    let mut scan = scan::Scan::default();
    // Ticks 0, 1 and 3 are outlooks of their own, tick 2 is half of each of its neighbours.
    let mut ticks = |state: &ClusterState, ticks, forecast_share| {
        scan.prepare(state, scan::Persistence { ticks, forecast_share });
        scan.ticks.clone()
    };
    assert_eq!(ticks(&state, 4, 1.0), [1.0, 1.5, 1.5]);
    assert_eq!(ticks(&state, 6, 1.0), [1.0, 1.5, 3.5]);
    assert_eq!(ticks(&state, 4, 0.5), [2.5, 0.75, 0.75]);
    assert_eq!(ticks(&state, 4, 0.0), [4.0]);
    // Three ticks are left.
    state.tick = 17;
    assert_eq!(ticks(&state, 6, 1.0), [1.0, 1.5, 0.5]);
}

#[test]
fn a_cost_that_no_gain_makes_up_for_keeps_the_move_from_being_made() {
    // Moving 4 of 8 halves max_load: 0.8 to 0.4. The move carries 1 GiB.
    for (price, expected) in [(0.3, vec![(0, 1)]), (0.5, vec![])] {
        let weights = json!({"weights": {"max_load": 1.0, "moved_gib": price}});
        let state =
            cluster(rules(json!({"objective": weights})), (2, 10.0), &[(4.0, 0), (4.0, 0)], |_| {});
        assert_eq!(play("best-single-move", state, 10), expected);
    }
}

#[test]
fn the_load_balancer_solves_the_founding_example_as_by_hand() {
    // The largest workload (1.3) to an empty node, then the larger of the others (0.8).
    let mut env = env("founding-3x3", Phase::Evaluate);
    assert_eq!(moves("load-balancer", &mut env), [(2, 1), (1, 2)]);
}

#[test]
fn the_load_balancer_takes_the_largest_that_helps() {
    // Loads 0.9 (6 + 3) and 0.4: the 6 would make 1.0 and does not fit under 0.9; the 3 makes 0.7.
    let placed = [(6.0, 0), (3.0, 0), (4.0, 1)];
    let state = cluster(rules(json!({})), (2, 10.0), &placed, |_| {});
    assert_eq!(play("load-balancer", state, 10), [(1, 1)]);
}

#[test]
fn threshold_rules_move_the_smallest_that_suffices_and_remember_what_is_hot() {
    // Node 0 is at 0.95: without the 1.75 it is at 0.775, under the release mark. Node 1 would
    // be at 0.825, over the low mark; node 2 is at 0.775 with it.
    let placed = [(5.0, 0), (2.75, 0), (1.75, 0), (6.5, 1), (6.0, 2)];
    let marks = threshold_rules::Marks { high: 0.9, release: 0.8, low: 0.78 };
    let mut policy = threshold_rules::ThresholdRules::new(marks);
    let mut state = cluster(rules(json!({})), (3, 10.0), &placed, |_| {});
    let first = Action::Migrate { workload: 2, destination: 2 };
    assert_eq!(policy.act(&state), first);
    // At 0.85 the node is between the marks: still hot, but cold for a policy that starts here.
    state.demand[0] = 4.0;
    state.rebuild();
    assert_eq!(policy.act(&state), first);
    policy.reset(0);
    assert_eq!(policy.act(&state), Action::Stay);
}

#[test]
fn two_workloads_are_exchanged_where_no_single_move_helps() {
    // Loads 11 (7 + 4) and 7 (5 + a pinned 2) of 14. Moving 7 or 4 makes the other node the
    // fuller one; exchanging 7 and 5 gives 9 and 9. First 7 goes (7 + 7 just fits), then 5.
    let placed = [(7.0, 0), (4.0, 0), (5.0, 1), (2.0, 1)];
    let build = || cluster(rules(json!({})), (2, 14.0), &placed, |w| w[3].movable = false);
    assert_eq!(play("best-single-move", build(), 10), []);
    assert_eq!(play("best-move-or-swap", build(), 10), [(0, 1), (2, 0)]);
    let mut last = build();
    last.moves_left = 1;
    assert_eq!(play("best-move-or-swap", last, 10), [], "one move is not enough for a swap");
}

#[test]
fn low_node_utilization_evicts_the_least_important_and_smallest_first() {
    // Demand 16 of 30: a mean of 0.533, so under is up to 0.433 and over is above 0.633. Node 0 is
    // at 0.9, node 1 at 0.6, node 2 at 0.1. The 2 goes first (0.7 and 0.3), then the 3 (0.4, 0.6).
    let placed = [(4.0, 0), (3.0, 0), (2.0, 0), (6.0, 1), (1.0, 2)];
    let plain = cluster(rules(json!({})), (3, 10.0), &placed, |_| {});
    assert_eq!(play("low-node-utilization", plain.clone(), 10), [(2, 2), (1, 2)]);
    // The 4 is the least important: without it node 0 is at 0.5.
    let build = |w: &mut [WorkloadSpec]| w[0].priority = 0.5;
    let state = cluster(rules(json!({})), (3, 10.0), &placed, build);
    assert_eq!(play("low-node-utilization", state, 10), [(0, 2)]);
    // At 20 % and 50 % node 2 takes one workload, and after it there is no underutilised node.
    let documented = low_node_utilization::Thresholds::DOCUMENTED;
    let mut policy = low_node_utilization::LowNodeUtilization::new(documented);
    let mut state = plain;
    assert_eq!(policy.act(&state), Action::Migrate { workload: 2, destination: 2 });
    state.migrate(2, 2).unwrap();
    assert_eq!(policy.act(&state), Action::Stay);
}

#[test]
fn watcher_balance_moves_what_comes_closest_to_the_excess() {
    // Loads 0.9, 0.6 and 0.3: an excess of 0.3 over the mean. 0.5 is more than that, 0.25 is
    // closer than 0.15. Node 2 is the least loaded and ends at 0.55, node 0 at 0.65.
    let placed = [(5.0, 0), (2.5, 0), (1.5, 0), (6.0, 1), (3.0, 2)];
    let state = cluster(rules(json!({})), (3, 10.0), &placed, |_| {});
    assert_eq!(play("watcher-workload-balance", state, 10), [(1, 2)]);
    // With the 2.5 pinned it is the 1.5: node 0 at 0.75 is below 0.8.
    let pin = |w: &mut [WorkloadSpec]| w[1].movable = false;
    let state = cluster(rules(json!({})), (3, 10.0), &placed, pin);
    assert_eq!(play("watcher-workload-balance", state.clone(), 10), [(2, 2)]);
    // At Watcher's own threshold every host is overloaded.
    let rules = watcher_balance::WatcherBalanceRules { threshold: 0.25 };
    assert_eq!(watcher_balance::WatcherBalance::new(rules).act(&state), Action::Stay);
}

#[test]
fn watcher_stabilization_takes_the_move_that_leaves_the_least_deviation() {
    // Utilisations 0.8, 0.4, 0.1 around 0.433: a deviation of 0.287. With the 5 on node 2 they are
    // 0.3, 0.4, 0.6 (0.125), with the 3 there 0.5, 0.4, 0.4 (0.047, below the threshold).
    let placed = [(5.0, 0), (3.0, 0), (4.0, 1), (1.0, 2)];
    let state = cluster(rules(json!({})), (3, 10.0), &placed, |_| {});
    assert_eq!(play("watcher-stabilization", state.clone(), 10), [(1, 2)]);
    for (threshold, acts) in [(0.28, true), (0.29, false)] {
        let rules = watcher_stabilization::WatcherStabilizationRules {
            threshold,
            ..watcher_stabilization::WatcherStabilizationRules::default()
        };
        let action = watcher_stabilization::WatcherStabilization::new(rules).act(&state);
        assert_eq!(action != Action::Stay, acts, "{threshold}");
    }
}

#[test]
fn watcher_stabilization_sums_over_the_nodes_that_have_a_resource() {
    // Resource 0 is at 0.6, 0.2, 0 and resource 1, which node 2 lacks, at 0.5 and 0.5. Workload 0
    // (3, 0) makes 0.3, 0.2, 0.3 on node 2: deviations 0.047 and 0. Workload 1 (3, 5) does not fit
    // there, and on node 1 makes 0.3, 0.5, 0 and 0, 1.
    let nodes = [node("a", &[10.0, 10.0]), node("b", &[10.0, 10.0]), node("c", &[10.0, 0.0])];
    let workloads =
        [workload("x", &[3.0, 0.0]), workload("y", &[3.0, 5.0]), workload("z", &[2.0, 5.0])];
    let kinds = rules(json!({"resources": [{"name": "cpu"}, {"name": "gpu"}]}));
    let spec = Arc::new(ClusterSpec::new(2, nodes.into(), workloads));
    let state = ClusterState::new(kinds, spec, vec![0, 0, 1]);
    assert_eq!(play("watcher-stabilization", state, 10), [(0, 2)]);
}

#[test]
fn hold_down_waits_for_three_ticks_and_asks_for_a_tenth() {
    // Loads 0.8 and 0.2: an imbalance of 0.3 / 0.5. Moving the 3 leaves none, the 5 leaves 0.4.
    let placed = [(5.0, 0), (3.0, 0), (2.0, 1)];
    let best = Action::Migrate { workload: 1, destination: 1 };
    let online = rules(json!({"episode": {"mode": "online", "ticks": 20}}));
    let mut state = cluster(online, (2, 10.0), &placed, |_| {});
    let mut policy = hold_down::HoldDown::default();
    policy.reset(0);
    // Two decisions in a tick count once, and a tick in balance starts the count anew.
    assert_eq!([policy.act(&state), policy.act(&state)], [Action::Stay; 2]);
    let balanced = state.demand.clone();
    for (tick, demand, expected) in [
        (1, 3.0, Action::Stay),
        (2, 0.0, Action::Stay),
        (3, 3.0, Action::Stay),
        (4, 3.0, Action::Stay),
        (5, 3.0, best),
        (6, 3.0, Action::Stay),
    ] {
        state.tick = tick;
        state.demand.clone_from(&balanced);
        // Without the 3, and with 5 on both nodes, there is nothing to balance.
        state.demand[1] = demand;
        state.demand[2] = if demand > 0.0 { 2.0 } else { 5.0 };
        state.rebuild();
        assert_eq!(policy.act(&state), expected, "tick {tick}");
    }
    // A rebalance scenario has no clock.
    let state = cluster(rules(json!({})), (2, 10.0), &placed, |_| {});
    assert_eq!(play("hold-down", state, 10), [(1, 1)]);
    // Loads 0.61 and 0.3: moving the 0.1 takes the difference from 0.31 to 0.29, which is 6.5 %.
    let placed = [(6.0, 0), (0.1, 0), (3.0, 1)];
    let state = cluster(rules(json!({})), (2, 10.0), &placed, |_| {});
    assert_eq!(play("hold-down", state, 10), []);
}

/// Lets a policy play by hand for this many moves, checking that each is feasible.
fn play(name: &str, mut state: ClusterState, most: usize) -> Vec<(usize, usize)> {
    let online = state.rules.episode.mode == Mode::Online;
    let mut policy = baseline(name).unwrap();
    policy.reset(1);
    let mut out = Vec::new();
    let mut stays = 0;
    while out.len() < most && state.moves_left > 0 && stays < 5 {
        let moves_left = state.moves_left;
        match policy.act(&state) {
            Action::Migrate { workload, destination } => {
                assert_eq!(state.check(workload, destination), Ok(()), "{name}");
                state.migrate(workload, destination).unwrap();
                out.push((workload, destination));
                if !online {
                    state.start_tick();
                    state.moves_left = moves_left - 1;
                }
            }
            Action::Stay if online => stays += 1,
            Action::Stay => break,
        }
        if online && (state.moves_left == 0 || out.len() % 2 == 0) {
            state.run_transfers(60.0);
            state.start_tick();
        }
    }
    out
}

proptest! {
    #[test]
    fn every_baseline_only_chooses_feasible_moves(seed: u64, online: bool) {
        for name in NAMES {
            play(name, random_state(seed, online, 8), 20);
        }
    }

    #[test]
    fn static_worlds_come_to_rest(seed: u64) {
        for name in NAMES.iter().filter(|name| **name != "random") {
            let moves = play(name, random_state(seed, false, 500), 400).len();
            prop_assert!(moves < 400, "{name} still moves after {moves} moves");
        }
    }
}
