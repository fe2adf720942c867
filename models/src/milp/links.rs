//! How fast transfers to and from each node would be: nodes of equal bandwidth share a price.

use godwit_envs::state::ClusterState;

/// Nodes by the bandwidth that a transfer would get there.
pub struct Links {
    /// Bandwidths, ascending.
    pub kinds: Vec<f32>,
    /// Index into `kinds`, `[N]`.
    pub of: Vec<usize>,
}

impl Links {
    /// The bandwidths of a state.
    pub fn new(state: &ClusterState) -> Self {
        let share = |i: usize| state.spec.bandwidth_gib_s[i] / (state.transfers_of(i) + 1) as f32;
        let shares: Vec<f32> = (0..state.spec.nodes()).map(share).collect();
        let mut kinds = shares.clone();
        kinds.sort_by(f32::total_cmp);
        kinds.dedup();
        let of = shares.iter().map(|share| kinds.partition_point(|kind| kind < share)).collect();
        Self { kinds, of }
    }
}
