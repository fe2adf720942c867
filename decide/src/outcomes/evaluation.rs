//! What came of the moves of a plan, as it is told and put down.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::drift::Standing;

/// What became of a move.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MoveStatus {
    /// It was carried out.
    #[default]
    Done,
    /// It was begun, and the workload is back where it was.
    Failed,
    /// It was given up before it began.
    Cancelled,
    /// It was begun, and given up as it took too long.
    TimedOut,
}

impl MoveStatus {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Done, Self::Failed, Self::Cancelled, Self::TimedOut];

    /// The name in documents and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::TimedOut => "timed_out",
        }
    }
}

/// What a plan came to.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Evaluation {
    /// The decision.
    pub id: String,
    /// Who planned.
    pub planner: String,
    /// Moves of the plan.
    pub moves: usize,
    /// Moves that were carried out and whose workload is still where it went.
    pub evaluated: usize,
    /// Moves that failed, were cancelled or timed out: they gain nothing.
    pub not_made: usize,
    /// Moves of both kinds that brought, or were to bring, a workload back to a node that it had left
    /// a short while ago.
    pub returns: usize,
    /// Predicted gain of both, costs not taken off.
    pub predicted_gain: f32,
    /// What they gain given the demand that came: the objective of the snapshot with these moves
    /// undone, minus the objective of the snapshot.
    pub realised_gain: f32,
    /// Cost of the moves that were begun.
    pub cost: f32,
    /// What they gain held over the payback time, by the demand that the snapshot forecasts, less the
    /// cost.
    pub net_gain: f32,
    /// Lengths of the transfers that were measured, together.
    pub transfer_s: Measured,
    /// Times without the workload that were measured, together.
    pub downtime_s: Measured,
    /// How the artifact that decides now stands; this plan counts if its policy made it.
    pub policy: Standing,
}

/// A sum over the moves of which it was measured, seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, JsonSchema)]
pub struct Measured {
    /// As the plan said.
    pub predicted: f32,
    /// As it was told.
    pub measured: f32,
}
