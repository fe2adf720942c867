//! Which actions a policy is offered.
//!
//! Where `1 + K N` fits the action space, every (workload, destination) pair has the fixed index
//! `1 + k N + i` and infeasible ones are masked. Otherwise the most promising feasible pairs are
//! listed: sources and destinations are ranked apart by a separable score, so that a list costs
//! about K + N evaluations instead of K N. Behind them stand [chains](crate::observe::chains), where
//! the rules ask for some.

use crate::observe::ObservationSpace;
use crate::observe::chains::{Chain, Finder};
use crate::observe::ranking::{EqualRun, Ranked, Rankings, best_first, departure, sort_best_first};
use crate::scenario::CandidateRules;
use crate::state::term::Term;
use crate::state::{Action, ClusterState};
use std::cmp::Ordering;

/// The offered actions of one state, apart from `Stay`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CandidateList {
    /// Workload of candidate `1 + index`; grouped by workload. Of a chain, that of its first move.
    pub workload: Vec<u32>,
    /// Destination of candidate `1 + index`; the same.
    pub destination: Vec<u32>,
    /// The chains that the last candidates are.
    pub chains: Vec<Chain>,
    scratch: Scratch,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct Scratch {
    sources: Vec<Ranked>,
    rankings: Rankings,
    listed_sources: Vec<u32>,
    finder: Finder,
}

/// How many actions a cluster of this size offers, and whether pairs have fixed indices.
pub fn action_space(nodes: usize, workloads: usize, rules: &CandidateRules) -> (usize, bool) {
    let pairs = 1 + nodes * workloads;
    let fixed = pairs <= rules.max && rules.chains == 0;
    (if fixed { pairs } else { rules.max }, fixed)
}

/// Whether the objective asks for nothing that a node's load does not show: no free slots, no terms of
/// its own, no machine reassignment.
pub fn loads_alone_count(state: &ClusterState) -> bool {
    let objective = &state.objective;
    objective.slot.is_none() && !objective.uses(Term::Own) && state.reassignment.is_none()
}

/// Nodes of which workloads are ranked where loads alone count, for each workload that is wanted.
const NODES_EACH: usize = 4;

/// The workloads whose leaving promises most, of those that may leave their node, ascending: so many by
/// their score, and as many of the most loaded nodes. Where nothing but loads counts, only those of the
/// most loaded nodes are ranked, four nodes for each that is wanted.
pub fn promising(state: &ClusterState, most: usize, out: &mut Vec<usize>) {
    let nodes = state.spec.nodes();
    let ranked = if loads_alone_count(state) { most.saturating_mul(NODES_EACH) } else { nodes };
    let mut least = f32::NEG_INFINITY;
    if ranked < nodes {
        let mut loads: Vec<f32> = state.now.load[..nodes].to_vec();
        least = *loads.select_nth_unstable_by(nodes - ranked, f32::total_cmp).1;
    }
    let of_load = |least: f32| {
        let is_there =
            |k: usize| state.node_of(k).is_some_and(|node| state.now.load[node] >= least);
        let all =
            (0..state.spec.workloads()).filter(|&k| is_there(k) && state.may_leave(k).is_ok());
        all.map(|k| departure(state, k)).collect()
    };
    let mut sources: Vec<Ranked> = of_load(least);
    if sources.is_empty() {
        // Nothing may leave the most loaded nodes.
        sources = of_load(f32::NEG_INFINITY);
    }
    let load = |ranked: &Ranked| state.now.load[state.placement[ranked.id as usize] as usize];
    let by_load = |a: &Ranked, b: &Ranked| load(b).total_cmp(&load(a)).then(best_first(a, b));
    out.clear();
    for by in [&best_first as &dyn Fn(&Ranked, &Ranked) -> Ordering, &by_load] {
        if sources.len() > most {
            sources.select_nth_unstable_by(most, by);
        }
        out.extend(sources.iter().take(most).map(|ranked| ranked.id as usize));
    }
    out.sort_unstable();
    out.dedup();
}

/// Destinations listed per workload.
const DESTINATIONS: usize = 8;
/// Sides whose scores, room and size are equal are mostly interchangeable: keep this many.
const EQUAL_SOURCES: usize = 4;
const EQUAL_DESTINATIONS: usize = 2;

impl CandidateList {
    /// The action of index `1 + at` in a listed action space; of a chain, its first move.
    pub fn action(&self, at: usize) -> Option<Action> {
        Some(Action::Migrate {
            workload: *self.workload.get(at)? as usize,
            destination: *self.destination.get(at)? as usize,
        })
    }

    /// The chain that candidate `1 + at` is, if it is one.
    pub fn chain(&self, at: usize) -> Option<&Chain> {
        self.chains.get(at.checked_sub(self.moves())?)
    }

    /// How many candidates are single moves; the others are chains.
    pub fn moves(&self) -> usize {
        self.workload.len() - self.chains.len()
    }

    /// The action that an index of a space stands for, feasible or not; of a chain, its first move. This
    /// is the list of that space's actions, if they are a list.
    pub fn action_at(&self, space: &ObservationSpace, index: usize) -> Option<Action> {
        if index == 0 {
            return Some(Action::Stay);
        }
        if !space.fixed_pairs {
            return self.action(index - 1);
        }
        let (workload, destination) = ((index - 1) / space.nodes, (index - 1) % space.nodes);
        (workload < space.workloads).then_some(Action::Migrate { workload, destination })
    }

    /// The index that stands for an action in a space, feasible or not; `None` where it is not offered
    /// by itself. This is the list of that space's actions, if they are a list.
    pub fn index_of(&self, space: &ObservationSpace, action: Action) -> Option<usize> {
        let Action::Migrate { workload, destination } = action else { return Some(0) };
        if space.fixed_pairs {
            let (n, k) = (space.nodes, space.workloads);
            return (workload < k && destination < n).then_some(1 + workload * n + destination);
        }
        let mut pairs = self.workload.iter().zip(&self.destination).take(self.moves());
        let is_it =
            |(&k, &node): (&u32, &u32)| (k as usize, node as usize) == (workload, destination);
        pairs.position(is_it).map(|at| 1 + at)
    }

    /// Lists at most `most` feasible moves and chains.
    pub fn fill(&mut self, state: &ClusterState, most: usize) {
        let chains = state.rules.candidates.chains.min(most / 2);
        self.workload.clear();
        self.destination.clear();
        self.chains.clear();
        self.scratch.rankings.start();
        self.fill_moves(state, most - chains);
        if chains > 0 {
            let Scratch { finder, rankings, .. } = &mut self.scratch;
            finder.find(state, rankings, chains, &mut self.chains);
            for &(workload, destination) in self.chains.iter().map(|chain| &chain.moves()[0]) {
                self.workload.push(workload);
                self.destination.push(destination);
            }
        }
    }

    fn fill_moves(&mut self, state: &ClusterState, most: usize) {
        let Scratch { sources, rankings, listed_sources, .. } = &mut self.scratch;
        sources.clear();
        listed_sources.clear();
        for k in 0..state.spec.workloads() {
            if state.may_leave(k).is_ok() {
                sources.push(departure(state, k));
            }
        }
        sort_best_first(sources);
        let mut equal = EqualRun::default();
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
            let ranking = rankings.of(state, k as usize);
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
    fn most_promising_are_the_best_scores_and_the_fullest_nodes() {
        // Nodes of 10: 6 and 2 on one, 5 and a pinned 4 on another, 4 on the third.
        let text = r#"
            name = "test"
            start = { placement = "listed" }
            rules.resources = [{ name = "cpu" }]
            rules.episode = { mode = "rebalance", move_budget = 2 }
            rules.objective = { weights = { max_load = 1 } }
            nodes = [{ name = "n", count = 3, supply = { cpu = 10 } }]
            workloads = [
                { name = "a", demand = { cpu = 2 }, node = "n-0" },
                { name = "b", demand = { cpu = 6 }, node = "n-0" },
                { name = "c", demand = { cpu = 4 }, node = "n-1", movable = false },
                { name = "d", demand = { cpu = 5 }, node = "n-1" },
                { name = "e", demand = { cpu = 4 }, node = "n-2" },
            ]
        "#;
        let scenario = Scenario::parse(text, "test").expect("a valid scenario");
        let template = Arc::new(WorldTemplate::new(&scenario));
        let env = ClusterEnv::new(template, Phase::Evaluate).expect("a feasible start");
        let mut found = Vec::new();
        promising(env.state(), 9, &mut found);
        assert_eq!(found, [0, 1, 3, 4]);
        // The third node would be empty without its workload; the second has the highest load.
        promising(env.state(), 1, &mut found);
        assert_eq!(found, [3, 4]);
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
