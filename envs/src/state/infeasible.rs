//! Why a migration is not allowed.

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
    /// The node is not among those that the workload may run on.
    #[error("the node is not among those that the workload may run on")]
    NodeSet,
    /// The node has all the workloads it may have.
    #[error("the node has as many workloads as it may have")]
    WorkloadsPerNode,
    /// A member of the workload's group is in that zone.
    #[error("a member of the same zone anti-affinity group is in that zone")]
    ZoneAntiAffinity,
    /// The zone would have too many members of the workload's group, compared with others.
    #[error("the group would be spread too unevenly over the zones")]
    ZoneSpread,
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
