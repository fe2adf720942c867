//! Utilisations as they will be once the transfers in flight have ended: what baselines that shed
//! load from hot nodes look at, so that they do not shed again what is already leaving.

use godwit_envs::state::{ClusterState, NOWHERE};

/// Exceeding a threshold by no more than this is rounding: a node that was filled up to a
/// threshold must not look overfull because the same demands were added in another order.
pub(crate) const SLACK: f32 = 1e-5;

/// Adds up the utilisation of all nodes, `[N][m]`, from these demands, `[K][m]`.
pub(crate) fn add_up(state: &ClusterState, demand: &[f32], out: &mut Vec<f32>) {
    let spec = &*state.spec;
    let (m, padded) = (spec.resources, spec.padded_nodes());
    out.clear();
    out.resize(spec.nodes() * m, 0.0);
    for (demand, &node) in demand.chunks_exact(m).zip(&state.placement) {
        if node == NOWHERE {
            continue;
        }
        let node = node as usize;
        if node >= spec.nodes() {
            continue;
        }
        for (j, d) in demand.iter().enumerate() {
            out[node * m + j] += d * spec.inverse_supply[j * padded + node];
        }
    }
}

/// Utilisation of one resource that a workload would add to a node, or adds to it.
pub(crate) fn own(state: &ClusterState, workload: usize, node: usize, resource: usize) -> f32 {
    let padded = state.spec.padded_nodes();
    state.demand_of(workload)[resource] * state.spec.inverse_supply[resource * padded + node]
}

/// The highest of these, at least 0.
pub(crate) fn highest(utilisations: &[f32]) -> f32 {
    utilisations.iter().copied().fold(0.0, f32::max)
}
