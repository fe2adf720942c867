//! Hand-worked decisions, and what every baseline promises.

use super::*;
use crate::rollout::rollout;
use godwit_envs::cluster_env::ClusterEnv;
use godwit_envs::scenario::{Phase, Scenario, WorldTemplate};
use godwit_envs::state::{Action, ClusterState};
use std::sync::Arc;

pub(crate) fn env(name: &str, phase: Phase) -> ClusterEnv {
    let scenario = Scenario::embedded(name).unwrap();
    ClusterEnv::new(Arc::new(WorldTemplate::new(&scenario)), phase).unwrap()
}

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
    for name in NAMES {
        assert_eq!(baseline(name).unwrap().name(), *name);
        assert!(describe(name).is_some());
    }
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
    assert_eq!((outcome.moves, outcome.decisions), (2, 3));
}

#[test]
fn stay_earns_nothing_in_a_static_world() {
    let mut env = env("quickstart", Phase::Evaluate);
    let outcome = rollout(&mut env, &mut *baseline("stay").unwrap(), 3).unwrap();
    assert_eq!((outcome.episode_return, outcome.moves, outcome.decisions), (0.0, 0, 1));
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
    let persistence = scan::Persistence { forecast_ticks: 9, present_ticks: 4 };
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
        scan.prepare(env.state(), scan::Persistence { forecast_ticks: 1, present_ticks: 1 });
        let value = scan.value(env.state(), workload, destination);
        let step = env.apply(action).unwrap();
        assert!((step.reward - value).abs() < 1e-5, "expected {value}, got {}", step.reward);
        if step.end.is_some() {
            return;
        }
    }
}
