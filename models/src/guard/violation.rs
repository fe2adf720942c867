//! What can be wrong with a plan.

use crate::plan::Method;
use serde::Serialize;

/// A broken constraint. `at` is the position of the move in the plan.
#[derive(Debug, Clone, PartialEq, Serialize, thiserror::Error)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Violation {
    /// More moves than the budget allows.
    #[error("plan: expected at most {budget} moves, got {moves}")]
    Budget {
        /// Moves left in the state.
        budget: u32,
        /// Moves of the plan.
        moves: usize,
    },
    /// No such workload, or another name under this index.
    #[error("move {at}: expected a workload of the cluster, got {index} ({name:?})")]
    UnknownWorkload {
        /// Position in the plan.
        at: usize,
        /// Its workload index.
        index: usize,
        /// Its workload name.
        name: String,
    },
    /// No such node, or another name under this index.
    #[error("move {at}: expected a node of the cluster, got {index} ({name:?})")]
    UnknownNode {
        /// Position in the plan.
        at: usize,
        /// Its node index.
        index: usize,
        /// Its node name.
        name: String,
    },
    /// The workload is somewhere else when the wave starts.
    #[error("move {at}: expected source node {expected}, got {got}")]
    WrongSource {
        /// Position in the plan.
        at: usize,
        /// Where the workload is.
        expected: usize,
        /// Where the plan takes it from.
        got: usize,
    },
    /// Source and destination are the same.
    #[error("move {at}: expected another node than the source, got node {node} for both")]
    SameNode {
        /// Position in the plan.
        at: usize,
        /// The node.
        node: usize,
    },
    /// The wave is earlier than the one before it, or skips one.
    #[error("move {at}: expected wave {expected} or the next, got {got}")]
    WaveOrder {
        /// Position in the plan.
        at: usize,
        /// Wave of the move before it.
        expected: u32,
        /// Its wave.
        got: u32,
    },
    /// The workload moves twice within a wave.
    #[error("move {at}: expected workload {workload} once in wave {wave}, got it again")]
    Duplicate {
        /// Position in the plan.
        at: usize,
        /// The workload.
        workload: usize,
        /// The wave.
        wave: u32,
    },
    /// The workload is pinned.
    #[error("move {at}: expected a movable workload, got {workload}, which is pinned")]
    Pinned {
        /// Position in the plan.
        at: usize,
        /// The workload.
        workload: usize,
    },
    /// The workload's transfer is under way already.
    #[error("move {at}: expected a workload at rest, got {workload}, which is in transfer")]
    InTransfer {
        /// Position in the plan.
        at: usize,
        /// The workload.
        workload: usize,
    },
    /// The workload moved too recently.
    #[error("move {at}: expected a rested workload, got {workload} with {ticks} ticks to wait")]
    Cooldown {
        /// Position in the plan.
        at: usize,
        /// The workload.
        workload: usize,
        /// Ticks it still has to wait.
        ticks: u32,
    },
    /// The workload demands more of a resource than any node supplies.
    #[error("move {at}: expected a workload that some node could hold, got {workload}")]
    FitsNowhere {
        /// Position in the plan.
        at: usize,
        /// The workload.
        workload: usize,
    },
    /// The destination is draining or has failed.
    #[error("move {at}: expected a node that accepts workloads, got node {node}")]
    NodeClosed {
        /// Position in the plan.
        at: usize,
        /// The destination.
        node: usize,
    },
    /// The move is to be carried out in another way than its source allows: nothing can be copied
    /// from a node that has failed.
    #[error("move {at}: expected method {expected:?} from node {node}, got {got:?}")]
    Method {
        /// Position in the plan.
        at: usize,
        /// The node that the workload leaves.
        node: usize,
        /// How workloads leave it.
        expected: Method,
        /// How the plan wants it to.
        got: Method,
    },
    /// The destination's class is not among the workload's.
    #[error("move {at}: expected a node class that workload {workload} allows, got node {node}")]
    Class {
        /// Position in the plan.
        at: usize,
        /// The workload.
        workload: usize,
        /// The destination.
        node: usize,
    },
    /// The destination is not among the nodes that the workload may run on.
    #[error("move {at}: expected a node that workload {workload} may run on, got node {node}")]
    NodeSet {
        /// Position in the plan.
        at: usize,
        /// The workload.
        workload: usize,
        /// The destination.
        node: usize,
    },
    /// The destination would have more workloads than it may.
    #[error("move {at}: expected at most {limit} workloads on node {node}, got {count}")]
    WorkloadsPerNode {
        /// Position in the plan.
        at: usize,
        /// The destination.
        node: usize,
        /// The limit.
        limit: u32,
        /// How many it would have in transit.
        count: usize,
    },
    /// A zone would have too many members of the workload's spread group, compared with another.
    #[error(
        "move {at}: expected a zone with at most {max_skew} more members of the spread group of \
         workload {workload} than another, got {skew}"
    )]
    ZoneSpread {
        /// Position in the plan.
        at: usize,
        /// The workload.
        workload: usize,
        /// The limit.
        max_skew: u32,
        /// How many more there could be in transit.
        skew: usize,
    },
    /// A member of the workload's group that shares no zone is in the destination's.
    #[error(
        "move {at}: expected no group member of workload {workload} in the zone of node {node}, got \
         {other}"
    )]
    ZoneAntiAffinity {
        /// Position in the plan.
        at: usize,
        /// The workload.
        workload: usize,
        /// The destination.
        node: usize,
        /// The other member.
        other: usize,
    },
    /// A member of the workload's anti-affinity group is on the destination.
    #[error(
        "move {at}: expected no group member of workload {workload} on node {node}, got {other}"
    )]
    AntiAffinity {
        /// Position in the plan.
        at: usize,
        /// The workload.
        workload: usize,
        /// The destination.
        node: usize,
        /// The other member.
        other: usize,
    },
    /// The destination would hold more than its supply.
    #[error("move {at}: expected at most {supply} of {resource} on node {node}, got {held}")]
    Capacity {
        /// Position in the plan.
        at: usize,
        /// The destination.
        node: usize,
        /// Name of the resource kind.
        resource: String,
        /// What it would hold in transit, in the resource's unit.
        held: f32,
        /// What it has.
        supply: f32,
    },
    /// More constraints of the machine-reassignment problem are broken after the move than at the
    /// start.
    #[error("move {at}: expected an assignment that keeps every constraint, got {broken}")]
    MachineReassignment {
        /// Position in the plan.
        at: usize,
        /// The first constraint that is broken.
        broken: String,
    },
    /// A node takes part in more transfers than allowed.
    #[error("move {at}: expected at most {limit} transfers on node {node}, got {count}")]
    NodeTransfers {
        /// Position in the plan.
        at: usize,
        /// The node.
        node: usize,
        /// The limit.
        limit: u32,
        /// How many there would be.
        count: u32,
    },
    /// The waves before it take another time.
    #[error("move {at}: expected an earliest start after {expected_s} s, got {got_s} s")]
    Start {
        /// Position in the plan.
        at: usize,
        /// Longest transfers of the waves before it, together, seconds.
        expected_s: f64,
        /// When it may start, seconds after the snapshot.
        got_s: f32,
    },
    /// It could start only when it has expired.
    #[error("move {at}: expected a start before {expires_s} s, got {start_s} s")]
    Expired {
        /// Position in the plan.
        at: usize,
        /// When it expires, seconds after the snapshot.
        expires_s: f32,
        /// When it may start, seconds after the snapshot.
        start_s: f32,
    },
    /// It would expire only after the tick that the plan is for.
    #[error("move {at}: expected it to expire within the tick of {tick_s} s, got {expires_s:?}")]
    TickEnd {
        /// Position in the plan.
        at: usize,
        /// Length of a tick, seconds.
        tick_s: f32,
        /// When it expires, seconds after the snapshot.
        expires_s: Option<f32>,
    },
    /// More transfers in flight than allowed.
    #[error("move {at}: expected at most {limit} transfers in flight, got {count}")]
    TransfersInFlight {
        /// Position in the plan.
        at: usize,
        /// The limit.
        limit: u32,
        /// How many there would be.
        count: usize,
    },
}
