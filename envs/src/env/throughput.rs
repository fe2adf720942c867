//! How fast an environment is on this machine, and how fast it could be at all.

use crate::env::cluster_env::ClusterEnv;
use crate::env::{Env, ResetError};
use crate::episode::churn::Arrivals;
use crate::observe::ObservationBuffer;
use crate::rng::{Rng, stream};
use crate::scenario::{DemandProcess, Scenario, stays};
use rand::RngExt;
use std::hint::black_box;
use std::time::Instant;

/// Speed of one environment on one core.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EnvSpeed {
    /// Env steps a second, each followed by an observation; resets are included.
    pub steps_per_s: f64,
    /// Env steps that were taken.
    pub steps: u64,
    /// Episodes that ended meanwhile.
    pub episodes: u64,
    /// Bytes of one observation.
    pub bytes_per_observation: usize,
    /// Bytes of one compact state.
    pub bytes_per_state: usize,
    /// Mean number of allowed actions.
    pub mean_open: f64,
}

/// Bytes that an observation of this buffer's size fills.
pub fn observation_bytes(buffer: &ObservationBuffer) -> usize {
    let floats = buffer.nodes.len()
        + buffer.workloads.len()
        + buffer.globals.len()
        + buffer.candidates.len();
    let indices = 3 * buffer.candidate_workload.len() + buffer.placement.len();
    4 * (floats + indices) + buffer.mask.len()
}

/// Steps `env` with uniformly random allowed actions for about `seconds` and observes after each
/// step. `Stay` is chosen only where nothing else is allowed, so that the work of migrations is
/// in the figure.
///
/// # Errors
/// When an episode has no feasible start.
pub fn steps_per_second(env: &mut ClusterEnv, seconds: f64) -> Result<EnvSpeed, ResetError> {
    let mut buffer = ObservationBuffer::new(env.observation_space());
    let mut rng = stream(0, "bench");
    let actions = buffer.actions();
    let (mut steps, mut episodes, mut offered) = (0_u64, 0_u64, 0_u64);
    env.reset(0)?;
    env.observe(&mut buffer);
    let start = Instant::now();
    while start.elapsed().as_secs_f64() < seconds {
        // The clock is read once per batch: it would be a visible share of a step.
        for _ in 0..64 {
            let action = random_open(&buffer.mask[..actions], &mut rng);
            offered += buffer.mask[..actions].iter().filter(|&&open| open).count() as u64;
            // An offered action is never refused (the env checker proves it); if it ever were,
            // the episode would end here instead of the benchmark.
            let ended = env.step(action).map_or(true, |step| step.end.is_some());
            steps += 1;
            if ended {
                episodes += 1;
                env.reset(episodes)?;
            }
            env.observe(&mut buffer);
            black_box(&buffer);
        }
    }
    Ok(EnvSpeed {
        steps_per_s: steps as f64 / start.elapsed().as_secs_f64(),
        steps,
        episodes,
        bytes_per_observation: observation_bytes(&buffer),
        bytes_per_state: env.compact_len(),
        mean_open: offered as f64 / steps as f64,
    })
}

/// A uniformly random open action other than `Stay`, or `Stay` where there is none. By rejection
/// first: listing the open ones would take longer than a good part of a step.
fn random_open(mask: &[bool], rng: &mut Rng) -> usize {
    for _ in 0..16 {
        let action = rng.random_range(0..mask.len());
        if action > 0 && mask[action] {
            return action;
        }
    }
    let open: Vec<usize> = (1..mask.len()).filter(|&action| mask[action]).collect();
    if open.is_empty() { 0 } else { open[rng.random_range(0..open.len())] }
}

/// The scenario without its dynamics, to tell what they cost: demand is constant, no node fails,
/// and of workloads that come and go as many are there, from the first tick to the last, as the
/// scenario has on average.
pub fn static_twin(scenario: &Scenario) -> Scenario {
    let mut twin = scenario.clone();
    twin.rules.faults = None;
    twin.start.windows = None;
    twin.events.clear();
    let episode = scenario.rules.episode.ticks;
    for group in &mut twin.workloads {
        group.process = DemandProcess::Constant;
        let Some(arrivals) = &group.arrivals else { continue };
        let here = match arrivals {
            // Arrivals times mean lifetime (Little's law); the mean of a log-normal is its median
            // times e^(sigma^2 / 2).
            Arrivals::Poisson { per_tick, lifetime_ticks, sigma, .. } => {
                per_tick * lifetime_ticks * (sigma * sigma / 2.0).exp()
            }
            Arrivals::Trace { arrives, departs } => {
                let ticks = departs.iter().max().copied().unwrap_or(1) as f32;
                let stay = |(arrives, departs): (&u32, &u32)| (departs - arrives) as f32;
                arrives.iter().zip(departs).map(stay).sum::<f32>() / ticks
            }
            Arrivals::Events => {
                let stays = stays(&scenario.events, &group.name, episode);
                let within = |&(arrives, departs): &(u32, u32)| departs.min(episode) - arrives;
                stays.iter().map(within).sum::<u32>() as f32 / episode as f32
            }
        };
        let count = group.count as usize;
        let here = (here.round() as usize).min(count);
        // Who is not there comes after the last tick.
        let arrives = (0..count).map(|k| if k < here { 0 } else { u32::MAX - 1 }).collect();
        group.arrivals = Some(Arrivals::Trace { arrives, departs: vec![u32::MAX; count] });
    }
    twin
}

/// Observations a second if an observation of `bytes` cost nothing but writing them: the same
/// number of bytes, filled into the same memory over and over. No encoder can be faster.
pub fn memory_write_limit(bytes: usize, seconds: f64) -> f64 {
    let mut memory = vec![0_u8; bytes];
    let mut count = 0_u64;
    let start = Instant::now();
    while start.elapsed().as_secs_f64() < seconds {
        for _ in 0..64 {
            memory.fill(count as u8);
            black_box(&mut memory);
            count += 1;
        }
    }
    count as f64 / start.elapsed().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Phase, Scenario, WorldTemplate};
    use std::sync::Arc;

    #[test]
    fn a_static_twin_holds_still_with_as_many_workloads() {
        for name in crate::scenario::EMBEDDED.iter().map(|scenario| scenario.name) {
            let scenario = Scenario::embedded(name).unwrap();
            let twin = static_twin(&scenario);
            twin.validate("twin").unwrap();
            let template = WorldTemplate::new(&twin);
            assert!(!template.demand_changes());
            let (mut here, mut expected) = (0, 0.0);
            for seed in 0..20 {
                let still = template.draw(seed, Phase::Train).unwrap();
                assert!(still.passages.passages.is_empty() && still.health_changes.is_empty());
                let dynamic = WorldTemplate::new(&scenario).draw(seed, Phase::Train).unwrap();
                let count = |present: &[bool]| present.iter().filter(|here| **here).count();
                here += count(&still.passages.present);
                expected += count(&dynamic.passages.present) as f64;
            }
            // The scenarios start near their equilibrium.
            let ratio = if expected > 0.0 { here as f64 / expected } else { 1.0 };
            assert!((0.7..1.4).contains(&ratio), "{name}: {here} where {expected}");
        }
    }

    #[test]
    fn speeds_are_positive_and_sizes_match() {
        let scenario = Scenario::embedded("founding-3x3").unwrap();
        let template = Arc::new(WorldTemplate::new(&scenario));
        let mut env = ClusterEnv::new(template, Phase::Train).unwrap();
        let speed = steps_per_second(&mut env, 0.02).unwrap();
        assert!(speed.steps_per_s > 0.0 && speed.episodes > 0 && speed.mean_open >= 1.0);
        assert_eq!(speed.bytes_per_state, env.compact_len());
        assert!(memory_write_limit(speed.bytes_per_observation, 0.02) > 0.0);
    }
}
