//! A training run on disk: rounds, logs, periodic evaluation, checkpoints, and a tidy end.

use crate::checkpoint::{self, RunDirectory};
use crate::config::TrainConfig;
use crate::logging::RunLog;
use crate::paired::PairedEnv;
use crate::trainer::Trainer;
use anyhow::{Context, bail, ensure};
use godwit_envs::cluster_env::ClusterEnv;
use godwit_envs::env::Env;
use godwit_envs::scenario::{Mode, Phase, Scenario, WorldTemplate};
use godwit_models::baselines::baseline;
use godwit_models::net::{Architecture, FixedSize, Network, NetworkSpec};
use godwit_models::network_policy::NetworkPolicy;
use godwit_models::rollout::{Outcome, rollout};
use rayon::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tch::Device;

/// Seeds of the validation episodes: the same for every run, so that runs compare.
const VALIDATION_SEED: u64 = 0x7661_6c69;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunEnd {
    /// All env steps were made, or the time limit was reached.
    Complete,
    /// A signal asked for the end; the run can be resumed.
    Interrupted,
}

/// What a run came to.
#[derive(Debug, Clone, Copy)]
pub struct RunSummary {
    /// How it ended.
    pub end: RunEnd,
    /// Env steps made in all.
    pub env_steps: u64,
    /// Updates made in all.
    pub updates: u64,
    /// Best mean validation return.
    pub best_return: Option<f64>,
    /// Wall-clock time of this process's part.
    pub seconds: f64,
}

/// The trainer of a cluster scenario.
pub type ClusterTrainer = Trainer<PairedEnv>;

/// The network that a configuration asks for in this world.
pub fn network_spec(config: &TrainConfig, env: &ClusterEnv) -> anyhow::Result<NetworkSpec> {
    let space = env.observation_space();
    let fixed = match config.network.architecture {
        Architecture::Relational | Architecture::Candidate => None,
        Architecture::Mlp if space.fixed_pairs => {
            Some(FixedSize { nodes: space.nodes, workloads: space.workloads })
        }
        Architecture::Mlp => bail!(
            "network.architecture: expected `relational` or `candidate`, got `mlp`, which needs a fixed index for \
             each of {} pairs and candidates.max is {}",
            space.nodes * space.workloads,
            space.actions
        ),
    };
    let mut spec = NetworkSpec::new(config.network.architecture, &space.schema, fixed);
    spec.hidden = config.network.hidden;
    spec.head_hidden = config.network.head_hidden;
    spec.dueling = config.network.dueling;
    Ok(spec)
}

/// A fresh trainer for a scenario.
pub fn new_trainer(
    scenario: &Scenario,
    config: &TrainConfig,
    device: Device,
) -> anyhow::Result<ClusterTrainer> {
    config.validate()?;
    let template = Arc::new(WorldTemplate::new(scenario));
    let make = || -> anyhow::Result<PairedEnv> {
        let env = ClusterEnv::new(Arc::clone(&template), Phase::Train)?;
        if config.paired_baseline.is_empty() {
            return Ok(PairedEnv::plain(env));
        }
        let name = &config.paired_baseline;
        let baseline = baseline(name).with_context(|| {
            format!(
                "paired_baseline: expected one of {:?}, got {name:?}",
                godwit_models::baselines::NAMES
            )
        })?;
        // A static episode ends with `Stay`: what is subtracted would depend on the actions.
        ensure!(
            scenario.rules.episode.mode == Mode::Online,
            "paired_baseline: expected none for a rebalance scenario, got {name:?}"
        );
        Ok(PairedEnv::paired(env, baseline))
    };
    let envs = (0..config.env_copies).map(|_| make()).collect::<anyhow::Result<Vec<_>>>()?;
    let decoders = (0..rayon::current_num_threads())
        .map(|_| Ok(PairedEnv::plain(ClusterEnv::new(Arc::clone(&template), Phase::Train)?)))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let spec = network_spec(config, decoders[0].inner())?;
    let unit = scenario.rules.objective.unit;
    Ok(Trainer::new(config, &spec, envs, decoders, unit, device)?)
}

/// Trains until the run is complete, `stop` is set, or something fails; writes checkpoints and
/// logs under `directory`.
///
/// # Errors
/// When the world, the disk (at the end of the run) or the log fails.
pub fn train(
    scenario: &Scenario,
    trainer: &mut ClusterTrainer,
    directory: &RunDirectory,
    stop: &AtomicBool,
) -> anyhow::Result<RunSummary> {
    let started = Instant::now();
    let config = trainer.config.clone();
    let mut log = RunLog::open(directory, scenario, &config, trainer.counters.env_steps)?;
    if let Some(reason) = &trainer.learner.fallback {
        log.note(reason);
    }
    let mut validator = Validator::new(scenario, trainer, config.evaluate_episodes)?;
    let mut best = directory.best_return();
    let limit = Duration::from_secs_f64(config.max_minutes * 60.0);
    let mut end = RunEnd::Complete;
    while !trainer.finished() {
        if stop.load(Ordering::Relaxed) {
            end = RunEnd::Interrupted;
            break;
        }
        let before = trainer.counters.env_steps;
        let due = log.wants_stats();
        let report = trainer.round(due)?;
        let now = trainer.counters.env_steps;
        log.round(trainer, &report, due);
        let passed = |every: u64| every > 0 && before / every != now / every;
        let late = config.max_minutes > 0.0 && started.elapsed() > limit;
        if passed(config.evaluate_every) || trainer.finished() || late {
            let outcomes = validator.run(trainer)?;
            let mean = mean_return(&outcomes);
            log.evaluation(trainer, &outcomes)?;
            if best.is_none_or(|best| mean > best) {
                best = Some(mean);
                if let Err(error) = checkpoint::write_best(directory, scenario, trainer, mean) {
                    log.warn(&format!("{error:#}; the best checkpoint before it is kept"));
                }
            }
        }
        if late && !trainer.finished() {
            log.note("the time limit was reached");
            break;
        }
        if passed(config.checkpoint_every)
            && let Err(error) = checkpoint::write_last(directory, scenario, trainer)
        {
            log.warn(&format!("{error:#}; the checkpoint before it is kept"));
        }
    }
    checkpoint::write_last(directory, scenario, trainer).context("the last checkpoint")?;
    log.finish();
    Ok(RunSummary {
        end,
        env_steps: trainer.counters.env_steps,
        updates: trainer.counters.updates,
        best_return: best,
        seconds: started.elapsed().as_secs_f64(),
    })
}

/// The network as it is now, as a greedy policy.
pub fn trained_policy(trainer: &mut ClusterTrainer) -> NetworkPolicy {
    let mut policy = NetworkPolicy::new("policy", Network::new(trainer.learner.online.spec()));
    policy.load_flat(trainer.weights());
    policy
}

/// Mean of the plain returns.
pub fn mean_return(outcomes: &[Outcome]) -> f64 {
    outcomes.iter().map(|outcome| outcome.episode_return).sum::<f64>() / outcomes.len() as f64
}

/// Runs the current network greedily on fixed validation episodes.
struct Validator {
    workers: Vec<(ClusterEnv, NetworkPolicy)>,
}

impl Validator {
    fn new(scenario: &Scenario, trainer: &ClusterTrainer, episodes: usize) -> anyhow::Result<Self> {
        let template = Arc::new(WorldTemplate::new(scenario));
        let spec = trainer.learner.online.spec();
        let workers = (0..episodes)
            .map(|_| {
                let env = ClusterEnv::new(Arc::clone(&template), Phase::Validate)?;
                let policy = NetworkPolicy::new("policy", Network::new(spec));
                Ok((env, policy))
            })
            .collect::<anyhow::Result<_>>()?;
        Ok(Self { workers })
    }

    fn run(&mut self, trainer: &mut ClusterTrainer) -> anyhow::Result<Vec<Outcome>> {
        let weights = trainer.weights().to_vec();
        self.workers
            .par_iter_mut()
            .enumerate()
            .map(|(episode, (env, policy))| {
                policy.load_flat(&weights);
                Ok(rollout(env, policy, VALIDATION_SEED + episode as u64)?)
            })
            .collect()
    }
}
