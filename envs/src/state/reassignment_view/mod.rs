//! What a cluster under the machine-reassignment problem shows of it: cost, constraints, features.

// Lanes are indexed in step across several arrays, which vectorises and reads like the formula.
#![allow(clippy::needless_range_loop)]

use crate::lanes::{LANES, Lanes};
use crate::reassignment::Solution;
use crate::state::ClusterState;
use crate::state::outlook::Tile;
use crate::state::term::Term;

/// What moving a workload to each of [`LANES`] nodes changes of
/// [`Term::MachineReassignment`], in parts, weighted.
#[derive(Debug, Clone, Copy, Default)]
pub struct ReassignmentLanes {
    /// Load and balance cost of the source.
    pub source: f32,
    /// Load and balance cost of the destination.
    pub destination: Lanes,
    /// Process and machine move costs.
    pub fare: Lanes,
    /// 1 where the destination is the workload's initial machine.
    pub home: Lanes,
}

impl ClusterState {
    /// The exact value of [`Term::MachineReassignment`].
    pub fn reassignment_cost(&self) -> i64 {
        self.reassignment.as_ref().map_or(0, Solution::cost)
    }

    /// That value as a share of the initial assignment's.
    pub fn reassignment_share(&self) -> f32 {
        let share = |board: &Solution<_>| board.cost() as f32 / board.initial_cost().max(1) as f32;
        self.reassignment.as_ref().map_or(0.0, share)
    }

    /// Weighted load and balance cost of a node.
    pub fn machine_cost(&self, node: usize) -> f32 {
        let cost = self.reassignment.as_ref().map_or(0, |board| board.machine_cost(node));
        self.reassignment_weight() * cost as f32
    }

    /// Whether a workload is away from its initial machine.
    pub fn is_reassigned(&self, workload: usize) -> bool {
        let initial = |board: &Solution<_>| board.instance().initial()[workload];
        self.reassignment.as_ref().is_some_and(|board| initial(board) != self.placement[workload])
    }

    /// Adds the weighted change of [`Term::MachineReassignment`] by moving a workload to the nodes
    /// of a tile to `objective`.
    #[inline(always)]
    pub fn add_reassignment(&self, workload: usize, tile: &Tile, objective: &mut Lanes) {
        let Some(board) = &self.reassignment else { return };
        let weight = self.reassignment_weight();
        for l in 0..LANES {
            if tile.node[l] != u32::MAX {
                let change = board.shift(workload, tile.node[l] as usize);
                objective[l] += weight * change.cost as f32;
            }
        }
    }

    /// The parts of that change that are told node by node.
    pub fn reassignment_lanes(&self, workload: usize, tile: &Tile) -> ReassignmentLanes {
        let mut lanes = ReassignmentLanes::default();
        let Some(board) = &self.reassignment else { return lanes };
        let weight = self.reassignment_weight();
        let home = board.instance().initial()[workload];
        lanes.source = weight * board.departure_cost(workload) as f32;
        for l in 0..LANES {
            if tile.node[l] != u32::MAX {
                let node = tile.node[l] as usize;
                lanes.destination[l] = weight * board.arrival_cost(workload, node) as f32;
                lanes.fare[l] = weight * board.fare(workload, node) as f32;
                lanes.home[l] = f32::from(u8::from(tile.node[l] == home));
            }
        }
        lanes
    }

    /// Weight of [`Term::MachineReassignment`].
    pub fn reassignment_weight(&self) -> f32 {
        self.objective.weights[Term::MachineReassignment as usize]
    }
}

#[cfg(test)]
mod tests;
