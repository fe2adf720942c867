//! Large-neighbourhood search over placements, played as a sequence of moves.
//!
//! Rules:
//!
//! 1. The search starts from the better of the placements that the best single moves and the best
//!    chains ([`crate::baselines::search::chains`]) lead to. Each step draws one of four
//!    neighbourhoods with equal odds:
//!    - shift: a workload goes to another node;
//!    - swap: two workloads change places;
//!    - chain: a workload takes the place of another, which is inserted elsewhere;
//!    - destroy and repair: workloads of a few nodes (half of the time among them the most loaded
//!      one) are lifted and inserted again in a random order, each where the cost
//!      ([`crate::baselines::search::trial`]) rises least.
//!
//!    At even intervals a step of a fifth kind comes in: some workloads that are away go home, most
//!    of them from or to the same nodes, and chains are made in their place whose worth is blurred at
//!    random.
//! 2. Workloads beyond the budget go home, those first that are worth least where they are. What
//!    breaks a constraint is undone.
//! 3. A step is kept if it leaves the cost at most a deviation above the best one found, a
//!    deviation that falls to nothing over the search (record-to-record travel).
//! 4. The way to the best placement is played move by move ([`crate::baselines::search::planned`]).
//!
//! Parameters: steps, nodes and workloads that are destroyed, nodes per insertion, deviation, steps
//! that remake chains, those of all plans; and the seed.
//!
//! Source: Shaw, "Using constraint programming and local search methods to solve vehicle routing
//! problems", CP 1998; Pisinger and Ropke, "Large neighborhood search", Handbook of Metaheuristics
//! 2010; the acceptance is Dueck's, "New optimization heuristics", Journal of Computational
//! Physics 1993.

use crate::baselines::declaration::{Declaration, with_plan};
use crate::baselines::search::chains::Finder;
use crate::baselines::search::planned::Planned;
use crate::baselines::search::trial::{PlanRules, Trial};
use crate::policy::Policy;
use godwit_envs::rng::{Rng, stream};
use godwit_envs::state::{Action, ClusterState};
use rand::RngExt;
use rand::seq::SliceRandom;
use std::time::Duration;

/// Parameters of [`LargeNeighbourhood`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LargeNeighbourhoodRules {
    /// Those of all plans.
    pub plan: PlanRules,
    /// Steps of a search, for each node.
    pub steps_per_node: usize,
    /// Nodes that are destroyed at most, at least 2.
    pub destroyed_nodes: usize,
    /// Workloads that are lifted at most.
    pub most_lifted: usize,
    /// Nodes that an insertion tries at most, next to the workload's own.
    pub insert_nodes: usize,
    /// Deviation at the start, as a share of the cost at the start.
    pub deviation: f32,
    /// Steps of a search that remake chains.
    pub remakes: usize,
}

impl Default for LargeNeighbourhoodRules {
    /// Few enough steps to decide within a tick.
    fn default() -> Self {
        Self {
            plan: PlanRules::default(),
            steps_per_node: 100,
            destroyed_nodes: 3,
            most_lifted: 6,
            insert_nodes: 24,
            deviation: 0.01,
            remakes: 5,
        }
    }
}

/// The parameters as data.
pub(crate) fn declaration() -> Declaration<LargeNeighbourhoodRules> {
    with_plan!(
        Declaration::new(LargeNeighbourhoodRules::default(), |rules| LargeNeighbourhood::new(
            rules, 0
        ))
        .integer("destroyed_nodes", "nodes that are destroyed at most", 2..=6, |r| {
            (&mut r.destroyed_nodes).into()
        })
        .integer("most_lifted", "workloads that are lifted at most", 2..=16, |r| {
            (&mut r.most_lifted).into()
        })
        .log_real("deviation", "deviation at the start, as a share of the cost", 1e-4..=0.1, |r| {
            (&mut r.deviation).into()
        })
        .integer("remakes", "steps of a search that remake chains", 0..=200, |r| {
            (&mut r.remakes).into()
        })
    )
}

/// Destroys and repairs placements and plays the moves to the best one.
#[derive(Debug, Clone)]
pub struct LargeNeighbourhood {
    rules: LargeNeighbourhoodRules,
    rng: Rng,
    planned: Planned,
}

impl LargeNeighbourhood {
    /// With these parameters; draws from the stream of this seed until it is reset with another.
    pub fn new(rules: LargeNeighbourhoodRules, seed: u64) -> Self {
        let rng = stream(seed, "policy large-neighbourhood");
        Self { rules, rng, planned: Planned::default() }
    }
}

/// Chains that are tried out for each one that is made.
const TRIED: usize = 32;

/// Share by which a chain's worth is lowered at random, at most.
const BLUR: f32 = 0.5;

#[derive(Default)]
struct Scratch {
    nodes: Vec<usize>,
    away: Vec<usize>,
    pool: Vec<usize>,
    queue: Vec<(f32, usize)>,
}

fn search(rules: &LargeNeighbourhoodRules, rng: &mut Rng, trial: &mut Trial) {
    let mut scratch = Scratch::default();
    let magnitude = trial.magnitude();
    let mut finder = Finder::new(trial);
    finder.improve(trial, TRIED);
    trial.go_home();
    trial.descend();
    let best = trial.best_placement.clone();
    trial.go_to(&best);
    let steps = rules.steps_per_node * trial.state.spec.nodes();
    // Every so many steps one remakes chains.
    let interval = steps / rules.remakes.max(1);
    for step in 0..steps {
        if trial.deadline.has_passed() {
            return;
        }
        trial.mark();
        let remakes = rules.remakes > 0 && step % interval.max(1) == 0;
        let sound = match if remakes { 4 } else { rng.random_range(0..4) } {
            0 => {
                let (k, node) = (trial.draw_workload(rng), trial.draw_node(rng));
                trial.shift(k, node)
            }
            1 => {
                let (a, b) = (trial.draw_workload(rng), trial.draw_workload(rng));
                trial.swap(a, b)
            }
            2 => chain(rules, rng, trial, &mut scratch),
            3 => destroy_and_repair(rules, rng, trial, &mut scratch),
            _ => remake_chains(rules, rng, trial, &mut finder, &mut scratch.away),
        };
        if sound && trial.trim(&mut scratch.queue) {
            let cost = trial.note();
            let left = 1.0 - trial.progress(step, steps);
            if cost <= trial.best_cost + rules.deviation * left * magnitude {
                continue;
            }
        }
        trial.undo();
    }
}

/// One workload takes the place of another, which goes elsewhere.
fn chain(
    rules: &LargeNeighbourhoodRules,
    rng: &mut Rng,
    trial: &mut Trial,
    scratch: &mut Scratch,
) -> bool {
    let (a, b) = (trial.draw_workload(rng), trial.draw_workload(rng));
    let (from, to) = (trial.placement[a], trial.placement[b]);
    if from == to {
        return false;
    }
    trial.lift(a);
    trial.lift(b);
    if !trial.takes(to as usize, a) {
        return false;
    }
    trial.put(a, to as usize);
    trial.draw_nodes(rng, rules.insert_nodes, &mut scratch.nodes);
    trial.insert(b, scratch.nodes.iter().copied().filter(|&node| node != to as usize))
}

/// Some workloads go home, and other chains are made in their place.
fn remake_chains(
    rules: &LargeNeighbourhoodRules,
    rng: &mut Rng,
    trial: &mut Trial,
    finder: &mut Finder,
    away: &mut Vec<usize>,
) -> bool {
    away.clear();
    let is_away = |k: &usize| trial.placement[*k] as usize != trial.home(*k);
    away.extend(trial.movable.iter().copied().filter(is_away));
    if away.is_empty() {
        return false;
    }
    away.shuffle(rng);
    // The first one, and those that share a node with it, come first.
    let ends = |k: usize| [trial.home(k), trial.placement[k] as usize];
    let first = ends(away[0]);
    away.sort_by_key(|&k| !ends(k).iter().any(|end| first.contains(end)));
    let count = rng.random_range(1..=rules.most_lifted.max(1));
    away.truncate(count);
    for &k in away.iter() {
        trial.shift(k, trial.home(k));
    }
    for _ in 0..=count {
        if trial.deadline.has_passed()
            || !finder.step(trial, TRIED, || 1.0 - BLUR * rng.random::<f32>())
        {
            break;
        }
    }
    true
}

fn destroy_and_repair(
    rules: &LargeNeighbourhoodRules,
    rng: &mut Rng,
    trial: &mut Trial,
    scratch: &mut Scratch,
) -> bool {
    let Scratch { nodes, pool, .. } = scratch;
    let n = trial.state.spec.nodes();
    let count = rng.random_range(1..=rules.destroyed_nodes.max(2));
    nodes.clear();
    nodes.extend((0..count).map(|_| rng.random_range(0..n)));
    if rng.random_range(0..2) == 1
        && let Some(hot) = (0..n).max_by(|&a, &b| trial.load(a).total_cmp(&trial.load(b)))
    {
        nodes[0] = hot;
    }
    pool.clear();
    for &k in &trial.movable {
        if nodes.contains(&(trial.placement[k] as usize)) {
            pool.push(k);
        }
    }
    pool.shuffle(rng);
    pool.truncate(rng.random_range(1..=rules.most_lifted.max(1)));
    for &k in pool.iter() {
        trial.lift(k);
    }
    let mut sound = true;
    for &k in pool.iter() {
        trial.draw_nodes(rng, rules.insert_nodes, nodes);
        sound &= trial.insert(k, nodes.iter().copied());
    }
    sound
}

impl Policy for LargeNeighbourhood {
    fn name(&self) -> &str {
        "large-neighbourhood"
    }

    fn reset(&mut self, seed: u64) {
        self.rng = stream(seed, "policy large-neighbourhood");
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
