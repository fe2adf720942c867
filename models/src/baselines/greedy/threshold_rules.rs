//! A decision tree of thresholds: what operators script first.
//!
//! Rules, with a node's utilisation being the highest over its resources:
//!
//! 1. A node above the high-water mark is hot, and stays hot until it is at or below the release
//!    mark: without that hysteresis a node at the mark would shed a workload at every wiggle.
//! 2. The hottest node sheds first. Of its workloads, the smallest whose departure brings the node
//!    to the release mark; if none suffices, the largest.
//! 3. It goes to the least utilised node that stays at or below the low-water mark with it. If
//!    there is none, the node's other workloads are tried (larger sufficient ones first, then
//!    the insufficient ones from the largest down), then the next hot node.
//! 4. Otherwise stay.
//!
//! Source: the high-mark and low-mark rules of dynamic consolidation (for example Beloglazov et
//! al., "Energy-aware resource allocation heuristics", FGCS 2012, where the choice in rule 2 is
//! called minimisation of migrations). It looks at neither forecasts nor costs. As the low-water
//! mark is not above the release mark, a destination never becomes hot by what it receives, and a
//! static cluster comes to rest.

use crate::baselines::declaration::Declaration;
use crate::policy::Policy;
use godwit_envs::state::cluster::ClusterSpec;
use godwit_envs::state::{Action, ClusterState};

/// Marks on a node's highest utilisation, ratios. `low <= release <= high`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Marks {
    /// Above this a node becomes hot.
    pub high: f32,
    /// At or below this a hot node is no longer hot.
    pub release: f32,
    /// A destination may be filled up to this.
    pub low: f32,
}

impl Default for Marks {
    fn default() -> Self {
        Self { high: 0.85, release: 0.8, low: 0.8 }
    }
}

/// The parameters as data.
pub(crate) fn declaration() -> Declaration<Marks> {
    Declaration::new(Marks::default(), ThresholdRules::new)
        .real("high", "highest utilisation above which a node becomes hot", 0.3..=1.0, |r| {
            (&mut r.high).into()
        })
        .real("release", "utilisation at which a hot node is hot no longer", 0.3..=1.0, |r| {
            (&mut r.release).into()
        })
        .real("low", "utilisation up to which a destination is filled", 0.3..=1.0, |r| {
            (&mut r.low).into()
        })
        .relation("release", "no more than high", |r| r.release <= r.high)
        .relation("low", "no more than release", |r| r.low <= r.release)
}

/// High-water and low-water marks with hysteresis.
#[derive(Debug, Clone, Default)]
pub struct ThresholdRules {
    marks: Marks,
    hot: Vec<bool>,
    /// Utilisation and index of the nodes, ascending.
    nodes: Vec<(f32, u32)>,
    /// Utilisation that a departure leaves behind, and the workload.
    queue: Vec<(f32, u32)>,
}

impl ThresholdRules {
    /// With these marks.
    pub fn new(marks: Marks) -> Self {
        Self { marks, ..Self::default() }
    }

    /// Workloads of a node in the order in which they are tried (rules 2 and 3).
    fn fill_queue(&mut self, state: &ClusterState, node: usize) {
        self.queue.clear();
        for k in 0..state.spec.workloads() {
            if state.placement[k] as usize == node && state.may_leave(k).is_ok() {
                self.queue.push((utilisation(state, node, Some((k, -1.0))), k as u32));
            }
        }
        let release = self.marks.release;
        // Sufficient ones leave the most behind first, insufficient ones the least.
        self.queue.sort_unstable_by(|a, b| {
            let (a_suffices, b_suffices) = (a.0 <= release, b.0 <= release);
            b_suffices
                .cmp(&a_suffices)
                .then(if a_suffices { b.0.total_cmp(&a.0) } else { a.0.total_cmp(&b.0) })
                .then(a.1.cmp(&b.1))
        });
    }
}

/// Highest utilisation of a node over its resources, with one workload's demand added or taken.
pub(crate) fn utilisation(state: &ClusterState, node: usize, change: Option<(usize, f32)>) -> f32 {
    let spec: &ClusterSpec = &state.spec;
    let padded = spec.padded_nodes();
    let mut most = 0.0_f32;
    for j in 0..spec.resources {
        let at = j * padded + node;
        let demand = change.map_or(0.0, |(k, sign)| sign * state.demand_of(k)[j]);
        most = most.max((state.now.held[at] + demand) * spec.inverse_supply[at]);
    }
    most
}

impl Policy for ThresholdRules {
    fn name(&self) -> &str {
        "threshold-rules"
    }

    fn reset(&mut self, _seed: u64) {
        self.hot.clear();
    }

    fn act(&mut self, state: &ClusterState) -> Action {
        let n = state.spec.nodes();
        self.hot.resize(n, false);
        self.nodes.clear();
        for node in 0..n {
            let now = utilisation(state, node, None);
            let mark = if self.hot[node] { self.marks.release } else { self.marks.high };
            self.hot[node] = now > mark;
            self.nodes.push((now, node as u32));
        }
        self.nodes.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        for rank in (0..n).rev() {
            let source = self.nodes[rank].1 as usize;
            if !self.hot[source] {
                continue;
            }
            self.fill_queue(state, source);
            for &(_, k) in &self.queue {
                let workload = k as usize;
                let taker = self.nodes.iter().map(|node| node.1 as usize).find(|&node| {
                    utilisation(state, node, Some((workload, 1.0))) <= self.marks.low
                        && state.check(workload, node).is_ok()
                });
                if let Some(destination) = taker {
                    return Action::Migrate { workload, destination };
                }
            }
        }
        Action::Stay
    }
}
