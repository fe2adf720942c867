//! What a policy's moves are for, and where another policy would decide otherwise.

use crate::policy::Policy;
use crate::rollout::RolloutError;
use godwit_envs::env::Env;
use godwit_envs::env::cluster_env::ClusterEnv;
use godwit_envs::state::cluster::Health;
use godwit_envs::state::{Action, ClusterState};
use serde::Serialize;

/// What a move is for; the first that holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Its source drains.
    LeavesDraining,
    /// Its source is degraded.
    LeavesDegraded,
    /// The objective is lower at once, its price left aside.
    RelievesNow,
    /// The objective is lower at a forecast horizon, not now.
    RelievesAhead,
    /// The objective is lower at no time that is looked at: the move makes room for others.
    MakesRoom,
}

impl Purpose {
    /// All, in the order in which they are looked for.
    pub const ALL: [Self; 5] = [
        Self::LeavesDraining,
        Self::LeavesDegraded,
        Self::RelievesNow,
        Self::RelievesAhead,
        Self::MakesRoom,
    ];

    /// In words.
    pub fn label(self) -> &'static str {
        match self {
            Self::LeavesDraining => "leaves a draining node",
            Self::LeavesDegraded => "leaves a degraded node",
            Self::RelievesNow => "relieves now",
            Self::RelievesAhead => "relieves ahead",
            Self::MakesRoom => "makes room",
        }
    }

    /// Of a move in this state. The cluster is looked at as if the transfer were over.
    pub fn of(state: &ClusterState, workload: usize, destination: usize) -> Self {
        match state.node_of(workload).map(|source| state.health[source]) {
            Some(Health::Draining) => return Self::LeavesDraining,
            Some(Health::Degraded) => return Self::LeavesDegraded,
            _ => {}
        }
        let mut after = state.clone();
        after.placement[workload] = destination as u32;
        after.rebuild();
        // Sums of many small numbers: what is left of equal ones is not a relief.
        let lower = |after: f32, before: f32| after < before - 1e-5 * before.abs().max(1.0);
        if lower(after.level(), state.level()) {
            return Self::RelievesNow;
        }
        let objective = &state.objective;
        let ahead = after.forecast.iter().zip(&state.forecast).any(|(after, before)| {
            lower(
                objective.level(&after.terms(objective)),
                objective.level(&before.terms(objective)),
            )
        });
        if ahead { Self::RelievesAhead } else { Self::MakesRoom }
    }
}

/// Decisions of a policy beside what another one would have done in the same states.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Decisions {
    /// Decisions in all.
    pub decisions: u32,
    /// Moves by purpose, in the order of [`Purpose::ALL`].
    pub moves: [Moves; 5],
    /// Moves that the other one would have made where this one stays, by their purpose.
    pub declined: [u32; 5],
}

/// Moves of one purpose.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Moves {
    /// How many.
    pub made: u32,
    /// In how many of their states the other one makes the same move.
    pub same: u32,
    /// In how many it makes another one; in the rest it stays.
    pub other: u32,
}

impl std::ops::AddAssign for Decisions {
    fn add_assign(&mut self, more: Self) {
        self.decisions += more.decisions;
        for (sum, more) in self.moves.iter_mut().zip(more.moves) {
            sum.made += more.made;
            sum.same += more.same;
            sum.other += more.other;
        }
        for (sum, more) in self.declined.iter_mut().zip(more.declined) {
            *sum += more;
        }
    }
}

/// Plays the episode of this seed with `policy` and asks `other` in every state on its way.
///
/// # Errors
/// When the episode has no feasible start or the policy chooses an infeasible action.
pub fn explain(
    env: &mut ClusterEnv,
    policy: &mut dyn Policy,
    other: &mut dyn Policy,
    seed: u64,
) -> Result<Decisions, RolloutError> {
    env.reset(seed)?;
    policy.reset(seed);
    other.reset(seed);
    let mut seen = Decisions::default();
    loop {
        let state = env.state();
        let (action, instead) = (policy.act(state), other.act(state));
        seen.decisions += 1;
        match (action, instead) {
            (Action::Migrate { workload, destination }, _) => {
                let moves = &mut seen.moves[Purpose::of(state, workload, destination) as usize];
                moves.made += 1;
                moves.same += u32::from(action == instead);
                moves.other += u32::from(action != instead && instead != Action::Stay);
            }
            (Action::Stay, Action::Migrate { workload, destination }) => {
                seen.declined[Purpose::of(state, workload, destination) as usize] += 1;
            }
            (Action::Stay, Action::Stay) => {}
        }
        let step = env.apply(action).map_err(|reason| RolloutError::Infeasible {
            policy: policy.name().to_owned(),
            tick: env.state().tick,
            action,
            reason,
        })?;
        if step.end.is_some() {
            return Ok(seen);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::baselines::baseline;
    use crate::rollout::rollout;
    use crate::testing::{cluster, rules};
    use godwit_envs::scenario::{Phase, Scenario, WorldTemplate};
    use serde_json::json;
    use std::sync::Arc;

    #[test]
    fn a_purpose_is_what_the_move_does_to_the_objective_or_leaves_behind() {
        let rules = rules(json!({
            "resources": [{"name": "cpu"}],
            "episode": {"mode": "online"},
            "objective": {"weights": {"max_load": 1.0}},
            "forecast": {"horizons": [1], "period_ticks": 10},
            "faults": {},
        }));
        let mut state = cluster(rules, (3, 8.0), &[(4.0, 0), (2.0, 0), (3.0, 1)], |_| {});
        // The second workload will grow to 7 of 8: alone on a node it is then the highest load.
        state.forecast_demand = vec![1.0, 7.0, 1.0];
        state.rebuild();
        assert_eq!(Purpose::of(&state, 0, 2), Purpose::RelievesNow);
        // Max load is 6/8 before, 5/8 after; the third one's move changes neither.
        assert_eq!(Purpose::of(&state, 2, 2), Purpose::MakesRoom);
        state.demand = vec![4.0, 0.0, 4.0];
        state.rebuild();
        // Now nothing is gained; then the first node holds 7 instead of 8.
        assert_eq!(Purpose::of(&state, 1, 2), Purpose::RelievesAhead);
        state.health[0] = Health::Degraded;
        assert_eq!(Purpose::of(&state, 1, 2), Purpose::LeavesDegraded);
        state.health[0] = Health::Draining;
        assert_eq!(Purpose::of(&state, 1, 2), Purpose::LeavesDraining);
    }

    #[test]
    fn moves_add_up_to_those_of_the_episode_and_a_policy_agrees_with_itself() {
        let scenario = Scenario::embedded("founding-10x50").expect("an embedded scenario");
        let template = Arc::new(WorldTemplate::new(&scenario));
        let mut env = ClusterEnv::new(template, Phase::Evaluate).expect("a start");
        let policy = |name: &str| baseline(name).expect("a baseline");
        let (mut best, mut again, mut stay) =
            (policy("best-single-move"), policy("best-single-move"), policy("stay"));
        let moves = rollout(&mut env, best.as_mut(), 3).expect("an episode").moves;
        let alike = explain(&mut env, best.as_mut(), again.as_mut(), 3).expect("an episode");
        let made: u32 = alike.moves.iter().map(|moves| moves.made).sum();
        assert_eq!(made, moves);
        assert!(alike.moves.iter().all(|moves| moves.same == moves.made && moves.other == 0));
        assert_eq!(alike.declined, [0; 5]);
        // `stay` declines one move in each decision in which there is one.
        let idle = explain(&mut env, stay.as_mut(), best.as_mut(), 3).expect("an episode");
        assert_eq!((idle.decisions, idle.moves), (144, [Moves::default(); 5]));
        assert!(idle.declined.iter().sum::<u32>() > 20, "{idle:?}");
        let busy = explain(&mut env, best.as_mut(), stay.as_mut(), 3).expect("an episode");
        assert!(busy.moves.iter().all(|moves| moves.same == 0 && moves.other == 0));
    }
}
