//! Writing checkpoints.

use super::directory::{
    BEST, BEST_BEFORE, ITERATION, LAST, PREVIOUS, RunDirectory, iteration_folder,
};
use super::error::CheckpointError;
use super::stage::{Stage, read, rename, sync_directory, verify};
use super::state::{ResumeState, SavedCounters, SavedEnvironment, SavedNormalisation, State};
use super::texts::{config_text, scenario_files};
use super::{names, replay_file, weights};
use crate::experience::comparisons::Iteration;
use crate::networks::quantile;
use crate::train::assemble::ClusterTrainer;
use crate::train::mixture::Mixture;
use godwit_envs::env::Env;
use godwit_models::network_policy::Base;
use std::fs;
use std::path::Path;
use tch::Tensor;

/// Writes a checkpoint that training can go on from; the one before it is kept as `previous`.
///
/// # Errors
/// When a weight is not finite or the disk refuses: the checkpoints before it are still there, the
/// failed one is removed.
pub fn write_last(
    directory: &RunDirectory,
    mixture: &Mixture,
    trainer: &mut ClusterTrainer,
) -> Result<(), CheckpointError> {
    trainer.learner.check()?;
    let run = directory.path();
    let mut stage = Stage::new(run, LAST, true)?;
    let learner = &trainer.learner;
    let [online, target, mean, square] =
        [&learner.online.flat, &learner.target.flat, &learner.adam.mean, &learner.adam.square]
            .map(to_host);
    let mut groups: Vec<(&str, &[f32])> = vec![
        ("online", &online),
        ("target", &target),
        ("adam_mean", &mean),
        ("adam_square", &square),
    ];
    let noise: Vec<(&str, Vec<f32>)> = learner
        .noise
        .iter()
        .flat_map(|noise| noise.state().map(|(name, tensor)| (name, to_host(tensor))))
        .collect();
    groups.extend(noise.iter().map(|(name, values)| (*name, values.as_slice())));
    let resume = ResumeState {
        adam_updates: learner.adam.updates,
        learner_rng: learner.rng.clone(),
        actor_rngs: trainer
            .actors
            .iter_mut()
            .map(|actor| {
                actor.get_mut().unwrap_or_else(|poisoned| poisoned.into_inner()).rng.clone()
            })
            .collect(),
        environments: trainer
            .vector
            .slots()
            .iter()
            .map(|slot| SavedEnvironment { episodes: slot.episodes, state: slot.env.save() })
            .collect(),
        normalisation: trainer.normalisation().map(|of| SavedNormalisation::from(&**of)),
    };
    write_common(&mut stage, run, mixture, trainer, &groups, None, Some(resume))?;
    stage.file(names::REPLAY, |out| replay_file::write(&trainer.replay, out))?;
    stage.seal()?;
    stage.place(run, LAST, PREVIOUS)?;
    if trainer.config.keep_checkpoints > 0 {
        keep_numbered(run, trainer.counters.env_steps, trainer.config.keep_checkpoints)?;
    }
    Ok(())
}

/// Writes the online weights as the best so far, with the mean validation return they reached and
/// the base on which they did.
///
/// # Errors
/// When a weight is not finite or the disk refuses: the best before it is still there.
pub fn write_best(
    directory: &RunDirectory,
    mixture: &Mixture,
    trainer: &mut ClusterTrainer,
    mean_return: f64,
    base: Option<&Base>,
) -> Result<(), CheckpointError> {
    trainer.check()?;
    let run = directory.path();
    let mut stage = Stage::new(run, BEST, false)?;
    let online = trainer.weights().to_vec();
    let groups: [(&str, &[f32]); 1] = [("online", &online)];
    write_common(&mut stage, run, mixture, trainer, &groups, Some((mean_return, base)), None)?;
    stage.seal()?;
    place_best(stage, run)
}

/// Writes `best` again, with another base, or with none.
///
/// # Errors
/// When there is no sound one, or the disk refuses: it is still there as it was.
pub fn rebase_best(directory: &RunDirectory, base: Option<&Base>) -> Result<(), CheckpointError> {
    let run = directory.path();
    let best = run.join(BEST);
    let manifest = verify(&best)?;
    let mut stage = Stage::new(run, BEST, manifest.resumable)?;
    for name in manifest.files.keys().filter(|name| *name != names::STATE) {
        let bytes = read(&best.join(name))?;
        stage.file(name, |out| out.write_all(&bytes))?;
    }
    let state = State { base: base.cloned(), ..State::read(&best)? };
    stage.file(names::STATE, |out| Ok(serde_json::to_writer(out, &state)?))?;
    stage.seal()?;
    place_best(stage, run)
}

/// Keeps the best policy so far as what the comparisons of a later part of the run improve on.
///
/// # Errors
/// When there is no best policy, or the disk refuses.
pub fn keep_iteration(directory: &RunDirectory, number: u32) -> Result<Iteration, CheckpointError> {
    let run = directory.path();
    let (best, policy) = (run.join(BEST), iteration_folder(run, number));
    verify(&best)?;
    let temporary = run.join(format!("{ITERATION}{number}.tmp-{}", std::process::id()));
    if policy.exists() {
        // Of a run that was killed after it, and goes on from before it.
        fs::remove_dir_all(&policy).map_err(CheckpointError::io(&policy, "remove"))?;
    }
    copy_files(&best, &temporary).and_then(|()| rename(&temporary, &policy))?;
    sync_directory(run)?;
    Ok(Iteration { number, policy })
}

/// Puts a stage in place of the best before it.
fn place_best(stage: Stage, run: &Path) -> Result<(), CheckpointError> {
    stage.place(run, BEST, BEST_BEFORE)?;
    let before = run.join(BEST_BEFORE);
    if before.exists() {
        fs::remove_dir_all(&before).map_err(CheckpointError::io(&before, "remove"))?;
    }
    Ok(())
}

fn write_common(
    stage: &mut Stage,
    run: &Path,
    mixture: &Mixture,
    trainer: &ClusterTrainer,
    groups: &[(&str, &[f32])],
    best: Option<(f64, Option<&Base>)>,
    resume: Option<ResumeState>,
) -> Result<(), CheckpointError> {
    let spec = trainer.learner.online.spec();
    // Those of `best` are a policy's: means, for observations as they are. Training goes on from
    // every quantile, and from what is normalised.
    let quantiles = if resume.is_some() { trainer.learner.online.quantiles() } else { 1 };
    let shapes = quantile::parameters(spec, quantiles);
    let weights = weights::to_bytes(&shapes, groups, &run.join(names::WEIGHTS))?;
    stage.file(names::WEIGHTS, |out| out.write_all(&weights))?;
    let config = config_text(&trainer.config, &run.join(names::CONFIG))?;
    stage.file(names::CONFIG, |out| out.write_all(config.as_bytes()))?;
    for (name, text) in scenario_files(mixture) {
        stage.file(&name, |out| out.write_all(text.as_bytes()))?;
    }
    let state = State {
        producer: concat!("godwit ", env!("CARGO_PKG_VERSION")).to_owned(),
        spec: spec.clone(),
        // A trainer has at least one environment: the configuration demands it.
        schema_hash: trainer.vector.slots()[0].env.observation_space().schema.hash(),
        weight_bits: mixture.parts().iter().map(|part| part.weight.to_bits()).collect(),
        counters: SavedCounters::from(&trainer.counters),
        mean_return_bits: best.map(|(mean, _)| mean.to_bits()),
        base: best.and_then(|(_, base)| base.cloned()),
        resume,
    };
    stage.file(names::STATE, |out| Ok(serde_json::to_writer(out, &state)?))
}

fn to_host(tensor: &Tensor) -> Vec<f32> {
    let mut values = vec![0.0; tensor.numel()];
    let length = values.len();
    tensor.to_device(tch::Device::Cpu).copy_data(&mut values, length);
    values
}

/// Keeps `last` as `step-N` as well, and only the newest `keep` of those.
fn keep_numbered(run: &Path, env_steps: u64, keep: usize) -> Result<(), CheckpointError> {
    let (last, numbered) = (run.join(LAST), run.join(format!("step-{env_steps}")));
    if !numbered.exists() {
        let temporary = run.join(format!("step-{env_steps}.tmp-{}", std::process::id()));
        let copied = copy_files(&last, &temporary).and_then(|()| rename(&temporary, &numbered));
        if copied.is_err() {
            let _ = fs::remove_dir_all(&temporary);
        }
        copied?;
        sync_directory(run)?;
    }
    let number = |name: &str| name.strip_prefix("step-")?.parse::<u64>().ok();
    let entries = fs::read_dir(run).map_err(CheckpointError::io(run, "list"))?;
    let mut steps: Vec<u64> = entries
        .flatten()
        .filter_map(|entry| number(&entry.file_name().to_string_lossy()))
        .collect();
    steps.sort_unstable();
    for step in &steps[..steps.len().saturating_sub(keep)] {
        let path = run.join(format!("step-{step}"));
        fs::remove_dir_all(&path).map_err(CheckpointError::io(&path, "remove"))?;
    }
    Ok(())
}

/// Links (or, where the file system has no links, copies) the files of a checkpoint: they are
/// never changed once written.
fn copy_files(from: &Path, to: &Path) -> Result<(), CheckpointError> {
    fs::create_dir(to).map_err(CheckpointError::io(to, "create"))?;
    for entry in fs::read_dir(from).map_err(CheckpointError::io(from, "list"))? {
        let path = entry.map_err(CheckpointError::io(from, "list"))?.path();
        let target = to.join(path.file_name().unwrap_or_default());
        if fs::hard_link(&path, &target).is_err() {
            fs::copy(&path, &target).map_err(CheckpointError::io(&target, "write"))?;
        }
    }
    sync_directory(to)
}
