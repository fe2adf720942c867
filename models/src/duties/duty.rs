//! Which migrations have to be made whatever they cost, and why.

use crate::duties::places::{Trouble, breaks};
use godwit_envs::state::ClusterState;
use godwit_envs::state::cluster::{Health, NO_GROUP};
use godwit_envs::state::outlook::fits;
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
    // Within a zone nothing changes for a spread group.
    let zones = [source, destination].map(|node| state.spec.node_zone[node]);
    let counts = |trouble: &Trouble| zones[0] != zones[1] || !trouble.is_uneven();
    let mends = is_broken(state, workload, source, counts)
        || (0..state.spec.resources).any(|j| excess_of(state, workload, source, j) > 0.0);
    let breaks =
        is_broken(state, workload, destination, counts) || lacks_room(state, workload, destination);
    (mends && !breaks).then_some(Duty::Repairs)
}

/// Whether a transfer that starts now, in the tick of the snapshot, ends before its source is switched
/// off. A deadline that is not ahead is one that nobody has stated, or has passed: there is nothing to
/// lose.
pub(crate) fn ends_in_time(
    state: &ClusterState,
    now: u32,
    workload: usize,
    destination: usize,
) -> bool {
    let Some(source) = state.node_of(workload) else { return false };
    let left = state.deadline[source].saturating_sub(now);
    if state.health[source] != Health::Draining || left == 0 {
        return true;
    }
    let left_s = left as f32 * state.rules.episode.tick_s;
    state.migration_cost(workload, destination).transfer_s <= left_s
}

/// Whether the workload must not be on this node, for its class, its set of nodes or one of its groups,
/// or as the node has too many workloads or lacks a resource altogether.
pub fn breaks_placement(state: &ClusterState, workload: usize, node: usize) -> bool {
    is_broken(state, workload, node, |_| true)
}

/// The same, where of what is counted by node and zone only some counts.
fn is_broken(
    state: &ClusterState,
    workload: usize,
    node: usize,
    counts: impl Fn(&Trouble) -> bool,
) -> bool {
    let demand = state.demand_of(workload).iter().enumerate();
    let mut lacking = demand.filter(|&(j, &d)| d > 0.0 && state.spec.supply_of(node, j) == 0.0);
    breaks_class(state, workload, node)
        || has_company(state, workload, node)
        || Trouble::all(state, workload, node)
            .any(|trouble| counts(&trouble) && breaks(state, trouble, workload, node))
        || lacking.next().is_some()
}

pub(super) fn breaks_class(state: &ClusterState, workload: usize, node: usize) -> bool {
    !state.spec.may_run_on(workload, node)
}

/// Whether another member of its anti-affinity group is placed on the node. Who is on the way to
/// another node is placed there.
pub(super) fn has_company(state: &ClusterState, workload: usize, node: usize) -> bool {
    let group = &state.spec.group;
    let member = group[workload];
    member != NO_GROUP
        && state.placement.iter().enumerate().any(|(other, &placed)| {
            other != workload && placed as usize == node && group[other] == member
        })
}

/// What a node holds of a resource once the transfers that leave it are complete, of workloads that
/// some node could hold: the others' excess is nothing that a migration could mend.
fn held_in_the_end(state: &ClusterState, node: usize, resource: usize) -> f32 {
    let held = state.now.held[resource * state.spec.padded_nodes() + node];
    let leaving = state.transfers.iter().filter(|transfer| transfer.source as usize == node);
    let leaving = leaving.map(|transfer| state.demand_of(transfer.workload as usize)[resource]);
    held - leaving.sum::<f32>() - state.held_by_misfits(node, resource)
}

/// What the workload's leaving takes off the node's excess of a resource over its supply; 0 where
/// that is no more than rounding. Transfers that leave the node count as complete.
pub(super) fn excess_of(
    state: &ClusterState,
    workload: usize,
    node: usize,
    resource: usize,
) -> f32 {
    let (demand, supply) =
        (state.demand_of(workload)[resource], state.spec.supply_of(node, resource));
    if demand <= 0.0 {
        return 0.0;
    }
    let held = held_in_the_end(state, node, resource);
    let excess = demand.min(held - supply);
    if fits(held, 0.0, supply) || excess <= held * ROUNDING { 0.0 } else { excess }
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
