//! How nodes failed, as the chances of a scenario's fault rules.

use crate::scenario::FaultRules;
use crate::snapshot::Snapshot;
use crate::state::cluster::Health;
use std::collections::HashMap;

/// Changes of health, counted from tick to tick.
#[derive(Debug, Default)]
pub(super) struct Faults {
    /// Ticks of healthy and of degraded nodes that were followed by another tick.
    healthy: u32,
    degraded: u32,
    /// Healthy nodes that degraded (or failed without warning: the world lets them degrade first),
    /// and that began to drain.
    degrades: u32,
    drains: u32,
    /// Degraded nodes that failed, and that recovered.
    fails: u32,
    recovers: u32,
    /// What draining nodes said of the ticks that they had left, when they began to drain.
    deadlines: Vec<u32>,
    /// Ticks for which nodes were failed that failed and came back.
    repairs: Vec<u32>,
    /// Ticks of nodes that were not healthy.
    pub(super) unhealthy: u32,
}

impl Faults {
    /// Counts over snapshots, one per tick.
    pub(super) fn count(ticks: &[&Snapshot]) -> Self {
        let mut faults = Self::default();
        // Each node's health in the tick before, and since when it has been failed.
        let mut before: HashMap<&str, (Health, Option<u32>)> = HashMap::new();
        for (tick, snapshot) in (0..).zip(ticks) {
            let mut now = HashMap::new();
            for node in &snapshot.nodes {
                faults.unhealthy += u32::from(node.health != Health::Healthy);
                let known = before.get(node.name.as_str()).copied();
                let since = match (known, node.health) {
                    (Some((Health::Failed, since)), Health::Failed) => since,
                    (Some(_), Health::Failed) => Some(tick),
                    _ => None,
                };
                if let Some((health, failed_since)) = known {
                    faults.step(health, node.health);
                    if node.health == Health::Draining && health != Health::Draining {
                        faults.deadlines.push(node.deadline_ticks);
                    }
                    if let Some(since) = failed_since.filter(|_| node.health != Health::Failed) {
                        faults.repairs.push(tick - since);
                    }
                }
                now.insert(node.name.as_str(), (node.health, since));
            }
            before = now;
        }
        faults
    }

    fn step(&mut self, from: Health, to: Health) {
        match from {
            Health::Healthy => self.healthy += 1,
            Health::Degraded => self.degraded += 1,
            Health::Draining | Health::Failed => {}
        }
        match (from, to) {
            (Health::Healthy, Health::Degraded | Health::Failed) => self.degrades += 1,
            (Health::Healthy, Health::Draining) => self.drains += 1,
            (Health::Degraded, Health::Failed) => self.fails += 1,
            (Health::Degraded, Health::Healthy) => self.recovers += 1,
            _ => {}
        }
    }

    /// The chances that were seen; what was not seen is as in `known`.
    pub(super) fn rules(&self, known: FaultRules) -> FaultRules {
        let chance = |count: u32, of: u32| (count as f32 / of.max(1) as f32).min(1.0);
        let [degrade_per_tick, drain_per_tick] =
            [self.degrades, self.drains].map(|count| chance(count, self.healthy));
        let mut rules = FaultRules { degrade_per_tick, drain_per_tick, ..known };
        if self.degraded > 0 {
            rules.hazard_per_tick = chance(self.fails, self.degraded);
            rules.recover_per_tick = chance(self.recovers, self.degraded);
        }
        if !self.deadlines.is_empty() {
            let sum: u64 = self.deadlines.iter().map(|&ticks| u64::from(ticks)).sum();
            rules.drain_ticks = ((sum / self.deadlines.len() as u64) as u32).clamp(1, 1_000_000);
        }
        if let (Some(least), Some(most)) = (self.repairs.iter().min(), self.repairs.iter().max()) {
            rules.repair_ticks = [*least, *most];
        }
        rules
    }
}
