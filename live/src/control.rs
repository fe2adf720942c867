//! What others ask of the loop, and what it shows them.

use std::sync::{Arc, Mutex, PoisonError};

use godwit_decide::decision::Decision;
use godwit_envs::snapshot::Snapshot;
use serde::Serialize;

use crate::cluster::Promises;
use crate::config::Mode;
use crate::ledger::Ledger;

/// Something that is asked of the loop; it is done within a turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// No more moves begin. Those under way go on.
    Halt(String),
    /// Moves may begin again.
    Resume(String),
    /// A move is given up: it never begins, or the cluster is asked to cancel it.
    Abort {
        /// The order.
        order: String,
        /// Who asks.
        by: String,
    },
}

/// What the loop shows of itself, as of its last turn.
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    /// When, seconds since 1970.
    pub at_s: f64,
    /// What is done with decisions.
    pub mode: Mode,
    /// What a move promises; absent where the cluster can only be looked at.
    pub promises: Option<Promises>,
    /// When the cluster was last seen, seconds since 1970.
    pub seen_at_s: Option<f64>,
    /// Why it cannot be seen, if it cannot.
    pub unseen: Option<String>,
    /// What of it no snapshot can say.
    pub notes: Vec<String>,
    /// The cluster as it was last seen.
    pub snapshot: Option<Arc<Snapshot>>,
    /// The last decision, carried out or not.
    pub decision: Option<Arc<Decision>>,
    /// What is known of decisions and moves.
    pub ledger: Ledger,
}

/// Between the loop and whoever watches it.
#[derive(Debug, Default)]
pub struct Control {
    requests: Mutex<Vec<Request>>,
    status: Mutex<Option<Arc<Status>>>,
}

impl Control {
    /// Asks the loop for something.
    pub fn ask(&self, request: Request) {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).push(request);
    }

    /// What was asked for since the last time.
    pub fn requests(&self) -> Vec<Request> {
        std::mem::take(&mut *self.requests.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Shows this from now on.
    pub fn show(&self, status: Status) {
        let status = Some(Arc::new(status));
        *self.status.lock().unwrap_or_else(PoisonError::into_inner) = status;
    }

    /// What is shown; nothing before the first turn.
    pub fn status(&self) -> Option<Arc<Status>> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
