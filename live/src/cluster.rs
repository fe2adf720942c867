//! What every kind of cluster offers: to look at it, and to move one workload of it.
//!
//! Calls block for as long as they take, and every kind bounds that by a time-out of its own: no
//! call may hang. Moves are watched by asking again and again; nothing is remembered between calls
//! that the cluster itself does not say or a [`Handle`] does not hold, so that another process can go
//! on after a crash.

use std::sync::Arc;
use std::time::Duration;

use godwit_envs::snapshot::Snapshot;
use godwit_models::plan::{Method, PlannedMove};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A cluster that can be looked at and acted upon.
pub struct Cluster {
    /// Where it is seen.
    pub source: Box<dyn Source>,
    /// What moves its workloads; absent where a cluster can only be looked at.
    pub executor: Option<Arc<dyn Executor>>,
}

/// Where a cluster is seen.
pub trait Source: Send {
    /// The cluster now, as a valid snapshot. A workload that is being transferred is shown on the
    /// node where it runs; transfers are left out, as whoever started them knows them.
    ///
    /// # Errors
    /// When the cluster cannot be seen, or what is seen makes no snapshot.
    fn look(&mut self) -> Result<Seen, CallError>;
}

/// What was seen of a cluster.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Its state.
    pub snapshot: Snapshot,
    /// What of it no snapshot can say, and what was left out, one sentence each.
    pub notes: Vec<String>,
}

/// Moves workloads of a cluster.
pub trait Executor: Send + Sync {
    /// What a move by these means promises, and what it does not.
    fn promises(&self) -> Promises;

    /// Begins a move, and does not wait for its end. Whoever calls has written down that he will.
    ///
    /// # Errors
    /// When it was not begun ([`CallError::Refused`], [`CallError::Later`]), or nobody knows
    /// ([`CallError::Unknown`]): then [`Executor::find`] tells.
    fn start(&self, order: &Order) -> Result<Handle, CallError>;

    /// How a move is getting on.
    ///
    /// # Errors
    /// When nobody can tell now; the move goes on all the same.
    fn watch(&self, order: &Order, handle: &Handle) -> Result<Progress, CallError>;

    /// Asks for a move to be given up: [`Executor::watch`] tells what came of it. A move that cannot
    /// be given up any more ends as it ends.
    ///
    /// # Errors
    /// When it was not asked for.
    fn cancel(&self, order: &Order, handle: &Handle) -> Result<(), CallError>;

    /// Where the workload of an order is, for whoever knows only that the order may have been begun.
    ///
    /// # Errors
    /// When nobody can tell now.
    fn find(&self, order: &Order) -> Result<Whereabouts, CallError>;
}

/// What a move promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Promises {
    /// The workload goes on from where it was: its state is copied. Otherwise it starts anew.
    pub state_is_kept: bool,
    /// The workload comes to the destination or stays. Otherwise the destination is only asked for.
    pub destination_is_kept: bool,
    /// A move under way can be given up, and the workload goes on at its source.
    pub can_be_cancelled: bool,
    /// Progress, traffic and downtime are measured.
    pub is_measured: bool,
}

/// One move to be made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Order {
    /// Unique for ever: the decision's id, `.` and the position in its plan. Letters, digits, `-` and
    /// `.`, at most 63 characters, so that clusters can name things after it.
    pub id: String,
    /// The workload's name.
    pub workload: String,
    /// Name of the node it leaves.
    pub source: String,
    /// Name of the node it goes to.
    pub destination: String,
    /// How it is carried out.
    pub method: Method,
    /// What is expected of it.
    pub predicted: Figures,
}

impl Order {
    /// The order of a decision's move at this position of its plan.
    pub fn of(decision: &str, at: usize, planned: &PlannedMove) -> Self {
        Self {
            id: format!("{decision}.{at}"),
            workload: planned.workload_name.clone(),
            source: planned.source_name.clone(),
            destination: planned.destination_name.clone(),
            method: planned.method,
            predicted: Figures {
                transfer_s: Some(planned.transfer_s),
                moved_gib: Some(planned.moved_gib),
                downtime_s: Some(planned.downtime_s),
            },
        }
    }
}

/// What a move takes: expected, or measured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Figures {
    /// Length of the transfer, seconds; of a restart, until the workload runs again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transfer_s: Option<f32>,
    /// Traffic, GiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved_gib: Option<f32>,
    /// Time in which the workload does not run, seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub downtime_s: Option<f32>,
}

/// What a cluster calls a move that was begun: whatever text its kind needs to find it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Handle(pub String);

/// How a move is getting on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Progress {
    /// It is under way.
    Running {
        /// Share of the work that is done, 0 to 1, where that is known.
        share: Option<f32>,
        /// Traffic so far, GiB, where that is known.
        moved_gib: Option<f32>,
    },
    /// The workload runs on the destination.
    Done(Figures),
    /// It came to another node than was asked for; the name.
    Elsewhere(String),
    /// The workload is on its source, as the move did not come about; the reason.
    Failed(String),
    /// The workload is on its source, as the move was given up.
    Cancelled,
    /// The workload runs nowhere; the reason. Only the end of the node that it was on brings this about.
    Lost(String),
}

/// Where a workload is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whereabouts {
    /// The move of the order is under way.
    UnderWay(Handle),
    /// It runs on this node, and no move of the order is under way.
    At(String),
    /// It runs nowhere.
    Nowhere,
}

/// Why a call to a cluster failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The cluster said no, and would say so again.
    #[error("{0}")]
    Refused(String),
    /// The cluster said: not now.
    #[error("{reason}")]
    Later {
        /// Why.
        reason: String,
        /// When to ask again, if it said so.
        after: Option<Duration>,
    },
    /// There was no answer, or one that nobody understands: the call may have taken effect.
    #[error("{0}")]
    Unknown(String),
}
