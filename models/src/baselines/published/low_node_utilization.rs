//! The Kubernetes descheduler's plugin `LowNodeUtilization`, with the scheduler's answer to it.
//!
//! 1. A node is underutilised where each of its utilisations is at or below the lower threshold,
//!    and overutilised where one of them is above the target threshold. With
//!    [`Thresholds::Deviation`] these are a mean utilisation minus and plus a deviation, for each
//!    resource on its own, within 0 and 1.
//! 2. Overutilised nodes are gone through from the highest load (the sum of utilisations) down.
//! 3. Of such a node's workloads the one of the lowest priority is evicted, of several the one that
//!    adds the smallest load. One that demands nothing is passed over.
//! 4. It goes to the underutilised node whose load with it is least, out of those that stay at or
//!    below the target threshold with it. If there is none, the next workload is tried, then the
//!    next node. Otherwise stay.
//!
//! Parameters: the thresholds. The descheduler has no defaults; its documentation's example is 20 %
//! and 50 %. In a cluster whose nodes are all fuller than 20 % that never acts, and therefore the
//! named baseline uses deviations (`useDeviationThresholds` there) of 10 % each way.
//!
//! Source: kubernetes-sigs/descheduler, `pkg/framework/plugins/nodeutilization`, and the
//! scheduler's `LeastAllocated` score. Departures: the descheduler classifies nodes once per round
//! and evicts until its estimate of the room is used up, this policy classifies before each move;
//! priority ties are broken by quality of service there and by size here; nodes are sorted by the
//! raw quantities there; and the mean is one over nodes there, here it is all demand over all
//! supply (the same for equal nodes), which no migration changes.
//!
//! It looks at neither forecasts nor costs. In a static cluster the thresholds stand still and a
//! destination never becomes overutilised by what it receives: each workload moves at most once,
//! and the cluster comes to rest.

use crate::baselines::declaration::Declaration;
use crate::baselines::greedy::load_balancer::own_load;
use crate::policy::Policy;
use godwit_envs::resources::MAX_RESOURCES;
use godwit_envs::state::cluster::Health;
use godwit_envs::state::{Action, ClusterState, NOWHERE};

/// When a node counts as underutilised or overutilised; ratios, the same for all resources.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Thresholds {
    /// Utilisations.
    Fixed {
        /// Underutilised at or below this in all resources.
        low: f32,
        /// Overutilised above this in any resource.
        target: f32,
    },
    /// Distances from the mean utilisation of each resource.
    Deviation {
        /// How far below the mean a node has to be to be underutilised.
        below: f32,
        /// How far above the mean it has to be to be overutilised.
        above: f32,
    },
}

impl Thresholds {
    /// The example in the descheduler's documentation.
    pub const DOCUMENTED: Self = Self::Fixed { low: 0.2, target: 0.5 };
}

impl Default for Thresholds {
    fn default() -> Self {
        Self::Deviation { below: 0.1, above: 0.1 }
    }
}

/// Both kinds of thresholds side by side, of which one is in use.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    fixed: bool,
    below: f32,
    above: f32,
    low: f32,
    target: f32,
}

/// The parameters as data.
pub(crate) fn declaration() -> Declaration<Settings> {
    let default = Settings { fixed: false, below: 0.1, above: 0.1, low: 0.2, target: 0.5 };
    let make = |s: Settings| {
        LowNodeUtilization::new(if s.fixed {
            Thresholds::Fixed { low: s.low, target: s.target }
        } else {
            Thresholds::Deviation { below: s.below, above: s.above }
        })
    };
    Declaration::new(default, make)
        .choice("thresholds", "what the thresholds are", &["deviation", "fixed"], |s| {
            (&mut s.fixed).into()
        })
        .real("below", "deviation: underutilised this far below the mean", 0.0..=0.4, |s| {
            (&mut s.below).into()
        })
        .real("above", "deviation: overutilised this far above the mean", 0.0..=0.4, |s| {
            (&mut s.above).into()
        })
        .real("low", "fixed: underutilised up to this utilisation", 0.0..=1.0, |s| {
            (&mut s.low).into()
        })
        .real("target", "fixed: overutilised above this utilisation", 0.0..=1.0, |s| {
            (&mut s.target).into()
        })
        .relation("low", "no more than target", |s| s.low <= s.target)
}

/// From overutilised nodes to underutilised ones.
#[derive(Debug, Clone, Default)]
pub struct LowNodeUtilization {
    thresholds: Thresholds,
    /// Thresholds of each resource.
    low: [f32; MAX_RESOURCES],
    target: [f32; MAX_RESOURCES],
    /// Load and index of the overutilised nodes.
    over: Vec<(f32, u32)>,
    /// The underutilised nodes.
    under: Vec<u32>,
    /// Priority, own load and index of the source's workloads.
    queue: Vec<(f32, f32, u32)>,
}

impl LowNodeUtilization {
    /// With these thresholds.
    pub fn new(thresholds: Thresholds) -> Self {
        Self { thresholds, ..Self::default() }
    }

    fn set_thresholds(&mut self, state: &ClusterState) {
        match self.thresholds {
            Thresholds::Fixed { low, target } => {
                (self.low, self.target) = ([low; MAX_RESOURCES], [target; MAX_RESOURCES]);
            }
            Thresholds::Deviation { below, above } => {
                let (m, padded) = (state.spec.resources, state.spec.padded_nodes());
                for j in 0..m {
                    // From the workloads, not from what nodes hold: always in the same order, and
                    // nothing counts twice while it is transferred.
                    let demand = state.demand.iter().skip(j).step_by(m).zip(&state.placement);
                    let demand: f32 = demand.filter(|on| *on.1 != NOWHERE).map(|on| on.0).sum();
                    let supply = state.spec.supply[j * padded..].iter().zip(&state.health);
                    let supply: f32 =
                        supply.filter(|of| *of.1 != Health::Failed).map(|of| of.0).sum();
                    let mean = if supply > 0.0 { demand / supply } else { 0.0 };
                    self.low[j] = (mean - below).max(0.0);
                    self.target[j] = (mean + above).min(1.0);
                }
            }
        }
    }
}

/// Whether all utilisations of a node, with a workload added, are at or below these.
fn within(
    state: &ClusterState,
    node: usize,
    added: Option<usize>,
    most: &[f32; MAX_RESOURCES],
) -> bool {
    let padded = state.spec.padded_nodes();
    (0..state.spec.resources).all(|j| {
        let at = j * padded + node;
        let demand = added.map_or(0.0, |k| state.demand_of(k)[j]);
        (state.now.held[at] + demand) * state.spec.inverse_supply[at] <= most[j]
    })
}

impl Policy for LowNodeUtilization {
    fn name(&self) -> &str {
        "low-node-utilization"
    }

    fn reset(&mut self, _seed: u64) {}

    fn act(&mut self, state: &ClusterState) -> Action {
        self.set_thresholds(state);
        self.over.clear();
        self.under.clear();
        for node in 0..state.spec.nodes() {
            if !within(state, node, None, &self.target) {
                self.over.push((state.now.load[node], node as u32));
            } else if within(state, node, None, &self.low) {
                self.under.push(node as u32);
            }
        }
        if self.under.is_empty() {
            return Action::Stay;
        }
        self.over.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        for &(_, source) in &self.over {
            self.queue.clear();
            for k in 0..state.spec.workloads() {
                if state.placement[k] == source && state.may_leave(k).is_ok() {
                    let load = own_load(state, k, source as usize);
                    if load > 0.0 {
                        self.queue.push((state.spec.priority[k], load, k as u32));
                    }
                }
            }
            self.queue.sort_unstable_by(|a, b| {
                a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)).then(a.2.cmp(&b.2))
            });
            for &(_, _, k) in &self.queue {
                let workload = k as usize;
                let mut best: Option<(f32, usize)> = None;
                for &node in &self.under {
                    let node = node as usize;
                    let load = state.now.load[node] + own_load(state, workload, node);
                    if best.is_none_or(|(least, _)| load < least)
                        && within(state, node, Some(workload), &self.target)
                        && state.check(workload, node).is_ok()
                    {
                        best = Some((load, node));
                    }
                }
                if let Some((_, destination)) = best {
                    return Action::Migrate { workload, destination };
                }
            }
        }
        Action::Stay
    }
}
