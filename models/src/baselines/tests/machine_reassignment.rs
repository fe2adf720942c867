//! Every baseline on clusters under the machine-reassignment problem, judged by the challenge's text.
#![allow(clippy::unwrap_used)] // a failed expectation is the point of a test

use crate::baselines::{NAMES, baseline};
use crate::guard::{Violation, violations};
use crate::plan::{StopReason, plan};
use godwit_envs::env::Env;
use godwit_envs::env::cluster_env::ClusterEnv;
use godwit_envs::importers::machine_reassignment_of;
use godwit_envs::reassignment::{Instance, check};
use godwit_envs::scenario::{Phase, WorldTemplate};
use godwit_envs::state::Action;
use std::sync::Arc;

/// Four machines of 10 in two locations and two neighbourhoods, six processes. Machine 0 holds three
/// processes, far above its safety capacity of 2. Service 0 (processes 0 and 1) needs both locations;
/// service 1 (process 2) depends on service 0; resource 1 is transient.
fn instance() -> Instance {
    let model = "2\n0 10\n1 1\n4\n\
        0 0 10 10 2 10 0 1 1 1\n0 0 10 10 2 10 1 0 1 1\n\
        1 1 10 10 4 10 1 1 0 1\n1 1 10 6 4 6 1 1 1 0\n\
        3\n2 0\n1 1 0\n1 0\n\
        6\n0 3 2 1\n0 2 2 1\n1 3 3 1\n2 2 1 2\n2 1 4 2\n2 1 1 2\n\
        1\n0 1 1\n2\n1 1 1\n";
    Instance::parse("model", model, "assignment", "0 2 0 0 1 2").unwrap()
}

fn env(budget: u32) -> ClusterEnv {
    let imported = machine_reassignment_of("small", &instance(), budget).unwrap();
    ClusterEnv::new(Arc::new(WorldTemplate::new(&imported.scenario)), Phase::Evaluate).unwrap()
}

#[test]
fn every_baseline_keeps_every_constraint_after_every_move() {
    let instance = instance();
    let start = check(&instance, instance.initial()).cost;
    let mut improved = Vec::new();
    for name in NAMES {
        let mut env = env(4);
        env.reset(1).unwrap();
        let mut policy = baseline(name).unwrap();
        policy.reset(1);
        loop {
            let step = env.apply(policy.act(env.state())).unwrap();
            let verdict = check(&instance, &env.state().placement);
            assert!(verdict.feasible(), "{name}: {:?}", verdict.violations);
            assert_eq!(verdict.cost, i128::from(env.state().reassignment_cost()), "{name}");
            if step.end.is_some() {
                break;
            }
        }
        if i128::from(env.state().reassignment_cost()) < start {
            improved.push(*name);
        }
    }
    // Those that look at the objective itself find something; load balancers may not.
    for name in [
        "best-single-move",
        "best-move-or-swap",
        "receding-horizon",
        "annealing",
        "genetic",
        "particle-swarm",
        "large-neighbourhood",
    ] {
        assert!(improved.contains(&name), "{name}: {improved:?}");
    }
}

/// The least cost that so many moves, each of which keeps every constraint, can lead to.
fn best_reachable(instance: &Instance, assignment: &[u32], moves: u32) -> i128 {
    let mut best = check(instance, assignment).cost;
    if moves == 0 {
        return best;
    }
    for process in 0..assignment.len() {
        for machine in 0..instance.machines().len() as u32 {
            let mut after = assignment.to_vec();
            after[process] = machine;
            if after != assignment && check(instance, &after).feasible() {
                best = best.min(best_reachable(instance, &after, moves - 1));
            }
        }
    }
    best
}

#[test]
fn the_best_assignment_within_the_budget_is_found_where_single_moves_get_stuck() {
    let instance = instance();
    let best = best_reachable(&instance, instance.initial(), 3);
    let reached = |name: &str| {
        let mut env = env(3);
        env.reset(1).unwrap();
        let mut policy = baseline(name).unwrap();
        policy.reset(1);
        while env.apply(policy.act(env.state())).unwrap().end.is_none() {}
        i128::from(env.state().reassignment_cost())
    };
    assert!(reached("best-single-move") > best);
    for name in ["genetic", "receding-horizon"] {
        assert_eq!(reached(name), best, "{name}");
    }
}

#[test]
fn a_plan_makes_its_moves_one_by_one_and_the_guard_judges_each() {
    let mut env = env(4);
    env.reset(1).unwrap();
    let state = env.state();
    let mut policy = baseline("best-single-move").unwrap();
    let mut made = plan(state, policy.as_mut(), 10, None);
    assert_ne!(made.stop_reason, StopReason::NoGain);
    assert!(!made.moves.is_empty() && made.waves as usize == made.moves.len());
    assert_eq!(violations(state, &made.moves), []);
    let gained: f32 = made.moves.iter().map(|planned| -planned.change.machine_reassignment).sum();
    assert_eq!(made.objective_before - made.objective_after, gained);

    // Process 1 beside process 0's location: service 0 would be in one location only.
    made.moves.truncate(1);
    let planned = &mut made.moves[0];
    (planned.workload, planned.source, planned.destination) = (1, 2, 1);
    planned.workload_name = "p1".into();
    (planned.source_name, planned.destination_name) = ("m2".into(), "m1".into());
    let broken = "service 0: expected 2 locations, got 1".to_owned();
    assert_eq!(violations(state, &made.moves), [Violation::MachineReassignment { at: 0, broken }]);
}

#[test]
fn the_best_single_move_is_the_best_of_all_moves_that_are_open() {
    let mut moves = 0;
    for instance in crate::reassignment_search::tests::feasible(60, 12, 40) {
        let imported = machine_reassignment_of("random", &instance, 20).unwrap();
        let template = Arc::new(WorldTemplate::new(&imported.scenario));
        let mut env = ClusterEnv::new(template, Phase::Evaluate).unwrap();
        let mut policy = baseline("best-single-move").unwrap();
        for _ in 0..20 {
            let state = env.state();
            let board = state.reassignment.as_ref().unwrap();
            let mut best = (0, None);
            for p in 0..instance.processes().len() {
                for to in (0..instance.machines().len()).filter(|&to| state.check(p, to).is_ok()) {
                    let gain = -board.shift(p, to).cost;
                    if gain > best.0 {
                        best = (gain, Some(Action::Migrate { workload: p, destination: to }));
                    }
                }
            }
            let action = policy.act(state);
            assert_eq!(action, best.1.unwrap_or(Action::Stay));
            moves += usize::from(action != Action::Stay);
            if env.apply(action).unwrap().end.is_some() {
                break;
            }
        }
    }
    assert!(moves > 100, "expected more than 100 moves, got {moves}");
}
