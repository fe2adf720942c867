//! Grouping genetic algorithm over placements, played as a sequence of moves.
//!
//! Rules:
//!
//! 1. An individual is a placement within the plan's budget; its groups are the nodes with what
//!    runs on them. The first ones are the present placement and the one that the best single
//!    moves lead to, the others the latter after some mutations.
//! 2. A child comes of two parents, each the better of two drawn: it begins as the first, and some
//!    nodes on which the parents differ are injected from the second, which means they hold just
//!    what they hold there. What was on them otherwise, or finds no room, is inserted again, the
//!    largest first, where the cost ([`crate::baselines::search::trial`]) rises least (the repair).
//! 3. Mutation lifts some workloads of a node, or of anywhere, and inserts them again.
//! 4. Workloads beyond the budget go home, those first that are worth least where they are. A
//!    child that breaks a constraint is dropped; another takes the place of the worst individual
//!    if it is better and no other has its cost.
//! 5. The way to the best placement is played move by move ([`crate::baselines::search::planned`]).
//!
//! Parameters: individuals, children, nodes per insertion, those of all plans; and the seed.
//!
//! Source: Falkenauer, "A hybrid grouping genetic algorithm for bin packing", Journal of
//! Heuristics 1996.

use crate::baselines::declaration::{Declaration, with_plan};
use crate::baselines::search::planned::Planned;
use crate::baselines::search::trial::{PlanRules, Trial};
use crate::policy::Policy;
use godwit_envs::rng::{Rng, stream};
use godwit_envs::state::{Action, ClusterState};
use rand::RngExt;
use std::time::Duration;

/// Parameters of [`Genetic`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GeneticRules {
    /// Those of all plans.
    pub plan: PlanRules,
    /// Individuals, at least 2.
    pub individuals: usize,
    /// Children of a search, for each node.
    pub children_per_node: usize,
    /// Nodes that an insertion tries at most, next to the workload's own.
    pub insert_nodes: usize,
    /// Workloads that a mutation lifts at most.
    pub most_lifted: usize,
}

impl Default for GeneticRules {
    /// Few enough children to decide within a tick.
    fn default() -> Self {
        Self {
            plan: PlanRules::default(),
            individuals: 16,
            children_per_node: 30,
            insert_nodes: 24,
            most_lifted: 4,
        }
    }
}

/// The parameters as data.
pub(crate) fn declaration() -> Declaration<GeneticRules> {
    with_plan!(
        Declaration::new(GeneticRules::default(), |rules| Genetic::new(rules, 0))
            .integer("individuals", "individuals of the population", 4..=48, |r| {
                (&mut r.individuals).into()
            })
            .integer("most_lifted", "workloads that a mutation lifts at most", 1..=12, |r| {
                (&mut r.most_lifted).into()
            })
    )
}

/// Breeds a placement and plays the moves to it.
#[derive(Debug, Clone)]
pub struct Genetic {
    rules: GeneticRules,
    rng: Rng,
    planned: Planned,
}

impl Genetic {
    /// With these parameters; draws from the stream of this seed until it is reset with another.
    pub fn new(rules: GeneticRules, seed: u64) -> Self {
        Self { rules, rng: stream(seed, "policy genetic"), planned: Planned::default() }
    }
}

/// A search with its scratch.
struct Breeding<'r, 't, 's> {
    rules: &'r GeneticRules,
    rng: &'r mut Rng,
    trial: &'t mut Trial<'s>,
    /// Size of each workload, `[K]`.
    size: Vec<f32>,
    /// Workloads that wait for a node.
    pool: Vec<usize>,
    nodes: Vec<usize>,
    queue: Vec<(f32, usize)>,
}

impl Breeding<'_, '_, '_> {
    fn run(&mut self) {
        let individuals = self.rules.individuals.max(2);
        let mut population = vec![(self.trial.cost(), self.trial.placement.clone())];
        self.trial.descend();
        let descended = self.trial.placement.clone();
        population.push((self.trial.cost(), descended.clone()));
        for rank in 2..individuals {
            if self.trial.deadline.has_passed() {
                return;
            }
            self.trial.go_to(&descended);
            // No more attempts than individuals: in a full cluster mutations fail.
            let made = (0..rank).filter(|_| self.mutate()).count() > 0;
            if made && self.keeps_budget() {
                let cost = self.trial.note();
                population.push((cost, self.trial.placement.clone()));
            }
        }
        let children = self.rules.children_per_node * self.trial.state.spec.nodes();
        for _ in 0..children {
            if self.trial.deadline.has_passed() {
                return;
            }
            let first = self.tournament(&population);
            let second = self.tournament(&population);
            self.trial.go_to(&population[first].1);
            let mut sound = self.inject(&population[second].1);
            if sound && (first == second || self.rng.random_range(0..2) == 1) {
                sound = self.mutate();
            }
            if !sound || !self.keeps_budget() {
                continue;
            }
            let cost = self.trial.note();
            let twin = population.iter().any(|one| one.0 == cost);
            let worst = population.iter_mut().max_by(|a, b| a.0.total_cmp(&b.0));
            if let Some(worst) = worst.filter(|worst| cost < worst.0 && !twin) {
                worst.0 = cost;
                worst.1.clone_from(&self.trial.placement);
            }
        }
    }

    fn tournament(&mut self, population: &[(f32, Vec<u32>)]) -> usize {
        let a = self.rng.random_range(0..population.len());
        let b = self.rng.random_range(0..population.len());
        if population[a].0 <= population[b].0 { a } else { b }
    }

    /// Injects some of the other parent's groups (rule 2); whether every workload found a node.
    fn inject(&mut self, other: &[u32]) -> bool {
        self.nodes.clear();
        for &k in &self.trial.movable {
            if self.trial.placement[k] != other[k] {
                for node in [self.trial.placement[k] as usize, other[k] as usize] {
                    if !self.nodes.contains(&node) {
                        self.nodes.push(node);
                    }
                }
            }
        }
        if self.nodes.is_empty() {
            return true;
        }
        // The chosen ones to the front.
        let chosen = self.rng.random_range(1..=self.nodes.len().div_ceil(2));
        for at in 0..chosen {
            let pick = self.rng.random_range(at..self.nodes.len());
            self.nodes.swap(at, pick);
        }
        self.nodes.truncate(chosen);
        self.pool.clear();
        for at in 0..self.trial.movable.len() {
            let k = self.trial.movable[at];
            let (here, there) = (self.trial.placement[k] as usize, other[k] as usize);
            let touched = self.nodes.contains(&here) || self.nodes.contains(&there);
            if here != there && touched {
                self.trial.lift(k);
                self.pool.push(k);
            }
        }
        let (trial, nodes) = (&mut *self.trial, &self.nodes);
        self.pool.retain(|&k| {
            let group = other[k] as usize;
            let stays = nodes.contains(&group) && trial.takes(group, k);
            if stays {
                trial.put(k, group);
            }
            !stays
        });
        self.insert_pool()
    }

    /// Rule 3; whether every workload found a node.
    fn mutate(&mut self) -> bool {
        let most = self.rng.random_range(1..=self.rules.most_lifted.max(1));
        let first = self.trial.draw_workload(self.rng);
        let node = self.trial.placement[first];
        let one_node = self.rng.random_range(0..2) == 1;
        self.pool.clear();
        self.pool.push(first);
        for _ in 1..most {
            let k = if one_node {
                // The next one of the same node, from somewhere on.
                let start = self.rng.random_range(0..self.trial.movable.len());
                let (before, after) = self.trial.movable.split_at(start);
                let mut there = after.iter().chain(before).copied();
                there.find(|k| self.trial.placement[*k] == node && !self.pool.contains(k))
            } else {
                let k = self.trial.draw_workload(self.rng);
                (!self.pool.contains(&k)).then_some(k)
            };
            self.pool.extend(k);
        }
        for &k in &self.pool {
            self.trial.lift(k);
        }
        if self.rng.random_range(0..2) == 1 {
            // One of them goes anywhere, so that the rest has to make do.
            let node = self.trial.draw_node(self.rng);
            if self.trial.takes(node, first) {
                self.trial.put(first, node);
                self.pool.remove(0);
            }
        }
        self.insert_pool()
    }

    fn insert_pool(&mut self) -> bool {
        let size = &self.size;
        self.pool.sort_unstable_by(|&a, &b| size[b].total_cmp(&size[a]).then(a.cmp(&b)));
        let mut sound = true;
        for &k in &self.pool {
            self.trial.draw_nodes(self.rng, self.rules.insert_nodes, &mut self.nodes);
            sound &= self.trial.insert(k, self.nodes.iter().copied());
        }
        sound
    }

    fn keeps_budget(&mut self) -> bool {
        self.trial.trim(&mut self.queue)
    }
}

fn search(rules: &GeneticRules, rng: &mut Rng, trial: &mut Trial) {
    let state = trial.state;
    let size = |k: usize| -> f32 {
        let shares = state.demand_of(k).iter().zip(&state.spec.inverse_largest);
        shares.map(|(d, inverse)| d * inverse).sum()
    };
    let size = (0..state.spec.workloads()).map(size).collect();
    let (pool, nodes, queue) = (Vec::new(), Vec::new(), Vec::new());
    Breeding { rules, rng, trial, size, pool, nodes, queue }.run();
}

impl Policy for Genetic {
    fn name(&self) -> &str {
        "genetic"
    }

    fn reset(&mut self, seed: u64) {
        self.rng = stream(seed, "policy genetic");
        self.planned.clear();
    }

    fn limit_time(&mut self, limit: Option<Duration>) {
        self.planned.limit_time(limit);
    }

    fn act(&mut self, state: &ClusterState) -> Action {
        let Self { rules, rng, planned } = self;
        planned.act(state, rules.plan, |trial| search(rules, rng, trial))
    }
}
