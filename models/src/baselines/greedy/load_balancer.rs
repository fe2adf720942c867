//! The founding load balancer, made to terminate.
//!
//! Rule: take the most loaded node (load is the sum of its utilisations) and go through its
//! workloads, largest first. Each is offered to the least loaded node that it fits on; it moves if
//! that node's load stays below what the most loaded node has now. Otherwise the next smaller
//! workload is tried, and when none lowers the load of the most loaded node, the balancer stays.
//! It looks at neither forecasts nor the costs of a move.
//!
//! Parameter: the least improvement of the load that is worth a move.
//!
//! Source: the founding note's `LoadBalancer` (a queue ordered by demand, each workload to the
//! least loaded node that fits, else a victim from the most loaded one). That version could pass
//! two workloads back and forth for ever; here every move makes the sorted vector of loads
//! lexicographically smaller, so a static cluster comes to rest.

use crate::baselines::declaration::Declaration;
use crate::policy::Policy;
use godwit_envs::state::{Action, ClusterState};

/// Least improvement unless another is given.
const DEFAULT_IMPROVEMENT: f32 = 0.05;

/// Largest workload of the most loaded node to the least loaded node that fits.
#[derive(Debug, Clone)]
pub struct LoadBalancer {
    /// Least decrease from the source's load now to the destination's load afterwards, a load.
    min_improvement: f32,
    /// Own load and index of the source's workloads.
    queue: Vec<(f32, u32)>,
    /// Load and index of the nodes.
    nodes: Vec<(f32, u32)>,
}

impl LoadBalancer {
    /// With this least improvement; at least a rounding error's worth is always asked for.
    pub fn new(min_improvement: f32) -> Self {
        let min_improvement = min_improvement.max(1e-4);
        Self { min_improvement, queue: Vec::new(), nodes: Vec::new() }
    }
}

impl Default for LoadBalancer {
    fn default() -> Self {
        Self::new(DEFAULT_IMPROVEMENT)
    }
}

/// The parameters as data.
pub(crate) fn declaration() -> Declaration<f32> {
    Declaration::new(DEFAULT_IMPROVEMENT, LoadBalancer::new).real(
        "min_improvement",
        "least decrease from the source's load now to the destination's afterwards, a load",
        0.0..=1.0,
        |least| least.into(),
    )
}

/// Load that a workload adds to a node.
pub(crate) fn own_load(state: &ClusterState, workload: usize, node: usize) -> f32 {
    let padded = state.spec.padded_nodes();
    let demand = state.demand_of(workload).iter().enumerate();
    demand.map(|(j, d)| d * state.spec.inverse_supply[j * padded + node]).sum()
}

impl Policy for LoadBalancer {
    fn name(&self) -> &str {
        "load-balancer"
    }

    fn reset(&mut self, _seed: u64) {}

    fn act(&mut self, state: &ClusterState) -> Action {
        let loads = &state.now.load[..state.spec.nodes()];
        self.nodes.clear();
        self.nodes.extend(loads.iter().copied().zip(0..));
        self.nodes.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let Some(&(most, _)) = self.nodes.last() else { return Action::Stay };
        // Of equally loaded nodes the first one.
        let source = self.nodes[self.nodes.partition_point(|node| node.0 < most)].1 as usize;
        self.queue.clear();
        for k in 0..state.spec.workloads() {
            if state.placement[k] as usize == source && state.may_leave(k).is_ok() {
                self.queue.push((own_load(state, k, source), k as u32));
            }
        }
        self.queue.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        for &(_, k) in &self.queue {
            let workload = k as usize;
            let fits =
                self.nodes.iter().find(|node| state.check(workload, node.1 as usize).is_ok());
            let Some(&(load, node)) = fits else { continue };
            let destination = node as usize;
            if load + own_load(state, workload, destination) < most - self.min_improvement {
                return Action::Migrate { workload, destination };
            }
        }
        Action::Stay
    }
}
