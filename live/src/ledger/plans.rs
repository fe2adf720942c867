//! Plans that are carried out, and what they came to.

use godwit_models::plan::Plan;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A plan that is going to be carried out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Decided {
    /// Its id, unique for ever.
    pub id: String,
    /// Whose plan it is.
    pub planner: String,
    /// Tick of its snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tick: Option<u64>,
    /// When its snapshot was taken, seconds since 1970.
    pub taken_at_s: f64,
    /// The moves.
    pub plan: Plan,
    /// Positions of moves that bring a workload back to a node that it left a short while ago.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub returning: Vec<usize>,
}

/// What a plan came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Assessed {
    /// The decision.
    pub id: String,
    /// Whose plan it was.
    pub planner: String,
    /// Moves of the plan.
    pub moves: usize,
    /// Moves that were carried out and whose workload is still where it went.
    pub made: usize,
    /// Gain that was predicted of all that were begun, costs not taken off.
    pub predicted_gain: f32,
    /// What those that were made gain, given the demand that came.
    pub realised_gain: f32,
    /// Cost of the moves that were begun.
    pub cost: f32,
    /// The realised gain held over the payback time, by the demand that is forecast then, less the
    /// cost.
    pub net_gain: f32,
    /// Whether the policy is demoted from now on.
    pub demoted: bool,
}
