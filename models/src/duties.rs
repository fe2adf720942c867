//! What has to be done whatever a policy thinks: nodes that close are emptied, and broken rules of
//! the input are mended.

use godwit_envs::cluster::{Health, NO_GROUP};
use godwit_envs::outlook::fits;
use godwit_envs::state::ClusterState;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a migration is good for besides the objective.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Duty {
    /// It leaves a draining, degraded or failed node for a healthy one.
    Evacuates,
    /// It leaves fewer broken rules than there were, and breaks none.
    Repairs,
}

/// The duty that this migration fulfils in this state, if any; the state is that before it. Who
/// leaves both a closing node and a broken rule evacuates.
pub fn purpose(state: &ClusterState, workload: usize, destination: usize) -> Option<Duty> {
    let source = state.node_of(workload)?;
    if source == destination {
        return None;
    }
    if state.health[source] != Health::Healthy && state.health[destination] == Health::Healthy {
        return Some(Duty::Evacuates);
    }
    let mends = breaks_class(state, workload, source)
        || has_company(state, workload, source)
        || lowers_excess(state, workload, source);
    let breaks = breaks_class(state, workload, destination)
        || has_company(state, workload, destination)
        || lacks_room(state, workload, destination);
    (mends && !breaks).then_some(Duty::Repairs)
}

fn breaks_class(state: &ClusterState, workload: usize, node: usize) -> bool {
    !state.spec.class_allows(workload, node)
}

/// Whether another member of its anti-affinity group is placed on the node. Who is on the way to
/// another node is placed there.
fn has_company(state: &ClusterState, workload: usize, node: usize) -> bool {
    let group = &state.spec.group;
    let member = group[workload];
    member != NO_GROUP
        && state.placement.iter().enumerate().any(|(other, &placed)| {
            other != workload && placed as usize == node && group[other] == member
        })
}

/// What a node holds of a resource once the transfers that leave it are complete.
fn held_in_the_end(state: &ClusterState, node: usize, resource: usize) -> f32 {
    let held = state.now.held[resource * state.spec.padded_nodes() + node];
    let leaving = state.transfers.iter().filter(|transfer| transfer.source as usize == node);
    let leaving = leaving.map(|transfer| state.demand_of(transfer.workload as usize)[resource]);
    held - leaving.sum::<f32>()
}

/// Whether the node holds more than its supply of something that the workload demands, by more
/// than rounding, even when the transfers that leave it are complete.
fn lowers_excess(state: &ClusterState, workload: usize, node: usize) -> bool {
    let demand = state.demand_of(workload).iter().enumerate();
    demand.filter(|(_, demand)| **demand > 0.0).any(|(j, &demand)| {
        let (held, supply) = (held_in_the_end(state, node, j), state.spec.supply_of(node, j));
        !fits(held, 0.0, supply) && demand.min(held - supply) > held * ROUNDING
    })
}

fn lacks_room(state: &ClusterState, workload: usize, node: usize) -> bool {
    let padded = state.spec.padded_nodes();
    state.demand_of(workload).iter().enumerate().any(|(j, &demand)| {
        let held = state.now.held[j * padded + node];
        demand > 0.0 && !fits(held, demand, state.spec.supply_of(node, j))
    })
}

/// Share of what a node holds that a sum in single precision may be off by.
const ROUNDING: f32 = 1e-5;

#[cfg(test)]
#[path = "duties_tests.rs"]
mod tests;
