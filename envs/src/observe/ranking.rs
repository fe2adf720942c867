//! How promising it is that a workload leaves its node, or that a node takes one: the two sides of a
//! move, each with a score of its own.

use crate::state::ClusterState;
use crate::state::outlook::whole_slots;
use crate::state::slots::MOST_REMOVALS;
use crate::state::term::Term;
use std::cmp::Ordering;

/// A workload that could leave, or a node that could take one.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Ranked {
    /// What the move would improve on this side.
    pub score: f32,
    /// Free supply of the slot's resource on this side after the move: the tighter fit comes
    /// first, and sides that leave different room are no substitutes for each other.
    pub free: f32,
    /// Demand of the slot's resource that leaves; 0 for a destination.
    pub size: f32,
    /// Workload or node.
    pub id: u32,
}

/// The nodes that can take each of some workloads, best first.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Rankings {
    list: Vec<Ranking>,
    /// How many of them are of the present state.
    ranked: usize,
}

/// The nodes that can take a workload; the same for workloads that are alike, apart from the node
/// that each is on.
#[derive(Debug, Clone, Default, PartialEq)]
struct Ranking {
    /// The workload that it was made for.
    workload: usize,
    nodes: Vec<Ranked>,
}

/// Rankings that are kept. Clusters with more kinds of workload fall back to ranking anew.
const KEPT: usize = 32;

impl Rankings {
    /// Forgets those of another state.
    pub fn start(&mut self) {
        self.ranked = 0;
    }

    /// The nodes that can take a workload now, best first; its own may be among them.
    pub fn of(&mut self, state: &ClusterState, workload: usize) -> &[Ranked] {
        let alike = |ranking: &Ranking| state.fit_alike(ranking.workload, workload);
        if let Some(at) = self.list[..self.ranked].iter().position(alike) {
            return &self.list[at].nodes;
        }
        let at = self.ranked.min(KEPT - 1);
        self.ranked = at + 1;
        if self.list.len() == at {
            self.list.push(Ranking::default());
        }
        let ranking = &mut self.list[at];
        ranking.workload = workload;
        ranking.nodes.clear();
        for node in 0..state.spec.nodes() {
            if state.accepts(workload, node).is_ok() {
                ranking.nodes.push(arrival(state, workload, node));
            }
        }
        sort_best_first(&mut ranking.nodes);
        &ranking.nodes
    }
}

/// 0.5^removals, at most a half, and nothing for what cannot be completed.
const PROGRESS: [f32; MOST_REMOVALS as usize + 1] =
    [0.5, 0.5, 0.25, 0.125, 0.0625, 0.03125, 0.015625, 0.0078125, 0.0];

/// What a node adds to the objective.
struct Side {
    load: f32,
    over: f32,
    free: f32,
    removals: f32,
}

/// How much better the objective of a single node becomes. Load terms count by the squared
/// distance to the mean, and a slot that few departures would complete counts for a part of a
/// slot.
fn gain(state: &ClusterState, before: &Side, after: &Side) -> f32 {
    let [max_load, imbalance, overload, fragmentation, ..] = state.objective.weights;
    let mean = state.now.mean_load.max(1e-6);
    let excess = |side: &Side| {
        let excess = (side.load - mean) / mean;
        excess * excess.abs() / state.spec.nodes() as f32
    };
    let mut gain = overload * (before.over - after.over)
        + (max_load + imbalance) * (excess(before) - excess(after));
    if let Some(slot) = state.objective.slot {
        // Sums of powers of two: equal changes give equal bits, whatever they started from.
        let slots = |side: &Side| {
            whole_slots(side.free, slot.size)
                + PROGRESS[side.removals.clamp(0.0, MOST_REMOVALS) as usize]
        };
        let share = slot.size / state.now.total_free().max(1e-6);
        gain += fragmentation * (slots(after) - slots(before)) * share;
    }
    gain
}

fn side_now(state: &ClusterState, node: usize) -> Side {
    Side {
        load: state.now.load[node],
        over: state.now.over[node],
        free: state.now.free[node],
        removals: state.slots.removals.get(node).copied().unwrap_or(0.0),
    }
}

/// What it is worth that workload `k` leaves its node.
pub(super) fn departure(state: &ClusterState, k: usize) -> Ranked {
    let node = state.placement[k] as usize;
    let demand = state.demand_of(k);
    let after = state.now.departure(&state.spec, &state.objective, node, demand);
    let (mut size, mut removals) = (0.0, 0.0);
    if let Some(slot) = state.objective.slot {
        size = demand[slot.resource];
        removals = state.slots.removals_without(slot, node, size, after.free);
    }
    let over = after.utilisation.iter().map(|u| (u - 1.0).max(0.0)).sum();
    let own = after.own;
    let after = Side { load: after.load, over, free: after.free, removals };
    let mut score = gain(state, &side_now(state, node), &after);
    if state.objective.uses(Term::Own) {
        score -= state.now.own_change_of_one(state.spec.nodes(), &state.objective, node, own);
    }
    if let Some(board) = &state.reassignment {
        score -= state.reassignment_weight() * board.departure_cost(k) as f32;
    }
    Ranked { score, free: after.free, size, id: k as u32 }
}

fn arrival(state: &ClusterState, k: usize, node: usize) -> Ranked {
    let spec = &*state.spec;
    let padded = spec.padded_nodes();
    let demand = state.demand_of(k);
    let mut after = Side { load: 0.0, over: 0.0, free: 0.0, removals: 0.0 };
    for (j, d) in demand.iter().enumerate() {
        let utilisation =
            (state.now.held[j * padded + node] + d) * spec.inverse_supply[j * padded + node];
        after.load += utilisation;
        after.over += (utilisation - 1.0).max(0.0);
    }
    if let Some(slot) = state.objective.slot {
        let d = demand[slot.resource];
        after.free = (state.now.free[node] - d).max(0.0);
        after.removals = state.slots.removals_with(slot, node, d, after.free);
    }
    let mut score = gain(state, &side_now(state, node), &after);
    if state.objective.uses(Term::Own) {
        let own = state.now.own_values_with(spec, &state.objective, node, demand);
        score -= state.now.own_change_of_one(spec.nodes(), &state.objective, node, own);
    }
    if let Some(board) = &state.reassignment {
        let cost = board.arrival_cost(k, node) + board.fare(k, node);
        score -= state.reassignment_weight() * cost as f32;
    }
    Ranked { score, free: after.free, size: 0.0, id: node as u32 }
}

/// Best first; ties go to the tighter fit, then to the smaller size and the lower index.
pub(super) fn sort_best_first(list: &mut [Ranked]) {
    list.sort_unstable_by(best_first);
}

/// The order of [`sort_best_first`].
pub(super) fn best_first(a: &Ranked, b: &Ranked) -> Ordering {
    b.score
        .total_cmp(&a.score)
        .then(a.free.total_cmp(&b.free))
        .then(a.size.total_cmp(&b.size))
        .then(a.id.cmp(&b.id))
}

/// How often what equals the latest of a ranking has been kept.
#[derive(Default)]
pub(super) struct EqualRun {
    latest: Ranked,
    kept: usize,
}

impl EqualRun {
    /// How many that equal this one have been kept.
    pub fn count(&self, other: &Ranked) -> usize {
        let close = |a: f32, b: f32| (a - b).abs() <= 1e-6 * a.abs().max(1e-3);
        let equal = close(self.latest.score, other.score)
            && close(self.latest.free, other.free)
            && self.latest.size == other.size;
        if equal { self.kept } else { 0 }
    }

    pub fn push(&mut self, ranked: Ranked) {
        self.kept = self.count(&ranked) + 1;
        self.latest = ranked;
    }
}
