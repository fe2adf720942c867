//! Simulated annealing over placements, played as a sequence of moves.
//!
//! Rules:
//!
//! 1. A search starts from the present placement. Each of a number of steps draws, with equal
//!    odds, a shift of a workload to another node or an exchange of two workloads, and takes it if
//!    capacities, classes and groups allow, if no more workloads are away from their start than
//!    the plan has moves, and if it lowers the cost ([`crate::baselines::search::trial`]), or else with
//!    probability `exp(-rise / temperature)`. The temperature falls geometrically.
//! 2. The way to the best of the placements found, and of the one that the best single moves lead
//!    to, is played move by move ([`crate::baselines::search::planned`]).
//!
//! Parameters: steps, temperatures, those of all plans; and the seed.
//!
//! Source: Kirkpatrick, Gelatt and Vecchi, "Optimization by simulated annealing", Science 1983,
//! over the "shift" and "swap" neighbourhoods of machine reassignment.

use crate::baselines::declaration::{Declaration, with_plan};
use crate::baselines::search::planned::Planned;
use crate::baselines::search::trial::{PlanRules, Trial};
use crate::policy::Policy;
use godwit_envs::rng::{Rng, stream};
use godwit_envs::state::{Action, ClusterState};
use rand::RngExt;
use std::time::Duration;

/// Parameters of [`Annealing`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AnnealingRules {
    /// Those of all plans.
    pub plan: PlanRules,
    /// Shifts and exchanges that are drawn in a search, for each movable workload.
    pub steps_per_workload: u32,
    /// First temperature, as a share of the cost at the start.
    pub hot: f32,
    /// Last temperature, as a share of the cost at the start.
    pub cold: f32,
}

impl Default for AnnealingRules {
    /// Temperatures matter little, steps more (`--example baselines sweep-plans`).
    fn default() -> Self {
        Self { plan: PlanRules::default(), steps_per_workload: 400, hot: 0.01, cold: 1e-4 }
    }
}

/// The parameters as data.
pub(crate) fn declaration() -> Declaration<AnnealingRules> {
    with_plan!(
        Declaration::new(AnnealingRules::default(), |rules| Annealing::new(rules, 0))
            .integer(
                "steps_per_workload",
                "shifts and exchanges drawn for each workload",
                20..=400,
                |r| { (&mut r.steps_per_workload).into() }
            )
            .log_real("hot", "first temperature, as a share of the cost", 1e-3..=0.3, |r| {
                (&mut r.hot).into()
            })
            .log_real("cold", "last temperature, as a share of the cost", 1e-6..=0.01, |r| {
                (&mut r.cold).into()
            })
            .relation("cold", "no more than hot", |r| r.cold <= r.hot)
    )
}

/// Searches for a placement and plays the moves to it.
#[derive(Debug, Clone)]
pub struct Annealing {
    rules: AnnealingRules,
    rng: Rng,
    planned: Planned,
}

impl Annealing {
    /// With these parameters; draws from the stream of this seed until it is reset with another.
    pub fn new(rules: AnnealingRules, seed: u64) -> Self {
        Self { rules, rng: stream(seed, "policy annealing"), planned: Planned::default() }
    }
}

fn search(rules: &AnnealingRules, rng: &mut Rng, trial: &mut Trial) {
    if trial.deadline.is_limited() {
        // What is surely found comes first.
        trial.descend();
        trial.go_home();
    }
    let start = trial.cost();
    let scale = trial.magnitude().max(f32::MIN_POSITIVE);
    let steps = rules.steps_per_workload.saturating_mul(trial.movable.len() as u32);
    let mut now = start;
    for step in 0..steps {
        if trial.deadline.has_passed() {
            return;
        }
        let share = trial.progress(step as usize, steps as usize);
        let temperature = scale * rules.hot * (rules.cold / rules.hot).powf(share);
        trial.mark();
        let a = trial.draw_workload(rng);
        let allowed = if rng.random_range(0..2) == 1 {
            let b = trial.draw_workload(rng);
            trial.swap(a, b)
        } else {
            let to = trial.draw_node(rng);
            trial.shift(a, to)
        };
        if allowed && trial.away <= trial.budget {
            let cost = trial.note();
            let rise = cost - now;
            if rise <= 0.0 || rng.random::<f32>() < (-rise / temperature).exp() {
                now = cost;
                continue;
            }
        }
        trial.undo();
    }
    trial.descend();
}

impl Policy for Annealing {
    fn name(&self) -> &str {
        "annealing"
    }

    fn reset(&mut self, seed: u64) {
        self.rng = stream(seed, "policy annealing");
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
