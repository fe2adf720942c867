//! Reading checkpoints for their weights, with every check.

use super::directory::{BEST, BEST_BEFORE, LAST, PREVIOUS};
use super::error::CheckpointError;
use super::stage::{read, verify};
use super::state::State;
use super::{names, weights};
use crate::config::TrainConfig;
use crate::networks::quantile;
use crate::networks::spec::network_spec;
use crate::train::mixture::{Mixture, Part};
use crate::train::trainer::Counters;
use godwit_envs::env::Env;
use godwit_envs::env::cluster_env::ClusterEnv;
use godwit_envs::observe::normalisation::Normalisation;
use godwit_envs::scenario::{Phase, Scenario, WorldTemplate};
use godwit_models::baselines::ParameterError;
use godwit_models::net::{Network, NetworkSpec, fold};
use godwit_models::network_policy::{Base, NetworkPolicy};
use std::path::{Path, PathBuf};
use std::sync::Arc;

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
    /// What the policy improves on, for `best`.
    pub base: Option<Base>,
    /// Whether training can go on from it.
    pub resumable: bool,
}

impl LoadedCheckpoint {
    /// The policy, called by this name, on its base if it has one.
    ///
    /// # Errors
    /// When this version has no such base.
    pub fn policy(&self, name: &str) -> Result<NetworkPolicy, ParameterError> {
        let mut network = Network::new(&self.spec);
        network.load_flat(&self.weights);
        let sections = self.mixture.first().rules.sections();
        NetworkPolicy::new(name, network, sections).on_base(self.base.as_ref())
    }
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

pub(super) fn load_checkpoint(path: &Path) -> Result<(LoadedCheckpoint, State), CheckpointError> {
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
        base: state.base.clone(),
        resumable: manifest.resumable,
    };
    Ok((loaded, state))
}

/// What normalises the observations of a run that can go on, if anything does.
pub(super) fn normalisation(
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
        let got = format!("{}: train it anew with this version", state.schema_hash);
        return Err(wrong(format!("features of this version (schema hash {hash})"), got));
    }
    let spec = network_spec(config, &env)
        .map_err(|error| wrong("a network for this scenario".into(), format!("{error:#}")))?;
    if spec != state.spec {
        return Err(wrong(format!("the network {spec:?}"), format!("{:?}", state.spec)));
    }
    Ok(())
}
