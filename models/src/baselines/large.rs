//! What is looked at in clusters so large that a look at every pair of workload and node takes seconds.

use godwit_envs::lanes::LANES;
use godwit_envs::state::ClusterState;

/// Most pairs of a workload and a node that are all looked at.
const MOST_PAIRS: usize = 100_000_000;

/// Workloads that are looked at in larger clusters: so many whose leaving scores best, and as many of
/// the most loaded nodes.
pub const PROMISING: usize = 128;

/// Blocks of nodes that are looked at first there: 1 of so many, those with the least loaded nodes.
const BLOCKS: usize = 8;

/// Whether not every pair is looked at.
pub fn is_large(state: &ClusterState) -> bool {
    state.spec.workloads().saturating_mul(state.spec.nodes()) > MOST_PAIRS
}

/// Every block of [`LANES`] nodes, ascending.
pub fn all_blocks(state: &ClusterState, blocks: &mut Vec<u32>) {
    blocks.clear();
    blocks.extend(0..(state.spec.padded_nodes() / LANES) as u32);
}

/// Keeps the blocks in which the least loaded node is least loaded.
pub fn keep_least_loaded(state: &ClusterState, blocks: &mut Vec<u32>) {
    let loads = &state.now.load[..state.spec.nodes()];
    let least = |block: u32| {
        let from = block as usize * LANES;
        let nodes = &loads[from.min(loads.len())..(from + LANES).min(loads.len())];
        nodes.iter().copied().fold(f32::INFINITY, f32::min)
    };
    let most = blocks.len().div_ceil(BLOCKS);
    if most < blocks.len() {
        let by_load = |a: &u32, b: &u32| least(*a).total_cmp(&least(*b)).then(a.cmp(b));
        blocks.select_nth_unstable_by(most, by_load);
        blocks.truncate(most);
        blocks.sort_unstable();
    }
}

#[cfg(test)]
mod tests {
    use godwit_envs::env::cluster_env::ClusterEnv;
    use godwit_envs::scenario::{Phase, Scenario, WorldTemplate};
    use std::sync::Arc;

    use super::*;
    use crate::baselines::scan::{Persistence, Scan, ValuedMove};

    /// Nodes of three sizes, workloads of three, in random places.
    const TEXT: &str = r#"
        name = "large"
        rules.resources = [{ name = "cpu" }, { name = "memory" }]
        rules.episode = { mode = "rebalance", move_budget = 2 }
        rules.objective = { weights = { max_load = 1, imbalance = 1, overload = 4, moved_gib = 0.001 } }
        start.placement = "random"
        nodes = [
            { name = "s", count = 1500, supply = { cpu = 16, memory = 64 } },
            { name = "m", count = 1500, supply = { cpu = 32, memory = 128 } },
            { name = "l", count = 1100, supply = { cpu = 64, memory = 512 } },
        ]
        workloads = [
            { name = "a", count = 12000, demand = { cpu = [0.2, 2], memory = [1, 4] } },
            { name = "b", count = 8000, demand = { cpu = [1, 3], memory = [2, 8] } },
            { name = "c", count = 5000, demand = { cpu = 0.5, memory = [4, 16] } },
        ]
    "#;

    #[test]
    fn the_least_loaded_nodes_hold_nearly_the_best_move_of_all() {
        let scenario = Scenario::parse(TEXT, "test").unwrap();
        let template = Arc::new(WorldTemplate::new(&scenario));
        let env = ClusterEnv::new(template, Phase::Evaluate).unwrap();
        let state = env.state();
        assert!(is_large(state));
        let mut scan = Scan::default();
        scan.prepare(state, Persistence { ticks: 1, forecast_share: 0.0 });
        let found = scan.best(state, 0.0).unwrap();
        let mut each: Vec<ValuedMove> = Vec::new();
        scan.best_of_each(state, &mut each);
        let best = each.iter().map(|of| of.gain).fold(0.0, f32::max);
        assert!(found.gain >= 0.99 * best, "{found:?}, but there is one of {best}");
    }
}
