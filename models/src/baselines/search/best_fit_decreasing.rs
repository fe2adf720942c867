//! Repacking by best-fit decreasing, and the best start of the way to that packing.
//!
//! Rules:
//!
//! 1. All workloads that may leave are taken off their nodes and put back one by one, by descending
//!    size (the sum of the demands, each as a share of the largest node's supply): each on the
//!    node that takes it and is then the most loaded, if its load stays within a cap. Of equally
//!    good nodes it prefers its own. What fits nowhere goes home.
//! 2. The packing is made without a cap, and with caps between the mean and the highest load as in
//!    MULTIFIT: the lowest cap that still packs everything is looked for by bisection.
//! 3. Each packing that nothing was left out of is a goal. The goal whose plan
//!    ([`crate::baselines::search::planned`]) is worth most is the one that is played: the packing itself
//!    mostly needs far more moves than there are.
//!
//! Parameters: bisections, and those of all plans.
//!
//! Source: Johnson, "Near-optimal bin packing algorithms", MIT 1973 (best-fit decreasing); Coffman,
//! Garey and Johnson, "An application of bin-packing to multiprocessor scheduling", SIAM Journal
//! on Computing 1978 (MULTIFIT: seven bisections).

use crate::baselines::declaration::{Declaration, with_plan};
use crate::baselines::search::planned::{Planned, order};
use crate::baselines::search::trial::{PlanRules, Trial};
use crate::policy::Policy;
use godwit_envs::state::{Action, ClusterState};

/// Parameters of [`BestFitDecreasing`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BestFitDecreasingRules {
    /// Those of all plans.
    pub plan: PlanRules,
    /// Caps that are tried.
    pub bisections: u32,
}

impl Default for BestFitDecreasingRules {
    /// Seven bisections, as published.
    fn default() -> Self {
        Self { plan: PlanRules::default(), bisections: 7 }
    }
}

/// The parameters as data.
pub(crate) fn declaration() -> Declaration<BestFitDecreasingRules> {
    with_plan!(Declaration::new(BestFitDecreasingRules::default(), BestFitDecreasing::new).integer(
        "bisections",
        "caps that are tried",
        1..=12,
        |r| (&mut r.bisections).into()
    ))
}

/// Repacks and plays the most valuable moves of the repacking.
#[derive(Debug, Clone, Default)]
pub struct BestFitDecreasing {
    rules: BestFitDecreasingRules,
    planned: Planned,
}

impl BestFitDecreasing {
    /// With these parameters.
    pub fn new(rules: BestFitDecreasingRules) -> Self {
        Self { rules, planned: Planned::default() }
    }
}

/// Rules 2 and 3; leaves the goal as the trial's best placement.
fn search(rules: &BestFitDecreasingRules, trial: &mut Trial) {
    let state = trial.state;
    let spec = &*state.spec;
    let size = |k: usize| -> f32 {
        state.demand_of(k).iter().zip(&spec.inverse_largest).map(|(d, inverse)| d * inverse).sum()
    };
    let mut queue: Vec<(f32, usize)> = trial.movable.iter().map(|&k| (size(k), k)).collect();
    queue.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let n = spec.nodes();
    let loads = (0..n).map(|node| trial.load(node));
    let (mut low, mut high) = (loads.clone().sum::<f32>() / n as f32, loads.fold(0.0, f32::max));
    let mut goal = state.placement.clone();
    let mut most = 0.0;
    let (mut waiting, mut ticks) = (Vec::new(), Vec::new());
    let mut judge = |trial: &Trial| {
        let worth = order(state, rules.plan, &trial.placement, &mut waiting, &mut ticks).1;
        if worth > most {
            most = worth;
            goal.clone_from(&trial.placement);
        }
    };
    if pack(trial, &queue, f32::INFINITY) {
        judge(trial);
    }
    for _ in 0..rules.bisections {
        let cap = 0.5 * (low + high);
        if pack(trial, &queue, cap) {
            judge(trial);
            high = cap;
        } else {
            low = cap;
        }
    }
    trial.best_placement = goal;
}

/// Rule 1; whether everything found a node.
fn pack(trial: &mut Trial, queue: &[(f32, usize)], cap: f32) -> bool {
    for &(_, k) in queue {
        trial.lift(k);
    }
    trial.mark();
    let spec = &*trial.state.spec;
    let padded = spec.padded_nodes();
    let mut complete = true;
    for &(_, k) in queue {
        let home = trial.home(k);
        let mut best: Option<(f32, usize)> = None;
        for node in 0..spec.nodes() {
            let own = trial.state.demand_of(k).iter().enumerate();
            let own: f32 = own.map(|(j, d)| d * spec.inverse_supply[j * padded + node]).sum();
            let load = trial.load(node) + own;
            let better = best.is_none_or(|(most, _)| load > most || (load == most && node == home));
            if better && load <= cap && trial.takes(node, k) {
                best = Some((load, node));
            }
        }
        complete &= best.is_some();
        trial.put(k, best.map_or(home, |(_, node)| node));
    }
    trial.mark();
    complete
}

impl Policy for BestFitDecreasing {
    fn name(&self) -> &str {
        "best-fit-decreasing"
    }

    fn reset(&mut self, _seed: u64) {
        self.planned.clear();
    }

    fn act(&mut self, state: &ClusterState) -> Action {
        let Self { rules, planned } = self;
        planned.act(state, rules.plan, |trial| search(rules, trial))
    }
}
