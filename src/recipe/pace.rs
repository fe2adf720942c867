//! How fast a run goes on this machine: a short one is timed.

use crate::config::{ComparisonConfig, TrainConfig};
use crate::train::assemble;
use crate::train::mixture::Mixture;
use crate::train::run::trained_policy;
use godwit_envs::env::cluster_env::ClusterEnv;
use godwit_envs::scenario::{Phase, WorldTemplate};
use godwit_models::policy::Policy as _;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tch::Device;

/// Env steps without updates at the start of the short run.
const WARM_UP: u64 = 256;
/// How long it is timed at least, and at most in rounds.
const TIMED: (Duration, usize) = (Duration::from_millis(1500), 2_000);

/// What was measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    /// Env steps of all copies in a second, updates alongside.
    pub env_steps_per_s: f64,
    /// Updates in a second, env steps alongside.
    pub updates_per_s: f64,
    /// Seconds of one thread in which the network decides for a tick.
    pub decision_s: f64,
}

/// Decisions of the network that are timed.
const DECISIONS: u32 = 256;

/// Compared states of the short run, in all scenarios together.
const STATES: usize = 48;
/// What is improved on in it, for a tick: updates cost the same whatever that is.
const BASE: &str = "stay";

/// Times a run with these settings, and few comparisons if it has any.
///
/// # Errors
/// When such a run cannot begin or go on.
pub fn pace(
    mixture: &Mixture,
    config: &TrainConfig,
    compares: bool,
    device: Device,
) -> anyhow::Result<Pace> {
    let mut config = TrainConfig {
        warm_up_steps: WARM_UP,
        env_steps: u64::MAX >> 12,
        replay_capacity: config.env_copies.max(128) * 32,
        normalise_observations: false,
        ..config.clone()
    };
    config.comparisons = ComparisonConfig {
        states: STATES.div_ceil(mixture.parts().len()),
        ticks: 1,
        pretrain_updates: 0,
        share: config.comparisons.share,
        ..ComparisonConfig::default()
    };
    let mut trainer = assemble::new_trainer(mixture, &config, device)?;
    if compares {
        config.comparisons.baseline = BASE.to_owned();
        trainer.comparisons = Some(assemble::comparisons(mixture, &config, None, false)?);
    }
    while trainer.counters.updates == 0 {
        trainer.round(false)?;
    }
    let (before, started) = (trainer.counters.clone(), Instant::now());
    for _ in 0..TIMED.1 {
        trainer.round(false)?;
        if started.elapsed() > TIMED.0 {
            break;
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    let per_s = |made: u64| made as f64 / seconds;
    let mut policy = trained_policy(&mut trainer);
    let template = Arc::new(WorldTemplate::new(mixture.first()));
    let env = ClusterEnv::new(template, Phase::Train)?;
    let started = Instant::now();
    for _ in 0..DECISIONS {
        policy.act(env.state());
    }
    let decision_s = started.elapsed().as_secs_f64() / f64::from(DECISIONS);
    Ok(Pace {
        decision_s,
        env_steps_per_s: per_s(trainer.counters.env_steps - before.env_steps),
        updates_per_s: per_s(trainer.counters.updates - before.updates),
    })
}
