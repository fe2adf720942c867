//! Hard constraints, checked on a finished plan.
//!
//! This is the last word before a plan leaves the scorer. It trusts neither the policy nor the
//! planner: it starts from the cluster's state, plays the waves one after the other with every
//! moved workload held on both of its nodes, and recounts everything in the plainest way.

mod places;
mod violation;

pub use violation::Violation;

use crate::plan::{Method, PlannedMove};
use godwit_envs::reassignment;
use godwit_envs::scenario::Mode;
use godwit_envs::state::ClusterState;
use godwit_envs::state::cluster::{Health, NO_GROUP};
use godwit_envs::state::outlook::fits;

/// Everything that is wrong with a plan's moves for a cluster in this state; empty if nothing is.
pub fn violations(state: &ClusterState, moves: &[PlannedMove]) -> Vec<Violation> {
    let mut found = Vec::new();
    if moves.len() > state.moves_left as usize {
        found.push(Violation::Budget { budget: state.moves_left, moves: moves.len() });
    }
    let mut replay = Replay {
        state,
        placement: state.placement.iter().map(|&node| node as usize).collect(),
        under_way: Vec::new(),
        rested_at: state.cooldown.iter().map(|&ticks| u32::from(ticks)).collect(),
        broken_before: 0,
        elapsed_s: 0.0,
        longest_s: 0.0,
    };
    replay.broken_before = replay.broken().len();
    let mut wave = 0_u32;
    for (at, planned) in moves.iter().enumerate() {
        if !(wave..=wave.saturating_add(u32::from(at > 0))).contains(&planned.wave) {
            found.push(Violation::WaveOrder { at, expected: wave, got: planned.wave });
        }
        if planned.wave != wave {
            wave = planned.wave;
            replay.end_wave();
        }
        replay.check_times(at, planned, &mut found);
        if replay.names_match(at, planned, &mut found) {
            replay.check(at, planned, &mut found);
            replay.under_way.push((planned.workload, planned.source, planned.destination));
            replay.check_reassignment(at, &mut found);
        }
    }
    found
}

struct Replay<'a> {
    state: &'a ClusterState,
    /// Node of each workload at the start of the wave.
    placement: Vec<usize>,
    /// Workload, source and destination of the wave's moves so far.
    under_way: Vec<(usize, usize, usize)>,
    /// Tick, counted from the plan's start, from which each workload may move.
    rested_at: Vec<u32>,
    /// Constraints of the machine-reassignment problem that are broken at the start.
    broken_before: usize,
    /// Longest transfers of the waves that have ended, together, seconds.
    elapsed_s: f64,
    /// Longest transfer of the wave so far, seconds.
    longest_s: f64,
}

impl Replay<'_> {
    fn end_wave(&mut self) {
        for (workload, _, destination) in self.under_way.drain(..) {
            self.placement[workload] = destination;
        }
        self.elapsed_s += std::mem::take(&mut self.longest_s);
    }

    fn check_times(&mut self, at: usize, planned: &PlannedMove, found: &mut Vec<Violation>) {
        let (expected_s, start_s) = (self.elapsed_s, planned.earliest_start_s);
        // Plans add up single precision, which drifts.
        if (f64::from(start_s) - expected_s).abs() > 1e-3 + 1e-5 * expected_s {
            found.push(Violation::Start { at, expected_s, got_s: start_s });
        }
        if let Some(expires_s) = planned.expires_s.filter(|&expires_s| start_s >= expires_s) {
            found.push(Violation::Expired { at, expires_s, start_s });
        }
        let (episode, expires_s) = (&self.state.rules.episode, planned.expires_s);
        let tick_s = episode.tick_s;
        if episode.mode == Mode::Online && expires_s.is_none_or(|expires_s| expires_s > tick_s) {
            found.push(Violation::TickEnd { at, tick_s, expires_s });
        }
        self.longest_s = self.longest_s.max(f64::from(planned.transfer_s));
    }

    fn names_match(&self, at: usize, planned: &PlannedMove, found: &mut Vec<Violation>) -> bool {
        let spec = &*self.state.spec;
        let before = found.len();
        if spec.workload_names.get(planned.workload) != Some(&planned.workload_name) {
            let (index, name) = (planned.workload, planned.workload_name.clone());
            found.push(Violation::UnknownWorkload { at, index, name });
        }
        for (index, name) in [
            (planned.source, &planned.source_name),
            (planned.destination, &planned.destination_name),
        ] {
            if spec.node_names.get(index) != Some(name) {
                found.push(Violation::UnknownNode { at, index, name: name.clone() });
            }
        }
        found.len() == before
    }

    fn check(&mut self, at: usize, planned: &PlannedMove, found: &mut Vec<Violation>) {
        let (state, spec) = (self.state, &*self.state.spec);
        let &PlannedMove { workload, source, destination: node, wave, .. } = planned;
        if self.placement[workload] != source {
            let expected = self.placement[workload];
            found.push(Violation::WrongSource { at, expected, got: source });
        }
        if source == node {
            found.push(Violation::SameNode { at, node });
        }
        if self.under_way.iter().any(|moved| moved.0 == workload) {
            found.push(Violation::Duplicate { at, workload, wave });
        }
        if !spec.movable[workload] {
            found.push(Violation::Pinned { at, workload });
        }
        if state.transfers.iter().any(|transfer| transfer.workload as usize == workload) {
            found.push(Violation::InTransfer { at, workload });
        }
        if state.is_misfit(workload) {
            found.push(Violation::FitsNowhere { at, workload });
        }
        if !state.is_open(node) {
            found.push(Violation::NodeClosed { at, node });
        }
        let (expected, got) = (Method::of(state, source), planned.method);
        if expected != got {
            found.push(Violation::Method { at, node: source, expected, got });
        }
        if !spec.class_allows(workload, node) {
            found.push(Violation::Class { at, workload, node });
        }
        self.check_cooldown(at, workload, found);
        self.check_group(at, workload, node, found);
        self.check_places(at, planned, found);
        self.check_capacity(at, workload, node, found);
        self.check_transfers(at, source, node, found);
    }

    fn check_cooldown(&mut self, at: usize, workload: usize, found: &mut Vec<Violation>) {
        let rules = &self.state.rules;
        // A static world counts each move as a tick; an online plan lies within one.
        let now = if rules.episode.mode == Mode::Rebalance { at as u32 } else { 0 };
        let ticks = self.rested_at[workload].saturating_sub(now);
        if ticks > 0 {
            found.push(Violation::Cooldown { at, workload, ticks });
        }
        self.rested_at[workload] = now + rules.limits.cooldown_ticks;
    }

    /// Whoever leaves the destination, in this wave or by a transfer in flight, is still there, and
    /// whoever comes is there too.
    fn check_group(&self, at: usize, workload: usize, node: usize, found: &mut Vec<Violation>) {
        let group = &self.state.spec.group;
        if group[workload] == NO_GROUP {
            return;
        }
        let there = self.placement.iter().enumerate().filter(|on| *on.1 == node).map(|on| on.0);
        let coming = self.under_way.iter().filter(|moved| moved.2 == node).map(|moved| moved.0);
        let leaving = self.state.transfers.iter().filter(|t| t.source as usize == node);
        let leaving = leaving.map(|transfer| transfer.workload as usize);
        for other in there.chain(coming).chain(leaving) {
            if other != workload && group[other] == group[workload] {
                found.push(Violation::AntiAffinity { at, workload, node, other });
            }
        }
    }

    /// Node sets, numbers of workloads and zones, in the plainest way; see [`places`].
    fn check_places(&self, at: usize, planned: &PlannedMove, found: &mut Vec<Violation>) {
        if self.state.spec.places.is_none() {
            return;
        }
        let transfers = self.state.transfers.iter().map(|transfer| {
            let workload = transfer.workload as usize;
            (workload, transfer.source as usize, self.placement[workload])
        });
        let moving: Vec<_> = transfers.chain(self.under_way.iter().copied()).collect();
        found.extend(places::broken(&self.state.spec, &self.placement, &moving, at, planned));
    }

    fn check_capacity(&self, at: usize, workload: usize, node: usize, found: &mut Vec<Violation>) {
        let (state, spec) = (self.state, &*self.state.spec);
        for (j, kind) in state.rules.resources.iter().enumerate() {
            let demand = |k: usize| state.demand_of(k)[j];
            if demand(workload) <= 0.0 {
                continue;
            }
            let placed: f32 =
                (0..self.placement.len()).filter(|&k| self.placement[k] == node).map(demand).sum();
            let coming: f32 =
                self.under_way.iter().filter(|moved| moved.2 == node).map(|m| demand(m.0)).sum();
            let leaving: f32 = state
                .transfers
                .iter()
                .filter(|transfer| transfer.source as usize == node)
                .map(|transfer| demand(transfer.workload as usize))
                .sum();
            let (held, supply) = (placed + coming + leaving, spec.supply_of(node, j));
            if !fits(held, demand(workload), supply) {
                let (resource, held) = (kind.name.clone(), held + demand(workload));
                found.push(Violation::Capacity { at, node, resource, held, supply });
            }
        }
    }

    /// Judged by the challenge's text alone, whatever the world thinks of the move.
    fn check_reassignment(&self, at: usize, found: &mut Vec<Violation>) {
        let broken = self.broken();
        if let (Some(first), true) = (broken.first(), broken.len() > self.broken_before) {
            found.push(Violation::MachineReassignment { at, broken: first.to_string() });
        }
    }

    fn broken(&self) -> Vec<reassignment::Violation> {
        let Some(instance) = &self.state.spec.reassignment else { return Vec::new() };
        let mut assignment: Vec<u32> = self.placement.iter().map(|&node| node as u32).collect();
        for &(workload, _, destination) in &self.under_way {
            assignment[workload] = destination as u32;
        }
        reassignment::check(instance, &assignment).violations
    }

    fn check_transfers(
        &self,
        at: usize,
        source: usize,
        destination: usize,
        found: &mut Vec<Violation>,
    ) {
        let (state, limits) = (self.state, &self.state.rules.limits);
        // From a failed node nothing is transferred.
        let is_transfer = |node: usize| state.health[node] != Health::Failed;
        if !is_transfer(source) {
            return;
        }
        let started = || self.under_way.iter().filter(|moved| is_transfer(moved.1));
        let count = state.transfers.len() + started().count() + 1;
        if count > limits.transfers_in_flight as usize {
            let limit = limits.transfers_in_flight;
            found.push(Violation::TransfersInFlight { at, limit, count });
        }
        for node in [source, destination] {
            let before = state.transfers.iter().filter(|transfer| {
                transfer.source as usize == node
                    || state.placement[transfer.workload as usize] as usize == node
            });
            let now = started().filter(|moved| moved.1 == node || moved.2 == node);
            let (count, limit) =
                ((before.count() + now.count()) as u32 + 1, limits.transfers_per_node);
            if count > limit {
                found.push(Violation::NodeTransfers { at, node, limit, count });
            }
        }
    }
}

#[cfg(test)]
mod tests;
