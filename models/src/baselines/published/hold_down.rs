//! A balancer that waits until an imbalance has lasted, like the one in Proxmox VE's cluster
//! resource scheduler.
//!
//! 1. The imbalance is the coefficient of variation of the nodes' loads (a load is the sum of a
//!    node's utilisations). Each tick that finds it above the threshold counts; one that does not
//!    starts the count anew.
//! 2. Before the count has reached the hold, stay.
//! 3. Then take the feasible move after which the imbalance is least, if it takes off at least the
//!    margin, a share of the imbalance now, and start the count anew. If no move does, stay and
//!    keep the count.
//!
//! A rebalance scenario has no clock to wait for: there rule 2 is left out.
//!
//! Parameters: threshold, hold and margin, all of them for the operator to choose in Proxmox. The
//! margin makes it a rule for small clusters: among hundreds of nodes hardly any single move takes
//! off a tenth of the imbalance.
//!
//! Source: Proxmox VE's automatic rebalancing (imbalance threshold, hold duration and margin of
//! the HA manager's cluster resource scheduler, from 2026 on), with its exhaustive choice of the
//! move. Departures: a round there is ten seconds, here a tick; and what a node's load is made of
//! differs.
//!
//! It looks at neither forecasts nor costs. Each move decreases the imbalance by at least the
//! margin, and below the threshold there is none: a static cluster comes to rest.

use crate::baselines::declaration::Declaration;
use crate::policy::Policy;
use godwit_envs::scenario::Mode;
use godwit_envs::state::cluster::Health;
use godwit_envs::state::{Action, ClusterState};

/// Parameters of [`HoldDown`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HoldDownRules {
    /// Coefficient of variation of the loads above which a tick counts.
    pub threshold: f32,
    /// Consecutive ticks above the threshold before a move (online).
    pub hold_ticks: u32,
    /// Share of the current imbalance that a move has to take off; at least a rounding error's
    /// worth is always asked for.
    pub min_gain: f32,
}

impl Default for HoldDownRules {
    fn default() -> Self {
        Self { threshold: 0.1, hold_ticks: 3, min_gain: 0.1 }
    }
}

/// The parameters as data.
pub(crate) fn declaration() -> Declaration<HoldDownRules> {
    Declaration::new(HoldDownRules::default(), HoldDown::new)
        .real("threshold", "coefficient of variation of the loads that counts", 0.0..=0.5, |r| {
            (&mut r.threshold).into()
        })
        .integer("hold_ticks", "consecutive ticks above it before a move", 1..=12, |r| {
            (&mut r.hold_ticks).into()
        })
        .online()
        .real("min_gain", "share of the imbalance that a move has to take off", 0.0..=0.5, |r| {
            (&mut r.min_gain).into()
        })
}

/// Shares of the imbalance up to this are rounding.
const ROUNDING: f32 = 1e-4;

/// Waits, then takes the move that balances most.
#[derive(Debug, Clone, Default)]
pub struct HoldDown {
    rules: HoldDownRules,
    /// Consecutive ticks above the threshold, up to and with the last one seen.
    count: u32,
    last_tick: Option<u32>,
    /// Load minus the mean load, `[N]`.
    deviation: Vec<f32>,
    /// Load that the workload at hand would add to each node, `[N]`.
    added: Vec<f32>,
}

impl HoldDown {
    /// With these parameters.
    pub fn new(rules: HoldDownRules) -> Self {
        Self { rules, ..Self::default() }
    }

    /// Counts the tick, once however many decisions are made in it.
    fn count_tick(&mut self, tick: u32, above: bool) {
        if self.last_tick != Some(tick) {
            let follows = self.last_tick.is_some_and(|last| last + 1 == tick);
            let before = if follows { self.count } else { 0 };
            self.count = if above { before + 1 } else { 0 };
            self.last_tick = Some(tick);
        }
    }

    /// Fills in the load that a workload would add to each node.
    fn weigh(&mut self, state: &ClusterState, workload: usize) {
        let padded = state.spec.padded_nodes();
        self.added.fill(0.0);
        for (j, &demand) in state.demand_of(workload).iter().enumerate() {
            let inverse = &state.spec.inverse_supply[j * padded..];
            for (added, inverse) in self.added.iter_mut().zip(inverse) {
                *added += demand * inverse;
            }
        }
    }
}

/// Coefficient of variation of `n` loads with this sum of squared deviations from `center`, whose
/// sum is `shift` more than `n * center`.
#[inline(always)]
fn imbalance(n: f32, center: f32, square: f32, shift: f32) -> f32 {
    let mean_shift = shift / n;
    let mean = center + mean_shift;
    let variance = square / n - mean_shift * mean_shift;
    if mean > 0.0 { variance.max(0.0).sqrt() / mean } else { 0.0 }
}

impl Policy for HoldDown {
    fn name(&self) -> &str {
        "hold-down"
    }

    fn reset(&mut self, _seed: u64) {
        self.count = 0;
        self.last_tick = None;
    }

    fn act(&mut self, state: &ClusterState) -> Action {
        let nodes = state.spec.nodes();
        // A node that has failed is no node of the cluster: it would look as if it were idle.
        let serves = |node: &usize| state.health[*node] != Health::Failed;
        let n = (0..nodes).filter(serves).count().max(1) as f32;
        let center = (0..nodes).filter(serves).map(|i| state.now.load[i]).sum::<f32>() / n;
        self.added.resize(nodes, 0.0);
        self.deviation.clear();
        let deviation = |node| if serves(&node) { state.now.load[node] - center } else { 0.0 };
        self.deviation.extend((0..nodes).map(deviation));
        let square: f32 = self.deviation.iter().map(|deviation| deviation * deviation).sum();
        let now = imbalance(n, center, square, 0.0);
        let above = now > self.rules.threshold;
        self.count_tick(state.tick, above);
        let held = match state.rules.episode.mode {
            Mode::Rebalance => true,
            Mode::Online => self.count >= self.rules.hold_ticks,
        };
        if !above || !held {
            return Action::Stay;
        }
        let mut least = now * (1.0 - self.rules.min_gain.max(ROUNDING));
        let mut best = Action::Stay;
        for workload in 0..state.spec.workloads() {
            if state.may_leave(workload).is_err() {
                continue;
            }
            self.weigh(state, workload);
            let source = state.placement[workload] as usize;
            let leaves = self.added[source];
            let without = square + leaves * (leaves - 2.0 * self.deviation[source]);
            let lanes = self.added.iter().zip(&self.deviation).enumerate();
            for (destination, (&comes, &deviation)) in lanes {
                let square = without + comes * (comes + 2.0 * deviation);
                let after = imbalance(n, center, square, comes - leaves);
                // The constraints last: hardly any destination gets that far.
                if after < least && state.check(workload, destination).is_ok() {
                    least = after;
                    best = Action::Migrate { workload, destination };
                }
            }
        }
        if best != Action::Stay {
            self.count = 0;
        }
        best
    }
}
