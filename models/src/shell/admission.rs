//! Whether anything at all is decided about a snapshot.

use crate::shell::rules::ShellRules;
use godwit_envs::snapshot::Snapshot;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Why nothing at all is decided about a snapshot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, thiserror::Error)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Refusal {
    /// Rules that look back or at the clock need times that the snapshot does not state.
    #[error("{field}: expected a value, as {rule} asks for it, got none")]
    NoTime {
        /// Field of the snapshot.
        field: String,
        /// Rule that needs it.
        rule: String,
    },
    /// The snapshot is too old.
    #[error("taken_at_s: expected a snapshot of at most {limit_s} s, got one of {age_s} s{}", ahead(*age_s))]
    Stale {
        /// Its age, seconds; negative for one from the future.
        age_s: f64,
        /// Oldest that is decided about, seconds.
        limit_s: f64,
    },
    /// Too few nodes have fresh metrics.
    #[error("nodes: expected fresh metrics of a share of at least {least}, got {share}")]
    FewFresh {
        /// Share of nodes with fresh metrics.
        share: f32,
        /// Least share.
        least: f32,
    },
    /// No maintenance window is open.
    #[error("windows: expected a time within one, got {time_s} s since 1970")]
    OutsideWindows {
        /// The snapshot's time, seconds since 1970.
        time_s: f64,
    },
}

/// What is wrong with a time that is ahead of the clock: by thousands of years, its unit.
fn ahead(age_s: f64) -> &'static str {
    match age_s {
        age_s if age_s < -1e10 => ", which looks like milliseconds",
        age_s if age_s < 0.0 => ", as some clock is wrong",
        _ => "",
    }
}

/// Whether anything may be decided.
pub(super) fn admit(rules: &ShellRules, snapshot: &Snapshot, now_s: f64) -> Result<(), Refusal> {
    let missing = |field: &str, rule: &str| Refusal::NoTime {
        field: field.to_owned(),
        rule: rule.to_owned(),
    };
    if snapshot.tick.is_none() {
        if rules.hold_down_ticks > 0 {
            return Err(missing("tick", "hold_down_ticks"));
        }
        if rules.backoff.is_some() {
            return Err(missing("tick", "backoff"));
        }
    }
    if let Some(limit_s) = rules.max_age_s {
        let taken = snapshot.taken_at_s.ok_or_else(|| missing("taken_at_s", "max_age_s"))?;
        // A snapshot from the future is as doubtful as an old one: some clock is wrong.
        let age_s = now_s - taken;
        if age_s.abs() > limit_s {
            return Err(Refusal::Stale { age_s, limit_s });
        }
    }
    if let Some(most) = rules.max_metrics_age_s {
        let fresh = snapshot.nodes.iter().filter(|node| node.metrics_age_s < most).count();
        let (share, least) = (fresh as f32 / snapshot.nodes.len() as f32, rules.min_fresh_share);
        if share < least {
            return Err(Refusal::FewFresh { share, least });
        }
    }
    if !rules.windows.is_empty() {
        let time_s = snapshot.taken_at_s.ok_or_else(|| missing("taken_at_s", "windows"))?;
        if !rules.windows.iter().any(|window| window.contains(time_s)) {
            return Err(Refusal::OutsideWindows { time_s });
        }
    }
    Ok(())
}
