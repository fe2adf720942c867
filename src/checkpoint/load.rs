//! Reading checkpoints: for their weights, or to go on training.

use super::directory::{BEST, BEST_BEFORE, LAST, PREVIOUS, RunDirectory};
use super::error::CheckpointError;
use super::stage::{read, rename, verify};
use super::state::State;
use super::{names, replay_file, weights};
use crate::config::TrainConfig;
use crate::networks::quantile;
use crate::networks::spec::network_spec;
use crate::train::assemble::{ClusterTrainer, normalised_trainer};
use crate::train::mixture::{Mixture, Part};
use crate::train::trainer::Counters;
use godwit_envs::env::Env;
use godwit_envs::env::cluster_env::ClusterEnv;
use godwit_envs::observe::normalisation::Normalisation;
use godwit_envs::scenario::{Phase, Scenario, WorldTemplate};
use godwit_models::net::{NetworkSpec, fold};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tch::{Device, Tensor};

/// A checkpoint that has passed every check, as far as its policy goes.
#[derive(Debug, Clone)]
pub struct LoadedCheckpoint {
    /// Where it was read from.
    pub path: PathBuf,
    /// Shape of the network.
    pub spec: NetworkSpec,
    /// The online weights, flat, in the order of [`NetworkSpec::parameters`]: those of a policy,
    /// which observes what the encoder writes.
    pub weights: Vec<f32>,
    /// Hash of the features that the weights belong to.
    pub schema_hash: String,
    /// What it was trained on.
    pub mixture: Mixture,
    /// The settings of its run.
    pub config: TrainConfig,
    /// Where the run stood.
    pub counters: Counters,
    /// Mean validation return, for `best`.
    pub mean_return: Option<f64>,
    /// Whether training can go on from it.
    pub resumable: bool,
}

/// A run that goes on.
pub struct Resumed {
    /// What it trains on.
    pub mixture: Mixture,
    /// Its settings.
    pub config: TrainConfig,
    /// The trainer as it was when the checkpoint was written.
    pub trainer: ClusterTrainer,
    /// The checkpoint that was used.
    pub path: PathBuf,
    /// What people should know, for example that a damaged checkpoint was passed over.
    pub notes: Vec<String>,
}

/// Loads the policy of a checkpoint, or of a run directory: its `best`, or where it has none its
/// `last` (or, if that is missing, `previous`).
///
/// # Errors
/// The first file that is missing, damaged, or of another version.
pub fn load(path: impl AsRef<Path>) -> Result<LoadedCheckpoint, CheckpointError> {
    let path = path.as_ref();
    let is_checkpoint = |path: &Path| path.join(names::MANIFEST).exists();
    if is_checkpoint(path) {
        return load_checkpoint(path).map(|(loaded, _)| loaded);
    }
    match [BEST, BEST_BEFORE, LAST, PREVIOUS]
        .iter()
        .map(|name| path.join(name))
        .find(|path| path.is_dir())
    {
        Some(path) => load_checkpoint(&path).map(|(loaded, _)| loaded),
        None if path.join(names::STATE).exists() => {
            Err(CheckpointError::Missing { path: path.join(names::MANIFEST) })
        }
        None => Err(CheckpointError::NoCheckpoint { path: path.to_owned() }),
    }
}

/// Rebuilds the trainer of a run from `last`, or where that is damaged or missing from
/// `previous`. On the device that wrote it, training goes on with the same bits (CPU).
///
/// # Errors
/// When neither can be used; the message says why for each.
pub fn resume(directory: &RunDirectory, device: Device) -> Result<Resumed, CheckpointError> {
    let (last, previous) = (directory.path().join(LAST), directory.path().join(PREVIOUS));
    let damage = match resume_from(&last, device) {
        Ok(resumed) => return Ok(resumed),
        Err(damage) => damage,
    };
    if !previous.is_dir() {
        let none = !last.is_dir();
        let path = directory.path().to_owned();
        return Err(if none { CheckpointError::NoCheckpoint { path } } else { damage });
    }
    let mut resumed = match resume_from(&previous, device) {
        Ok(resumed) => resumed,
        Err(error) => {
            let (last, previous) = (Box::new(damage), Box::new(error));
            return Err(CheckpointError::BothDamaged { last, previous });
        }
    };
    resumed.notes.push(format!("{damage}; going on from {} instead", previous.display()));
    if last.is_dir() {
        // Out of the way, so that the next checkpoint does not push the good one out.
        let aside = directory.path().join("last.damaged");
        let moved = match std::fs::remove_dir_all(&aside) {
            Err(error) if aside.exists() => Err(CheckpointError::io(&aside, "remove")(error)),
            _ => rename(&last, &aside),
        };
        resumed.notes.push(match moved {
            Ok(()) => format!("the damaged checkpoint is kept as {}", aside.display()),
            Err(error) => error.to_string(),
        });
    }
    Ok(resumed)
}

fn load_checkpoint(path: &Path) -> Result<(LoadedCheckpoint, State), CheckpointError> {
    let manifest = verify(path)?;
    let mut needed = vec![names::STATE, names::WEIGHTS, names::CONFIG, names::SCENARIO];
    if manifest.resumable {
        needed.push(names::REPLAY);
    }
    if let Some(name) = needed.into_iter().find(|&name| !manifest.files.contains_key(name)) {
        let path = path.join(names::MANIFEST);
        return Err(CheckpointError::content(&path, format!("an entry for {name}"), "none"));
    }
    let config = read_config(&path.join(names::CONFIG))?;
    let state = State::read(path)?;
    let mixture = read_mixture(path, &state)?;
    check_schema(&path.join(names::STATE), mixture.first(), &config, &state)?;
    let weights_path = path.join(names::WEIGHTS);
    // Those of `best` are a policy's; what a run goes on from, or could before it gave up its
    // replay, was learnt by every quantile, on normalised observations.
    let quantiles = if state.resume.is_some() { config.learner.quantiles } else { 1 };
    let shapes = quantile::parameters(&state.spec, quantiles);
    let wide = weights::flat(&shapes, &read(&weights_path)?, "online", &weights_path)?;
    let mut weights = Vec::new();
    quantile::mean_network(&state.spec, quantiles, &wide, &mut weights);
    if let Some(normalisation) = normalisation(&path.join(names::STATE), &config, &state)? {
        fold(&state.spec, &normalisation, &mut weights);
    }
    let loaded = LoadedCheckpoint {
        path: path.to_owned(),
        spec: state.spec.clone(),
        weights,
        schema_hash: state.schema_hash.clone(),
        mixture,
        config,
        counters: Counters::from(&state.counters),
        mean_return: state.mean_return(),
        resumable: manifest.resumable,
    };
    Ok((loaded, state))
}

/// What normalises the observations of a run that can go on, if anything does.
fn normalisation(
    path: &Path,
    config: &TrainConfig,
    state: &State,
) -> Result<Option<Normalisation>, CheckpointError> {
    let Some(resume) = &state.resume else { return Ok(None) };
    let found = resume.normalisation.as_ref().map(Normalisation::from);
    let NetworkSpec {
        node_features, workload_features, global_features, candidate_features, ..
    } = state.spec;
    let widths = [node_features, workload_features, global_features, candidate_features];
    let expected = config.normalise_observations.then_some(widths);
    let got = found.as_ref().map(Normalisation::widths);
    if got != expected {
        let text = |widths: Option<[usize; 4]>| match widths {
            Some(widths) => format!("a normalisation of {widths:?} features"),
            None => "no normalisation".to_owned(),
        };
        return Err(CheckpointError::content(path, text(expected), text(got)));
    }
    Ok(found)
}

/// Reads the scenarios.
fn read_mixture(path: &Path, state: &State) -> Result<Mixture, CheckpointError> {
    let mut parts = Vec::new();
    for (at, &bits) in state.weight_bits.iter().enumerate() {
        let path = path.join(names::scenario(at));
        let scenario = Scenario::load(&path)
            .map_err(|error| CheckpointError::content(&path, "a valid scenario", error))?;
        parts.push(Part { scenario, weight: f64::from_bits(bits) });
    }
    Mixture::new(parts).map_err(|error| {
        let got = format!("{error:#}");
        CheckpointError::content(&path.join(names::STATE), "scenarios of one run", got)
    })
}

/// Reads a `config.toml`.
fn read_config(path: &Path) -> Result<TrainConfig, CheckpointError> {
    let wrong = |got: String| CheckpointError::content(path, "a training configuration", got);
    let text = String::from_utf8(read(path)?).map_err(|error| wrong(error.to_string()))?;
    let config: TrainConfig =
        toml::from_str(&text).map_err(|error| wrong(error.message().to_owned()))?;
    config.validate().map_err(|error| wrong(error.to_string()))?;
    Ok(config)
}

/// Weights are only ever applied to the features that they were trained on.
fn check_schema(
    path: &Path,
    scenario: &Scenario,
    config: &TrainConfig,
    state: &State,
) -> Result<(), CheckpointError> {
    let wrong = |expected: String, got: String| CheckpointError::content(path, expected, got);
    let env = ClusterEnv::new(Arc::new(WorldTemplate::new(scenario)), Phase::Train)
        .map_err(|error| wrong("a scenario with a feasible start".into(), error.to_string()))?;
    let hash = env.observation_space().schema.hash();
    if hash != state.schema_hash {
        return Err(wrong(format!("schema hash {hash}"), state.schema_hash.clone()));
    }
    let spec = network_spec(config, &env)
        .map_err(|error| wrong("a network for this scenario".into(), format!("{error:#}")))?;
    if spec != state.spec {
        return Err(wrong(format!("the network {spec:?}"), format!("{:?}", state.spec)));
    }
    Ok(())
}

/// Rebuilds the trainer from `previous`, which has these env steps, and drops the later `last`.
///
/// # Errors
/// When it cannot be used, or has other env steps.
pub fn resume_previous(
    directory: &RunDirectory,
    device: Device,
    env_steps: u64,
) -> Result<Resumed, CheckpointError> {
    let (last, previous) = (directory.path().join(LAST), directory.path().join(PREVIOUS));
    let mut resumed = resume_from(&previous, device)?;
    let got = resumed.trainer.counters.env_steps;
    if got != env_steps {
        let expected = format!("a checkpoint at env step {env_steps}");
        return Err(CheckpointError::content(&previous, expected, format!("env step {got}")));
    }
    // It must not push the older one out when the next checkpoint is written.
    std::fs::remove_dir_all(&last).map_err(CheckpointError::io(&last, "remove"))?;
    rename(&previous, &last)?;
    resumed.path = last;
    Ok(resumed)
}

fn resume_from(path: &Path, device: Device) -> Result<Resumed, CheckpointError> {
    if !path.is_dir() {
        return Err(CheckpointError::Missing { path: path.to_owned() });
    }
    let (loaded, state) = load_checkpoint(path)?;
    let state_path = path.join(names::STATE);
    let normalisation = normalisation(&state_path, &loaded.config, &state)?.map(Arc::new);
    let Some(saved) = state.resume else {
        return Err(CheckpointError::NotResumable { path: path.to_owned() });
    };
    if !loaded.resumable {
        return Err(CheckpointError::NoReplay { path: path.to_owned() });
    }
    let wrong =
        |expected: String, got: String| CheckpointError::content(&state_path, expected, got);
    let LoadedCheckpoint { spec, mixture, config, counters, .. } = loaded;
    let mut trainer = normalised_trainer(&mixture, &config, device, normalisation)
        .map_err(|error| wrong("a run that can be set up".into(), format!("{error:#}")))?;

    let copies = trainer.vector.slots().len();
    for (what, got) in [
        ("actor streams", saved.actor_rngs.len()),
        ("environments", saved.environments.len()),
        ("running returns", counters.running_return.len()),
        ("running terms", counters.running_terms.len()),
    ] {
        if got != copies {
            return Err(wrong(format!("{copies} {what}"), got.to_string()));
        }
    }
    let weights_path = path.join(names::WEIGHTS);
    let bytes = read(&weights_path)?;
    let shapes = quantile::parameters(&spec, config.learner.quantiles);
    let learner = &mut trainer.learner;
    for (group, tensor) in [
        ("online", &mut learner.online.flat),
        ("target", &mut learner.target.flat),
        ("adam_mean", &mut learner.adam.mean),
        ("adam_square", &mut learner.adam.square),
    ] {
        let values = weights::flat(&shapes, &bytes, group, &weights_path)?;
        // In place: the named parameters share the flat vector's memory.
        tch::no_grad(|| tensor.copy_(&Tensor::from_slice(&values)));
    }
    learner.adam.updates = saved.adam_updates;
    if let Some(noise) = &mut learner.noise {
        for (group, tensor) in noise.state_mut() {
            let values = weights::flat(&shapes, &bytes, group, &weights_path)?;
            tch::no_grad(|| tensor.copy_(&Tensor::from_slice(&values)));
        }
        noise.adam.updates = saved.adam_updates;
    }
    learner.rng = saved.learner_rng;
    for (actor, rng) in trainer.actors.iter_mut().zip(saved.actor_rngs) {
        actor.get_mut().unwrap_or_else(|poisoned| poisoned.into_inner()).rng = rng;
    }
    for (slot, environment) in trainer.vector.slots_mut().iter_mut().zip(saved.environments) {
        slot.env
            .restore(&environment.state)
            .map_err(|error| wrong("an environment of this scenario".into(), error))?;
        slot.episodes = environment.episodes;
    }
    trainer.vector.refresh();
    trainer.counters = counters;
    replay_file::read(&mut trainer.replay, &path.join(names::REPLAY))?;
    Ok(Resumed { mixture, config, trainer, path: path.to_owned(), notes: Vec::new() })
}
