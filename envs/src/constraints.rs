//! Which migrations are allowed, and which workloads are alike to the constraints.

// Lanes are indexed in step across several arrays, which vectorises and reads like the formula.
#![allow(clippy::needless_range_loop)]

use crate::cluster::NO_GROUP;
use crate::observation::LANES;
use crate::outlook::{Tile, fits};
use crate::reassignment::Constraint;
use crate::state::{ClusterState, NOWHERE};

/// Why a migration is not allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Infeasible {
    /// No such workload or node.
    #[error("no such workload or node")]
    Unknown,
    /// The workload runs on no node.
    #[error("the workload runs on no node")]
    NotRunning,
    /// The destination is draining or has failed.
    #[error("the node accepts no workloads")]
    NodeClosed,
    /// The workload is pinned.
    #[error("the workload is pinned")]
    Pinned,
    /// The workload is on that node already.
    #[error("the workload is on that node already")]
    SameNode,
    /// The node's class is not among the workload's.
    #[error("the node's class is not allowed")]
    Class,
    /// A member of the workload's anti-affinity group is there.
    #[error("a member of the same anti-affinity group is there")]
    AntiAffinity,
    /// Some resource would exceed its supply.
    #[error("the demand does not fit")]
    Capacity,
    /// The workload's service would run in fewer locations than it must.
    #[error("the service would be spread over too few locations")]
    Spread,
    /// A service would lack one that it depends on in some neighbourhood.
    #[error("a service would lack one that it depends on")]
    Dependency,
    /// The workload moved too recently.
    #[error("the workload is cooling down from its last move")]
    Cooldown,
    /// The workload is being transferred.
    #[error("the workload is in transfer")]
    InTransfer,
    /// Source or destination has all the transfers it may have.
    #[error("a node has as many transfers as it may have")]
    NodeTransfers,
    /// The cluster has all the transfers it may have.
    #[error("the cluster has as many transfers as it may have")]
    TransfersInFlight,
    /// The move budget is spent.
    #[error("the move budget is spent")]
    Budget,
    /// An operator's limit, or doubt about the input, keeps the workload or the node out of it.
    #[error("a fence keeps the workload or the node out of it")]
    Fenced,
    /// The episode has ended; the environment waits for a reset.
    #[error("the episode has ended")]
    Ended,
}

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
        let (padded, group) = (spec.padded_nodes(), spec.group[workload]);
        if group != NO_GROUP && self.group_count[group as usize * padded + destination] > 0 {
            return Err(Infeasible::AntiAffinity);
        }
        if !self.has_free_transfer(destination) {
            return Err(Infeasible::NodeTransfers);
        }
        if self.fences.keeps_out(workload, destination) {
            return Err(Infeasible::Fenced);
        }
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
            || !self.fences.is_empty()
        {
            let padded = spec.padded_nodes();
            for l in 0..LANES {
                if open[l] {
                    let node = tile.node[l] as usize;
                    open[l] = self.now.accepting[node] > 0.0
                        && u32::from(self.node_transfers[node]) < limit
                        && spec.class_allows(workload, node)
                        && (group == NO_GROUP
                            || self.group_count[group as usize * padded + node] == 0)
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
    /// they the same source. Members of anti-affinity groups are never alike, and neither are the
    /// processes of a machine-reassignment problem.
    pub fn look_alike(&self, a: usize, b: usize) -> bool {
        let spec = &*self.spec;
        spec.state_gib[a] == spec.state_gib[b]
            && spec.dirty_gib_s[a] == spec.dirty_gib_s[b]
            && spec.priority[a] == spec.priority[b]
            && self.fit_alike(a, b)
            && (0..self.forecast.len()).all(|h| self.forecast_of(h, a) == self.forecast_of(h, b))
    }

    /// Whether the same nodes would take these workloads now, with the same loads after it. Not told
    /// of members of anti-affinity groups, processes of a machine-reassignment problem and whoever
    /// is fenced off a node.
    pub fn fit_alike(&self, a: usize, b: usize) -> bool {
        let spec = &*self.spec;
        spec.reassignment.is_none()
            && spec.group[a] == NO_GROUP
            && spec.group[b] == NO_GROUP
            && spec.class_mask[a] == spec.class_mask[b]
            && !self.fences.has_pair(a)
            && !self.fences.has_pair(b)
            && self.demand_of(a) == self.demand_of(b)
    }

    fn has_free_transfer(&self, node: usize) -> bool {
        u32::from(self.node_transfers[node]) < self.rules.limits.transfers_per_node
    }
}
