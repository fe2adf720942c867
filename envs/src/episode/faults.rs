//! When nodes degrade, drain, fail and come back: drawn before the episode starts, so that it
//! cannot depend on what a policy does.

use crate::rng::Rng;
use crate::scenario::FaultRules;
use crate::state::cluster::Health;
use crate::state::dynamics::HealthChange;
use rand::RngExt;

/// A time in which it is stated what becomes of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outage {
    /// Node index.
    pub node: u32,
    /// Tick from which it drains; `off` where it does not.
    pub from: u32,
    /// Tick at whose start it fails.
    pub off: u32,
    /// Tick at whose start it is healthy again; `u32::MAX` for never.
    pub back: u32,
}

impl Outage {
    /// Whether it says what becomes of the node at the start of this tick.
    pub fn spans(&self, tick: u32) -> bool {
        (self.from..self.back).contains(&tick)
    }
}

impl FaultRules {
    /// Draws all changes of an episode, by tick and then by node. Nodes start healthy. `outages`, by
    /// node, overrule what is drawn.
    pub fn draw(
        &self,
        nodes: usize,
        ticks: u32,
        outages: &[Outage],
        rng: &mut Rng,
    ) -> Vec<HealthChange> {
        let mut changes = Vec::new();
        let mut health = vec![Health::Healthy; nodes];
        // Tick at which a draining node fails, or a failed one is repaired.
        let mut due = vec![0; nodes];
        let stated: Vec<&[Outage]> = (0..nodes as u32).map(|node| of_node(outages, node)).collect();
        for tick in 1..=ticks {
            for node in 0..nodes {
                // One number for each node and tick, used or not: what happens to one node does
                // not shift what another draws.
                let (chance, length) = (rng.random::<f32>(), rng.random::<f32>());
                let (was, was_due) = (health[node], due[node]);
                let is_broken = was == Health::Failed && tick < was_due;
                let (next, next_due) = match stated[node].iter().find(|outage| outage.spans(tick)) {
                    Some(outage) if tick >= outage.off => (Health::Failed, outage.back),
                    // There is nothing to drain yet.
                    Some(_) if is_broken => (was, was_due),
                    Some(outage) => (Health::Draining, outage.off),
                    None => self.next(was, was_due, tick, chance, length),
                };
                (health[node], due[node]) = (next, next_due);
                let deadline = if next == Health::Draining { next_due } else { 0 };
                if next != was || (deadline > 0 && next_due != was_due) {
                    changes.push(HealthChange { tick, node: node as u32, health: next, deadline });
                }
            }
        }
        changes
    }

    /// What a node becomes by chance at the start of a tick, and until when.
    fn next(&self, health: Health, due: u32, tick: u32, chance: f32, length: f32) -> (Health, u32) {
        let [least, most] = self.repair_ticks;
        let repair = least + ((most - least + 1) as f32 * length) as u32;
        let failed = (Health::Failed, tick + repair.min(most).max(1));
        match health {
            Health::Healthy if chance < self.degrade_per_tick => (Health::Degraded, due),
            Health::Healthy if chance < self.degrade_per_tick + self.drain_per_tick => {
                (Health::Draining, tick + self.drain_ticks)
            }
            Health::Degraded if chance < self.hazard_per_tick => failed,
            Health::Degraded if chance < self.hazard_per_tick + self.recover_per_tick => {
                (Health::Healthy, due)
            }
            Health::Draining if tick >= due => failed,
            Health::Failed if tick >= due => (Health::Healthy, due),
            same => (same, due),
        }
    }
}

/// The outages of one node, of outages by node.
fn of_node(outages: &[Outage], node: u32) -> &[Outage] {
    let from = outages.partition_point(|outage| outage.node < node);
    let to = outages.partition_point(|outage| outage.node <= node);
    &outages[from..to]
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
        let changes = rules.draw(1, 8, &[], &mut stream(1, "faults"));
        let expected = [
            (1, Health::Draining, 4),
            (4, Health::Failed, 0),
            (6, Health::Healthy, 0),
            (7, Health::Draining, 10),
        ];
        assert_eq!(told(&changes), expected);
    }

    fn told(changes: &[HealthChange]) -> Vec<(u32, Health, u32)> {
        changes.iter().map(|c| (c.tick, c.health, c.deadline)).collect()
    }

    #[test]
    fn an_outage_is_announced_as_a_drain_and_nothing_else_happens_where_nothing_is_drawn() {
        let outages = [
            Outage { node: 0, from: 7, off: 10, back: 14 },
            Outage { node: 0, from: 16, off: 16, back: u32::MAX },
        ];
        let changes = FaultRules::default().draw(2, 20, &outages, &mut stream(1, "faults"));
        let expected = [
            (7, Health::Draining, 10),
            (10, Health::Failed, 0),
            (14, Health::Healthy, 0),
            (16, Health::Failed, 0),
        ];
        assert_eq!(told(&changes), expected);
    }

    #[test]
    fn an_outage_waits_for_a_repair_and_overrules_another_drain() {
        // Drains in its first healthy tick, is switched off a tick later, and takes six to repair.
        let rules = FaultRules {
            drain_per_tick: 1.0,
            drain_ticks: 1,
            repair_ticks: [6, 6],
            ..FaultRules::default()
        };
        let draw = |rules: &FaultRules, from, off, back| {
            let outage = Outage { node: 0, from, off, back };
            told(&rules.draw(1, 16, &[outage], &mut stream(1, "faults")))
        };
        let broken = [
            (1, Health::Draining, 2),
            (2, Health::Failed, 0),
            (8, Health::Draining, 12),
            (12, Health::Failed, 0),
            (15, Health::Healthy, 0),
            (16, Health::Draining, 17),
        ];
        assert_eq!(draw(&rules, 5, 12, 15), broken);
        // The repair that was drawn would end at tick 8.
        let longer = [(1, Health::Draining, 2), (2, Health::Failed, 0), (16, Health::Healthy, 0)];
        assert_eq!(draw(&rules, 4, 4, 16), longer);
        let slow = FaultRules { drain_ticks: 20, ..rules };
        let postponed = [(1, Health::Draining, 21), (3, Health::Draining, 23)];
        assert_eq!(draw(&slow, 3, 23, 24), postponed);
    }

    #[test]
    fn outages_shift_nothing_that_is_drawn() {
        let rules = FaultRules {
            degrade_per_tick: 0.1,
            drain_per_tick: 0.1,
            drain_ticks: 2,
            repair_ticks: [1, 4],
            ..FaultRules::default()
        };
        let outages = [Outage { node: 1, from: 30, off: 34, back: 40 }];
        let [with, without] =
            [&outages[..], &[]].map(|outages| rules.draw(3, 80, outages, &mut stream(5, "faults")));
        let beside = |changes: &[HealthChange]| -> Vec<HealthChange> {
            changes.iter().filter(|c| c.node != 1 || c.tick < 30).copied().collect()
        };
        assert_eq!(beside(&with), beside(&without));
        assert_ne!(with, without);
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
        let changes = rules.draw(1, 100_000, &[], &mut stream(2, "faults"));
        // A cycle is one tick healthy, 10 degraded on average, one failed: the node degrades in
        // its first healthy tick, and the repair takes one.
        let failures = changes.iter().filter(|c| c.health == Health::Failed).count() as f32;
        let expected = 100_000.0 / 12.0;
        assert!((failures / expected - 1.0).abs() < 0.05, "{failures} against {expected}");
    }

    #[test]
    fn what_one_node_draws_does_not_depend_on_the_episodes_length() {
        let rules = FaultRules { degrade_per_tick: 0.1, ..FaultRules::default() };
        let short = rules.draw(5, 50, &[], &mut stream(3, "faults"));
        let long = rules.draw(5, 90, &[], &mut stream(3, "faults"));
        assert!(!short.is_empty());
        assert_eq!(short[..], long[..short.len()]);
    }
}
