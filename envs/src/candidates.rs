//! Which actions a policy is offered.
//!
//! Where `1 + K N` fits the action space, every (workload, destination) pair has the fixed index
//! `1 + k N + i` and infeasible ones are masked. Otherwise the most promising feasible pairs are
//! listed: sources and destinations are ranked apart by a separable score, so that a list costs
//! about K + N evaluations instead of K N.

use crate::cluster::NO_GROUP;
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
    rankings: Vec<Ranking>,
    listed_sources: Vec<u32>,
}

/// The nodes that can take a workload, best first; the same for workloads that are alike, apart
/// from the node that each is on.
#[derive(Debug, Clone, Default, PartialEq)]
struct Ranking {
    /// The workload that it was made for.
    workload: usize,
    nodes: Vec<(f32, u32)>,
}

/// Rankings kept while a list is filled. Clusters with more kinds of workload fall back to
/// ranking anew.
const RANKINGS: usize = 32;

/// How many actions a cluster of this size offers, and whether pairs have fixed indices.
pub fn action_space(nodes: usize, workloads: usize, most: usize) -> (usize, bool) {
    let pairs = 1 + nodes * workloads;
    if pairs <= most { (pairs, true) } else { (most, false) }
}

/// Destinations listed per workload.
const DESTINATIONS: usize = 8;
/// Candidates whose scores are equal are mostly interchangeable: keep this many.
const EQUAL_SOURCES: usize = 12;
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
        let Scratch { sources, rankings, listed_sources } = &mut self.scratch;
        sources.clear();
        listed_sources.clear();
        for k in 0..state.spec.workloads() {
            if state.may_leave(k).is_ok() {
                sources.push((departure_score(state, k), k as u32));
            }
        }
        sort_best_first(sources);
        let mut equal = EqualRun::default();
        let mut ranked = 0;
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
            let source = state.placement[k as usize];
            // Of workloads that look alike on one node, one stands for all: otherwise the twins of
            // a single node would fill the places that other nodes' workloads should have.
            let twin = |&other: &u32| {
                state.placement[other as usize] == source && look_alike(state, other, k)
            };
            if listed_sources.iter().any(twin) {
                continue;
            }
            let ranking = ranking_of(state, k as usize, rankings, &mut ranked);
            let mut run = EqualRun::default();
            let first = self.workload.len();
            for &(score, node) in ranking.iter().filter(|&&(_, node)| node != source) {
                let listed = self.workload.len();
                if listed == most || listed - first == DESTINATIONS {
                    break;
                }
                if run.count(score) < EQUAL_DESTINATIONS {
                    run.push(score);
                    self.workload.push(k);
                    self.destination.push(node);
                }
            }
            if self.workload.len() > first {
                left -= 1;
                equal.push(score);
                listed_sources.push(k);
            }
        }
    }
}

/// Whether moving one of these workloads comes to the same as moving the other.
fn look_alike(state: &ClusterState, a: u32, b: u32) -> bool {
    let spec = &*state.spec;
    let (a, b) = (a as usize, b as usize);
    spec.group[a] == NO_GROUP
        && spec.group[b] == NO_GROUP
        && spec.class_mask[a] == spec.class_mask[b]
        && spec.state_gib[a] == spec.state_gib[b]
        && spec.dirty_gib_s[a] == spec.dirty_gib_s[b]
        && spec.priority[a] == spec.priority[b]
        && state.demand_of(a) == state.demand_of(b)
        && (0..state.forecast.len()).all(|h| state.forecast_of(h, a) == state.forecast_of(h, b))
}

/// The ranking for a workload: one made for a like workload (`ranked` of `rankings` are of this
/// state), or a new one.
fn ranking_of<'a>(
    state: &ClusterState,
    workload: usize,
    rankings: &'a mut Vec<Ranking>,
    ranked: &mut usize,
) -> &'a [(f32, u32)] {
    let spec = &*state.spec;
    let alike = |other: usize| {
        spec.group[workload] == NO_GROUP
            && spec.group[other] == NO_GROUP
            && spec.class_mask[workload] == spec.class_mask[other]
            && state.demand_of(workload) == state.demand_of(other)
    };
    if let Some(at) = rankings[..*ranked].iter().position(|ranking| alike(ranking.workload)) {
        return &rankings[at].nodes;
    }
    let at = (*ranked).min(RANKINGS - 1);
    *ranked = at + 1;
    if rankings.len() == at {
        rankings.push(Ranking::default());
    }
    let ranking = &mut rankings[at];
    ranking.workload = workload;
    ranking.nodes.clear();
    for node in 0..spec.nodes() {
        if state.accepts(workload, node).is_ok() {
            ranking.nodes.push((arrival_score(state, workload, node), node as u32));
        }
    }
    sort_best_first(&mut ranking.nodes);
    &ranking.nodes
}

/// 0.5^removals, at most a half, and nothing for what cannot be completed.
const PROGRESS: [f32; MOST_REMOVALS as usize + 1] =
    [0.5, 0.5, 0.25, 0.125, 0.0625, 0.03125, 0.015625, 0.0078125, 0.0];

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
        let progress = PROGRESS[removals.clamp(0.0, MOST_REMOVALS) as usize];
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
