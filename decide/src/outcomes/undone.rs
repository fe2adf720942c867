//! What moves have gained, on the cluster as it is afterwards.
//!
//! Demand changes while migrations run, so that the objective before and after says little about
//! them: a move's gain is what undoing it would cost now.

use std::collections::HashMap;

use godwit_envs::state::ClusterState;
use godwit_models::plan::{PlannedMove, held};

/// Moves that were undone on the cluster as it is afterwards.
#[derive(Debug, Default, PartialEq)]
pub struct Undone {
    /// Their positions, the last one first.
    pub moves: Vec<usize>,
    /// What they were predicted to gain together, costs not taken off.
    pub predicted_gain: f32,
    /// The objective with them undone, minus the objective as it is.
    pub realised_gain: f32,
    /// The same held over the ticks that gains are taken to last, by the demand that is forecast
    /// then: moves may be made ahead of the demand that they are for.
    pub held_gain: f64,
}

/// Undoes moves, the last one first; those whose workload is gone, or is not where it went, stay out.
/// Gains are taken to last so many ticks.
pub fn undone(
    state: &ClusterState,
    moves: &[PlannedMove],
    carried_out: &[bool],
    ticks: u32,
) -> Undone {
    let (workloads, nodes) = (index(&state.spec.workload_names), index(&state.spec.node_names));
    let mut before = state.clone();
    let mut undone = Undone::default();
    for (at, planned) in moves.iter().enumerate().rev().filter(|(at, _)| carried_out[*at]) {
        let workload = workloads.get(planned.workload_name.as_str());
        let [source, destination] =
            [&planned.source_name, &planned.destination_name].map(|name| nodes.get(name.as_str()));
        let (Some(&k), Some(&source), Some(&destination)) = (workload, source, destination) else {
            continue;
        };
        if before.placement[k] as usize == destination {
            before.placement[k] = source as u32;
            undone.moves.push(at);
            undone.predicted_gain += planned.predicted_gain;
        }
    }
    before.rebuild();
    undone.realised_gain = before.level() - state.level();
    undone.held_gain = held(&before, ticks) - held(state, ticks);
    undone
}

fn index(names: &[String]) -> HashMap<&str, usize> {
    names.iter().map(String::as_str).zip(0..).collect()
}
