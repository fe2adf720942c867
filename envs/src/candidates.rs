//! Which actions a policy is offered.
//!
//! Where `1 + K N` fits the action space, every (workload, destination) pair has the fixed index
//! `1 + k N + i` and infeasible ones are masked. Otherwise the most promising feasible pairs are
//! listed: sources and destinations are ranked apart by a separable score, so that a list costs
//! about K + N evaluations instead of K N.

use crate::outlook::whole_slots;
use crate::slots::MOST_REMOVALS;
use crate::state::{Action, ClusterState};

/// The offered actions of one state, apart from `Stay`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CandidateList {
    /// Workload of candidate `1 + index`; grouped by workload.
    pub workload: Vec<u32>,
    /// Destination of candidate `1 + index`.
    pub destination: Vec<u32>,
    scratch: Scratch,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct Scratch {
    sources: Vec<(f32, u32)>,
    destinations: Vec<(f32, u32)>,
}

/// How many actions a cluster of this size offers, and whether pairs have fixed indices.
pub fn action_space(nodes: usize, workloads: usize, most: usize) -> (usize, bool) {
    let pairs = 1 + nodes * workloads;
    if pairs <= most { (pairs, true) } else { (most, false) }
}

/// Destinations listed per workload.
const DESTINATIONS: usize = 8;
/// Candidates whose scores are equal are mostly interchangeable: keep this many.
const EQUAL_SOURCES: usize = 4;
const EQUAL_DESTINATIONS: usize = 2;

impl CandidateList {
    /// The action of index `1 + at` in a listed action space.
    pub fn action(&self, at: usize) -> Option<Action> {
        Some(Action::Migrate {
            workload: *self.workload.get(at)? as usize,
            destination: *self.destination.get(at)? as usize,
        })
    }

    /// Lists at most `most` feasible pairs.
    pub fn fill(&mut self, state: &ClusterState, most: usize) {
        self.workload.clear();
        self.destination.clear();
        let Scratch { sources, destinations } = &mut self.scratch;
        sources.clear();
        for k in 0..state.spec.workloads() {
            if state.may_leave(k).is_ok() {
                sources.push((departure_score(state, k), k as u32));
            }
        }
        sort_best_first(sources);
        let mut equal = EqualRun::default();
        let mut left = most.div_ceil(DESTINATIONS / 2);
        // In the order of their scores, so that the list is cut at the least promising ones. Only
        // workloads that can go somewhere count, so that the list is empty only if no move is open.
        for &(score, k) in sources.iter() {
            if left == 0 || self.workload.len() == most {
                return;
            }
            if equal.count(score) >= EQUAL_SOURCES {
                continue;
            }
            let workload = k as usize;
            destinations.clear();
            for node in 0..state.spec.nodes() {
                if state.check(workload, node).is_ok() {
                    destinations.push((arrival_score(state, workload, node), node as u32));
                }
            }
            if destinations.is_empty() {
                continue;
            }
            left -= 1;
            equal.push(score);
            keep_best(destinations, DESTINATIONS, EQUAL_DESTINATIONS);
            for &(_, node) in destinations.iter().take(most - self.workload.len()) {
                self.workload.push(k);
                self.destination.push(node);
            }
        }
    }
}

/// The objective of a single node, up to a constant: the part of the weighted objective that a
/// node adds. Load terms count by the squared distance to the mean, and a slot that few
/// departures would complete counts for a part of a slot.
fn node_value(state: &ClusterState, load: f32, over: f32, free: f32, removals: f32) -> f32 {
    let [max_load, imbalance, overload, fragmentation, ..] = state.objective.weights;
    let n = state.spec.nodes() as f32;
    let mean = state.now.mean_load.max(1e-6);
    let excess = (load - mean) / mean;
    let mut value = overload * over + (max_load + imbalance) * excess * excess.abs() / n;
    if let Some(slot) = state.objective.slot {
        let progress = 0.5_f32.powf(removals.max(1.0));
        let progress = if removals < MOST_REMOVALS { progress } else { 0.0 };
        let slots = whole_slots(free, slot.size) + progress;
        value -= fragmentation * slots * slot.size / state.now.total_free().max(1e-6);
    }
    value
}

fn departure_score(state: &ClusterState, k: usize) -> f32 {
    let node = state.placement[k] as usize;
    let demand = state.demand_of(k);
    let after = state.now.departure(&state.spec, &state.objective, node, demand);
    let (mut before_removals, mut after_removals) = (0.0, 0.0);
    if let Some(slot) = state.objective.slot {
        before_removals = state.slots.removals[node];
        after_removals =
            state.slots.removals_without(slot, node, demand[slot.resource], after.free);
    }
    let over: f32 = after.utilisation.iter().map(|u| (u - 1.0).max(0.0)).sum();
    node_value(
        state,
        state.now.load[node],
        state.now.over[node],
        state.now.free[node],
        before_removals,
    ) - node_value(state, after.load, over, after.free, after_removals)
}

fn arrival_score(state: &ClusterState, k: usize, node: usize) -> f32 {
    let spec = &*state.spec;
    let padded = spec.padded_nodes();
    let demand = state.demand_of(k);
    let (mut load, mut over) = (0.0, 0.0);
    for (j, d) in demand.iter().enumerate() {
        let utilisation =
            (state.now.held[j * padded + node] + d) * spec.inverse_supply[j * padded + node];
        load += utilisation;
        over += (utilisation - 1.0).max(0.0);
    }
    let (mut free, mut before_removals, mut after_removals) = (0.0, 0.0, 0.0);
    if let Some(slot) = state.objective.slot {
        let d = demand[slot.resource];
        free = (state.now.free[node] - d).max(0.0);
        before_removals = state.slots.removals[node];
        after_removals = state.slots.removals_with(slot, node, d, free);
    }
    node_value(
        state,
        state.now.load[node],
        state.now.over[node],
        state.now.free[node],
        before_removals,
    ) - node_value(state, load, over, free, after_removals)
}

/// Best first; ties go to the lower index.
fn sort_best_first(list: &mut [(f32, u32)]) {
    list.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
}

/// How often the latest score of a descending sequence has been kept.
#[derive(Default)]
struct EqualRun {
    score: f32,
    kept: usize,
}

impl EqualRun {
    /// How many scores equal to this one have been kept.
    fn count(&self, score: f32) -> usize {
        let equal = (self.score - score).abs() <= 1e-6 * self.score.abs().max(1e-3);
        if equal { self.kept } else { 0 }
    }

    fn push(&mut self, score: f32) {
        self.kept = self.count(score) + 1;
        self.score = score;
    }
}

/// Keeps the `wanted` highest scores, best first, with at most `equal` of any one score. Ties go
/// to the lower index.
fn keep_best(list: &mut Vec<(f32, u32)>, wanted: usize, equal: usize) {
    sort_best_first(list);
    let (mut kept, mut run) = (0, EqualRun::default());
    for at in 0..list.len() {
        let entry = list[at];
        if kept < wanted && run.count(entry.0) < equal {
            run.push(entry.0);
            list[kept] = entry;
            kept += 1;
        }
    }
    list.truncate(kept);
}
