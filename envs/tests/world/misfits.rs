//! Demand beyond the nodes, as live clusters show it: on nodes that lack the resource, and above
//! every supply.

use crate::build::*;
use crate::naive::{self, Naive};
use godwit_envs::observe::ObservationBuffer;
use godwit_envs::observe::encoder::{observation, observation_space};
use godwit_envs::snapshot::Snapshot;
use godwit_envs::state::ClusterState;
use godwit_envs::state::term::Term;
use proptest::prelude::*;
use std::sync::Arc;

fn state_of(state: &ClusterState, snapshot: &Snapshot) -> ClusterState {
    let text = snapshot.to_json();
    let read = Snapshot::from_json(&text, "test").unwrap();
    ClusterState::from_snapshot(Arc::clone(&state.rules), &read, "test").unwrap()
}

/// The start of an episode of a random scenario.
fn start(shape: &Shape) -> Option<ClusterState> {
    Some(env(shape)?.state().clone())
}

fn observed(state: &ClusterState) -> ObservationBuffer {
    observation(state, state.rules.sections()).2
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn nodes_that_lack_what_nobody_demands_of_them_change_no_bit(shape in shapes()) {
        let Some(state) = start(&shape) else { return Err(TestCaseError::reject("no start")) };
        let live = state_of(&state, &state.to_snapshot());
        for (inverse, supply) in live.spec.inverse_supply.iter().zip(&live.spec.supply) {
            let expected = if *supply > 0.0 { 1.0 / supply } else { 0.0 };
            prop_assert_eq!(inverse.to_bits(), expected.to_bits());
        }
        prop_assert_eq!(&live.demand, &state.demand);
        prop_assert_eq!(&live.forecast_demand, &state.forecast_demand);
        let [live, state] = [&live, &state].map(|state| bits(&observed(state)));
        prop_assert_eq!(live, state);
    }

    #[test]
    fn demand_on_a_node_without_supply_is_finite_overload_that_falls_with_each_that_leaves(
        shape in shapes(), picks in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..4)
    ) {
        let Some(start) = start(&shape) else { return Err(TestCaseError::reject("no start")) };
        let mut snapshot = start.to_snapshot();
        if snapshot.workloads.is_empty() {
            return Err(TestCaseError::reject("nobody"));
        }
        // A few workloads are where no such supply is.
        for (workload, kind) in picks {
            let (k, j) = (workload.index(snapshot.workloads.len()), kind.index(shape.resources));
            let name = snapshot.workloads[k].node.clone();
            let node = snapshot.nodes.iter_mut().find(|node| Some(&node.name) == name.as_ref()).unwrap();
            node.supply[j] = 0.0;
        }
        let state = state_of(&start, &snapshot);
        let padded = state.spec.padded_nodes();
        let mut least = 0.0;
        for k in 0..state.spec.workloads() {
            let node = state.placement[k] as usize;
            for j in 0..shape.resources {
                let (d, supply) = (state.demand_of(k)[j], state.spec.supply_of(node, j));
                if supply == 0.0 && d > 0.0 {
                    let share = d * state.spec.inverse_supply[j * padded + node];
                    prop_assert!(share >= 2.0 * (1.0 - 1e-5), "{} of node {}", share, node);
                    least += 1.0;
                }
            }
        }
        let terms = state.level_terms();
        prop_assert!(terms.iter().all(|term| term.is_finite()));
        prop_assert!(terms[Term::Overload as usize] >= least * (1.0 - 1e-4), "{:?} {}", terms, least);
        let seen = observed(&state);
        prop_assert!(seen.nodes.iter().chain(&seen.globals).chain(&seen.workloads).all(|x| x.is_finite()));
        // As in a naive recount with that supply.
        let naive = Naive::new(&state);
        let point = naive::point(&state, &state.demand, &state.placement, &[]);
        for (got, expected) in terms.iter().zip(point.terms) {
            prop_assert!((f64::from(*got) - expected).abs() <= 1e-4 * expected.max(1.0), "{} {}", got, expected);
        }
        let space = observation_space(&state, state.rules.sections());
        for (f, feature) in space.schema.node.iter().enumerate() {
            for i in 0..state.spec.nodes() {
                let got = f64::from(seen.nodes[i * space.schema.node.len() + f]);
                let expected = naive.node(&feature.name, i).clamp(-5.0, 5.0);
                prop_assert!((got - expected).abs() < 2e-3, "{} {}: {} {}", feature.name, i, got, expected);
            }
        }
        for k in 0..state.spec.workloads() {
            let node = state.placement[k] as usize;
            let lacks = (0..shape.resources)
                .any(|j| state.spec.supply_of(node, j) == 0.0 && state.demand_of(k)[j] > 0.0);
            for to in (0..state.spec.nodes()).filter(|_| lacks) {
                let mut after = state.clone();
                if after.migrate(k, to).is_ok() {
                    after.transfers.clear();
                    after.rebuild();
                    let over = Term::Overload as usize;
                    prop_assert!(after.level_terms()[over] < terms[over]);
                }
            }
        }
    }

    #[test]
    fn a_workload_that_fits_nowhere_leaves_the_others_as_they_are(
        shape in shapes(), pick in any::<prop::sample::Index>(), factor in 100.0_f32..1e9
    ) {
        let Some(start) = start(&shape) else { return Err(TestCaseError::reject("no start")) };
        let mut snapshot = start.to_snapshot();
        let k = pick.index(snapshot.workloads.len().max(1));
        let Some(workload) = snapshot.workloads.get_mut(k) else {
            return Err(TestCaseError::reject("nobody"));
        };
        // The first resource is supplied everywhere.
        workload.demand[0] = (1.0 + workload.demand[0]) * factor;
        let state = state_of(&start, &snapshot);
        let node = state.placement[k] as usize;
        prop_assert!(state.is_misfit(k));
        prop_assert_eq!(state.demand_of(k)[0], 2.0 * state.spec.supply_of(node, 0));
        prop_assert!((0..state.spec.nodes()).all(|to| state.check(k, to).is_err()));
        let seen = observed(&state);
        let offered = (1..seen.actions()).filter(|&a| seen.mask[a]);
        prop_assert!(offered.map(|a| seen.candidate_workload[a]).all(|other| other as usize != k));
        for other in (0..state.spec.workloads()).filter(|&other| other != k) {
            prop_assert_eq!(state.demand_of(other), start.demand_of(other));
            prop_assert!(!state.is_misfit(other));
        }
    }
}
