//! What is told of a snapshot besides its plan: what is broken in it, what looks wrong, and which
//! moves had to be made.

use std::collections::BTreeMap;

use godwit_envs::observe::ranges::Unfamiliar;
use godwit_models::plan::{Plan, ReasonCode};
use godwit_models::shell::ShellRules;
use schemars::JsonSchema;
use serde::Serialize;

use super::case::Case;
use super::violations::{InputViolation, Violations};
use super::warnings::{Warning, WarningCode, Warnings};

/// Fields of every answer.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub struct Findings {
    /// Moves of the plan that leave nodes in trouble, or mend rules that are broken in the
    /// snapshot; most of them were made before the policy was asked.
    pub duties: Duties,
    /// What is broken in the snapshot; of each kind the first 20.
    pub violations: Vec<InputViolation>,
    /// How many violations there are, by kind; absent if there are none.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, u32>")]
    pub violation_counts: BTreeMap<&'static str, u32>,
    /// What looks wrong; the first 20.
    pub warnings: Vec<Warning>,
    /// How many warnings there are beyond those; absent if there are none.
    #[serde(skip_serializing_if = "is_zero")]
    pub warnings_omitted: u32,
}

/// How many moves of a plan have to be made whatever they cost, by their reasons.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Duties {
    /// They leave draining, degraded or failed nodes for healthy ones.
    pub evacuates: u32,
    /// They mend broken rules.
    pub repairs: u32,
}

/// What is known of the way that a plan was made.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances<'a> {
    /// The operator's limits.
    pub limits: &'a ShellRules,
    /// The time, seconds since 1970.
    pub now_s: f64,
    /// Whether the policy saw the nodes' health; `None` where nobody was asked.
    pub sees_health: Option<bool>,
    /// What the policy was trained on nothing like.
    pub unfamiliar: &'a [Unfamiliar],
}

impl Findings {
    /// What there is to say. Without circumstances nothing is said that depends on them.
    pub fn of(case: &Case, plan: &Plan, made: Option<Circumstances<'_>>) -> Self {
        let Case { state, snapshot } = case;
        let Violations { counts, listed } =
            Violations::of(snapshot, state, made.map(|made| made.limits));
        let mut warnings = Warnings::default();
        if let Some(made) = made {
            // First, as others may fill the list.
            warnings.about_training(made.unfamiliar);
            warnings.about_limits(snapshot, made.limits);
        }
        warnings.about_time(snapshot, made.map(|made| made.now_s));
        if let Some(sees_health) = made.and_then(|made| made.sees_health) {
            warnings.about_health(state, sees_health);
            warnings.about_plan(state, plan);
        }
        warnings.about_pending(state);
        // Last, as there may be one for each workload.
        warnings.about_amounts(snapshot, state);
        let count = |reason| plan.moves.iter().filter(|m| m.reason == reason).count() as u32;
        Self {
            duties: Duties {
                evacuates: count(ReasonCode::Evacuates),
                repairs: count(ReasonCode::Repairs),
            },
            violations: listed,
            violation_counts: counts,
            warnings: warnings.listed,
            warnings_omitted: warnings.omitted,
        }
    }

    /// Whether the cluster is far outside of what the policy was trained on.
    pub fn is_outside_training(&self) -> bool {
        self.warnings.iter().any(|warning| warning.code == WarningCode::OutsideTraining)
    }
}

fn is_zero(count: &u32) -> bool {
    *count == 0
}
