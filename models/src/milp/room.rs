//! What nodes hold, what could come to them, and what is free.

use crate::milp::kinds::Kind;
use crate::milp::options::MilpError;
use godwit_envs::state::ClusterState;
use godwit_envs::state::objective::Slot;

/// Share by which a node may be over its supply, as in [`godwit_envs::state::outlook::fits`].
pub const FIT: f64 = 1.0 + 1e-5;

/// Demand of each workload of a kind for one resource.
pub fn demand_of(state: &ClusterState, kind: &Kind, resource: usize) -> f64 {
    f64::from(state.demand_of(kind.representative)[resource])
}

/// Demand that each node holds, transfers in flight included, `[m][P]`, summed in f64.
pub fn held(state: &ClusterState) -> Vec<f64> {
    let (m, padded) = (state.spec.resources, state.spec.padded_nodes());
    let mut held = vec![0.0; m * padded];
    let mut hold = |k: usize, node: u32| {
        for (j, &d) in state.demand_of(k).iter().enumerate() {
            held[j * padded + node as usize] += f64::from(d);
        }
    };
    for (k, &node) in state.placement.iter().enumerate() {
        hold(k, node);
    }
    for transfer in &state.transfers {
        hold(transfer.workload as usize, transfer.source);
    }
    held
}

/// What nodes hold when everything that may leave has left, `[m][P]`.
pub fn fixed(state: &ClusterState, held: &[f64], kinds: &[Kind]) -> Vec<f64> {
    let padded = state.spec.padded_nodes();
    let mut fixed = held.to_vec();
    for kind in kinds {
        for source in &kind.sources {
            for j in 0..state.spec.resources {
                fixed[j * padded + source.node] -=
                    source.workloads.len() as f64 * demand_of(state, kind, j);
            }
        }
    }
    fixed
}

/// Whether the workload could come to the node once everything that may leave it has left.
pub fn may_arrive(state: &ClusterState, fixed: &[f64], k: usize, d: usize) -> bool {
    let spec = &*state.spec;
    let padded = spec.padded_nodes();
    spec.may_run_on(k, d)
        && state.is_open(d)
        && state.transfers_of(d) < state.rules.limits.transfers_per_node
        && state.demand_of(k).iter().enumerate().all(|(j, &demand)| {
            let at = j * padded + d;
            // The small share is for rounding: the program itself is exact.
            demand <= 0.0
                || fixed[at] + f64::from(demand) <= f64::from(spec.supply[at]) * (FIT + 1e-6)
        })
}

/// Free supply of the slot's resource, which no placement changes.
pub fn total_free(state: &ClusterState, slot: Slot) -> Result<f64, MilpError> {
    let spec = &*state.spec;
    let held = held(state);
    let mut free = 0.0;
    for i in 0..spec.nodes() {
        let at = slot.resource * spec.padded_nodes() + i;
        let supply = f64::from(spec.supply[at]);
        if held[at] > supply * (1.0 + 2e-5) {
            return Err(MilpError::Overfull { node: spec.node_names[i].clone() });
        }
        free += (supply - held[at]).max(0.0);
    }
    Ok(free)
}
