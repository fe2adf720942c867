//! What happens when the clock advances: transfers run, nodes and workloads come and go, demand
//! changes.

use super::ClusterEnv;
use crate::env::{EpisodeEnd, Step};
use crate::state::cluster::Health;
use crate::state::event::{Event, EventKind};
use crate::state::term::{LEVEL_TERMS, TERMS, Term};
use std::sync::Arc;

impl ClusterEnv {
    /// Lets the tick pass; `terms` holds the flow terms of the move that ended it.
    pub(super) fn finish_tick(&mut self, mut terms: [f32; TERMS]) -> Step {
        let rules = Arc::clone(&self.template.rules);
        let held = self.run_transfers(rules.episode.tick_s);
        terms[..LEVEL_TERMS].copy_from_slice(&held);
        self.carry_out(EventKind::TickStarted);
        let luck = self.luck_with_failures();
        let changed = self.let_happen() | self.template.demand_changes();
        if self.template.demand_changes() {
            self.note_demand();
            self.load_demand();
        }
        if changed {
            self.state.rebuild();
        }
        terms[Term::DowntimeS as usize] += self.serve_queue();
        self.ended = self.state.tick >= rules.episode.ticks;
        self.refresh_list();
        Step {
            reward: -self.state.objective.value(&terms),
            luck,
            terms,
            elapsed_ticks: 1,
            end: self.ended.then_some(EpisodeEnd::Truncated),
        }
    }

    pub(super) fn run_transfers(&mut self, seconds: f32) -> [f32; LEVEL_TERMS] {
        let (tick, events) = (self.state.tick, &mut self.events);
        self.state.run_transfers_noting(seconds, |second, kind| {
            if let Some(events) = events {
                events.push(Event { tick, second, kind });
            }
        })
    }

    /// How much less the cold restarts of those who run on degraded nodes are about to cost than
    /// they were expected to, given each node's hazard; see [`Step::luck`].
    fn luck_with_failures(&self) -> f32 {
        let state = &self.state;
        let Some(faults) = &state.rules.faults else { return 0.0 };
        let price = state.objective.weights[Term::DowntimeS as usize] * faults.restart_s;
        let changes = &self.episode.health_changes;
        let first = changes.partition_point(|change| change.tick < state.tick);
        let fails = |node: usize| {
            changes[first..]
                .iter()
                .take_while(|change| change.tick == state.tick)
                .any(|change| change.node as usize == node && change.health == Health::Failed)
        };
        // A stated failure is no luck: it was never drawn.
        let drawn = |node: &usize| !self.template.is_scripted(*node, state.tick);
        let degraded =
            (0..state.spec.nodes()).filter(|&node| state.health[node] == Health::Degraded);
        degraded
            .filter(drawn)
            .map(|node| {
                let failures = f32::from(u8::from(fails(node)));
                price * state.priority_running_on(node) * (faults.hazard_per_tick - failures)
            })
            .sum()
    }

    /// Carries out what this tick brings, whatever the policy did: health changes, departures,
    /// arrivals. Returns whether anything happened.
    fn let_happen(&mut self) -> bool {
        let tick = self.state.tick;
        let changes = &self.episode.health_changes;
        let of_tick = changes.partition_point(|c| c.tick < tick)..changes.len();
        let mut pending = std::mem::take(&mut self.pending);
        let mut happened = false;
        for at in of_tick {
            let change = self.episode.health_changes[at];
            if change.tick != tick {
                break;
            }
            self.state.consequences(&change, &mut pending);
            pending.drain(..).for_each(|event| self.carry_out(event));
            happened = true;
        }
        let passages = &self.episode.passages.passages;
        let of_tick = passages.partition_point(|p| p.tick < tick)..passages.len();
        for at in of_tick {
            let passage = self.episode.passages.passages[at];
            if passage.tick != tick {
                break;
            }
            self.carry_out(self.state.passage(&passage));
            happened = true;
        }
        self.pending = pending;
        happened
    }

    /// Places who waits and fits, and returns the weighted downtime of cold restarts.
    pub(super) fn serve_queue(&mut self) -> f32 {
        let mut downtime = 0.0;
        let mut at = 0;
        while let Some(placed) = self.state.next_placed(&mut at) {
            if let EventKind::Placed { workload, restart: true, .. } = placed {
                let restart_s = self.template.rules.faults.as_ref().map_or(0.0, |f| f.restart_s);
                downtime += restart_s * self.state.spec.priority[workload as usize];
                self.restarts += 1;
            }
            self.carry_out(placed);
        }
        downtime
    }

    pub(super) fn carry_out(&mut self, event: EventKind) {
        self.state.carry_out(&event, &self.episode.demand);
        self.note(event);
    }

    pub(super) fn note(&mut self, kind: EventKind) {
        if let Some(events) = &mut self.events {
            events.push(Event { tick: self.state.tick, second: 0.0, kind });
        }
    }

    fn note_demand(&mut self) {
        if self.events.is_none() {
            return;
        }
        let tick = self.state.tick;
        for workload in 0..self.space.workloads as u32 {
            let factor = |tick: u32| self.episode.demand.factor(tick, workload as usize);
            let (before, factor) = (factor(tick - 1), factor(tick));
            if before != factor {
                self.note(EventKind::DemandChanged { workload, factor });
            }
        }
    }
}
