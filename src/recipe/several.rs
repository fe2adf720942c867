//! Settings for a run on several scenarios: one heuristic that serves them all is improved on, by
//! rollouts in each.

use super::base::{self, ACTIONS, FADING, STATES, affordable_states, comparing_s};
use super::fading::{Fading, fading};
use super::{
    GAIN, VALIDATION, VALIDATIONS, Validations, iterations, later_rollout_s, lengths, pace,
    rounded, settings,
};
use crate::config::TrainConfig;
use crate::train::mixture::Mixture;
use crate::train::validation::MARGINS;
use anyhow::Context;
use godwit_envs::env::cluster_env::ClusterEnv;
use godwit_envs::rng::child_seed;
use godwit_envs::scenario::{Mode, Phase, WorldTemplate};
use godwit_evaluate::stats::{mean, quantile};
use godwit_models::baselines::baseline;
use godwit_models::net::Architecture;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tch::Device;

/// Episodes in which it is measured how effects fade, in all scenarios together, and the fewest in
/// each.
const TRACED: u64 = 512;
const FEWEST_TRACED: u64 = 4;
/// How far the scale of a scenario's rewards may be from that of the others.
const SCALES: (f64, f64) = (0.02, 50.0);
/// Width of the network's hidden layers: it has more to tell apart than in one scenario.
const HIDDEN: usize = 128;
/// Transitions of an update.
const BATCH: usize = 128;
/// Validation episodes in each scenario.
const EPISODES: usize = 3;

/// What was found for several scenarios.
#[derive(Debug, Clone)]
pub struct Several {
    /// The settings.
    pub config: TrainConfig,
    /// The scenarios that are trained on.
    pub trained: Mixture,
    /// Those that were held out: the [gate](super::gate) is played on them, or else on all.
    pub held_out: Option<Mixture>,
    /// What returns in the scenarios of the gate are divided by, so that each counts about the same.
    pub units: Vec<f64>,
}

/// Settings for a run of `minutes` with all threads of the pool on these scenarios, but for the last
/// `held_out`. `told` is given lines about what is under way.
///
/// # Errors
/// When an episode has no feasible start, or a heuristic breaks its contract.
pub fn find(
    all: &Mixture,
    held_out: usize,
    minutes: f64,
    seed: u64,
    device: Device,
    told: &dyn Fn(&str),
) -> anyhow::Result<Several> {
    let started = Instant::now();
    let seconds = 60.0 * minutes;
    let parts = all.parts();
    let has_faults = parts.iter().any(|part| part.scenario.rules.faults.is_some());
    let base = if has_faults { "evacuate" } else { "best-single-move" };
    told("measuring how long the effects of actions last");
    let limit = Duration::from_secs_f64(FADING * seconds / parts.len() as f64);
    let least = (TRACED / parts.len() as u64).clamp(FEWEST_TRACED, base::TRACED);
    let make = || baseline(base).with_context(|| format!("baseline {base}"));
    // Gains in units of each scenario's own.
    let mut measured: Vec<Fading> = Vec::new();
    let mut first = None;
    for part in parts {
        let env = ClusterEnv::new(Arc::new(WorldTemplate::new(&part.scenario)), Phase::Train)?;
        let fading = fading(&env, &make, child_seed(seed, (1 << 36) + 1), limit, least)?;
        let gain = fading.gain / f64::from(env.state().objective.unit);
        measured.push(Fading { gain, ..fading });
        first.get_or_insert(env);
    }
    let of = |value: &dyn Fn(&Fading) -> f64| measured.iter().map(value).collect::<Vec<_>>();
    let middle = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        quantile(&values, 0.5)
    };
    let together = Fading {
        ticks: middle(of(&|fading| f64::from(fading.ticks))) as u32,
        gamma: middle(of(&|fading| fading.gamma)),
        gain: middle(of(&|fading| fading.gain)).max(1e-3),
        rollout_s: mean(&of(&|fading| fading.rollout_s)),
    };
    let env = first.context("a scenario")?;
    let mut config = settings(&env, &together);
    config.seed = seed;
    config.learner.reward_scale = rounded(GAIN / together.gain).clamp(1e-3, 1e3);
    // Where much is at stake in some scenarios (nodes that fail), nothing would be learnt elsewhere.
    let scale = |fading: &Fading| rounded(together.gain / fading.gain.max(1e-6));
    let scales = of(&|fading| scale(fading).clamp(SCALES.0, SCALES.1));
    let (trained, held_out) = all.split(held_out);
    let parts = trained.parts();
    config.learner.scenario_scales = scales[..parts.len()].to_vec();
    config.learner.batch_size = BATCH;
    config.network.architecture = Architecture::Candidate;
    config.network.hidden = HIDDEN;
    config.env_copies = config.env_copies.max(parts.len());
    if parts[0].scenario.rules.episode.mode == Mode::Online {
        config.paired_baseline = base.to_owned();
    }
    config.comparisons.baseline = base.to_owned();
    config.comparisons.actions = ACTIONS;
    config.comparisons.ticks = together.ticks;
    told("measuring the pace of training");
    let pace = pace::pace(&trained, &config, true, device)?;
    let states = affordable_states(seconds, together.rollout_s) / parts.len() as f64;
    config.comparisons.states = (states as usize).clamp(STATES.0 / 10, STATES.1);
    // The pace was measured in the first scenario.
    let size = together.rollout_s / measured[0].rollout_s.max(1e-9);
    let decision_s = pace.decision_s * size;
    let later_rollout_s = later_rollout_s(&pace::Pace { decision_s, ..pace }, &together);
    let rollouts_s = comparing_s(config.comparisons.states * parts.len(), together.rollout_s)
        + iterations(&mut config, parts.len(), seconds, later_rollout_s);
    let episode = &parts[0].scenario.rules.episode;
    let ticks = f64::from(episode.ticks.max(episode.move_budget));
    let threads = rayon::current_num_threads() as f64;
    let tick = together.rollout_s / f64::from(together.ticks) / threads;
    let played = (MARGINS.len() * parts.len() * EPISODES) as f64;
    let validation_s = played * ticks * (tick + 1.0 / pace.env_steps_per_s);
    let times = (VALIDATION * seconds / validation_s.max(1e-9)).clamp(VALIDATIONS.0, VALIDATIONS.1);
    let validations = Validations { times, episodes: EPISODES, seconds: times * validation_s };
    let left = seconds - started.elapsed().as_secs_f64() - rollouts_s - validations.seconds;
    lengths(&mut config, seconds, left, pace, false);
    validations.set(&mut config);
    config.replay_capacity = config.replay_capacity.max(200 * parts.len());
    config.max_minutes = (minutes - started.elapsed().as_secs_f64() / 60.0).max(0.1);
    config.validate_for(parts.len()).context("the settings that were found")?;
    let all_units = all.reward_units(&scales);
    let first = if held_out.is_some() { parts.len() } else { 0 };
    let units = &all_units[first..];
    let units = units.iter().map(|unit| unit / config.learner.reward_scale).collect();
    Ok(Several { config, trained, held_out, units })
}
