//! The world under the machine-reassignment problem, held against the challenge's judge.
#![allow(clippy::unwrap_used)] // a failed expectation is the point of a test

use crate::env::Env;
use crate::env::checker::check_env;
use crate::env::cluster_env::ClusterEnv;
use crate::importers::machine_reassignment_of;
use crate::reassignment::tests::random::feasible;
use crate::reassignment::{Instance, check};
use crate::rng::stream;
use crate::scenario::{Phase, Scenario, WorldTemplate};
use crate::snapshot::Snapshot;
use crate::state::{Action, ClusterState};
use proptest::prelude::*;
use rand::RngExt;
use std::sync::Arc;

const BUDGET: u32 = 12;

fn scenario(instance: &Instance) -> Scenario {
    machine_reassignment_of("random", instance, BUDGET).unwrap().scenario
}

fn env(instance: &Instance, phase: Phase) -> ClusterEnv {
    ClusterEnv::new(Arc::new(WorldTemplate::new(&scenario(instance))), phase).unwrap()
}

/// All moves that the judge would let pass.
fn judged_moves(instance: &Instance, placement: &[u32]) -> Vec<(usize, usize)> {
    let mut moves = Vec::new();
    for workload in 0..placement.len() {
        for node in 0..instance.machines().len() {
            let mut after = placement.to_vec();
            after[workload] = node as u32;
            if after != placement && check(instance, &after).feasible() {
                moves.push((workload, node));
            }
        }
    }
    moves
}

fn allowed_moves(state: &ClusterState) -> Vec<(usize, usize)> {
    let nodes = state.spec.nodes();
    let pairs = (0..state.spec.workloads()).flat_map(|k| (0..nodes).map(move |i| (k, i)));
    pairs.filter(|&(k, i)| state.check(k, i).is_ok()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn exactly_the_moves_that_keep_every_constraint_are_allowed_and_paid_what_they_change(
        seed: u64
    ) {
        let instance = feasible(seed);
        let mut env = env(&instance, Phase::Evaluate);
        env.reset(seed).unwrap();
        let mut rng = stream(seed, "moves");
        let start = env.state().reassignment_cost();
        let (mut earned, mut left) = (0.0, BUDGET);
        while left > 0 {
            let placement = env.state().placement.clone();
            prop_assert_eq!(
                i128::from(env.state().reassignment_cost()),
                check(&instance, &placement).cost
            );
            let moves = judged_moves(&instance, &placement);
            prop_assert_eq!(allowed_moves(env.state()), moves.clone());
            if moves.is_empty() {
                break;
            }
            let (workload, destination) = moves[rng.random_range(0..moves.len())];
            let step = env.apply(Action::Migrate { workload, destination }).unwrap();
            earned += f64::from(step.reward);
            left -= 1;
        }
        // Small whole numbers: f32 sums are exact.
        prop_assert_eq!(earned, (start - env.state().reassignment_cost()) as f64);
    }

    #[test]
    fn the_environment_keeps_its_contract(seed: u64) {
        let instance = feasible(seed);
        check_env(|| env(&instance, Phase::Evaluate), 0..2, BUDGET as usize).unwrap();
    }

    #[test]
    fn a_snapshot_of_a_state_leads_to_the_same_constraints_and_cost(seed: u64) {
        let instance = feasible(seed);
        let mut env = env(&instance, Phase::Evaluate);
        env.reset(seed).unwrap();
        if let Some(&(workload, destination)) = allowed_moves(env.state()).first() {
            env.apply(Action::Migrate { workload, destination }).unwrap();
        }
        let text = env.state().to_snapshot().to_json();
        let snapshot = Snapshot::from_json(&text, "again").unwrap();
        let rules = Arc::clone(&env.state().rules);
        let mut again = ClusterState::from_snapshot(rules, &snapshot, "again").unwrap();
        again.moves_left = env.state().moves_left;
        prop_assert_eq!(again.reassignment_cost(), env.state().reassignment_cost());
        prop_assert_eq!(allowed_moves(&again), allowed_moves(env.state()));
    }

    #[test]
    fn training_starts_keep_every_constraint(seed: u64) {
        let instance = feasible(seed);
        let template = Arc::new(WorldTemplate::new(&scenario(&instance)));
        // Where nothing can move there is no disturbed start.
        let Ok(mut env) = ClusterEnv::new(template, Phase::Train) else { return Ok(()) };
        for start in 0..4 {
            if env.reset(start).is_ok() {
                let placement = &env.state().placement;
                prop_assert!(check(&instance, placement).feasible());
                prop_assert_ne!(placement.as_slice(), instance.initial());
            }
        }
    }
}

#[test]
fn a_snapshot_that_contradicts_its_model_is_refused() {
    let instance = feasible(3);
    let snapshot = machine_reassignment_of("random", &instance, 1).unwrap().snapshot;
    let refusal = |change: &dyn Fn(&mut Snapshot)| {
        let mut changed = snapshot.clone();
        change(&mut changed);
        Snapshot::from_json(&changed.to_json(), "s.json").unwrap_err().to_string()
    };
    let capacity = instance.capacity(0)[0];
    assert_eq!(
        refusal(&|s| s.nodes[0].supply[0] += 1.0),
        format!(
            "s.json: nodes[0].supply[0]: expected {capacity}, as in the model, got {}",
            capacity + 1
        )
    );
    let machine = instance.machines().len();
    let text = refusal(&|s| {
        if let Some(problem) = &mut s.machine_reassignment {
            problem.initial[0] = machine as u32;
        }
    });
    assert!(text.starts_with("s.json: machine_reassignment.initial: line 1: machine of process 0"));
    let text = refusal(&|s| {
        if let Some(problem) = &mut s.machine_reassignment {
            problem.model.truncate(10);
        }
    });
    assert!(text.starts_with("s.json: machine_reassignment.model: line"), "{text}");
}

#[test]
fn the_cost_has_no_weight_without_its_model() {
    let mut scenario = Scenario::embedded("founding-3x3").unwrap();
    scenario.rules.objective.weights.insert("machine_reassignment".into(), 1.0);
    assert_eq!(
        scenario.validate("s.toml").unwrap_err().to_string(),
        "s.toml: rules.objective.weights.machine_reassignment: expected no weight, as the cluster \
         is no snapshot with machine_reassignment, got 1"
    );
    let mut random = self::scenario(&feasible(3));
    random.start.placement = crate::scenario::StartPlacement::Random;
    assert_eq!(
        random.validate("s.toml").unwrap_err().to_string(),
        "s.toml: start.placement: expected \"listed\", as the snapshot has machine_reassignment, \
         got another"
    );
}
