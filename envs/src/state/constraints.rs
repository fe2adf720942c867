//! Which migrations are allowed, and which workloads are alike to the constraints.

// Lanes are indexed in step across several arrays, which vectorises and reads like the formula.
#![allow(clippy::needless_range_loop)]

use crate::lanes::LANES;
use crate::reassignment::Constraint;
use crate::state::cluster::NO_GROUP;
use crate::state::infeasible::Infeasible;
use crate::state::outlook::{Tile, fits};
use crate::state::{ClusterState, NOWHERE};

impl ClusterState {
    /// Whether the workload may leave its node now.
    ///
    /// # Errors
    /// The constraint that forbids it.
    pub fn may_leave(&self, workload: usize) -> Result<(), Infeasible> {
        let limits = &self.rules.limits;
        if self.placement[workload] == NOWHERE {
            Err(Infeasible::NotRunning)
        } else if !self.spec.movable[workload] {
            Err(Infeasible::Pinned)
        } else if self.is_misfit(workload) {
            Err(Infeasible::Capacity)
        } else if self.moves_left == 0 {
            Err(Infeasible::Budget)
        } else if self.cooldown[workload] > 0 {
            Err(Infeasible::Cooldown)
        } else if self.in_transfer[workload] {
            Err(Infeasible::InTransfer)
        } else if self.transfers.len() >= limits.transfers_in_flight as usize {
            Err(Infeasible::TransfersInFlight)
        } else if !self.has_free_transfer(self.placement[workload] as usize) {
            Err(Infeasible::NodeTransfers)
        } else if self.fences.holds(workload, self.placement[workload] as usize) {
            Err(Infeasible::Fenced)
        } else {
            Ok(())
        }
    }

    /// Whether this migration is allowed now.
    ///
    /// # Errors
    /// The first constraint that forbids it.
    pub fn check(&self, workload: usize, destination: usize) -> Result<(), Infeasible> {
        let spec = &*self.spec;
        if workload >= spec.workloads() || destination >= spec.nodes() {
            return Err(Infeasible::Unknown);
        }
        self.may_leave(workload)?;
        if self.placement[workload] as usize == destination {
            return Err(Infeasible::SameNode);
        }
        self.accepts(workload, destination)
    }

    /// Whether the node could take the workload now, wherever that is and whether or not it may
    /// leave.
    ///
    /// # Errors
    /// The first constraint that forbids it.
    pub fn accepts(&self, workload: usize, destination: usize) -> Result<(), Infeasible> {
        let spec = &*self.spec;
        if self.now.accepting[destination] == 0.0 {
            return Err(Infeasible::NodeClosed);
        }
        if !spec.class_allows(workload, destination) {
            return Err(Infeasible::Class);
        }
        if self.members_on(workload, destination) > 0 {
            return Err(Infeasible::AntiAffinity);
        }
        self.place_counts.allows(spec, workload, self.node_of(workload), destination)?;
        if !self.has_free_transfer(destination) {
            return Err(Infeasible::NodeTransfers);
        }
        if self.fences.keeps_out(workload, destination) {
            return Err(Infeasible::Fenced);
        }
        let padded = spec.padded_nodes();
        let room = self.demand_of(workload).iter().enumerate().all(|(j, &d)| {
            let at = j * padded + destination;
            d <= 0.0 || fits(self.now.held[at], d, spec.supply[at])
        });
        if !room {
            return Err(Infeasible::Capacity);
        }
        match self.reassignment.as_ref().and_then(|board| board.broken_by(workload, destination)) {
            None => Ok(()),
            Some(Constraint::Capacity) => Err(Infeasible::Capacity),
            Some(Constraint::Conflict) => Err(Infeasible::AntiAffinity),
            Some(Constraint::Spread) => Err(Infeasible::Spread),
            Some(Constraint::Dependency) => Err(Infeasible::Dependency),
        }
    }

    /// [`ClusterState::check`] for the nodes of a tile of [`ClusterState::now`]; the workload's
    /// own side ([`ClusterState::may_leave`]) has been checked.
    #[inline(always)]
    pub fn open_lanes(&self, workload: usize, tile: &Tile) -> [bool; LANES] {
        let spec = &*self.spec;
        let mut open = tile.has_room(self.demand_of(workload));
        let source = self.placement[workload];
        for l in 0..LANES {
            open[l] &= tile.node[l] != source;
        }
        let limit = self.rules.limits.transfers_per_node;
        let (mask, group) = (spec.class_mask[workload], spec.group[workload]);
        if self.closed_nodes > 0
            || !self.transfers.is_empty()
            || mask != u64::MAX
            || group != NO_GROUP
            || spec.places.is_some()
            || !self.fences.is_empty()
        {
            let from = self.node_of(workload);
            for l in 0..LANES {
                if open[l] {
                    let node = tile.node[l] as usize;
                    open[l] = self.now.accepting[node] > 0.0
                        && self.node_transfers[node] < limit
                        && spec.class_allows(workload, node)
                        && (group == NO_GROUP || self.group_count.of(group, node) == 0)
                        && self.place_counts.allows(spec, workload, from, node).is_ok()
                        && !self.fences.keeps_out(workload, node);
                }
            }
        }
        if let Some(board) = &self.reassignment {
            for l in 0..LANES {
                open[l] = open[l] && board.broken_by(workload, tile.node[l] as usize).is_none();
            }
        }
        open
    }

    /// Whether moving one of these workloads to a node comes to the same as moving the other, had
    /// they the same source. Members of groups that share no node or zone, or are spread over zones, are
    /// never alike, and neither are the processes of a machine-reassignment problem.
    pub fn look_alike(&self, a: usize, b: usize) -> bool {
        let spec = &*self.spec;
        spec.state_gib[a] == spec.state_gib[b]
            && spec.dirty_gib_s[a] == spec.dirty_gib_s[b]
            && spec.priority[a] == spec.priority[b]
            && self.fit_alike(a, b)
            && (0..self.forecast.len()).all(|h| self.forecast_of(h, a) == self.forecast_of(h, b))
    }

    /// Whether the same nodes would take these workloads now, with the same loads after it. Not told
    /// of members of such groups, processes of a machine-reassignment problem and whoever
    /// is fenced off a node.
    pub fn fit_alike(&self, a: usize, b: usize) -> bool {
        let spec = &*self.spec;
        spec.reassignment.is_none()
            && spec.group[a] == NO_GROUP
            && spec.group[b] == NO_GROUP
            && !spec.has_zone_group(a)
            && !spec.has_zone_group(b)
            && spec.class_mask[a] == spec.class_mask[b]
            && spec.set_of(a) == spec.set_of(b)
            && !self.fences.has_pair(a)
            && !self.fences.has_pair(b)
            && self.demand_of(a) == self.demand_of(b)
    }

    fn has_free_transfer(&self, node: usize) -> bool {
        self.node_transfers[node] < self.rules.limits.transfers_per_node
    }
}
