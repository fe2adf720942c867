//! Which actions a policy is offered.
//!
//! Where `1 + K N` fits the action space, every (workload, destination) pair has the fixed index
//! `1 + k N + i` and infeasible ones are masked. Otherwise the most promising feasible pairs are
//! listed: sources and destinations are ranked apart by a separable score, so that a list costs
//! about K + N evaluations instead of K N.

use crate::state::outlook::whole_slots;
use crate::state::slots::MOST_REMOVALS;
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
    sources: Vec<Ranked>,
    rankings: Vec<Ranking>,
    listed_sources: Vec<u32>,
}

/// The nodes that can take a workload, best first; the same for workloads that are alike, apart
/// from the node that each is on.
#[derive(Debug, Clone, Default, PartialEq)]
struct Ranking {
    /// The workload that it was made for.
    workload: usize,
    nodes: Vec<Ranked>,
}

/// A workload that could leave, or a node that could take one.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Ranked {
    /// What the move would improve on this side.
    score: f32,
    /// Free supply of the slot's resource on this side after the move: the tighter fit comes
    /// first, and sides that leave different room are no substitutes for each other.
    free: f32,
    /// Demand of the slot's resource that leaves; 0 for a destination.
    size: f32,
    /// Workload or node.
    id: u32,
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
/// Sides whose scores, room and size are equal are mostly interchangeable: keep this many.
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

    /// Where a pair is listed.
    pub fn position(&self, workload: usize, destination: usize) -> Option<usize> {
        let mut pairs = self.workload.iter().zip(&self.destination);
        pairs.position(|(&k, &node)| (k as usize, node as usize) == (workload, destination))
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
                sources.push(departure(state, k));
            }
        }
        sort_best_first(sources);
        let mut equal = EqualRun::default();
        let mut ranked = 0;
        let mut left = most.div_ceil(DESTINATIONS / 2);
        // In the order of their scores, so that the list is cut at the least promising ones. Only
        // workloads that can go somewhere count, so that the list is empty only if no move is open.
        for &leaving in sources.iter() {
            let k = leaving.id;
            if left == 0 || self.workload.len() == most {
                return;
            }
            if equal.count(&leaving) >= EQUAL_SOURCES {
                continue;
            }
            let source = state.placement[k as usize];
            // Of workloads that look alike on one node, one stands for all: otherwise the twins of
            // a single node would fill the places that other nodes' workloads should have.
            let twin = |&other: &u32| {
                let other = other as usize;
                state.placement[other] == source && state.look_alike(other, k as usize)
            };
            if listed_sources.iter().any(twin) {
                continue;
            }
            let ranking = ranking_of(state, k as usize, rankings, &mut ranked);
            let mut run = EqualRun::default();
            let first = self.workload.len();
            for &ranked in ranking.iter().filter(|ranked| ranked.id != source) {
                let listed = self.workload.len();
                if listed == most || listed - first == DESTINATIONS {
                    break;
                }
                if run.count(&ranked) < EQUAL_DESTINATIONS {
                    run.push(ranked);
                    self.workload.push(k);
                    self.destination.push(ranked.id);
                }
            }
            if self.workload.len() > first {
                left -= 1;
                equal.push(leaving);
                listed_sources.push(k);
            }
        }
    }
}

/// The ranking for a workload: one made for a like workload (`ranked` of `rankings` are of this
/// state), or a new one.
fn ranking_of<'a>(
    state: &ClusterState,
    workload: usize,
    rankings: &'a mut Vec<Ranking>,
    ranked: &mut usize,
) -> &'a [Ranked] {
    if let Some(at) = rankings[..*ranked].iter().position(|r| state.fit_alike(r.workload, workload))
    {
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
    for node in 0..state.spec.nodes() {
        if state.accepts(workload, node).is_ok() {
            ranking.nodes.push(arrival(state, workload, node));
        }
    }
    sort_best_first(&mut ranking.nodes);
    &ranking.nodes
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

fn departure(state: &ClusterState, k: usize) -> Ranked {
    let node = state.placement[k] as usize;
    let demand = state.demand_of(k);
    let after = state.now.departure(&state.spec, &state.objective, node, demand);
    let (mut size, mut removals) = (0.0, 0.0);
    if let Some(slot) = state.objective.slot {
        size = demand[slot.resource];
        removals = state.slots.removals_without(slot, node, size, after.free);
    }
    let over = after.utilisation.iter().map(|u| (u - 1.0).max(0.0)).sum();
    let after = Side { load: after.load, over, free: after.free, removals };
    let mut score = gain(state, &side_now(state, node), &after);
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
    if let Some(board) = &state.reassignment {
        let cost = board.arrival_cost(k, node) + board.fare(k, node);
        score -= state.reassignment_weight() * cost as f32;
    }
    Ranked { score, free: after.free, size: 0.0, id: node as u32 }
}

/// Best first; ties go to the tighter fit, then to the smaller size and the lower index.
fn sort_best_first(list: &mut [Ranked]) {
    list.sort_unstable_by(|a, b| {
        b.score
            .total_cmp(&a.score)
            .then(a.free.total_cmp(&b.free))
            .then(a.size.total_cmp(&b.size))
            .then(a.id.cmp(&b.id))
    });
}

/// How often what equals the latest of a ranking has been kept.
#[derive(Default)]
struct EqualRun {
    latest: Ranked,
    kept: usize,
}

impl EqualRun {
    /// How many that equal this one have been kept.
    fn count(&self, other: &Ranked) -> usize {
        let close = |a: f32, b: f32| (a - b).abs() <= 1e-6 * a.abs().max(1e-3);
        let equal = close(self.latest.score, other.score)
            && close(self.latest.free, other.free)
            && self.latest.size == other.size;
        if equal { self.kept } else { 0 }
    }

    fn push(&mut self, ranked: Ranked) {
        self.kept = self.count(&ranked) + 1;
        self.latest = ranked;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::cluster_env::ClusterEnv;
    use crate::scenario::{Phase, Scenario, WorldTemplate};
    use std::sync::Arc;

    /// Node `n-0` of 16 cores holds a workload of 4; `full-i` have 1 to 15 free cores and a pinned
    /// workload, so that an arrival brings none of them nearer to a slot or further from it.
    fn state() -> ClusterState {
        let mut text = String::from(
            r#"
            name = "test"
            rules.resources = [{ name = "cpu" }]
            rules.episode = { mode = "rebalance", move_budget = 2 }
            rules.objective = { weights = { fragmentation = 1 }, slot = { resource = "cpu", size = 16 } }
            rules.candidates = { max = 24 }
            nodes = [{ name = "n", supply = { cpu = 16 } }, { name = "full", count = 30, supply = { cpu = 16 } }]
            "#,
        );
        text.push_str("[[workloads]]\nname = \"w\"\ndemand = { cpu = 4 }\nnode = \"n\"\n");
        for i in 0..30 {
            // Each amount of free room twice.
            let demand = 15 - i / 2;
            text.push_str(&format!(
                "[[workloads]]\nname = \"p{i}\"\ndemand = {{ cpu = {demand} }}\nmovable = false\nnode = \"full-{i}\"\n"
            ));
        }
        let scenario = Scenario::parse(&text, "test").expect("a valid scenario");
        let template = Arc::new(WorldTemplate::new(&scenario));
        ClusterEnv::new(template, Phase::Evaluate).expect("a feasible start").state().clone()
    }

    #[test]
    fn destinations_are_listed_from_the_tightest_fit_on_and_differ_in_room() {
        let state = state();
        let mut list = CandidateList::default();
        list.fill(&state, 24);
        let room: Vec<f32> =
            list.destination.iter().map(|&node| state.now.free[node as usize]).collect();
        assert_eq!(list.workload, [0; DESTINATIONS]);
        assert_eq!(room, [4.0, 4.0, 5.0, 5.0, 6.0, 6.0, 7.0, 7.0]);
    }
}
