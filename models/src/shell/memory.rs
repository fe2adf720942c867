//! What was moved before, by name: workloads and nodes have other indices in each snapshot.

use super::rules::ShellRules;
use crate::plan::PlannedMove;
use godwit_envs::snapshot::Snapshot;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// Migrations that still matter: each workload's, with the tick and the node that it left.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    moves: HashMap<String, Vec<Departure>>,
    /// Tick of the latest migration.
    latest: u64,
}

/// A workload left a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Departure {
    tick: u64,
    source: String,
}

impl Memory {
    /// Keeps migrations that started in this tick, and forgets what no rule asks for any more.
    ///
    /// A tick before the latest one (the sender's clock was put back) counts as the latest: rests
    /// then last longer, not shorter.
    pub fn record(&mut self, rules: &ShellRules, tick: u64, moves: &[PlannedMove]) {
        self.latest = self.latest.max(tick);
        let oldest = self.latest.saturating_sub(span(rules));
        self.moves.retain(|_, departures| {
            departures.retain(|departure| departure.tick >= oldest);
            !departures.is_empty()
        });
        for planned in moves {
            let source = planned.source_name.clone();
            let departures = self.moves.entry(planned.workload_name.clone()).or_default();
            departures.push(Departure { tick: self.latest, source });
        }
    }

    /// Forgets a workload: another one of this name was never moved.
    pub fn forget(&mut self, workload: &str) {
        self.moves.remove(workload);
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.moves.is_empty()
    }

    /// What of it matters for plans about this snapshot.
    pub fn about(&self, snapshot: &Snapshot) -> Self {
        if self.is_empty() {
            return self.clone();
        }
        let known = |name: &String| self.moves.get_key_value(name);
        let moves = snapshot.workloads.iter().filter_map(|workload| known(&workload.name));
        let moves = moves.map(|(name, departures)| (name.clone(), departures.clone())).collect();
        Self { moves, latest: self.latest }
    }

    /// Ticks for which the workload still has to rest.
    pub fn rest(&self, rules: &ShellRules, tick: u64, workload: &str) -> u64 {
        let Some(backoff) = &rules.backoff else { return 0 };
        let since = self.latest.max(tick).saturating_sub(u64::from(backoff.forget_ticks));
        let departures = self.moves.get(workload).map_or(&[][..], Vec::as_slice);
        let counted = departures.iter().filter(|departure| departure.tick >= since).count();
        match departures.last() {
            Some(last) if counted > 0 => {
                let passed = self.latest.max(tick).saturating_sub(last.tick);
                backoff.rest(counted).saturating_sub(passed)
            }
            _ => 0,
        }
    }

    /// Nodes that the workload must not return to yet.
    pub fn left_by<'a>(
        &'a self,
        rules: &ShellRules,
        tick: u64,
        workload: &str,
    ) -> impl Iterator<Item = &'a str> {
        let (now, hold) = (self.latest.max(tick), u64::from(rules.hold_down_ticks));
        let departures = self.moves.get(workload).map_or(&[][..], Vec::as_slice);
        let held = departures.iter().filter(move |d| now.saturating_sub(d.tick) < hold);
        held.map(|departure| departure.source.as_str())
    }
}

/// Ticks for which a migration matters.
fn span(rules: &ShellRules) -> u64 {
    let backoff = rules.backoff.as_ref();
    let backoff = backoff.map_or(0, |backoff| backoff.forget_ticks.max(backoff.most_ticks));
    u64::from(backoff.max(rules.hold_down_ticks))
}
