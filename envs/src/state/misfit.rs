//! Demand that is beyond the nodes: on one that lacks the resource, or more than any one supplies.
//! A live cluster may show both; scenarios never do.

use crate::state::cluster::ClusterSpec;
use crate::state::outlook::fits;
use crate::state::{ClusterState, NOWHERE};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Utilisation that the smallest demand on a node that lacks the resource counts as, and at which a
/// demand that no node could hold is capped: overload, and no more than a node in need may have.
const MISFIT: f32 = 2.0;

/// Most utilisation that all demand on a node that lacks the resource comes to.
const MOST_UTILISATION: f32 = 1e6;

/// Largest inverse of a supply, as of those that snapshots may state.
const MOST_INVERSE: f32 = 1e15;

impl ClusterSpec {
    /// Largest supply of a resource among the nodes.
    fn largest_supply(&self, resource: usize) -> f32 {
        let padded = self.padded_nodes();
        self.supply[resource * padded..][..padded].iter().copied().fold(0.0, f32::max)
    }
}

impl ClusterState {
    /// Whether the workload demands more of a resource than any node supplies: it may not leave its
    /// node, and what it counts for there is capped.
    #[inline(always)]
    pub fn is_misfit(&self, workload: usize) -> bool {
        !self.misfits.is_empty() && self.misfits[workload]
    }

    /// What the workloads on a node that fit nowhere count for of a resource.
    pub fn held_by_misfits(&self, node: usize, resource: usize) -> f32 {
        let misfits = self.misfits.iter().enumerate().filter(|(_, misfit)| **misfit);
        let here = misfits.filter(|&(k, _)| self.node_of(k) == Some(node));
        here.map(|(k, _)| self.demand_of(k)[resource]).sum()
    }

    /// Takes demand for what nodes can make of it; call it before [`ClusterState::rebuild`].
    ///
    /// A demand above every node's supply is capped at twice the supply of its own node, as one
    /// wrong number must not drown the loads of all others, and its workload stays. And demand on a node that lacks the resource counts as if there were a little of it,
    /// half of the smallest such demand on that node: as any other excess, it is overload that falls
    /// with each workload that leaves. Nothing changes for nodes that supply what is demanded.
    pub(crate) fn weigh_misfits(&mut self) {
        self.cap_demands();
        self.charge_missing_supplies();
    }

    fn cap_demands(&mut self) {
        let spec = &*self.spec;
        let m = spec.resources;
        for j in 0..m {
            let largest = spec.largest_supply(j);
            for (k, &node) in self.placement.iter().enumerate() {
                let demand = self.demand[k * m + j];
                if demand <= 0.0 || fits(0.0, demand, largest) {
                    continue;
                }
                self.misfits.resize(self.placement.len(), false);
                self.misfits[k] = true;
                if largest == 0.0 {
                    continue;
                }
                let own = if node == NOWHERE { 0.0 } else { spec.supply_of(node as usize, j) };
                let most = MISFIT * if own > 0.0 { own } else { largest };
                let width = self.demand.len();
                let forecasts = self.forecast_demand.iter_mut().skip(k * m + j).step_by(width);
                for demand in forecasts.chain([&mut self.demand[k * m + j]]) {
                    *demand = demand.min(most);
                }
            }
        }
    }

    fn charge_missing_supplies(&mut self) {
        let (m, padded) = (self.spec.resources, self.spec.padded_nodes());
        let placed = self.placement.iter().enumerate().map(|(k, &node)| (k, node));
        let leaving = self.transfers.iter().map(|t| (t.workload as usize, t.source));
        // Smallest and whole demand by place in `[m][P]`.
        let mut missing: BTreeMap<usize, (f32, f32)> = BTreeMap::new();
        for (k, node) in placed.chain(leaving).filter(|(_, node)| *node != NOWHERE) {
            for j in 0..m {
                let at = j * padded + node as usize;
                if self.spec.supply[at] > 0.0 {
                    continue;
                }
                let demands = (0..self.views()).map(|view| self.demand_in(view, k)[j]);
                let (mut least, mut most) = (f32::INFINITY, 0.0_f32);
                for demand in demands.filter(|demand| *demand > 0.0) {
                    (least, most) = (least.min(demand), most.max(demand));
                }
                if most == 0.0 {
                    continue;
                }
                let (smallest, whole) = missing.entry(at).or_insert((f32::INFINITY, 0.0));
                (*smallest, *whole) = (smallest.min(least), *whole + most);
            }
        }
        if missing.is_empty() {
            return;
        }
        let spec = Arc::make_mut(&mut self.spec);
        for (at, (smallest, whole)) in missing {
            spec.inverse_supply[at] =
                (MISFIT / smallest).min(MOST_UTILISATION / whole).min(MOST_INVERSE);
        }
    }
}
