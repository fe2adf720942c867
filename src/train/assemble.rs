//! The trainer that a configuration asks for: its worlds, its network, and what it learns from
//! beside its own experience.

use crate::config::TrainConfig;
use crate::experience::comparisons::{Comparisons, Improved, Iteration};
use crate::experience::demonstrations::{Conversion, record};
use crate::experience::paired::PairedEnv;
use crate::experience::replay::Replay;
use crate::networks::spec::network_spec;
use crate::policies;
use crate::train::mixture::{Mixture, Part};
use crate::train::normalisation;
use crate::train::trainer::{Trainer, World};
use anyhow::{Context, ensure};
use godwit_envs::env::Env;
use godwit_envs::env::cluster_env::ClusterEnv;
use godwit_envs::observe::normalisation::Normalisation;
use godwit_envs::rng::child_seed;
use godwit_envs::scenario::{Mode, Phase, Scenario, WorldTemplate};
use godwit_evaluate::progress::Progress;
use godwit_models::baselines::{Assignment, NAMES, baseline};
use godwit_models::net::unfold;
use godwit_models::network_policy::NetworkPolicy;
use godwit_models::policy::Policy;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
use tch::Device;

/// The trainer of a cluster scenario.
pub type ClusterTrainer = Trainer<PairedEnv>;

/// A fresh trainer.
///
/// # Errors
/// When a setting is out of its range or does not fit the scenarios, or an episode has no feasible
/// start.
pub fn new_trainer(
    mixture: &Mixture,
    config: &TrainConfig,
    device: Device,
) -> anyhow::Result<ClusterTrainer> {
    let started = Instant::now();
    config.validate_for(mixture.parts().len())?;
    let normalisation = match config.normalise_observations {
        true => Some(Arc::new(normalisation::measure(mixture, &config.exploration)?)),
        false => None,
    };
    let measured = started.elapsed();
    let mut trainer = normalised_trainer(mixture, config, device, normalisation, None)?;
    trainer.preparation += measured;
    Ok(trainer)
}

/// [`new_trainer`], with the normalisation that a run has already, and what its comparisons improve
/// on by now.
///
/// # Errors
/// As [`new_trainer`].
pub fn normalised_trainer(
    mixture: &Mixture,
    config: &TrainConfig,
    device: Device,
    normalisation: Option<Arc<Normalisation>>,
    iteration: Option<&Iteration>,
) -> anyhow::Result<ClusterTrainer> {
    let started = Instant::now();
    config.validate_for(mixture.parts().len())?;
    let copies = mixture.copies(config.env_copies)?;
    let mut worlds = Vec::new();
    let units = mixture.reward_units(&config.learner.scenario_scales);
    for ((Part { scenario, .. }, copies), unit) in mixture.parts().iter().zip(copies).zip(units) {
        worlds.push(world(scenario, config, copies, unit, normalisation.as_ref())?);
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
        "" if iteration.is_none() => None,
        _ => Some(comparisons(mixture, config, iteration, true)?),
    };
    let mut trainer = Trainer::new(config, &spec, worlds, device)?;
    trainer.demonstrations = demonstrations;
    trainer.comparisons = comparisons;
    trainer.preparation = started.elapsed();
    Ok(trainer)
}

/// What is trained on, as the initial policy sees it, if the configuration names one.
///
/// # Errors
/// When that policy cannot be used.
pub fn seen_by_initial_policy(mixture: Mixture, config: &TrainConfig) -> anyhow::Result<Mixture> {
    if config.initial_policy.is_empty() {
        return Ok(mixture);
    }
    let sections = initial_policy(mixture.first(), config)?.sections();
    Ok(mixture.seen_as(sections))
}

fn initial_policy(scenario: &Scenario, config: &TrainConfig) -> anyhow::Result<NetworkPolicy> {
    let name = &config.initial_policy;
    let env = ClusterEnv::new(Arc::new(WorldTemplate::new(scenario)), Phase::Train)?;
    policies::load(Path::new(name), name, scenario, env.observation_space())
        .context("initial_policy")
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
    let network = initial_policy(scenario, config)?.into_network();
    let expected = network_spec(config, &env)?;
    ensure!(
        *network.spec() == expected,
        "initial_policy: expected a network of the settings {:?}, got {name} with {:?}",
        expected,
        network.spec()
    );
    let mut trainer = new_trainer(mixture, config, device)?;
    let mut weights = network.into_flat();
    if let Some(normalisation) = trainer.normalisation() {
        unfold(&expected, normalisation, &mut weights);
    }
    trainer.learner.start_from(&weights);
    Ok(trainer)
}

fn world(
    scenario: &Scenario,
    config: &TrainConfig,
    copies: usize,
    reward_unit: f64,
    normalisation: Option<&Arc<Normalisation>>,
) -> anyhow::Result<World<PairedEnv>> {
    let template = Arc::new(WorldTemplate::new(scenario));
    let envs = (0..copies)
        .map(|_| env(scenario, &template, config, normalisation))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let decoders = (0..rayon::current_num_threads())
        .map(|_| {
            let env = ClusterEnv::new(Arc::clone(&template), Phase::Train)?;
            Ok(PairedEnv::plain(env.normalised(normalisation.cloned())))
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    Ok(World { envs, decoders, reward_unit })
}

/// An environment that pays as the configuration says.
fn env(
    scenario: &Scenario,
    template: &Arc<WorldTemplate>,
    config: &TrainConfig,
    normalisation: Option<&Arc<Normalisation>>,
) -> anyhow::Result<PairedEnv> {
    let env = ClusterEnv::new(Arc::clone(template), Phase::Train)?;
    let env = env.normalised(normalisation.cloned());
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
    let units = mixture.reward_units(&config.learner.scenario_scales);
    for (Part { scenario, .. }, unit) in mixture.parts().iter().zip(units) {
        let template = Arc::new(WorldTemplate::new(scenario));
        // States are kept as they are, and observed when they are drawn.
        let env = env(scenario, &template, config, None)?;
        envs.push((env, Conversion::new(config, unit)));
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

/// Comparisons with what the configured baseline does in training episodes, or the policy of a later
/// iteration. The same configuration yields the same ones, so that checkpoints need not hold them.
/// `shown` ones are reported on standard error.
///
/// # Errors
/// When that policy cannot be used, or an episode has no feasible start.
pub fn comparisons(
    mixture: &Mixture,
    config: &TrainConfig,
    iteration: Option<&Iteration>,
    shown: bool,
) -> anyhow::Result<Comparisons> {
    let mut comparisons = Comparisons::default();
    let mut settings = config.comparisons.clone();
    if iteration.is_some() && settings.later_states > 0 {
        settings.states = settings.later_states;
    }
    let number = iteration.map_or(0, |iteration| u64::from(iteration.number));
    let name = match iteration {
        Some(_) => "the best policy so far",
        None => &settings.baseline,
    };
    let wanted = settings.states * mixture.parts().len();
    let (started, bar) = (Instant::now(), Progress::new(shown, wanted as u64, "states"));
    bar.set_message(format!("rollouts of {name}"));
    let units = mixture.reward_units(&config.learner.scenario_scales);
    for (at, (Part { scenario, .. }, unit)) in mixture.parts().iter().zip(units).enumerate() {
        let template = Arc::new(WorldTemplate::new(scenario));
        let conversion = Conversion::new(config, unit);
        let seed = child_seed(config.seed, (1 << 35) + (number << 20) + at as u64);
        let improved = improved(config, iteration, scenario, &template)?;
        comparisons.add_scenario(&template, &improved, &settings, conversion, seed, &bar)?;
    }
    bar.finish();
    let (count, seconds) = (comparisons.all().len(), started.elapsed().as_secs_f64());
    if shown {
        eprintln!("comparisons with {name}: {count} in {wanted} states, {seconds:.0} s");
    }
    Ok(comparisons)
}

fn improved(
    config: &TrainConfig,
    iteration: Option<&Iteration>,
    scenario: &Scenario,
    template: &Arc<WorldTemplate>,
) -> anyhow::Result<Improved> {
    let settings = &config.comparisons;
    let (name, parameters) = match iteration {
        Some(iteration) => (iteration.policy.as_path(), &Assignment::new()),
        None => (Path::new(&settings.baseline), &settings.parameters),
    };
    if iteration.is_none() && NAMES.contains(&settings.baseline.as_str()) {
        return Ok(Improved::Baseline(settings.baseline.clone(), parameters.clone()));
    }
    ensure!(
        parameters.is_empty(),
        "comparisons.parameters: expected none for the trained policy {}",
        name.display()
    );
    let env = ClusterEnv::new(Arc::clone(template), Phase::Train)?;
    let policy = policies::load(name, "policy", scenario, env.observation_space()).context(
        "comparisons.baseline: not the name of a baseline (`godwit baselines` lists them)",
    )?;
    Ok(Improved::Policy(Box::new(policy)))
}

fn named_baseline(setting: &str, name: &str) -> anyhow::Result<Box<dyn Policy>> {
    let name = policies::baseline_name(setting, name)?;
    baseline(name).with_context(|| format!("{setting}: expected a baseline, got {name:?}"))
}
