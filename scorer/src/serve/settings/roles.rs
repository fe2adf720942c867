//! Who plans, who stands in, and what the answers mean.

use schemars::JsonSchema;
use serde::Serialize;

use crate::cli::serve_args::Choice;
use godwit_decide::outcomes::drift::Demotion;

/// What answers mean to whoever carries plans out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Plans are for reading: nobody should carry them out.
    DryRun,
    /// Plans are to be carried out.
    Active,
    /// Policy and baseline both plan; one of the two is returned.
    Shadow,
}

impl Mode {
    /// The name in documents and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::DryRun => "dry_run",
            Self::Active => "active",
            Self::Shadow => "shadow",
        }
    }
}

/// The two that plan in shadow mode.
#[derive(Debug, Clone)]
pub struct Shadow {
    /// Name of the baseline.
    pub baseline: String,
    /// Whose plan is returned.
    pub returned: Choice,
}

/// Who plans where the policy cannot be relied on, and when that is.
#[derive(Debug, Clone)]
pub struct Fallback {
    /// Name of the baseline.
    pub name: String,
    /// Whether that is so for clusters far outside of what the policy was trained on.
    pub outside_training: bool,
    /// When a policy that misses its gains is demoted.
    pub demotion: Demotion,
}

/// Why the fallback plans instead of the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FallbackReason {
    /// A decision took longer than `--decision-deadline-ms`.
    TooSlow,
    /// The policy's plan breaks a hard constraint or a limit of the operator's.
    PlanRefused,
    /// The policy has missed too much of the gains that it predicted.
    Demoted,
    /// The cluster is far outside of what the policy was trained on.
    OutsideTraining,
}

impl FallbackReason {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::TooSlow, Self::PlanRefused, Self::Demoted, Self::OutsideTraining];

    /// The name in documents and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::TooSlow => "too_slow",
            Self::PlanRefused => "plan_refused",
            Self::Demoted => "demoted",
            Self::OutsideTraining => "outside_training",
        }
    }
}
