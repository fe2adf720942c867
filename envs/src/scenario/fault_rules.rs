//! How nodes fail, as a scenario states it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How nodes fail. Each healthy node degrades or starts to drain with the stated chance per tick;
/// a degraded one fails or recovers; a draining one fails (is switched off) at its deadline; a
/// failed one is repaired after a uniformly drawn time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FaultRules {
    /// Chance per tick that a healthy node degrades, 0 to 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub degrade_per_tick: f32,
    /// Chance per tick that a degraded node fails: its hazard, 0 to 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub hazard_per_tick: f32,
    /// Chance per tick that a degraded node is healthy again, 0 to 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub recover_per_tick: f32,
    /// Chance per tick that a healthy node starts to drain, 0 to 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub drain_per_tick: f32,
    /// Ticks from the start of draining to the node's deadline.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub drain_ticks: u32,
    /// Least and most ticks until a failed node is repaired.
    #[schemars(inner(range(min = 1, max = 1_000_000)))]
    pub repair_ticks: [u32; 2],
    /// Seconds for which a displaced workload is down when it starts again, next to the time in
    /// which it had no node: its cold restart.
    #[schemars(range(min = 0.0))]
    pub restart_s: f32,
}

impl Default for FaultRules {
    fn default() -> Self {
        Self {
            degrade_per_tick: 0.0,
            hazard_per_tick: 0.05,
            recover_per_tick: 0.05,
            drain_per_tick: 0.0,
            drain_ticks: 12,
            repair_ticks: [12, 36],
            restart_s: Self::RESTART_S,
        }
    }
}

impl FaultRules {
    /// Seconds that a cold restart takes where rules say nothing of faults.
    pub const RESTART_S: f32 = 60.0;

    /// Whether a node ever degrades or drains by chance.
    pub fn happen(&self) -> bool {
        self.degrade_per_tick > 0.0 || self.drain_per_tick > 0.0
    }
}
