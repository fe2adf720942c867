//! Simulated annealing over placements, played as a sequence of moves.
//!
//! Rules:
//!
//! 1. Where no plan is remembered, or the cluster is not as the plan expects it, a search starts
//!    from the present placement. Each of a fixed number of steps draws, with equal odds, a shift
//!    of a workload to another node or an exchange of two workloads, and takes it if capacities,
//!    classes and groups allow, if no more workloads are away from their start than there are
//!    moves left, and if it lowers the cost, or else with probability `exp(-rise / temperature)`.
//!    The temperature falls geometrically.
//! 2. The cost is the weighted objective (online times the ticks for which it is assumed to last)
//!    plus what the migrations of the workloads away from their start cost. Transfers in flight
//!    count as ended.
//! 3. The moves of the best placement found are put in an order in which each is feasible in its
//!    turn; those that never are get dropped. Of that order the start of the lowest cost is played
//!    move by move, if it is worth more than the least gain. Online a plan ends with its tick.
//! 4. Otherwise stay.
//!
//! Parameters: steps, temperatures, ticks for which a gain counts, least gain; and the seed.
//!
//! Source: Kirkpatrick, Gelatt and Vecchi, "Optimization by simulated annealing", Science 1983,
//! over the "shift" and "swap" neighbourhoods of machine reassignment.
//!
//! Every plan ends at a lower weighted objective than it began with, so a static cluster comes to
//! rest. Only a search allocates.

use crate::baselines::declaration::Declaration;
use crate::baselines::scan::move_cost;
use crate::policy::Policy;
use godwit_envs::cluster::NO_GROUP;
use godwit_envs::outlook::{Outlook, fits};
use godwit_envs::rng::{Rng, stream};
use godwit_envs::scenario::Mode;
use godwit_envs::state::{Action, ClusterState};
use rand::RngExt;

/// Gains up to this share of the cost (or of 1, if that is more) are rounding.
const ROUNDING: f32 = 1e-5;

/// Parameters of [`Annealing`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AnnealingRules {
    /// Shifts and exchanges that are drawn in a search.
    pub steps: u32,
    /// First temperature, as a share of the cost at the start.
    pub hot: f32,
    /// Last temperature, as a share of the cost at the start.
    pub cold: f32,
    /// Online: ticks for which the objective is assumed to last.
    pub ticks: u32,
    /// Online: least net gain that is worth a plan, in units of the weighted objective.
    pub min_gain: f32,
}

impl Default for AnnealingRules {
    /// Ticks and least gain as for single moves; few enough steps to decide within a tick.
    fn default() -> Self {
        Self { steps: 2000, hot: 0.03, cold: 1e-4, ticks: 18, min_gain: 0.1 }
    }
}

/// The parameters as data.
pub(crate) fn declaration() -> Declaration<AnnealingRules> {
    let make = |rules| Annealing::new(rules, 0);
    Declaration::new(AnnealingRules::default(), make)
        .integer(
            "steps",
            "shifts and exchanges drawn in a search; time grows alike",
            200..=4000,
            |r| (&mut r.steps).into(),
        )
        .log_real("hot", "first temperature, as a share of the cost", 1e-3..=0.3, |r| {
            (&mut r.hot).into()
        })
        .log_real("cold", "last temperature, as a share of the cost", 1e-6..=0.01, |r| {
            (&mut r.cold).into()
        })
        .integer("ticks", "ticks for which the objective is assumed to last", 1..=72, |r| {
            (&mut r.ticks).into()
        })
        .online()
        .real("min_gain", "least net gain of a plan, weighted objective", 0.0..=1.0, |r| {
            (&mut r.min_gain).into()
        })
        .online()
        .relation("cold", "no more than hot", |r| r.cold <= r.hot)
}

/// Searches for a placement and plays the moves to it.
#[derive(Debug, Clone)]
pub struct Annealing {
    rules: AnnealingRules,
    rng: Rng,
    /// Workload and destination, the next one last.
    plan: Vec<(usize, usize)>,
    /// Placement that the plan goes on from.
    expected: Vec<u32>,
    /// Tick that the plan was made at.
    tick: u32,
}

impl Annealing {
    /// With these parameters; draws from the stream of this seed until it is reset with another.
    pub fn new(rules: AnnealingRules, seed: u64) -> Self {
        let rng = stream(seed, "policy annealing");
        Self { rules, rng, plan: Vec::new(), expected: Vec::new(), tick: 0 }
    }

    /// The next move of the plan, if the cluster is as expected.
    fn resume(&mut self, state: &ClusterState) -> Option<Action> {
        let online = state.rules.episode.mode == Mode::Online;
        if self.expected != state.placement || (online && self.tick != state.tick) {
            self.plan.clear();
        }
        let (workload, destination) = self.plan.pop()?;
        if state.check(workload, destination).is_err() {
            self.plan.clear();
            return None;
        }
        self.expected[workload] = destination as u32;
        Some(Action::Migrate { workload, destination })
    }

    /// Makes a plan; leaves it empty where nothing is worth while.
    fn search(&mut self, state: &ClusterState) {
        self.plan.clear();
        self.tick = state.tick;
        self.expected.clone_from(&state.placement);
        let movable: Vec<usize> =
            (0..state.spec.workloads()).filter(|&k| state.may_leave(k).is_ok()).collect();
        let n = state.spec.nodes();
        if movable.is_empty() || n < 2 {
            return;
        }
        let (ticks, least) = match state.rules.episode.mode {
            Mode::Rebalance => (1.0, 0.0),
            Mode::Online => {
                let left = state.rules.episode.ticks.saturating_sub(state.tick).max(1);
                (self.rules.ticks.min(left) as f32, self.rules.min_gain)
            }
        };
        let mut trial = Trial::new(state, ticks);
        let start = trial.cost();
        let least = least.max(ROUNDING * start.abs().max(1.0));
        let scale = start.abs().max(ROUNDING);
        let (mut now, mut best, mut best_placement) = (start, start, trial.placement.clone());
        for step in 0..self.rules.steps {
            let share = step as f32 / self.rules.steps as f32;
            let temperature =
                scale * self.rules.hot * (self.rules.cold / self.rules.hot).powf(share);
            let a = movable[self.rng.random_range(0..movable.len())];
            let from = trial.placement[a] as usize;
            // An exchange is two shifts that are judged together.
            let swap = self.rng.random_range(0..2) == 1;
            let (to, back) = if swap {
                let b = movable[self.rng.random_range(0..movable.len())];
                (trial.placement[b] as usize, Some(b))
            } else {
                (self.rng.random_range(0..n), None)
            };
            if to == from || !trial.allows(a, to, back) {
                continue;
            }
            trial.shift(a, to);
            if let Some(b) = back {
                trial.shift(b, from);
            }
            trial.refresh(from, to);
            let cost = trial.cost();
            let rise = cost - now;
            let accepted = trial.away <= state.moves_left
                && (rise <= 0.0 || self.rng.random::<f32>() < (-rise / temperature).exp());
            if accepted {
                now = cost;
                if cost < best {
                    best = cost;
                    best_placement.clone_from(&trial.placement);
                }
            } else {
                trial.shift(a, from);
                if let Some(b) = back {
                    trial.shift(b, to);
                }
                trial.refresh(from, to);
            }
        }
        if best < start - least {
            self.plan_moves(state, &best_placement, ticks, start - least);
        }
    }

    /// Orders the moves to a placement and keeps the start of the lowest cost below `most`.
    fn plan_moves(&mut self, state: &ClusterState, goal: &[u32], ticks: f32, most: f32) {
        let mut played = state.clone();
        let mut waiting: Vec<(usize, usize)> = (goal.iter().zip(&state.placement).enumerate())
            .filter(|(_, (to, from))| to != from)
            .map(|(k, (&to, _))| (k, to as usize))
            .collect();
        loop {
            let before = waiting.len();
            waiting.retain(|&(k, to)| {
                let made = played.migrate(k, to).is_ok();
                if made {
                    self.plan.push((k, to));
                }
                !made
            });
            if waiting.len() == before {
                break;
            }
        }
        let mut trial = Trial::new(state, ticks);
        let (mut best, mut keep) = (most, 0);
        for (i, &(k, to)) in self.plan.iter().enumerate() {
            let from = trial.placement[k] as usize;
            trial.shift(k, to);
            trial.refresh(from, to);
            let cost = trial.cost();
            if cost < best {
                (best, keep) = (cost, i + 1);
            }
        }
        self.plan.truncate(keep);
        self.plan.reverse();
    }
}

/// A placement that is tried out, with its loads.
struct Trial<'a> {
    state: &'a ClusterState,
    ticks: f32,
    placement: Vec<u32>,
    /// Loads without transfers in flight.
    loads: Outlook,
    /// Workloads on another node than at the start.
    away: u32,
    /// Weighted cost of their migrations; f64, so that adding and subtracting leaves no trace.
    flow: f64,
}

impl<'a> Trial<'a> {
    fn new(state: &'a ClusterState, ticks: f32) -> Self {
        let loads = Outlook::new(&state.spec);
        let placement = state.placement.clone();
        let mut trial = Self { state, ticks, placement, loads, away: 0, flow: 0.0 };
        for k in 0..state.spec.workloads() {
            if let Some(node) = state.node_of(k) {
                trial.add(k, node, 1.0);
            }
        }
        for node in 0..state.spec.nodes() {
            trial.loads.refresh_node(&state.spec, &state.objective, node);
        }
        trial.loads.refresh_totals(&state.spec);
        trial
    }

    fn add(&mut self, workload: usize, node: usize, sign: f32) {
        let padded = self.state.spec.padded_nodes();
        for (j, d) in self.state.demand_of(workload).iter().enumerate() {
            self.loads.held[j * padded + node] += sign * d;
        }
    }

    fn cost(&self) -> f32 {
        let objective = &self.state.objective;
        self.ticks * objective.level(&self.loads.terms(objective)) + self.flow as f32
    }

    /// Moves a workload; [`Trial::refresh`] its nodes afterwards.
    fn shift(&mut self, workload: usize, to: usize) {
        let (start, from) = (self.state.placement[workload], self.placement[workload]);
        if from != start {
            self.away -= 1;
            self.flow -= f64::from(move_cost(self.state, workload, from as usize));
        }
        self.add(workload, from as usize, -1.0);
        self.placement[workload] = to as u32;
        self.add(workload, to, 1.0);
        if to as u32 != start {
            self.away += 1;
            self.flow += f64::from(move_cost(self.state, workload, to));
        }
    }

    fn refresh(&mut self, a: usize, b: usize) {
        let (spec, objective) = (&self.state.spec, &self.state.objective);
        self.loads.refresh_node(spec, objective, a);
        self.loads.refresh_node(spec, objective, b);
        self.loads.refresh_totals(spec);
    }

    /// Whether a workload may go to a node, against one that comes back or not.
    fn allows(&self, comes: usize, to: usize, back: Option<usize>) -> bool {
        let from = self.placement[comes] as usize;
        self.takes(to, comes, back) && back.is_none_or(|back| self.takes(from, back, Some(comes)))
    }

    fn takes(&self, node: usize, comes: usize, goes: Option<usize>) -> bool {
        let spec = &*self.state.spec;
        let (padded, group) = (spec.padded_nodes(), spec.group[comes]);
        let room = self.state.demand_of(comes).iter().enumerate().all(|(j, &d)| {
            let at = j * padded + node;
            let less = goes.map_or(0.0, |goes| self.state.demand_of(goes)[j]);
            d <= 0.0 || fits(self.loads.held[at] - less, d, spec.supply[at])
        });
        room && spec.class_allows(comes, node)
            && (group == NO_GROUP
                || !(0..spec.workloads()).any(|other| {
                    other != comes
                        && spec.group[other] == group
                        && self.placement[other] as usize == node
                }))
    }
}

impl Policy for Annealing {
    fn name(&self) -> &str {
        "annealing"
    }

    fn reset(&mut self, seed: u64) {
        self.rng = stream(seed, "policy annealing");
        self.plan.clear();
    }

    fn act(&mut self, state: &ClusterState) -> Action {
        if let Some(action) = self.resume(state) {
            return action;
        }
        self.search(state);
        self.resume(state).unwrap_or(Action::Stay)
    }
}
