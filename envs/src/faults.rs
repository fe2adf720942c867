//! When nodes degrade, drain, fail and come back: drawn before the episode starts, so that it
//! cannot depend on what a policy does.

use crate::cluster::Health;
use crate::rng::Rng;
use rand::RngExt;
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
}

/// A change of a node's health at the start of a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HealthChange {
    /// Tick at whose start it happens, 1 or more.
    pub tick: u32,
    /// Node index.
    pub node: u32,
    /// The new health.
    pub health: Health,
    /// Tick at whose start a draining node fails.
    pub deadline: u32,
}

impl FaultRules {
    /// Draws all changes of an episode, by tick and then by node. Nodes start healthy.
    pub fn draw(&self, nodes: usize, ticks: u32, rng: &mut Rng) -> Vec<HealthChange> {
        let mut changes = Vec::new();
        let mut health = vec![Health::Healthy; nodes];
        // Tick at which a draining node fails, or a failed one is repaired.
        let mut due = vec![0; nodes];
        for tick in 1..=ticks {
            for node in 0..nodes {
                // One number for each node and tick, used or not: what happens to one node does
                // not shift what another draws.
                let (chance, length) = (rng.random::<f32>(), rng.random::<f32>());
                let [least, most] = self.repair_ticks;
                let repair = least + ((most - least + 1) as f32 * length) as u32;
                let next = match health[node] {
                    Health::Healthy if chance < self.degrade_per_tick => Health::Degraded,
                    Health::Healthy if chance < self.degrade_per_tick + self.drain_per_tick => {
                        due[node] = tick + self.drain_ticks;
                        Health::Draining
                    }
                    Health::Degraded if chance < self.hazard_per_tick => Health::Failed,
                    Health::Degraded if chance < self.hazard_per_tick + self.recover_per_tick => {
                        Health::Healthy
                    }
                    Health::Draining if tick >= due[node] => Health::Failed,
                    Health::Failed if tick >= due[node] => Health::Healthy,
                    same => same,
                };
                if next == health[node] {
                    continue;
                }
                if next == Health::Failed {
                    due[node] = tick + repair.min(most).max(1);
                }
                health[node] = next;
                let deadline = if next == Health::Draining { due[node] } else { 0 };
                changes.push(HealthChange { tick, node: node as u32, health: next, deadline });
            }
        }
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::stream;

    #[test]
    fn a_draining_node_fails_at_its_deadline_and_returns_after_the_repair() {
        let rules = FaultRules {
            drain_per_tick: 1.0,
            drain_ticks: 3,
            repair_ticks: [2, 2],
            ..FaultRules::default()
        };
        let changes = rules.draw(1, 8, &mut stream(1, "faults"));
        let expected = [
            (1, Health::Draining, 4),
            (4, Health::Failed, 0),
            (6, Health::Healthy, 0),
            (7, Health::Draining, 10),
        ];
        let found: Vec<_> = changes.iter().map(|c| (c.tick, c.health, c.deadline)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn degraded_nodes_fail_as_often_as_their_hazard_says() {
        let rules = FaultRules {
            degrade_per_tick: 1.0,
            hazard_per_tick: 0.1,
            recover_per_tick: 0.0,
            repair_ticks: [1, 1],
            ..FaultRules::default()
        };
        let changes = rules.draw(1, 100_000, &mut stream(2, "faults"));
        // A cycle is one tick healthy, 10 degraded on average, one failed: the node degrades in
        // its first healthy tick, and the repair takes one.
        let failures = changes.iter().filter(|c| c.health == Health::Failed).count() as f32;
        let expected = 100_000.0 / 12.0;
        assert!((failures / expected - 1.0).abs() < 0.05, "{failures} against {expected}");
    }

    #[test]
    fn what_one_node_draws_does_not_depend_on_the_episodes_length() {
        let rules = FaultRules { degrade_per_tick: 0.1, ..FaultRules::default() };
        let short = rules.draw(5, 50, &mut stream(3, "faults"));
        let long = rules.draw(5, 90, &mut stream(3, "faults"));
        assert!(!short.is_empty());
        assert_eq!(short[..], long[..short.len()]);
    }
}
