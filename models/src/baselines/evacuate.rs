//! Evacuation of failing nodes, then the best single move: what an operator does by hand when a
//! node is drained (`kubectl drain`), with balancing in between.
//!
//! Rules:
//!
//! 1. Of the nodes that drain, the one with the earliest deadline comes first. A degraded node
//!    comes after them, if its workloads' expected loss is worth a move: the hazard per tick, over
//!    the ticks for which a gain counts, times the weighted downtime of a cold restart.
//! 2. Of that node's workloads that may leave and whose cold restart costs more than their
//!    migration, the one of the highest priority goes first, and of equal ones the smallest state,
//!    to the healthy node of the lowest load that takes it.
//! 3. Where nobody has to leave, the best single move.
//!
//! Parameters: ticks for which a degraded node's hazard counts; those of the best single move.

use crate::baselines::best_single_move::BestSingleMove;
use crate::baselines::scan::move_cost;
use crate::policy::Policy;
use godwit_envs::cluster::Health;
use godwit_envs::objective::Term;
use godwit_envs::state::{Action, ClusterState};

/// Parameters of [`Evacuate`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EvacuateRules {
    /// Ticks over which the hazard of a degraded node is summed; 0 leaves degraded nodes alone.
    pub hazard_ticks: u32,
}

impl Default for EvacuateRules {
    /// About as long as a degraded node stays degraded.
    fn default() -> Self {
        Self { hazard_ticks: 12 }
    }
}

/// Moves workloads off nodes that are about to fail, and balances otherwise.
#[derive(Debug, Clone, Default)]
pub struct Evacuate {
    rules: EvacuateRules,
    balance: BestSingleMove,
}

impl Evacuate {
    /// With these parameters, and the best single move's own.
    pub fn new(rules: EvacuateRules) -> Self {
        Self { rules, balance: BestSingleMove::default() }
    }

    /// Chance that the node fails while a gain counts.
    fn risk(&self, state: &ClusterState, node: usize) -> f32 {
        let hazard = state.rules.faults.as_ref().map_or(0.0, |faults| faults.hazard_per_tick);
        match state.health[node] {
            Health::Draining => 1.0,
            Health::Degraded => 1.0 - (1.0 - hazard).powi(self.rules.hazard_ticks as i32),
            Health::Healthy | Health::Failed => 0.0,
        }
    }

    fn evacuate(&self, state: &ClusterState) -> Option<Action> {
        let restart_s = state.rules.faults.as_ref().map_or(0.0, |faults| faults.restart_s);
        let weight = state.objective.weights[Term::DowntimeS as usize] * restart_s;
        // The deadline of a node that has none counts as the last one.
        let due = |node: usize| match state.health[node] {
            Health::Draining => state.deadline[node],
            _ => u32::MAX,
        };
        let mut best: Option<(u32, f32, f32, usize, usize)> = None;
        for k in 0..state.spec.workloads() {
            let Some(node) = state.node_of(k) else { continue };
            let risk = self.risk(state, node);
            if risk == 0.0 || state.may_leave(k).is_err() {
                continue;
            }
            let (priority, gib) = (state.spec.priority[k], state.spec.state_gib[k]);
            let ahead = best.is_some_and(|(first, most, least, ..)| {
                (first, -most, least) <= (due(node), -priority, gib)
            });
            if ahead {
                continue;
            }
            let Some(destination) = refuge(state, k) else { continue };
            if risk * weight * priority > move_cost(state, k, destination) {
                best = Some((due(node), priority, gib, k, destination));
            }
        }
        best.map(|(.., workload, destination)| Action::Migrate { workload, destination })
    }
}

/// The healthy node of the lowest load that takes the workload.
fn refuge(state: &ClusterState, workload: usize) -> Option<usize> {
    (0..state.spec.nodes())
        .filter(|&node| state.health[node] == Health::Healthy)
        .filter(|&node| state.check(workload, node).is_ok())
        .min_by(|&a, &b| state.now.load[a].total_cmp(&state.now.load[b]))
}

impl Policy for Evacuate {
    fn name(&self) -> &str {
        "evacuate"
    }

    fn reset(&mut self, seed: u64) {
        self.balance.reset(seed);
    }

    fn act(&mut self, state: &ClusterState) -> Action {
        self.evacuate(state).unwrap_or_else(|| self.balance.act(state))
    }
}
