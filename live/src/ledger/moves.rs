//! A move from its decision to its end.

use godwit_models::plan::PlannedMove;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cluster::{Figures, Handle, Order};

/// A move of the plan that is being carried out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Move {
    /// What the cluster is asked for.
    pub order: Order,
    /// What was planned.
    pub planned: PlannedMove,
    /// It does not begin after this, seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at_s: Option<f64>,
    /// How far it is.
    pub stage: Stage,
}

/// How far a move is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "stage", rename_all = "snake_case")]
pub enum Stage {
    /// It has not begun.
    Waiting {
        /// It does not begin before this, seconds since 1970.
        not_before_s: f64,
        /// How often it was asked for in vain.
        tries: u32,
    },
    /// It is being asked for: whether it has begun is not known.
    Intended {
        /// Since when, seconds since 1970.
        since_s: f64,
        /// How often it was asked for in vain before.
        tries: u32,
    },
    /// It is under way.
    Running {
        /// What the cluster calls it.
        handle: Handle,
        /// Since when, seconds since 1970.
        since_s: f64,
        /// Share of the work that is done, where that is known.
        share: Option<f32>,
        /// Traffic so far, GiB, where that is known.
        moved_gib: Option<f32>,
        /// Why it is being given up, if it is, and since when.
        giving_up: Option<(Why, f64)>,
    },
    /// It is over.
    Ended {
        /// How.
        outcome: Outcome,
        /// Why, in a sentence.
        reason: String,
        /// When, seconds since 1970.
        at_s: f64,
        /// Whether it was begun.
        begun: bool,
        /// What it took, as far as it was measured.
        measured: Figures,
    },
}

/// How a move ended.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The workload runs on the destination.
    Succeeded,
    /// It came about in another way or not at all; the reason says what is where.
    Failed,
    /// It was given up, by a person or as the world had changed; the workload is on its source.
    Cancelled,
    /// It was given up as it took too long; the workload is on its source.
    TimedOut,
    /// It was never begun: its time was over, what it waited for did not come about, or the plan was
    /// given up.
    Superseded,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Succeeded, Self::Failed, Self::Cancelled, Self::TimedOut, Self::Superseded];

    /// The name in documents.
    pub fn name(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::TimedOut => "timed_out",
            Self::Superseded => "superseded",
        }
    }
}

/// Why a move under way is given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// It takes longer than its deadline.
    Deadline,
    /// The world has changed; how, in a sentence.
    WorldChanged(String),
    /// Someone asked for it; who, or through what.
    Asked(String),
}

impl Why {
    /// What a move comes to that was given up for this.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Deadline => Outcome::TimedOut,
            Self::WorldChanged(_) | Self::Asked(_) => Outcome::Cancelled,
        }
    }
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Deadline => f.write_str("it takes longer than its deadline"),
            Self::WorldChanged(what) => f.write_str(what),
            Self::Asked(who) => write!(f, "asked for by {who}"),
        }
    }
}

impl Move {
    /// Whether it is not over.
    pub fn is_open(&self) -> bool {
        !matches!(self.stage, Stage::Ended { .. })
    }

    /// Whether it has not begun.
    pub fn is_waiting(&self) -> bool {
        matches!(self.stage, Stage::Waiting { .. })
    }

    /// Whether the cluster is, or may be, carrying it out.
    pub fn is_under_way(&self) -> bool {
        matches!(self.stage, Stage::Intended { .. } | Stage::Running { .. })
    }

    /// Whether it ended, and ended well.
    pub fn has_succeeded(&self) -> bool {
        matches!(self.stage, Stage::Ended { outcome: Outcome::Succeeded, .. })
    }

    /// Whether it takes part in a move from or to this node.
    pub fn touches(&self, node: &str) -> bool {
        self.order.source == node || self.order.destination == node
    }
}
