//! Going on with a run: its trainer as it was when a checkpoint was written.

use super::directory::{LAST, PREVIOUS, RunDirectory, iteration};
use super::error::CheckpointError;
use super::load::{LoadedCheckpoint, load_checkpoint, normalisation};
use super::stage::{read, rename};
use super::{names, replay_file, weights};
use crate::config::TrainConfig;
use crate::networks::quantile;
use crate::train::assemble::{ClusterTrainer, normalised_trainer};
use crate::train::mixture::Mixture;
use godwit_envs::env::Env;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tch::{Device, Tensor};

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
    let run = path.parent().unwrap_or(path);
    let iteration = iteration(run, &config, counters.env_steps);
    let mut trainer =
        normalised_trainer(&mixture, &config, device, normalisation, iteration.as_ref())
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
