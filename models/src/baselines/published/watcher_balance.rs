//! OpenStack Watcher's strategy `workload_balance`.
//!
//! Rules, with a host's load being the highest of its utilisations:
//!
//! 1. A host at or above the threshold is overloaded. The most loaded one is relieved first.
//! 2. Its excess is its load minus the mean load of all hosts. Of its workloads, the one whose own
//!    load is closest to the excess without being more; a workload's own load is what it uses of
//!    the resource that the host is fullest of.
//! 3. It goes to the least loaded host that stays below the threshold with it. If there is none,
//!    the host's next closest workload is tried, then the next overloaded host.
//! 4. Otherwise stay.
//!
//! Parameter: the threshold. Watcher's default is 25 % of one metric, CPU or memory. Clusters that
//! run fuller than that have no host below it, and the rule would never act: the default here is
//! 80 %, a common mark for a host that is too full.
//!
//! Source: openstack/watcher, `decision_engine/strategy/strategies/workload_balance.py`.
//! Departures: Watcher plans with one metric and hosts of equal size, here the load is the highest
//! of several ratios; and Watcher gives up until its next audit when nothing takes the workload of
//! rule 2, where this policy tries the next one.
//!
//! It looks at neither forecasts nor costs. A destination never becomes overloaded by what it
//! receives: in a static cluster each workload moves at most once, and the cluster comes to rest.

use crate::baselines::declaration::Declaration;
use crate::baselines::greedy::threshold_rules::utilisation;
use crate::policy::Policy;
use godwit_envs::state::cluster::Health;
use godwit_envs::state::{Action, ClusterState};

/// Parameters of [`WatcherBalance`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WatcherBalanceRules {
    /// Highest utilisation from which a host is overloaded, a ratio.
    pub threshold: f32,
}

impl Default for WatcherBalanceRules {
    fn default() -> Self {
        Self { threshold: 0.8 }
    }
}

/// The parameters as data.
pub(crate) fn declaration() -> Declaration<WatcherBalanceRules> {
    Declaration::new(WatcherBalanceRules::default(), WatcherBalance::new).real(
        "threshold",
        "highest utilisation from which a host is overloaded",
        0.2..=1.0,
        |r| (&mut r.threshold).into(),
    )
}

/// Takes the excess over the mean off overloaded hosts.
#[derive(Debug, Clone, Default)]
pub struct WatcherBalance {
    rules: WatcherBalanceRules,
    /// Load and index of the hosts, ascending.
    hosts: Vec<(f32, u32)>,
    /// Own load and index of the source's workloads.
    queue: Vec<(f32, u32)>,
}

impl WatcherBalance {
    /// With these parameters.
    pub fn new(rules: WatcherBalanceRules) -> Self {
        Self { rules, ..Self::default() }
    }
}

/// Index of the resource that a node is fullest of, in the arrays of the spec.
fn fullest(state: &ClusterState, node: usize) -> usize {
    let padded = state.spec.padded_nodes();
    let used = |j: usize| {
        let at = j * padded + node;
        state.now.held[at] * state.spec.inverse_supply[at]
    };
    (0..state.spec.resources).fold(0, |most, j| if used(j) > used(most) { j } else { most })
}

impl Policy for WatcherBalance {
    fn name(&self) -> &str {
        "watcher-workload-balance"
    }

    fn reset(&mut self, _seed: u64) {}

    fn act(&mut self, state: &ClusterState) -> Action {
        let n = state.spec.nodes();
        let padded = state.spec.padded_nodes();
        self.hosts.clear();
        // Watcher knows hosts that are up only.
        let up = (0..n).filter(|&node| state.health[node] != Health::Failed);
        self.hosts.extend(up.map(|node| (utilisation(state, node, None), node as u32)));
        self.hosts.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let mean =
            self.hosts.iter().map(|host| host.0).sum::<f32>() / self.hosts.len().max(1) as f32;
        for &(load, source) in self.hosts.iter().rev() {
            if load < self.rules.threshold {
                break;
            }
            let resource = fullest(state, source as usize);
            let inverse = state.spec.inverse_supply[resource * padded + source as usize];
            self.queue.clear();
            for k in 0..state.spec.workloads() {
                if state.placement[k] == source && state.may_leave(k).is_ok() {
                    let own = state.demand_of(k)[resource] * inverse;
                    if own > 0.0 && own <= load - mean {
                        self.queue.push((own, k as u32));
                    }
                }
            }
            self.queue.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            for &(_, k) in &self.queue {
                let workload = k as usize;
                let taker = self.hosts.iter().map(|host| host.1 as usize).find(|&node| {
                    utilisation(state, node, Some((workload, 1.0))) < self.rules.threshold
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
