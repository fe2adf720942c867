//! A training run on disk: rounds, logs, periodic evaluation, checkpoints, and a tidy end.

use crate::checkpoint::{self, RunDirectory};
use crate::comparisons::Comparisons;
use crate::config::TrainConfig;
use crate::demonstrations::{Conversion, record};
use crate::distributed::{Group, part};
use crate::logging::RunLog;
use crate::mixture::{Mixture, Part};
use crate::paired::PairedEnv;
use crate::policies;
use crate::progress::Progress;
use crate::replay::Replay;
use crate::trainer::{Trainer, World};
use anyhow::{Context, bail, ensure};
use godwit_envs::cluster_env::ClusterEnv;
use godwit_envs::env::Env;
use godwit_envs::rng::child_seed;
use godwit_envs::scenario::{Mode, Phase, Scenario, WorldTemplate};
use godwit_models::baselines::{Assignment, baseline, baseline_with};
use godwit_models::net::{Architecture, FixedSize, Network, NetworkSpec};
use godwit_models::network_policy::NetworkPolicy;
use godwit_models::policy::Policy;
use godwit_models::rollout::{Outcome, rollout};
use rayon::prelude::*;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tch::Device;

/// First seed of the validation episodes: the same for every run, so that runs compare.
pub const VALIDATION_SEED: u64 = 0x7661_6c69;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunEnd {
    /// All env steps that were asked for were made, or the time limit was reached.
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
    /// Best validation return (see [`Validation::value`]).
    pub best_return: Option<f64>,
    /// Wall-clock time of this process's part.
    pub seconds: f64,
}

/// How a part of a run is watched, and where it ends.
#[derive(Debug, Clone, Copy)]
pub struct Session<'a> {
    /// Asks for a tidy end.
    pub stop: &'a AtomicBool,
    /// Env steps after which this part ends, evaluated and resumable. Schedules keep to the whole
    /// run, so that pausing changes no bit of it.
    pub pause_at: u64,
    /// Where env steps are counted instead of shown on standard error; `None` shows them.
    pub silent: Option<&'a AtomicU64>,
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

/// A fresh trainer.
pub fn new_trainer(
    mixture: &Mixture,
    config: &TrainConfig,
    device: Device,
) -> anyhow::Result<ClusterTrainer> {
    let started = Instant::now();
    config.validate()?;
    let copies = mixture.copies(config.env_copies)?;
    let mut worlds = Vec::new();
    for (Part { scenario, .. }, copies) in mixture.parts().iter().zip(copies) {
        worlds.push(world(scenario, config, copies)?);
    }
    let spec = network_spec(config, worlds[0].decoders[0].inner())?;
    ensure!(
        spec.fixed.is_none() || worlds.len() == 1,
        "network.architecture: expected `relational` or `candidate` for several scenarios, got \
         `mlp`, which serves one cluster size"
    );
    let demonstrations = match config.demonstrations.baseline.as_str() {
        "" => None,
        name => Some(demonstrations(mixture, config, name)?),
    };
    let comparisons = match config.comparisons.baseline.as_str() {
        "" => None,
        name => Some(comparisons(mixture, config, name)?),
    };
    let mut trainer = Trainer::new(config, &spec, worlds, device)?;
    trainer.demonstrations = demonstrations;
    trainer.comparisons = comparisons;
    trainer.preparation = started.elapsed();
    Ok(trainer)
}

/// [`new_trainer`], with the weights of `initial_policy` where the configuration names one: for a
/// run that begins, not for one that goes on.
///
/// # Errors
/// As [`new_trainer`], and when that policy cannot be used or has another shape.
pub fn begin(
    mixture: &Mixture,
    config: &TrainConfig,
    device: Device,
) -> anyhow::Result<ClusterTrainer> {
    let name = &config.initial_policy;
    if name.is_empty() {
        return new_trainer(mixture, config, device);
    }
    ensure!(
        config.learner.quantiles == 1,
        "initial_policy: expected learner.quantiles = 1, got {}",
        config.learner.quantiles
    );
    let scenario = &mixture.first();
    let env = ClusterEnv::new(Arc::new(WorldTemplate::new(scenario)), Phase::Train)?;
    // Before the rollouts of a warm start, which may take minutes.
    let network = policies::load(Path::new(name), scenario, env.observation_space())
        .context("initial_policy")?;
    let expected = network_spec(config, &env)?;
    ensure!(
        *network.spec() == expected,
        "initial_policy: expected a network of the settings {:?}, got {name} with {:?}",
        expected,
        network.spec()
    );
    let mut trainer = new_trainer(mixture, config, device)?;
    trainer.learner.start_from(&network.into_flat());
    Ok(trainer)
}

fn world(
    scenario: &Scenario,
    config: &TrainConfig,
    copies: usize,
) -> anyhow::Result<World<PairedEnv>> {
    let template = Arc::new(WorldTemplate::new(scenario));
    let envs = (0..copies)
        .map(|_| env(scenario, &template, config))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let decoders = (0..rayon::current_num_threads())
        .map(|_| Ok(PairedEnv::plain(ClusterEnv::new(Arc::clone(&template), Phase::Train)?)))
        .collect::<anyhow::Result<Vec<_>>>()?;
    Ok(World { envs, decoders, reward_unit: scenario.rules.objective.unit })
}

/// An environment that pays as the configuration says.
fn env(
    scenario: &Scenario,
    template: &Arc<WorldTemplate>,
    config: &TrainConfig,
) -> anyhow::Result<PairedEnv> {
    let env = ClusterEnv::new(Arc::clone(template), Phase::Train)?;
    let name = &config.paired_baseline;
    if name.is_empty() {
        return Ok(PairedEnv::plain(env).expecting_failures(config.expected_failures));
    }
    let baseline = named_baseline("paired_baseline", name)?;
    // A static episode ends with `Stay`: what is subtracted would depend on the actions.
    ensure!(
        scenario.rules.episode.mode == Mode::Online,
        "paired_baseline: expected none for a rebalance scenario, got {name:?}"
    );
    Ok(PairedEnv::paired(env, baseline).expecting_failures(config.expected_failures))
}

/// What the named baseline does in training episodes, in equal parts from each scenario. The same
/// configuration yields the same demonstrations, so that checkpoints need not hold them.
fn demonstrations(mixture: &Mixture, config: &TrainConfig, name: &str) -> anyhow::Result<Replay> {
    let mut envs = Vec::new();
    for Part { scenario, .. } in mixture.parts() {
        let template = Arc::new(WorldTemplate::new(scenario));
        envs.push((env(scenario, &template, config)?, Conversion::new(config, scenario)));
    }
    let mut baseline = named_baseline("demonstrations.baseline", name)?;
    let state_bytes: Vec<usize> = envs.iter().map(|(env, _)| env.compact_len()).collect();
    let mut replay = Replay::new(&state_bytes, config.demonstrations.steps, config.learner.n_step);
    for (ring, (env, conversion)) in envs.iter_mut().enumerate() {
        let first = child_seed(config.seed, (1 << 34) + ring as u64);
        let seeds = (0..).map(|episode| child_seed(first, episode));
        let left_out = record(env, baseline.as_mut(), seeds, *conversion, &mut replay, ring)?;
        if left_out > 0 {
            let scenario = &mixture.parts()[ring].scenario.name;
            eprintln!(
                "demonstrations on {scenario}: left out {left_out} moves of {name} that are no \
                 candidates"
            );
        }
    }
    Ok(replay)
}

/// Comparisons with what the named baseline does in training episodes. The same configuration yields
/// the same ones, so that checkpoints need not hold them.
fn comparisons(mixture: &Mixture, config: &TrainConfig, name: &str) -> anyhow::Result<Comparisons> {
    let mut comparisons = Comparisons::default();
    let settings = &config.comparisons;
    let wanted = settings.states * mixture.parts().len();
    let (started, bar) = (Instant::now(), Progress::new(true, wanted as u64, "states"));
    bar.set_message(format!("rollouts of {name}"));
    for (at, Part { scenario, .. }) in mixture.parts().iter().enumerate() {
        let template = Arc::new(WorldTemplate::new(scenario));
        let conversion = Conversion::new(config, scenario);
        let seed = child_seed(config.seed, (1 << 35) + at as u64);
        let improved = improved(name, config, scenario, &template)?;
        let baseline = || improved.make();
        comparisons.add_scenario(&template, baseline, settings, conversion, seed, &bar)?;
    }
    bar.finish();
    let (count, seconds) = (comparisons.all().len(), started.elapsed().as_secs_f64());
    eprintln!("comparisons with {name}: {count} in {wanted} states, {seconds:.0} s");
    Ok(comparisons)
}

/// What comparisons improve on.
enum Improved<'a> {
    Baseline(&'a str, &'a Assignment),
    Policy(Box<NetworkPolicy>),
}

impl Improved<'_> {
    fn make(&self) -> anyhow::Result<Box<dyn Policy>> {
        Ok(match self {
            Self::Baseline(name, parameters) => {
                baseline_with(name, parameters).context("comparisons.parameters")?
            }
            Self::Policy(policy) => policy.clone(),
        })
    }
}

fn improved<'a>(
    name: &'a str,
    config: &'a TrainConfig,
    scenario: &Scenario,
    template: &Arc<WorldTemplate>,
) -> anyhow::Result<Improved<'a>> {
    let parameters = &config.comparisons.parameters;
    if godwit_models::baselines::NAMES.contains(&name) {
        return Ok(Improved::Baseline(name, parameters));
    }
    ensure!(
        parameters.is_empty(),
        "comparisons.parameters: expected none for the trained policy {name}"
    );
    let env = ClusterEnv::new(Arc::clone(template), Phase::Train)?;
    let network = policies::load(Path::new(name), scenario, env.observation_space())
        .context("comparisons.baseline: not the name of a baseline")?;
    Ok(Improved::Policy(Box::new(NetworkPolicy::new("policy", network))))
}

fn named_baseline(setting: &str, name: &str) -> anyhow::Result<Box<dyn Policy>> {
    baseline(name).with_context(|| {
        let names = godwit_models::baselines::NAMES;
        format!("{setting}: expected one of {names:?}, got {name:?}")
    })
}

/// Trains until the run is complete, `stop` is set, or something fails; writes checkpoints and
/// logs under `directory`.
///
/// # Errors
/// When the world, the disk (at the end of the run) or the log fails.
pub fn train(
    mixture: &Mixture,
    trainer: &mut ClusterTrainer,
    directory: &RunDirectory,
    stop: &AtomicBool,
) -> anyhow::Result<RunSummary> {
    let session = Session { stop, pause_at: u64::MAX, silent: None };
    train_part(mixture, trainer, directory, session)
}

/// [`train`], watched and perhaps paused.
///
/// # Errors
/// As [`train`].
pub fn train_part(
    mixture: &Mixture,
    trainer: &mut ClusterTrainer,
    directory: &RunDirectory,
    session: Session,
) -> anyhow::Result<RunSummary> {
    let now = Instant::now();
    let started = now.checked_sub(std::mem::take(&mut trainer.preparation)).unwrap_or(now);
    let config = trainer.config.clone();
    // Of several ranks, rank 0 logs and keeps the best weights.
    let group = trainer.learner.average.as_ref().map(|average| Arc::clone(average.group()));
    let first = group.as_ref().is_none_or(|group| group.rank() == 0);
    let mut log = match first {
        true => {
            Some(RunLog::open(directory, mixture, &config, trainer.counters.env_steps, started)?)
        }
        false => None,
    };
    if let Some(log) = log.as_mut().filter(|_| session.silent.is_some()) {
        log.silence();
    }
    let mut validator = Validator::new(mixture, trainer, group.clone())?;
    let mut best = directory.best_return();
    let limit = Duration::from_secs_f64(config.max_minutes * 60.0);
    let mut end = RunEnd::Complete;
    let ended = |trainer: &ClusterTrainer| {
        trainer.finished() || trainer.counters.env_steps >= session.pause_at
    };
    let mut stop = session.stop.load(Ordering::Relaxed);
    if let Some(group) = &group {
        // Should a rank be lost at once, there is something to go on from.
        if trainer.counters.rounds == 0 {
            group.together(
                checkpoint::write_last(directory, mixture, trainer).map_err(Into::into),
            )?;
        }
        part::assert_equal_weights(trainer, &**group)?;
        stop = group.any(stop);
    }
    while !ended(trainer) {
        if stop {
            end = RunEnd::Interrupted;
            break;
        }
        let before = trainer.counters.env_steps;
        let due = log.as_ref().is_some_and(RunLog::wants_stats);
        let report = trainer.round(due)?;
        if let Some(note) = trainer.learner.take_note()
            && let Some(log) = &mut log
        {
            log.warn(&note);
        }
        let now = trainer.counters.env_steps;
        if let Some(log) = &mut log {
            log.round(trainer, &report, due);
        }
        if let Some(made) = session.silent {
            made.fetch_add(now - before, Ordering::Relaxed);
        }
        let passed = |every: u64| every > 0 && before / every != now / every;
        stop = session.stop.load(Ordering::Relaxed);
        let mut late = config.max_minutes > 0.0 && started.elapsed() > limit;
        if let Some(group) = &group {
            // Ranks stop together, whichever of them was asked to.
            let flags = group.gather(&[f64::from(u8::from(stop)), f64::from(u8::from(late))]);
            stop = flags.iter().any(|flags| flags[0] != 0.0);
            late = flags.iter().any(|flags| flags[1] != 0.0);
        }
        if passed(config.evaluate_every) || ended(trainer) || late {
            if let Some(group) = &group {
                part::assert_equal_weights(trainer, &**group)?;
            }
            let validation = validator.run(trainer)?;
            let mean = validation.value;
            if let Some(log) = &mut log {
                log.evaluation(trainer, &validation)?;
            }
            if best.is_none_or(|best| mean > best) {
                best = Some(mean);
                if let Some(log) = &mut log
                    && let Err(error) = checkpoint::write_best(directory, mixture, trainer, mean)
                {
                    log.warn(&format!("{error:#}; the best checkpoint before it is kept"));
                }
            }
        }
        if late && !trainer.finished() {
            if let Some(log) = &mut log {
                log.note("the time limit was reached");
            }
            break;
        }
        if passed(config.checkpoint_every)
            && let Err(error) = checkpoint::write_last(directory, mixture, trainer)
        {
            let text = format!("{error:#}; the checkpoint before it is kept");
            match &mut log {
                Some(log) => log.warn(&text),
                None => eprintln!("warning: {text}"),
            }
        }
    }
    checkpoint::write_last(directory, mixture, trainer).context("the last checkpoint")?;
    if let Some(log) = log {
        log.finish();
    }
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

/// How a policy does on validation episodes.
#[derive(Debug, Clone)]
pub struct Validation {
    /// Mean plain return; with several scenarios, the weighted mean over them, each in units of
    /// its objective.
    pub value: f64,
    /// Standard error of that mean.
    pub standard_error: f64,
    /// Name of each scenario and what came of its episodes.
    pub scenarios: Vec<(String, Vec<Outcome>)>,
}

impl Validation {
    /// Adds up the episodes of each scenario.
    pub fn new(mixture: &Mixture, outcomes: Vec<Vec<Outcome>>) -> Self {
        let several = mixture.parts().len() > 1;
        let (mut value, mut variance) = (0.0, 0.0);
        for ((part, share), outcomes) in mixture.parts().iter().zip(mixture.shares()).zip(&outcomes)
        {
            let unit = if several { f64::from(part.scenario.rules.objective.unit) } else { 1.0 };
            let mean = mean_return(outcomes);
            let squares = outcomes.iter().map(|outcome| (outcome.episode_return - mean).powi(2));
            let count = outcomes.len() as f64;
            let squared_error = squares.sum::<f64>() / count / (count - 1.0).max(1.0);
            value += share * mean / unit;
            variance += (share / unit).powi(2) * squared_error;
        }
        let names = mixture.parts().iter().map(|part| part.scenario.name.clone());
        let scenarios = names.zip(outcomes).collect();
        Self { value, standard_error: variance.sqrt(), scenarios }
    }

    /// Every episode.
    pub fn outcomes(&self) -> impl Iterator<Item = &Outcome> {
        self.scenarios.iter().flat_map(|(_, outcomes)| outcomes)
    }
}

/// Runs the current network greedily on fixed validation episodes of each scenario; several ranks
/// share them out.
struct Validator {
    mixture: Mixture,
    group: Option<Arc<dyn Group>>,
    episodes: usize,
    workers: Vec<Vec<Worker>>,
}

/// Plays one episode of a scenario.
struct Worker {
    env: ClusterEnv,
    policy: NetworkPolicy,
    episode: usize,
}

impl Validator {
    fn new(
        mixture: &Mixture,
        trainer: &ClusterTrainer,
        group: Option<Arc<dyn Group>>,
    ) -> anyhow::Result<Self> {
        let spec = trainer.learner.online.spec();
        let episodes = trainer.config.evaluate_episodes;
        let mut workers = Vec::new();
        for Part { scenario, .. } in mixture.parts() {
            let template = Arc::new(WorldTemplate::new(scenario));
            let of_scenario = part::share(episodes, group.as_deref())
                .into_iter()
                .map(|episode| {
                    let env = ClusterEnv::new(Arc::clone(&template), Phase::Validate)?;
                    let policy = NetworkPolicy::new("policy", Network::new(spec));
                    Ok(Worker { env, policy, episode })
                })
                .collect::<anyhow::Result<_>>()?;
            workers.push(of_scenario);
        }
        Ok(Self { mixture: mixture.clone(), group, episodes, workers })
    }

    fn run(&mut self, trainer: &mut ClusterTrainer) -> anyhow::Result<Validation> {
        let weights = trainer.weights().to_vec();
        let mut outcomes = Vec::new();
        for of_scenario in &mut self.workers {
            let played = of_scenario.par_iter_mut().map(|Worker { env, policy, episode }| {
                policy.load_flat(&weights);
                Ok(rollout(env, policy, VALIDATION_SEED + *episode as u64)?)
            });
            let played = played.collect::<anyhow::Result<Vec<_>>>();
            outcomes.push(match &self.group {
                Some(group) => part::exchange(played, self.episodes, &**group)?,
                None => played?,
            });
        }
        Ok(Validation::new(&self.mixture, outcomes))
    }
}
