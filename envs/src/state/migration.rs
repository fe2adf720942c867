//! What a migration costs in time and traffic.
//!
//! Live migration is the geometric pre-copy model (Clark et al., NSDI 2005; model as in Akoush et
//! al., MASCOTS 2010): round 0 copies the whole state of V GiB at bandwidth b, each later round
//! what was dirtied at rate d meanwhile. With r = d / b < 1 and n later rounds,
//! `moved = V (1 - r^(n+1)) / (1 - r)` and `downtime = V r^n / b + switch-over`: the last round
//! is the stop-and-copy one.

// Lanes are indexed in step across several arrays, which vectorises and reads like the formula.
#![allow(clippy::needless_range_loop)]

use crate::lanes::{LANES, Lanes};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How state is moved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MigrationMode {
    /// Pre-copy while the workload runs, then a short stop.
    #[default]
    Live,
    /// Stop, copy everything, start.
    StopAndCopy,
}

/// Parameters of the migration model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MigrationRules {
    /// How state is moved.
    pub mode: MigrationMode,
    /// Live: stop copying ahead once the rest takes no longer than this to copy, seconds.
    #[schemars(range(min = 0.0))]
    pub downtime_target_s: f32,
    /// Live: at most this many rounds after the first.
    #[schemars(range(max = 1_000))]
    pub max_rounds: u32,
    /// Fixed switch-over time, seconds.
    #[schemars(range(min = 0.0))]
    pub switch_over_s: f32,
}

impl Default for MigrationRules {
    fn default() -> Self {
        Self {
            mode: MigrationMode::Live,
            downtime_target_s: 0.3,
            max_rounds: 8,
            switch_over_s: 0.1,
        }
    }
}

/// Price of one migration.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct MigrationCost {
    /// Traffic, GiB.
    pub moved_gib: f32,
    /// From start to end, seconds; source and destination both hold the demand meanwhile.
    pub transfer_s: f32,
    /// Time in which the workload does not run, seconds.
    pub downtime_s: f32,
}

impl MigrationRules {
    /// Price of moving `state_gib` that is dirtied at `dirty_gib_s` over `bandwidth_gib_s`.
    pub fn cost(&self, state_gib: f32, dirty_gib_s: f32, bandwidth_gib_s: f32) -> MigrationCost {
        let b = bandwidth_gib_s.max(1e-6);
        let mut moved_gib = state_gib;
        let mut last_round = state_gib;
        if self.mode == MigrationMode::Live {
            // A workload that dirties state faster than the link copies it never converges: each
            // round then carries the whole state again until the round limit.
            let ratio = (dirty_gib_s / b).min(1.0);
            for _ in 0..self.max_rounds {
                if last_round / b <= self.downtime_target_s {
                    break;
                }
                last_round *= ratio;
                moved_gib += last_round;
            }
        }
        MigrationCost {
            moved_gib,
            transfer_s: moved_gib / b + self.switch_over_s,
            downtime_s: last_round / b + self.switch_over_s,
        }
    }
}

/// Prices of one workload's migrations to several destinations.
#[derive(Debug, Clone, Default)]
pub struct MigrationCostLanes {
    /// Traffic, GiB.
    pub moved_gib: Lanes,
    /// From start to end, seconds.
    pub transfer_s: Lanes,
    /// Time in which the workload does not run, seconds.
    pub downtime_s: Lanes,
}

impl MigrationRules {
    /// [`MigrationRules::cost`] for several bandwidths at once.
    #[inline(always)]
    pub fn cost_lanes(
        &self,
        state_gib: f32,
        dirty_gib_s: f32,
        bandwidth_gib_s: &Lanes,
        out: &mut MigrationCostLanes,
    ) {
        if bandwidth_gib_s.iter().all(|&b| b == bandwidth_gib_s[0]) {
            // Links are mostly alike: one price for all.
            let cost = self.cost(state_gib, dirty_gib_s, bandwidth_gib_s[0]);
            out.moved_gib = [cost.moved_gib; LANES];
            out.transfer_s = [cost.transfer_s; LANES];
            out.downtime_s = [cost.downtime_s; LANES];
            return;
        }
        let lanes = bandwidth_gib_s.len();
        let mut moved = [state_gib; LANES];
        let mut last = moved;
        if self.mode == MigrationMode::Live {
            let mut ratio = [0.0; LANES];
            for l in 0..lanes {
                ratio[l] = (dirty_gib_s / bandwidth_gib_s[l].max(1e-6)).min(1.0);
            }
            for _ in 0..self.max_rounds {
                let mut any = false;
                for l in 0..lanes {
                    let b = bandwidth_gib_s[l].max(1e-6);
                    let again = last[l] / b > self.downtime_target_s;
                    last[l] = if again { last[l] * ratio[l] } else { last[l] };
                    moved[l] = if again { moved[l] + last[l] } else { moved[l] };
                    any |= again;
                }
                if !any {
                    break;
                }
            }
        }
        for l in 0..lanes {
            let b = bandwidth_gib_s[l].max(1e-6);
            out.moved_gib[l] = moved[l];
            out.transfer_s[l] = moved[l] / b + self.switch_over_s;
            out.downtime_s[l] = last[l] / b + self.switch_over_s;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn live_migration_follows_the_geometric_model() {
        let rules = MigrationRules {
            downtime_target_s: 0.0,
            max_rounds: 2,
            switch_over_s: 0.5,
            ..MigrationRules::default()
        };
        // V = 8, b = 2, d = 1: r = 1/2, rounds 8 + 4 + 2 = 14 GiB, last round 2 GiB.
        let cost = rules.cost(8.0, 1.0, 2.0);
        assert_eq!(cost, MigrationCost { moved_gib: 14.0, transfer_s: 7.5, downtime_s: 1.5 });
    }

    #[test]
    fn live_migration_stops_once_the_rest_fits_the_downtime_target() {
        let rules = MigrationRules {
            downtime_target_s: 2.0,
            max_rounds: 9,
            switch_over_s: 0.0,
            ..MigrationRules::default()
        };
        // After one round 4 GiB are dirty, which takes 2 s: no further round.
        assert_eq!(
            rules.cost(8.0, 1.0, 2.0),
            MigrationCost { moved_gib: 12.0, transfer_s: 6.0, downtime_s: 2.0 }
        );
    }

    #[test]
    fn a_workload_that_dirties_faster_than_the_link_pays_every_round_in_full() {
        let rules = MigrationRules {
            downtime_target_s: 0.0,
            max_rounds: 3,
            switch_over_s: 0.0,
            ..MigrationRules::default()
        };
        assert_eq!(rules.cost(2.0, 5.0, 1.0).moved_gib, 8.0);
    }

    #[test]
    fn stop_and_copy_is_down_for_the_whole_transfer() {
        let rules = MigrationRules {
            mode: MigrationMode::StopAndCopy,
            switch_over_s: 0.25,
            ..MigrationRules::default()
        };
        assert_eq!(
            rules.cost(8.0, 1.0, 2.0),
            MigrationCost { moved_gib: 8.0, transfer_s: 4.25, downtime_s: 4.25 }
        );
    }
}
