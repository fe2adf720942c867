//! Runs a policy through an episode and adds up what it earned and what it cost.

use crate::policy::Policy;
use godwit_envs::env::cluster_env::ClusterEnv;
use godwit_envs::env::{Env, ResetError, Step};
use godwit_envs::scenario::Mode;
use godwit_envs::state::term::{LEVEL_TERMS, TERMS};
use godwit_envs::state::{Action, ClusterState, Infeasible};
use std::time::Instant;

/// A migration that a policy chose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Move {
    /// Tick in which it began; in a static episode each move is one tick.
    pub tick: u32,
    /// Workload index.
    pub workload: u32,
    /// How many workloads had this index before it: slots are reused when workloads depart.
    pub occupant: u32,
    /// Node it left.
    pub source: u32,
    /// Node it goes to.
    pub destination: u32,
}

/// Looks on while an episode is played.
pub(crate) trait Observer {
    /// The episode is about to begin in this state.
    fn began(&mut self, state: &ClusterState);

    /// A step was taken; `state` is the one it led to.
    fn stepped(&mut self, state: &ClusterState, step: &Step);
}

impl Observer for () {
    fn began(&mut self, _: &ClusterState) {}

    fn stepped(&mut self, _: &ClusterState, _: &Step) {}
}

/// What one episode under one policy came to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outcome {
    /// Undiscounted sum of the rewards, in units of the weighted objective.
    pub episode_return: f64,
    /// The level terms at the end.
    pub level_terms_final: [f32; LEVEL_TERMS],
    /// Online: mean of the level terms over the ticks. Rebalance: as at the end.
    pub level_terms_mean: [f32; LEVEL_TERMS],
    /// Unweighted sums of the terms that were paid for: `episode_return` is minus their weighted
    /// sum. Level terms are sums over ticks (online) or final minus initial (rebalance).
    pub terms_paid: [f64; TERMS],
    /// Migrations.
    pub moves: u32,
    /// The migrations one by one, in the order in which they were chosen.
    pub moves_made: Vec<Move>,
    /// Migration traffic, GiB.
    pub moved_gib: f64,
    /// Cold restarts of displaced workloads.
    pub restarts: u32,
    /// Seconds in which workloads did not run because of migrations and cold restarts, not weighted
    /// by priority; waiting for a node is not in it.
    pub downtime_s: f64,
    /// Seconds that the policy took for each decision.
    pub decision_seconds: Vec<f32>,
    /// Reward accrued in each clock tick; flow costs count in the tick in which they accrue.
    pub tick_rewards: Vec<f32>,
}

/// Why an episode could not be run.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RolloutError {
    /// The episode has no feasible start.
    #[error(transparent)]
    Reset(#[from] ResetError),
    /// The policy broke its contract.
    #[error(
        "policy {policy} at tick {tick}: expected a feasible action, got {action:?} although {reason}"
    )]
    Infeasible {
        /// The policy's name.
        policy: String,
        /// When.
        tick: u32,
        /// What it chose.
        action: Action,
        /// The constraint that forbids it.
        reason: Infeasible,
    },
}

/// Runs the episode of this seed from its start to its end.
///
/// # Errors
/// When the episode has no feasible start or the policy chooses an infeasible action.
pub fn rollout(
    env: &mut ClusterEnv,
    policy: &mut dyn Policy,
    seed: u64,
) -> Result<Outcome, RolloutError> {
    let mut outcome = Outcome::default();
    run(env, policy, seed, &mut outcome, &mut ())?;
    Ok(outcome)
}

/// The reward that the policy accrues in each clock tick of this seed's episode, as `paid` counts
/// each step: what a paired learner's rewards are compared with.
///
/// # Errors
/// As for [`rollout`].
pub fn tick_rewards(
    env: &mut ClusterEnv,
    policy: &mut dyn Policy,
    seed: u64,
    paid: impl Fn(&Step) -> f32,
) -> Result<Vec<f32>, RolloutError> {
    let mut ticks = Ticks { paid, rewards: Vec::new(), accrued: 0.0 };
    run(env, policy, seed, &mut Outcome::default(), &mut ticks)?;
    Ok(ticks.rewards)
}

/// Adds up what each tick pays.
struct Ticks<F> {
    paid: F,
    rewards: Vec<f32>,
    accrued: f32,
}

impl<F: Fn(&Step) -> f32> Observer for Ticks<F> {
    fn began(&mut self, _: &ClusterState) {}

    fn stepped(&mut self, _: &ClusterState, step: &Step) {
        self.accrued += (self.paid)(step);
        if step.elapsed_ticks > 0 {
            self.rewards.push(std::mem::take(&mut self.accrued));
        }
    }
}

/// Plays the episode of this seed, adds it up, and shows each step to the observer.
pub(crate) fn run(
    env: &mut ClusterEnv,
    policy: &mut dyn Policy,
    seed: u64,
    outcome: &mut Outcome,
    observer: &mut impl Observer,
) -> Result<(), RolloutError> {
    env.reset(seed)?;
    policy.reset(seed);
    observer.began(env.state());
    let online = env.state().rules.episode.mode == Mode::Online;
    let mut level_sums = [0.0_f64; LEVEL_TERMS];
    let mut tick_reward = 0.0;
    loop {
        let asked = Instant::now();
        let action = policy.act(env.state());
        outcome.decision_seconds.push(asked.elapsed().as_secs_f32());
        if let Action::Migrate { workload, destination } = action
            && env.state().check(workload, destination).is_ok()
        {
            let cost = env.state().migration_cost(workload, destination);
            outcome.moves += 1;
            outcome.moves_made.push(Move {
                tick: env.state().tick,
                workload: workload as u32,
                occupant: env.departures(workload),
                source: env.state().placement[workload],
                destination: destination as u32,
            });
            outcome.moved_gib += f64::from(cost.moved_gib);
            outcome.downtime_s += f64::from(cost.downtime_s);
        }
        let step = env.apply(action).map_err(|reason| RolloutError::Infeasible {
            policy: policy.name().to_owned(),
            tick: env.state().tick,
            action,
            reason,
        })?;
        observer.stepped(env.state(), &step);
        let Step { reward, terms, elapsed_ticks, end, .. } = step;
        outcome.episode_return += f64::from(reward);
        tick_reward += reward;
        for (sum, term) in outcome.terms_paid.iter_mut().zip(terms) {
            *sum += f64::from(term);
        }
        if elapsed_ticks > 0 {
            outcome.tick_rewards.push(std::mem::take(&mut tick_reward));
            for (sum, term) in level_sums.iter_mut().zip(terms) {
                *sum += f64::from(term);
            }
        }
        if end.is_some() {
            break;
        }
    }
    outcome.restarts = env.restarts();
    let restart_s = env.state().rules.faults.as_ref().map_or(0.0, |faults| faults.restart_s);
    outcome.downtime_s += f64::from(outcome.restarts) * f64::from(restart_s);
    outcome.level_terms_final = env.state().level_terms();
    outcome.level_terms_mean = if online {
        level_sums.map(|sum| (sum / outcome.tick_rewards.len() as f64) as f32)
    } else {
        outcome.level_terms_final
    };
    Ok(())
}
