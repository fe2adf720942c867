//! What the journal says, one record a line. Everything that is known of decisions and moves follows
//! from these records in their order.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::calibration::Finding;
use super::known::Ledger;
use super::moves::{Outcome, Why};
use super::plans::{Assessed, Decided};
use crate::cluster::{Figures, Handle};

/// One record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Record {
    /// When, in seconds since 1970 (UTC).
    pub at_s: f64,
    /// What.
    #[serde(flatten)]
    pub event: Event,
}

/// What happened, or is about to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// All that is known when a file of the journal is begun; its first record.
    Begin {
        /// Always `godwit-journal/1`.
        format: String,
        /// What is known.
        ledger: Box<Ledger>,
    },
    /// A plan that is going to be carried out.
    Decided(Decided),
    /// The cluster is about to be asked for this move. On the disk before it is.
    Intended {
        /// The order.
        order: String,
    },
    /// It was asked for and did not begin, and will be asked for again.
    NotStarted {
        /// The order.
        order: String,
        /// Why.
        reason: String,
        /// When it will be asked for again, seconds since 1970.
        again_at_s: f64,
    },
    /// It began.
    Started {
        /// The order.
        order: String,
        /// What the cluster calls it.
        handle: Handle,
    },
    /// How it is getting on. Not waited for until it is on the disk.
    Progressed {
        /// The order.
        order: String,
        /// Share of the work that is done, where that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        share: Option<f32>,
        /// Traffic so far, GiB, where that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        moved_gib: Option<f32>,
    },
    /// The cluster is about to be asked to give it up.
    GivingUp {
        /// The order.
        order: String,
        /// Why.
        why: Why,
    },
    /// It is over, as the cluster says.
    Ended {
        /// The order.
        order: String,
        /// How it ended.
        outcome: Outcome,
        /// Why, in a sentence.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        reason: String,
        /// What it took, as far as it was measured.
        #[serde(default)]
        measured: Figures,
    },
    /// What a plan came to; no more of it is open.
    Assessed(Assessed),
    /// What a move has taught about the cluster.
    Calibrated(Finding),
    /// A workload was moved by another hand.
    Foreign {
        /// Its name.
        workload: String,
        /// Where it was.
        source: String,
        /// Where it is.
        destination: String,
        /// Whether that undoes a move of ours.
        undoes: bool,
    },
    /// No more moves begin until someone resumes them.
    Halted {
        /// Why, or who asked for it.
        reason: String,
    },
    /// Moves may begin again.
    Resumed {
        /// Who asked for it.
        reason: String,
    },
    /// Something that a person should know.
    Alert {
        /// What.
        text: String,
    },
}

impl Event {
    /// Whether the journal has to be on the disk before anything else is done.
    pub fn must_be_kept(&self) -> bool {
        !matches!(self, Self::Progressed { .. })
    }
}
