//! Hard constraints and the mask.

use crate::build::*;
use crate::naive::point;
use crate::places::{broken_places, places_allow};
use godwit_envs::env::{ActionError, Env};
use godwit_envs::rng::stream;
use godwit_envs::state::cluster::NO_GROUP;
use godwit_envs::state::{Action, ClusterState, Transfer};
use proptest::prelude::*;

/// Whether a migration keeps every constraint, from the definitions.
fn allowed(state: &ClusterState, k: usize, destination: usize) -> bool {
    let (spec, limits) = (&*state.spec, &state.rules.limits);
    let source = state.placement[k] as usize;
    let transfers_of = |node: usize| {
        let ends = state.transfers.iter().filter(|t| {
            t.source as usize == node || state.placement[t.workload as usize] as usize == node
        });
        ends.count() as u32
    };
    let now = point(state, &state.demand, &state.placement, &state.transfers);
    let fits = state.demand_of(k).iter().enumerate().all(|(j, &d)| {
        let supply = f64::from(spec.supply_of(destination, j));
        d == 0.0 || now.utilisation[destination][j] * supply + f64::from(d) <= supply * 1.00001
    });
    let group_apart = spec.group[k] == NO_GROUP
        || (0..spec.workloads()).all(|other| {
            // A member in transit is on both nodes.
            let leaving =
                |t: &Transfer| t.workload as usize == other && t.source as usize == destination;
            other == k
                || spec.group[other] != spec.group[k]
                || (state.placement[other] as usize != destination
                    && !state.transfers.iter().any(leaving))
        });
    destination != source
        && spec.movable[k]
        && state.moves_left > 0
        && state.cooldown[k] == 0
        && state.transfers.iter().all(|t| t.workload as usize != k)
        && state.transfers.len() < limits.transfers_in_flight as usize
        && transfers_of(source) < limits.transfers_per_node
        && transfers_of(destination) < limits.transfers_per_node
        && spec.class_allows(k, destination)
        && places_allow(state, k, destination)
        && group_apart
        && fits
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn masked_moves_keep_every_workload_placed_and_every_node_within_supply(shape in shapes()) {
        let shape = Shape { waves: false, ..shape };
        let Some(mut env) = env(&shape) else { return Err(TestCaseError::reject("no start")) };
        let rng = &mut stream(shape.seed, "actions");
        for _ in 0..24 {
            let state = env.state();
            let (n, m) = (state.spec.nodes(), state.spec.resources);
            let on_nodes: u32 = (0..n).map(|i| state.workloads_on(i)).sum();
            prop_assert_eq!(on_nodes as usize, state.spec.workloads());
            prop_assert!(state.placement.iter().all(|&node| (node as usize) < n));
            let now = point(state, &state.demand, &state.placement, &state.transfers);
            for i in 0..n {
                for j in 0..m {
                    prop_assert!(now.utilisation[i][j] <= 1.0001, "node {} resource {}", i, j);
                }
            }
            for k in 0..state.spec.workloads() {
                prop_assert!(state.spec.may_run_on(k, state.placement[k] as usize));
                for other in 0..k {
                    let group = state.spec.group[k];
                    prop_assert!(
                        group == NO_GROUP
                            || group != state.spec.group[other]
                            || state.placement[k] != state.placement[other]
                    );
                }
            }
            prop_assert_eq!(broken_places(state), None);
            let action = random_action(&observe(&env), rng);
            if env.step(action).unwrap().end.is_some() {
                env.reset(rand::RngExt::random(rng)).map_err(|e| TestCaseError::reject(e.to_string()))?;
            }
        }
    }

    #[test]
    fn the_mask_agrees_with_the_definitions_with_check_and_with_step(shape in shapes()) {
        let Some(mut env) = env(&shape) else { return Err(TestCaseError::reject("no start")) };
        let rng = &mut stream(shape.seed, "actions");
        for _ in 0..8 {
            let seen = observe(&env);
            prop_assert!(seen.mask[0]);
            prop_assert!(seen.mask[env.action_space()..].iter().all(|&open| !open));
            let before = (compact(&env), env.save(), bits(&seen));
            let mut offered = 0;
            for index in 0..env.action_space() {
                let action = env.action(index);
                if let Some(Action::Migrate { workload, destination }) = action {
                    let definition = allowed(env.state(), workload, destination);
                    let check = env.state().check(workload, destination);
                    prop_assert_eq!(seen.mask[index], definition, "{:?}: {:?}", action, check);
                    prop_assert_eq!(check.is_ok(), definition, "{:?}: {:?}", action, check);
                    prop_assert_eq!(seen.candidate_workload[index] as usize, workload);
                    prop_assert_eq!(seen.candidate_destination[index] as usize, destination);
                    let source = env.state().placement[workload];
                    prop_assert_eq!(seen.candidate_source[index], source);
                    offered += usize::from(definition);
                } else if index > 0 {
                    prop_assert_eq!(action, None);
                    prop_assert!(!seen.mask[index]);
                }
                if seen.mask[index] {
                    prop_assert!(env.clone().step(index).is_ok());
                } else {
                    let refused = env.step(index);
                    let masked = matches!(refused, Err(ActionError::Masked { .. }));
                    prop_assert!(masked, "{:?}", refused);
                }
            }
            prop_assert_eq!(&before, &(compact(&env), env.save(), bits(&observe(&env))));
            let state = env.state();
            let open = (0..state.spec.workloads())
                .flat_map(|k| (0..state.spec.nodes()).map(move |i| (k, i)))
                .filter(|&(k, i)| allowed(state, k, i))
                .count();
            if env.observation_space().fixed_pairs {
                prop_assert_eq!(offered, open);
            } else {
                prop_assert_eq!(offered > 0, open > 0, "a list offers something if it can");
            }
            let action = random_action(&seen, rng);
            if env.step(action).unwrap().end.is_some() {
                break;
            }
        }
    }
}

#[test]
fn an_index_outside_the_action_space_is_refused() {
    let mut env = embedded("founding-3x3", godwit_envs::scenario::Phase::Train);
    let size = env.action_space();
    assert_eq!(env.step(size), Err(ActionError::OutOfRange { index: size, size }));
}
