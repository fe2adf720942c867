//! A rank's part of a training run: equal weights everywhere, its own run directory, and its share
//! of the validation episodes.

use super::{Group, outcomes};
use crate::checkpoint::{self, RunDirectory};
use crate::config::TrainConfig;
use crate::distributed::average::GradientAverage;
use crate::train::assemble::ClusterTrainer;
use crate::train::mixture::Mixture;
use anyhow::{Context, ensure};
use godwit_models::rollout::Outcome;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tch::{Device, Tensor};

/// Directory of a rank: that of the run for rank 0, one below it for the others.
pub fn folder(run: &Path, rank: usize) -> PathBuf {
    if rank == 0 { run.to_owned() } else { run.join(format!("rank-{rank}")) }
}

/// Makes the directory of a new run, and those of all ranks in it.
///
/// # Errors
/// When one of them cannot be made.
pub fn create(
    run: &Path,
    mixture: &Mixture,
    config: &TrainConfig,
    group: Option<&dyn Group>,
) -> anyhow::Result<RunDirectory> {
    let rank = group.map_or(0, Group::rank);
    let make = || RunDirectory::create(folder(run, rank), mixture, config).map_err(Into::into);
    let Some(group) = group else { return make() };
    // Rank 0 is the first: the directory has to be empty when it comes.
    let first = group.together(if rank == 0 { make().map(Some) } else { Ok(None) })?;
    group.together(first.map_or_else(make, Ok))
}

/// Makes a trainer part of a group: it takes over the state of rank 0's learner, and averages its
/// gradients from now on.
///
/// # Errors
/// When networks are noisy: the noise would have to be the same on all ranks.
pub fn attach(trainer: &mut ClusterTrainer, group: &Arc<dyn Group>) -> anyhow::Result<()> {
    let noisy = trainer.config.exploration.noisy_sigma;
    ensure!(noisy == 0.0, "exploration.noisy_sigma: expected 0 on several ranks, got {noisy}");
    let learner = &mut trainer.learner;
    for tensor in [
        &mut learner.online.flat,
        &mut learner.target.flat,
        &mut learner.adam.mean,
        &mut learner.adam.square,
    ] {
        let mut values = vec![0.0_f32; tensor.numel()];
        let length = values.len();
        tensor.to_device(Device::Cpu).copy_data(&mut values, length);
        group.copy(&mut values);
        tch::no_grad(|| tensor.copy_(&Tensor::from_slice(&values)));
    }
    learner.average(GradientAverage::new(Arc::clone(group)));
    Ok(())
}

/// Asserts that all ranks have the same weights, to the bit.
///
/// # Errors
/// When they have not; machines of different kinds may round differently.
pub fn assert_equal_weights(trainer: &mut ClusterTrainer, group: &dyn Group) -> anyhow::Result<()> {
    // FNV-1a, in two halves that a double holds exactly.
    let hash = trainer.weights().iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, weight| {
        (hash ^ u64::from(weight.to_bits())).wrapping_mul(0x100_0000_01b3)
    });
    let all = group.gather(&[(hash >> 32) as f64, (hash & 0xffff_ffff) as f64]);
    let other = all.iter().position(|other| *other != all[0]);
    ensure!(
        other.is_none(),
        "expected equal weights on all ranks after {} updates, got others on rank {}; the ranks \
         need machines of one kind",
        trainer.counters.updates,
        other.unwrap_or(0)
    );
    Ok(())
}

/// Resumes all ranks from the latest checkpoint that all of them have. A kill may have come
/// between their checkpoints, of which each keeps the last two.
///
/// # Errors
/// When a rank has no checkpoint, or there is none in common.
pub fn resume(
    directory: &RunDirectory,
    device: Device,
    group: &dyn Group,
) -> anyhow::Result<checkpoint::Resumed> {
    let last = group.together(checkpoint::resume(directory, device).map_err(Into::into))?;
    let steps = |resumed: &checkpoint::Resumed| resumed.trainer.counters.env_steps;
    let all: Vec<f64> = group.gather(&[steps(&last) as f64]).iter().map(|at| at[0]).collect();
    let common = all.iter().fold(f64::INFINITY, |least, &at| least.min(at)) as u64;
    let resumed = if steps(&last) == common {
        Ok(last)
    } else {
        checkpoint::resume_previous(directory, device, common).with_context(|| {
            format!("rank {}: expected a checkpoint at env step {common}", group.rank())
        })
    };
    group.together(resumed)
}

/// Which of `episodes` this rank plays.
pub fn share(episodes: usize, group: Option<&dyn Group>) -> Vec<usize> {
    let (rank, size) = group.map_or((0, 1), |group| (group.rank(), group.size()));
    (rank..episodes).step_by(size).collect()
}

/// Outcomes of all episodes, in their order, from each rank's [`share`].
///
/// # Errors
/// When an episode failed on some rank.
pub fn exchange(
    own: anyhow::Result<Vec<Outcome>>,
    episodes: usize,
    group: &dyn Group,
) -> anyhow::Result<Vec<Outcome>> {
    let own = group.together(own)?;
    let mut numbers = Vec::new();
    own.iter().for_each(|outcome| outcomes::encode(outcome, &mut numbers));
    let by_rank: Vec<Vec<Outcome>> =
        group.gather(&numbers).iter().map(|numbers| outcomes::decode(numbers)).collect();
    (0..episodes)
        .map(|at| by_rank[at % group.size()].get(at / group.size()).cloned())
        .collect::<Option<Vec<_>>>()
        .context("expected each rank's validation episodes, got fewer")
}
