//! What normalises observations, measured before a run; see [`godwit_envs::observe::normalisation`].
//!
//! The learner, its actors and the decoders of the replay observe through it. Whatever leaves the
//! trainer as a policy (validation, `best`, artifacts) has it folded into its weights
//! ([`godwit_models::net::fold()`]) and observes what the encoder writes.

use crate::config::ExplorationConfig;
use crate::train::actor::{NetChange, explore};
use crate::train::mixture::{Mixture, Part};
use anyhow::Context;
use godwit_envs::env::Env;
use godwit_envs::env::cluster_env::ClusterEnv;
use godwit_envs::observe::ObservationBuffer;
use godwit_envs::observe::normalisation::{Moments, Normalisation};
use godwit_envs::rng::{child_seed, stream};
use godwit_envs::scenario::{Phase, Scenario, WorldTemplate};
use godwit_envs::state::Life;
use std::sync::Arc;

#[cfg(test)]
mod tests;

/// Env steps that are observed in each scenario, and in all of many together; at least so many in
/// each of these.
const STEPS: usize = 8192;
const STEPS_TOGETHER: usize = 16 * STEPS;
const FEWEST_STEPS: usize = 256;

/// Seed of their episodes and draws: the same for every run, so that runs of other seeds compare,
/// and that all ranks of a run have the same normalisation.
const SEED: u64 = 0x6e6f_726d;

/// Measures every feature on training episodes of each scenario, weighted as in the mixture, in
/// which each action explores: what the learner sees before it knows anything.
///
/// # Errors
/// When an episode has no feasible start.
pub fn measure(mixture: &Mixture, config: &ExplorationConfig) -> anyhow::Result<Normalisation> {
    let each = (STEPS_TOGETHER / mixture.parts().len()).clamp(FEWEST_STEPS, STEPS);
    measure_over(mixture, config, each)
}

fn measure_over(
    mixture: &Mixture,
    config: &ExplorationConfig,
    steps: usize,
) -> anyhow::Result<Normalisation> {
    let mut parts = Vec::new();
    for (at, (Part { scenario, .. }, share)) in
        mixture.parts().iter().zip(mixture.shares()).enumerate()
    {
        parts.push((share, play(scenario, config, child_seed(SEED, at as u64), steps)?));
    }
    Ok(Moments::normalisation(&parts))
}

fn play(
    scenario: &Scenario,
    config: &ExplorationConfig,
    seed: u64,
    steps: usize,
) -> anyhow::Result<Moments> {
    let mut env = ClusterEnv::new(Arc::new(WorldTemplate::new(scenario)), Phase::Train)?;
    let mut rng = stream(seed, "normalisation");
    let change = NetChange::new(env.observation_space());
    let mut observation = ObservationBuffer::new(env.observation_space());
    let mut moments = Moments::new(&env.observation_space().schema);
    let mut left = steps;
    for episode in 0.. {
        env.reset(child_seed(seed, episode))?;
        loop {
            if left == 0 {
                return Ok(moments);
            }
            left -= 1;
            env.observe(&mut observation);
            moments.add(&observation, |workload| env.state().life[workload] != Life::Absent);
            let action = explore(config, change, &observation, &mut rng);
            if env.step(action).context("a move that the mask allows")?.end.is_some() {
                break;
            }
        }
    }
    Ok(moments)
}
