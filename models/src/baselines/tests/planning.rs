//! Hand-worked decisions of the baselines that plan, and how they compare with single moves.

use super::*;
use crate::baselines::greedy::queueing::{Queueing, QueueingRules, erlang_c, response_time};
use crate::testing::{cluster, env, rules};
use godwit_envs::env::Env;
use godwit_envs::env::cluster_env::ClusterEnv;
use godwit_envs::scenario::{Mode, Phase};
use godwit_envs::state::{Action, ClusterState};
use serde_json::json;
use std::sync::Arc;

/// Baselines that search for more than one move.
const SEARCHES: [&str; 6] =
    ["annealing", "genetic", "particle-swarm", "large-neighbourhood", "chains", "receding-horizon"];

/// Makes the moves of a policy in a static world; also what they earn.
fn play(policy: &mut dyn Policy, state: &mut ClusterState) -> (Vec<(usize, usize)>, f32) {
    let (mut out, mut earned) = (Vec::new(), state.level());
    while let Action::Migrate { workload, destination } = policy.act(state) {
        let cost = state.migrate(workload, destination).unwrap();
        earned -= state.objective.value(&state.flow_terms(workload, &cost));
        out.push((workload, destination));
        if state.moves_left == 0 {
            break;
        }
    }
    (out, earned - state.level())
}

#[test]
fn searches_find_the_exchange_and_keep_to_their_moves() {
    // Loads 11 (7 + 4) and 7 (5 + a pinned 2) of 14: only 7 against 5 makes 9 and 9, and only the
    // 7 can go first. With one move left nothing helps.
    let placed = [(7.0, 0), (4.0, 0), (5.0, 1), (2.0, 1)];
    let build = || cluster(rules(json!({})), (2, 14.0), &placed, |w| w[3].movable = false);
    for name in SEARCHES {
        let mut policy = baseline(name).unwrap();
        policy.reset(4);
        let (moves, earned) = play(&mut *policy, &mut build());
        assert_eq!(moves, [(0, 1), (2, 0)], "{name}");
        assert!((earned - 2.0 / 14.0).abs() < 1e-6, "{name}: {earned}");
        let mut last = build();
        last.moves_left = 1;
        policy.reset(4);
        assert_eq!(policy.act(&last), Action::Stay, "{name}");
        // The first half was not made: the second must not come alone.
        policy.reset(4);
        let first = Action::Migrate { workload: 0, destination: 1 };
        assert_eq!([policy.act(&build()), policy.act(&build())], [first; 2], "{name}");
    }
}

#[test]
fn searches_count_what_their_moves_cost() {
    // Moving 4 of 8 to the empty node takes max_load from 0.8 to 0.4 and carries 1 GiB.
    for name in SEARCHES.iter().chain(&["best-fit-decreasing"]) {
        for (price, expected) in [(0.3, 1), (0.5, 0)] {
            let weights = json!({"weights": {"max_load": 1.0, "moved_gib": price}});
            let rules = rules(json!({"objective": weights}));
            let mut state = cluster(rules, (2, 10.0), &[(4.0, 0), (4.0, 0)], |_| {});
            let (moves, _) = play(&mut *baseline(name).unwrap(), &mut state);
            assert_eq!(moves.len(), expected, "{name}: {moves:?}");
        }
    }
}

#[test]
fn best_fit_decreasing_packs_below_the_lowest_cap_and_moves_the_most_valuable_first() {
    // 5, 4, 3 on node 0 and 2 on node 1, of 14 each: the mean is 7. With a cap between 7 and 8 the
    // 5 stays, the 4 does not fit under it, the 3 is better kept by node 1 (7), the 2 by node 0.
    // In order: the 4 first (8, 6), then the 3 (5, 9), then the 2 (7, 7).
    let placed = [(5.0, 0), (4.0, 0), (3.0, 0), (2.0, 1)];
    let build = || cluster(rules(json!({})), (2, 14.0), &placed, |_| {});
    let mut policy = baseline("best-fit-decreasing").unwrap();
    let (moves, earned) = play(&mut *policy, &mut build());
    assert_eq!(moves, [(1, 1), (2, 1), (3, 0)]);
    assert!((earned - 5.0 / 14.0).abs() < 1e-6, "{earned}");
    // With two moves only the first is worth while.
    let mut short = build();
    short.moves_left = 2;
    assert_eq!(play(&mut *policy, &mut short).0, [(1, 1)]);
}

#[test]
fn erlang_c_and_response_times_are_as_by_hand() {
    // One server: the probability of waiting is the utilisation, T = 1 / (1 - u).
    assert!((erlang_c(1, 0.5) - 0.5).abs() < 1e-6);
    // Two servers: B(1) = 1/2, B(2) = 1/5, C = 2/5 / (2 - 4/5) = 1/3.
    assert!((erlang_c(2, 1.0) - 1.0 / 3.0).abs() < 1e-6);
    // a = 1/2: B = 1/3, 1/13; C = 2/13 / (2 - 6/13) = 1/10.
    assert!((erlang_c(2, 0.5) - 0.1).abs() < 1e-6);
    assert_eq!(erlang_c(4, 0.0), 0.0);
    let rules = QueueingRules { saturation: 0.5, overload: 10.0, ..QueueingRules::default() };
    assert!((response_time(1, 0.5, &rules) - 2.0).abs() < 1e-6);
    assert!((response_time(2, 0.5, &rules) - 4.0 / 3.0).abs() < 1e-6);
    // Beyond the saturation: 10 for each 1.
    assert!((response_time(1, 0.7, &rules) - 4.0).abs() < 1e-5);
    // Many servers at the edge: finite and at least one service time.
    let edge = response_time(64, 5.0, &QueueingRules::default());
    assert!(edge.is_finite() && edge > 400.0, "{edge}");
}

#[test]
fn queueing_takes_the_move_that_lowers_the_response_time_most() {
    // Two servers each. Both halves on node 0: T = 4/3; one on each node: T = 16/15, a fifth less.
    let placed = [(0.5, 0), (0.5, 0)];
    let state = cluster(rules(json!({})), (2, 2.0), &placed, |_| {});
    assert_eq!(play(&mut *baseline("queueing").unwrap(), &mut state.clone()).0, [(0, 1)]);
    let online = rules(json!({"episode": {"mode": "online", "ticks": 20}}));
    let state = cluster(online, (2, 2.0), &placed, |_| {});
    for (min_improvement, acts) in [(0.19, true), (0.21, false)] {
        let rules = QueueingRules { min_improvement, ..QueueingRules::default() };
        let action = Queueing::new(rules).act(&state);
        assert_eq!(action != Action::Stay, acts, "{min_improvement}");
    }
}

#[test]
fn a_receding_horizon_believes_the_forecast() {
    // One of two equal workloads leaves: max_load falls from 0.8 to 0.4, for a price of 1. That is
    // worth it if demand stays for nineteen ticks, and not if it vanishes with the next.
    let online = rules(json!({
        "episode": {"mode": "online", "ticks": 40},
        "forecast": {"horizons": [1, 3], "period_ticks": 10},
        "objective": {"weights": {"max_load": 1.0, "moved_gib": 1.0}},
    }));
    let mut state = cluster(online, (2, 10.0), &[(4.0, 0), (4.0, 0)], |_| {});
    let mut policy = baseline("receding-horizon").unwrap();
    assert_eq!(policy.act(&state), Action::Migrate { workload: 0, destination: 1 });
    state.forecast_demand.fill(0.0);
    state.rebuild();
    assert_eq!(policy.act(&state), Action::Stay);
}

/// The start of an episode as a static world with ten moves.
fn as_static(env: &mut ClusterEnv, seed: u64) -> ClusterState {
    env.reset(seed).unwrap();
    let state = env.state();
    let mut rules = (*state.rules).clone();
    rules.episode.mode = Mode::Rebalance;
    rules.episode.move_budget = 10;
    rules.forecast.horizons.clear();
    ClusterState::new(Arc::new(rules), Arc::clone(&state.spec), state.placement.clone())
}

#[test]
fn searches_are_at_least_as_good_as_single_moves_on_static_instances() {
    for name in ["founding-10x50", "quickstart"] {
        let mut env = env(name, Phase::Train);
        let mut mean = |policy: &str| {
            let mut policy = baseline(policy).unwrap();
            let earned = (0..6).map(|seed| {
                policy.reset(seed);
                play(&mut *policy, &mut as_static(&mut env, seed)).1
            });
            earned.sum::<f32>() / 6.0
        };
        let single = mean("best-single-move");
        for search in SEARCHES {
            let earned = mean(search);
            assert!(earned >= single - 1e-4, "{name} {search}: {earned}, single moves {single}");
        }
    }
}
