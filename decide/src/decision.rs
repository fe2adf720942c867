//! What is told about a decision: the document that `decide`, `stream` and `serve` give.

use std::time::Instant;

use godwit_models::plan::{Plan, StopReason};
use godwit_models::policy::Thought;
use godwit_models::shell::{LeftOut, Refusal, Stays};
use schemars::JsonSchema;
use serde::Serialize;

use super::case::Case;
use super::engine::{Engine, EngineError, PlanLimits, Planned};
use super::findings::Findings;
use super::loaded::{ArtifactName, Loaded};
use super::safety::{Moment, Safety};
use super::timing::{Timing, micros};

/// Name and version of the document.
const DECISION_FORMAT: &str = "godwit-plan/1";

/// What `decide` prints.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Decision {
    /// Always `godwit-plan/1`.
    pub format: &'static str,
    /// Which policy decided.
    pub artifact: ArtifactName,
    /// The snapshot's tick, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tick: Option<u64>,
    /// Why the plan ends where it ends, or why it moves nothing; `plan.stop_reason` in a sentence.
    pub reason: &'static str,
    /// Why the policy was not asked, if the operator's limits forbid it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Refusal>,
    /// How many nodes and workloads the operator's limits leave out from the start, if any.
    #[serde(skip_serializing_if = "LeftOut::is_none")]
    pub left_out: LeftOut,
    /// Whose plan it is, where the policy's was compared with others.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Thought")]
    pub thought: Option<Thought>,
    /// The migrations in order.
    pub plan: Plan,
    /// Why the workloads that are not among them stay where they are.
    pub stays: Stays,
    /// What is broken in the snapshot, what looks wrong, and which moves had to be made.
    #[serde(flatten)]
    pub findings: Findings,
    /// Where the time went.
    pub timing_us: Timing,
}

impl Decision {
    /// The engine's decision about a case that took `snapshot_us` to read, counted from `started`.
    ///
    /// # Errors
    /// When a decision takes too long, or the plan breaks a hard constraint or a limit.
    pub fn by(
        engine: &mut Engine,
        case: &Case,
        safety: &Safety,
        moment: &Moment,
        limits: PlanLimits,
        (started, snapshot_us): (Instant, u64),
    ) -> Result<Self, EngineError> {
        let planned = engine.plan(case, safety, moment, limits)?;
        let total = micros(started);
        let timing = Timing { snapshot: snapshot_us, total, ..Timing::default() };
        Ok(Self::new(engine.loaded(), case, planned, timing))
    }

    /// The document about this plan; of `timing_us` the stages of planning are filled in here.
    pub fn new(loaded: &Loaded, case: &Case, planned: Planned, timing_us: Timing) -> Self {
        Self {
            format: DECISION_FORMAT,
            artifact: loaded.name.clone(),
            tick: case.snapshot.tick,
            reason: explain(planned.plan.stop_reason),
            refusal: planned.refusal,
            left_out: planned.left_out,
            thought: planned.thought,
            plan: planned.plan,
            stays: planned.stays,
            findings: planned.findings,
            timing_us: Timing {
                plan: planned.plan_us,
                guard: planned.guard_us,
                stays: planned.stays_us,
                ..timing_us
            },
        }
    }
}

/// The reason in a sentence.
fn explain(reason: StopReason) -> &'static str {
    match reason {
        StopReason::PolicyStays => {
            "the policy values staying above every migration that it was offered"
        }
        StopReason::NoFeasibleMove => {
            "no migration is feasible: capacity, class, anti-affinity, cooldown or transfer limits \
             forbid each"
        }
        StopReason::BudgetSpent => "the move budget is spent",
        StopReason::MaxMoves => "as many migrations as were asked for",
        StopReason::Deadline => "the deadline has passed",
        StopReason::OutOfTime => {
            "the next migration could not start before the tick, its lifetime or the open window \
             ends"
        }
        StopReason::InfeasibleChoice => "the policy chose a migration that is not allowed",
        StopReason::NoGain => {
            "no migrations that the policy chose improve the objective by more than they cost"
        }
        StopReason::GainBelowThreshold => {
            "the migrations that the policy chose improve the objective by less than is asked for"
        }
        StopReason::Refused => {
            "the operator's limits allow no decision about this snapshot, or none now"
        }
        StopReason::Halted => "migrations are halted until someone resumes them",
    }
}
