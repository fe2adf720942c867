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
//!    to the healthy node of the lowest load that takes it, if the transfer ends before the
//!    deadline.
//! 3. Where nobody has to leave, the best single move to a healthy node, as long as its transfer
//!    ends before the deadline of its source.
//!
//! Parameters: ticks for which a degraded node's hazard counts; those of the best single move.

use crate::baselines::declaration::{Declaration, with_single};
use crate::baselines::greedy::best_single_move::{BestSingleMove, BestSingleMoveRules};
use crate::baselines::scan::move_cost;
use crate::policy::Policy;
use godwit_envs::scenario::Rules;
use godwit_envs::state::cluster::Health;
use godwit_envs::state::term::Term;
use godwit_envs::state::{Action, ClusterState};

/// Parameters of [`Evacuate`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EvacuateRules {
    /// Those of the single moves (rule 3).
    pub single: BestSingleMoveRules,
    /// Ticks over which the hazard of a degraded node is summed; 0 leaves degraded nodes alone.
    pub hazard_ticks: u32,
}

impl Default for EvacuateRules {
    /// About as long as a degraded node stays degraded.
    fn default() -> Self {
        Self { single: BestSingleMoveRules::default(), hazard_ticks: 12 }
    }
}

/// The parameters as data.
pub(crate) fn declaration() -> Declaration<EvacuateRules> {
    with_single!(
        Declaration::new(EvacuateRules::default(), Evacuate::new).integer(
            "hazard_ticks",
            "ticks over which the hazard of a degraded node counts",
            0..=60,
            |r| (&mut r.hazard_ticks).into(),
        ),
        "ticks",
        "ticks for which a gain counts"
    )
}

/// Moves workloads off nodes that are about to fail, and balances otherwise.
#[derive(Debug, Clone, Default)]
pub struct Evacuate {
    rules: EvacuateRules,
    balance: BestSingleMove,
}

impl Evacuate {
    /// With these parameters.
    pub fn new(rules: EvacuateRules) -> Self {
        Self { rules, balance: BestSingleMove::new(rules.single) }
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
            let in_time = |node| ends_in_time(state, k, node);
            let Some(destination) = refuge(state, k, in_time) else { continue };
            if risk * weight * priority > move_cost(state, k, destination) {
                best = Some((due(node), priority, gib, k, destination));
            }
        }
        best.map(|(.., workload, destination)| Action::Migrate { workload, destination })
    }
}

/// Moves off draining nodes, by deadline and then as [`Evacuate`] orders them.
pub(crate) fn ways_out(state: &ClusterState) -> impl Iterator<Item = (usize, usize)> {
    let draining = |node: usize| state.health[node] == Health::Draining;
    let mut ways: Vec<(u32, f32, f32, usize, usize)> = (0..state.spec.workloads())
        .filter_map(|k| {
            let node = state.node_of(k).filter(|&node| draining(node))?;
            state.may_leave(k).ok()?;
            let (priority, gib) = (state.spec.priority[k], state.spec.state_gib[k]);
            let in_time = |node| ends_in_time(state, k, node);
            Some((state.deadline[node], -priority, gib, k, refuge(state, k, in_time)?))
        })
        .collect();
    ways.sort_unstable_by(|a, b| {
        let sizes = a.1.total_cmp(&b.1).then(a.2.total_cmp(&b.2));
        a.0.cmp(&b.0).then(sizes).then(a.3.cmp(&b.3))
    });
    ways.into_iter().map(|(.., workload, destination)| (workload, destination))
}

/// Whether a transfer that starts now ends before its source fails.
fn ends_in_time(state: &ClusterState, workload: usize, destination: usize) -> bool {
    let Some(source) = state.node_of(workload) else { return false };
    if state.health[source] != Health::Draining {
        return true;
    }
    let ticks = state.deadline[source].saturating_sub(state.tick);
    let left = ticks as f32 * state.rules.episode.tick_s;
    state.migration_cost(workload, destination).transfer_s <= left
}

/// The healthy node of the lowest load that takes the workload, of those that are `in_time`.
pub(crate) fn refuge(
    state: &ClusterState,
    workload: usize,
    in_time: impl Fn(usize) -> bool,
) -> Option<usize> {
    (0..state.spec.nodes())
        .filter(|&node| state.health[node] == Health::Healthy)
        .filter(|&node| state.check(workload, node).is_ok())
        .filter(|&node| in_time(node))
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
        self.evacuate(state).unwrap_or_else(|| self.balance(state))
    }

    /// What a restart costs, against which it weighs a move, is in the rules of faults.
    fn sees_health(&self, rules: &Rules) -> bool {
        rules.faults.is_some()
    }
}

impl Evacuate {
    fn balance(&mut self, state: &ClusterState) -> Action {
        let action = if state.health.contains(&Health::Degraded) {
            // To the balancing rule a degraded node takes nobody.
            let mut seen = state.clone();
            let degraded = seen.health.iter_mut().filter(|health| **health == Health::Degraded);
            degraded.for_each(|health| *health = Health::Draining);
            seen.rebuild();
            self.balance.act(&seen)
        } else {
            self.balance.act(state)
        };
        match action {
            Action::Migrate { workload, destination }
                if !ends_in_time(state, workload, destination) =>
            {
                Action::Stay
            }
            action => action,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{cluster, rules};
    use godwit_envs::env::cluster_env::ClusterEnv;
    use serde_json::json;

    /// Three nodes; on the first one three workloads, on the second a large one.
    fn state(downtime_weight: f32) -> ClusterState {
        let rules = rules(json!({
            "resources": [{"name": "cpu"}],
            "episode": {"mode": "online", "moves_per_tick": 4},
            "objective": {"weights": {"max_load": 1e-6, "moved_gib": 1.0, "downtime_s": downtime_weight}},
            "limits": {"transfers_per_node": 8},
            "faults": {"restart_s": 100.0, "hazard_per_tick": 0.1},
        }));
        let placed = [(1.0, 0), (1.0, 0), (1.0, 0), (3.0, 1)];
        cluster(rules, (3, 8.0), &placed, |workloads| {
            workloads[1].priority = 4.0;
            workloads[2].state_gib = 0.5;
        })
    }

    fn moves(mut state: ClusterState) -> Vec<(usize, usize)> {
        let mut policy = Evacuate::default();
        let mut moves = Vec::new();
        while let Action::Migrate { workload, destination } = policy.act(&state) {
            moves.push((workload, destination));
            assert!(state.migrate(workload, destination).is_ok());
        }
        moves
    }

    #[test]
    fn a_draining_node_is_left_by_priority_and_then_by_size() {
        let mut state = state(1.0);
        state.health[0] = Health::Draining;
        state.deadline[0] = 5;
        state.rebuild();
        // To the emptiest node first (loads 3/8 and 0); the moved ones make it 1/8, then 2/8.
        assert_eq!(moves(state), [(1, 2), (2, 2), (0, 2)]);
    }

    #[test]
    fn who_would_not_arrive_before_the_deadline_stays() {
        let mut state = state(1.0);
        state.health[0] = Health::Draining;
        state.deadline[0] = 1;
        // 1 GiB at half of a link takes seconds; 600 GiB take longer than the tick that is left.
        state.spec = std::sync::Arc::new({
            let mut spec = (*state.spec).clone();
            spec.state_gib[0] = 600.0;
            spec
        });
        state.rebuild();
        assert_eq!(moves(state), [(1, 2), (2, 2)]);
    }

    #[test]
    fn balancing_keeps_off_degraded_nodes() {
        let mut state = state(1.0);
        let mut rules = (*state.rules).clone();
        rules.objective.weights.insert("imbalance".into(), 10.0);
        rules.objective.weights.insert("moved_gib".into(), 0.001);
        state = ClusterState::new(rules.into(), state.spec, state.placement);
        assert_eq!(moves(state.clone())[0].1, 2);
        state.health[2] = Health::Degraded;
        state.rebuild();
        assert!(moves(state).iter().all(|&(_, destination)| destination != 2));
    }

    #[test]
    fn who_would_restart_cheaply_stays() {
        // Moving 1 GiB costs 1 and more, a cold restart 100 s x 0.009 = 0.9; only priority 4 pays.
        let mut state = state(0.009);
        state.spec = std::sync::Arc::new({
            let mut spec = (*state.spec).clone();
            spec.state_gib[2] = 1.0;
            spec
        });
        state.health[0] = Health::Draining;
        state.deadline[0] = 5;
        state.rebuild();
        assert_eq!(moves(state), [(1, 2)]);
    }

    #[test]
    fn healthy_nodes_are_left_alone_and_draining_ones_take_nobody() {
        assert_eq!(moves(state(1.0)), []);
        let mut state = state(1.0);
        state.health = vec![Health::Draining, Health::Draining, Health::Draining];
        state.rebuild();
        assert_eq!(moves(state), []);
    }

    #[test]
    fn on_the_faults_scenario_it_beats_the_best_single_move() {
        use crate::rollout::rollout;
        use godwit_envs::scenario::{Phase, Scenario, WorldTemplate};
        let scenario = Scenario::embedded("faults").expect("an embedded scenario");
        let template = std::sync::Arc::new(WorldTemplate::new(&scenario));
        let mut env = ClusterEnv::new(template, Phase::Train).expect("a start");
        let mut mean = |policy: &mut dyn Policy| -> f64 {
            let play = |seed| rollout(&mut env, policy, seed).expect("an episode").episode_return;
            (0..6).map(play).sum::<f64>() / 6.0
        };
        let (evacuate, single) =
            (mean(&mut Evacuate::default()), mean(&mut BestSingleMove::default()));
        assert!(evacuate > 0.7 * single, "{evacuate} against {single}");
    }
}
