//! OpenStack Watcher's strategy `workload_stabilization`.
//!
//! 1. The spread of a resource is the standard deviation of its utilisation over the nodes that
//!    have it. While no resource's spread exceeds the threshold, stay.
//! 2. Every feasible migration is tried out. The one after which the sum of the spreads over the
//!    resources is least is taken, if that is less than now; otherwise stay.
//!
//! Parameters: the threshold, and the least decrease of the sum. Watcher's threshold is 0.2 and
//! its weights in the sum are 1. A cluster of whose nodes one half is at 40 % and the other at
//! 80 % just reaches 0.2, so that most clusters would never be touched: the default here is 0.05.
//!
//! Source: openstack/watcher,
//! `decision_engine/strategy/strategies/workload_stabilization.py`. Departures: all destinations
//! are tried (`fullsearch` there), where Watcher's default draws one at random for each workload;
//! and each move is chosen afresh, where Watcher works through one sorted list until the first of
//! its metrics is below its threshold.
//!
//! It looks at neither forecasts nor costs. Each move decreases a sum that cannot go below zero, by
//! no less than the least decrease: a static cluster comes to rest.

use crate::baselines::declaration::Declaration;
use crate::policy::Policy;
use godwit_envs::resources::MAX_RESOURCES;
use godwit_envs::state::cluster::Health;
use godwit_envs::state::{Action, ClusterState};

/// Parameters of [`WatcherStabilization`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WatcherStabilizationRules {
    /// Spread (standard deviation of a ratio) above which it acts.
    pub threshold: f32,
    /// Least decrease of the sum of spreads that is worth a move; at least a rounding error's
    /// worth is always asked for.
    pub min_decrease: f32,
}

impl Default for WatcherStabilizationRules {
    fn default() -> Self {
        Self { threshold: 0.05, min_decrease: ROUNDING }
    }
}

/// Changes of a sum of standard deviations up to this are rounding.
const ROUNDING: f32 = 1e-5;

/// The parameters as data.
pub(crate) fn declaration() -> Declaration<WatcherStabilizationRules> {
    Declaration::new(WatcherStabilizationRules::default(), WatcherStabilization::new)
        .real("threshold", "spread of a utilisation above which it acts", 0.0..=0.3, |r| {
            (&mut r.threshold).into()
        })
        .log_real("min_decrease", "least decrease of the sum of spreads", 1e-5..=0.1, |r| {
            (&mut r.min_decrease).into()
        })
}

/// Utilisations of one resource around their mean.
#[derive(Debug, Clone, Copy, Default)]
struct Spread {
    /// Nodes that have the resource.
    nodes: f32,
    /// Sum of the squared deviations: kept around the mean so that f32 suffices.
    square: f32,
}

impl Spread {
    /// Standard deviation after a change of the sum of squares and of the sum.
    #[inline(always)]
    fn deviation(self, square_change: f32, shift: f32) -> f32 {
        let inverse = 1.0 / self.nodes;
        let mean_shift = shift * inverse;
        ((self.square + square_change) * inverse - mean_shift * mean_shift).max(0.0).sqrt()
    }
}

/// The migration after which utilisations differ least.
#[derive(Debug, Clone, Default)]
pub struct WatcherStabilization {
    rules: WatcherStabilizationRules,
    spreads: [Spread; MAX_RESOURCES],
    /// Utilisation minus the resource's mean, `[m][P]`.
    deviation: Vec<f32>,
    /// Sum of the spreads after a move to each node, `[N]`.
    sums: Vec<f32>,
}

impl WatcherStabilization {
    /// With these parameters.
    pub fn new(rules: WatcherStabilizationRules) -> Self {
        Self { rules, ..Self::default() }
    }

    fn measure(&mut self, state: &ClusterState) {
        let spec = &*state.spec;
        let (n, padded) = (spec.nodes(), spec.padded_nodes());
        self.deviation.clear();
        self.deviation.extend(state.now.held.iter().zip(&spec.inverse_supply).map(|(h, i)| h * i));
        self.sums.resize(n, 0.0);
        for j in 0..spec.resources {
            let used = &mut self.deviation[j * padded..j * padded + n];
            let inverse = &spec.inverse_supply[j * padded..j * padded + n];
            // Watcher knows hosts that are up only.
            let counts = |node: usize| inverse[node] > 0.0 && state.health[node] != Health::Failed;
            let nodes = (0..n).filter(|&node| counts(node)).count();
            // Of those that count alone: a failed node may still be the end of a transfer.
            let total: f64 =
                (0..n).filter(|&node| counts(node)).map(|node| f64::from(used[node])).sum();
            let mean = if nodes > 0 { (total / nodes as f64) as f32 } else { 0.0 };
            let mut square = 0.0_f64;
            for (node, used) in used.iter_mut().enumerate() {
                *used -= mean;
                if counts(node) {
                    square += f64::from(*used * *used);
                }
            }
            self.spreads[j] = Spread { nodes: nodes.max(1) as f32, square: square as f32 };
        }
    }

    /// Fills in what each destination would make of the sum; the source's own entry means nothing.
    fn try_out(&mut self, state: &ClusterState, workload: usize) {
        let spec = &*state.spec;
        let (n, padded) = (spec.nodes(), spec.padded_nodes());
        let source = state.placement[workload] as usize;
        self.sums.fill(0.0);
        for (j, &demand) in state.demand_of(workload).iter().enumerate() {
            let spread = self.spreads[j];
            let row = j * padded;
            let leaves = demand * spec.inverse_supply[row + source];
            let at_source = leaves * (leaves - 2.0 * self.deviation[row + source]);
            let lanes = self.deviation[row..row + n].iter().zip(&spec.inverse_supply[row..]);
            for (sum, (deviation, inverse)) in self.sums.iter_mut().zip(lanes) {
                let comes = demand * inverse;
                let change = at_source + comes * (comes + 2.0 * deviation);
                *sum += spread.deviation(change, comes - leaves);
            }
        }
    }
}

impl Policy for WatcherStabilization {
    fn name(&self) -> &str {
        "watcher-stabilization"
    }

    fn reset(&mut self, _seed: u64) {}

    fn act(&mut self, state: &ClusterState) -> Action {
        self.measure(state);
        let spreads = &self.spreads[..state.spec.resources];
        if spreads.iter().all(|spread| spread.deviation(0.0, 0.0) <= self.rules.threshold) {
            return Action::Stay;
        }
        let now: f32 = spreads.iter().map(|spread| spread.deviation(0.0, 0.0)).sum();
        let mut least = now - self.rules.min_decrease.max(ROUNDING);
        let mut best = Action::Stay;
        for workload in 0..state.spec.workloads() {
            if state.may_leave(workload).is_err() {
                continue;
            }
            self.try_out(state, workload);
            for (destination, &sum) in self.sums.iter().enumerate() {
                // The constraints last: hardly any destination gets that far.
                if sum < least && state.check(workload, destination).is_ok() {
                    least = sum;
                    best = Action::Migrate { workload, destination };
                }
            }
        }
        best
    }
}
