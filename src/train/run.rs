//! A training run on disk: rounds, logs, periodic evaluation, checkpoints, and a tidy end.

use crate::checkpoint::{self, CheckpointError, RunDirectory};
use crate::distributed::part;
use crate::learn::finite::{NotFinite, Stopped};
use crate::logging::RunLog;
use crate::train::assemble::ClusterTrainer;
use crate::train::mixture::Mixture;
use crate::train::trainer::TrainerError;
use crate::train::validation::Validator;
use anyhow::Context;
use godwit_models::net::Network;
use godwit_models::network_policy::NetworkPolicy;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

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
    /// Best validation return (see [`Validation::value`](crate::train::validation::Validation::value)).
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

/// Trains until the run is complete, `stop` is set, or something fails; writes checkpoints and
/// logs under `directory`.
///
/// # Errors
/// When the world, the disk (at the end of the run) or the log fails; and [`Stopped`] where a loss,
/// gradient norm, weight, reward or validation return is not finite: the last good checkpoint is
/// kept then, and none is written.
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
    let outcome = train_rounds(mixture, trainer, directory, session);
    outcome.map_err(|error| {
        let Some(found) = not_finite(&error) else { return error };
        let (env_steps, rate) = (trainer.counters.env_steps, trainer.learning_rate());
        Stopped::new(found, env_steps, directory.last(), &trainer.config, rate).into()
    })
}

/// The number that was not finite, if that is what an error is about.
fn not_finite(error: &anyhow::Error) -> Option<NotFinite> {
    let found = match (error.downcast_ref(), error.downcast_ref()) {
        (Some(TrainerError::NotFinite(found)), _) => Some(found),
        (_, Some(CheckpointError::NotFinite(found))) => Some(found),
        _ => error.downcast_ref::<NotFinite>(),
    };
    found.cloned()
}

/// A checkpoint to go on from. The settings that it was made with, which hold from env step `since`
/// on, are then those of the run.
fn save(
    directory: &RunDirectory,
    mixture: &Mixture,
    trainer: &mut ClusterTrainer,
    since: u64,
) -> Result<(), CheckpointError> {
    checkpoint::write_last(directory, mixture, trainer)?;
    directory.keep_config(&trainer.config, since)
}

fn train_rounds(
    mixture: &Mixture,
    trainer: &mut ClusterTrainer,
    directory: &RunDirectory,
    session: Session,
) -> anyhow::Result<RunSummary> {
    let now = Instant::now();
    let started = now.checked_sub(std::mem::take(&mut trainer.preparation)).unwrap_or(now);
    let config = trainer.config.clone();
    let since = trainer.counters.env_steps;
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
    if let Some(log) = log.as_mut().filter(|_| since > 0) {
        log.resumed(trainer);
    }
    let mut validator = Validator::new(mixture, trainer, group.clone())?;
    let mut best = directory.best_return().filter(|best| !best.is_nan());
    let limit = Duration::from_secs_f64(config.max_minutes * 60.0);
    let mut end = RunEnd::Complete;
    let ended = |trainer: &ClusterTrainer| {
        trainer.finished() || trainer.counters.env_steps >= session.pause_at
    };
    let mut stop = session.stop.load(Ordering::Relaxed);
    if let Some(group) = &group {
        // Should a rank be lost at once, there is something to go on from.
        if trainer.counters.rounds == 0 {
            group.together(save(directory, mixture, trainer, since).map_err(Into::into))?;
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
        let mut report = trainer.round(due).map_err(anyhow::Error::from);
        if let Some(group) = &group {
            // What one rank cannot go on from ends the run on all of them.
            report = group.together(report);
        }
        if let (Err(error), Some(log)) = (&report, &mut log) {
            log.error(&format!("{error:#}"));
        }
        let report = report?;
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
            trainer.check()?;
            let validation = validator.run(trainer)?;
            let mean = validation.value;
            if !mean.is_finite() {
                let (what, update) = ("validation return".to_owned(), trainer.counters.updates);
                return Err(NotFinite { what, value: mean, update }.into());
            }
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
        if passed(config.checkpoint_every) {
            match save(directory, mixture, trainer, since) {
                Ok(()) => {}
                Err(error @ CheckpointError::NotFinite(_)) => return Err(error.into()),
                Err(error) => {
                    let text = format!("{error}; the checkpoint before it is kept");
                    match &mut log {
                        Some(log) => log.warn(&text),
                        None => eprintln!("warning: {text}"),
                    }
                }
            }
        }
    }
    save(directory, mixture, trainer, since).context("the last checkpoint")?;
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
