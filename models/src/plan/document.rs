//! What a plan says: the part of a decision's document that is about migrations.

use godwit_envs::state::ClusterState;
use godwit_envs::state::objective::Objective;
use godwit_envs::state::term::{LEVEL_TERMS, Term};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What to migrate, in order, or why nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The migrations in order; waves ascend.
    pub moves: Vec<PlannedMove>,
    /// Number of waves.
    pub waves: u32,
    /// Why the plan ends where it ends.
    pub stop_reason: StopReason,
    /// Weighted level terms before the plan.
    pub objective_before: f32,
    /// Weighted level terms once every transfer of the plan is complete; costs not included.
    pub objective_after: f32,
    /// What the moves lower the weighted objective by, costs taken off: held over `payback_ticks` on
    /// the demand that the snapshot forecasts, or once in rebalance scenarios. Moves that have to be
    /// made whatever they cost, and the others of their chains, are left out. Never negative.
    #[serde(default)]
    pub worth: f32,
    /// Ticks within which the moves have to pay; absent in rebalance scenarios.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u32")]
    pub payback_ticks: Option<u32>,
    /// Moves of later ticks that the last moves of this one count on. The scorer proposes them first
    /// in the next ticks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub later: Vec<LaterMove>,
}

/// One migration of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlannedMove {
    /// Workload index in the snapshot.
    pub workload: usize,
    /// The workload's name.
    pub workload_name: String,
    /// Index of the node it leaves.
    pub source: usize,
    /// That node's name.
    pub source_name: String,
    /// Index of the node it goes to.
    pub destination: usize,
    /// That node's name.
    pub destination_name: String,
    /// Decrease of the weighted objective (per tick in online scenarios) once this transfer is
    /// complete, given the moves before it; the cost is not taken off. May be negative for a move
    /// that makes room for a later one.
    pub predicted_gain: f32,
    /// Change of each level term, not weighted.
    pub change: LevelChange,
    /// Weighted cost of the migration: traffic and downtime.
    pub cost: f32,
    /// Traffic, GiB.
    pub moved_gib: f32,
    /// Expected length of the transfer, seconds, as the world model prices it; of a cold restart, the
    /// time until the workload runs again.
    pub transfer_s: f32,
    /// Expected time in which the workload does not run, seconds.
    pub downtime_s: f32,
    /// Wave, from 0.
    pub wave: u32,
    /// Positions in the plan of the moves that have to be complete before this one may start: enough
    /// for whoever carries moves out one by one, in place of whole waves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<u32>,
    /// Earliest start, seconds after the snapshot: when the waves before it are complete, each as
    /// long as its longest transfer.
    pub earliest_start_s: f32,
    /// The move makes sense only if it starts before this, seconds after the snapshot: the end of the
    /// tick in online scenarios, of the move's lifetime or of the open window, whatever is first;
    /// absent where nothing limits it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "f32")]
    pub expires_s: Option<f32>,
    /// How it is carried out.
    #[serde(default)]
    pub method: Method,
    /// What it is good for.
    pub reason: ReasonCode,
}

/// A move of a later tick that moves of this one count on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LaterMove {
    /// The workload's name.
    pub workload_name: String,
    /// Name of the node it goes to.
    pub destination_name: String,
}

/// How a workload comes to another node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Its state is copied from the node that it leaves.
    #[default]
    Live,
    /// It is started anew: the node that it leaves has failed, and nothing is copied from it.
    ColdRestart,
}

/// Change of each level term; units as in [`Term`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LevelChange {
    /// See [`Term::MaxLoad`].
    pub max_load: f32,
    /// See [`Term::Imbalance`].
    pub imbalance: f32,
    /// See [`Term::Overload`].
    pub overload: f32,
    /// See [`Term::Fragmentation`].
    pub fragmentation: f32,
    /// See [`Term::Own`]: the weighted sum of the scenario's own terms.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub own: f32,
    /// See [`Term::MachineReassignment`].
    #[serde(default, skip_serializing_if = "is_zero")]
    pub machine_reassignment: f32,
}

/// The weighted term that a move improves most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReasonCode {
    /// Mostly lowers the highest load.
    LowersMaxLoad,
    /// Mostly evens the loads out.
    LowersImbalance,
    /// Mostly takes demand off nodes that have too little supply.
    LowersOverload,
    /// Mostly completes deployable slots.
    LowersFragmentation,
    /// Mostly lowers the scenario's own terms.
    LowersOwn,
    /// Mostly lowers the cost of the machine-reassignment problem.
    LowersMachineReassignment,
    /// Improves no weighted term now, but at a forecast horizon.
    AheadOfDemand,
    /// Improves no weighted term by itself: a later move of the plan needs it.
    MakesRoom,
    /// Leaves a node that drains, is degraded or has failed, whatever it costs.
    Evacuates,
    /// Mends a constraint that the snapshot breaks, whatever it costs.
    Repairs,
    /// Worth its costs together with the moves of later ticks that the plan names.
    BeginsChain,
    /// A stop on the way, for want of room: the workload goes on later in the plan.
    Parks,
}

impl Method {
    /// How a workload leaves this node.
    pub fn of(state: &ClusterState, source: usize) -> Self {
        if state.restarts_from(source) { Self::ColdRestart } else { Self::Live }
    }
}

impl LevelChange {
    pub(super) fn new(change: &[f32; LEVEL_TERMS]) -> Self {
        let of = |term: Term| change[term as usize];
        Self {
            max_load: of(Term::MaxLoad),
            imbalance: of(Term::Imbalance),
            overload: of(Term::Overload),
            fragmentation: of(Term::Fragmentation),
            own: of(Term::Own),
            machine_reassignment: of(Term::MachineReassignment),
        }
    }
}

impl ReasonCode {
    /// The reason of a move that changes the level terms like this.
    pub(super) fn of(objective: &Objective, change: &[f32; LEVEL_TERMS]) -> Self {
        let codes = [
            (Term::MaxLoad, Self::LowersMaxLoad),
            (Term::Imbalance, Self::LowersImbalance),
            (Term::Overload, Self::LowersOverload),
            (Term::Fragmentation, Self::LowersFragmentation),
            (Term::Own, Self::LowersOwn),
            (Term::MachineReassignment, Self::LowersMachineReassignment),
        ];
        // A change below this is rounding.
        let (mut most, mut code) = (1e-5, Self::MakesRoom);
        for (term, candidate) in codes {
            let gain = -objective.weights[term as usize] * change[term as usize];
            if gain > most {
                (most, code) = (gain, candidate);
            }
        }
        code
    }
}

/// Why a plan ends where it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// The policy prefers to move nothing more.
    PolicyStays,
    /// No migration is feasible any more.
    NoFeasibleMove,
    /// The scenario's budget (of the episode, or of this tick) is spent.
    BudgetSpent,
    /// As many moves as the caller asked for.
    MaxMoves,
    /// Time is up.
    Deadline,
    /// The next migration could start only when it has expired ([`PlannedMove::expires_s`]).
    OutOfTime,
    /// The policy chose a migration that is not allowed.
    InfeasibleChoice,
    /// What the policy chose further is not worth what it costs within the payback time.
    NoGain,
    /// The policy's moves are worth less than the operator asks for.
    GainBelowThreshold,
    /// Someone has halted all migrations; the policy was not asked.
    Halted,
    /// The snapshot is too doubtful, or the time is not right; the policy was not asked.
    Refused,
}

fn is_zero(x: &f32) -> bool {
    *x == 0.0
}
