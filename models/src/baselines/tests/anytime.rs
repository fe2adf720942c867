//! Searches that are given a time for each decision.

use super::*;
use crate::testing::{cluster, rules};
use godwit_envs::rng::stream;
use rand::RngExt;
use std::time::{Duration, Instant};

/// Baselines that listen to a limit.
const SEARCHES: [&str; 6] =
    ["annealing", "genetic", "particle-swarm", "large-neighbourhood", "chains", "receding-horizon"];

/// A cluster of so many nodes in which half of the nodes carry more than the others.
fn uneven(nodes: u32) -> ClusterState {
    let mut rng = stream(3, "anytime test");
    let placed: Vec<(f32, u32)> = (0..nodes)
        .flat_map(|node| (0..if node % 2 == 0 { 6 } else { 2 }).map(move |_| node))
        .map(|node| (rng.random_range(0.5..1.5), node))
        .collect();
    let weights = json!({"weights": {"max_load": 1.0, "imbalance": 1.0, "moved_gib": 1e-4}});
    cluster(rules(json!({"objective": weights})), (nodes as usize, 10.0), &placed, |_| {})
}

/// Makes a policy's moves; what they earn, and the longest decision.
fn play(policy: &mut dyn Policy, state: &mut ClusterState) -> (f32, Duration) {
    let (mut earned, mut longest) = (state.level(), Duration::ZERO);
    while state.moves_left > 0 {
        let asked = Instant::now();
        let action = policy.act(state);
        longest = longest.max(asked.elapsed());
        let Action::Migrate { workload, destination } = action else { break };
        let cost = state.migrate(workload, destination).unwrap();
        earned -= state.objective.value(&state.flow_terms(workload, &cost));
        state.start_tick();
    }
    (earned - state.level(), longest)
}

fn limited(name: &str, limit: Option<Duration>) -> Box<dyn Policy> {
    let mut policy = baseline(name).unwrap();
    policy.reset(0);
    policy.limit_time(limit);
    policy
}

#[test]
fn a_limit_is_kept_within_a_small_factor() {
    // Without a limit most of them take from seconds to minutes here.
    for name in SEARCHES {
        let mut policy = limited(name, Some(Duration::from_millis(100)));
        let (earned, longest) = play(&mut *policy, &mut uneven(600));
        assert!(earned >= 0.0, "{name}: {earned}");
        assert!(longest < Duration::from_secs(2), "{name}: {longest:?}");
    }
}

#[test]
fn with_no_time_at_all_plans_are_feasible_and_lose_nothing() {
    for name in SEARCHES {
        let mut policy = limited(name, Some(Duration::ZERO));
        let (earned, _) = play(&mut *policy, &mut uneven(20));
        assert!(earned >= 0.0, "{name}: {earned}");
    }
}

#[test]
fn searches_under_a_limit_are_no_worse_than_single_moves() {
    let (single, _) = play(&mut *limited("best-single-move", None), &mut uneven(20));
    for name in SEARCHES {
        let mut policy = limited(name, Some(Duration::from_secs(3600)));
        let (earned, _) = play(&mut *policy, &mut uneven(20));
        assert!(earned >= single - 1e-5, "{name}: {earned}, single moves {single}");
    }
}

#[test]
fn without_a_limit_again_they_decide_as_if_there_had_been_none() {
    for name in SEARCHES {
        let mut policy = limited(name, Some(Duration::ZERO));
        let _ = play(&mut *policy, &mut uneven(12));
        policy.reset(0);
        policy.limit_time(None);
        let (again, _) = play(&mut *policy, &mut uneven(12));
        let (plain, _) = play(&mut *limited(name, None), &mut uneven(12));
        assert_eq!(again, plain, "{name}");
    }
}
