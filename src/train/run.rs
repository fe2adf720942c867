//! A training run on disk: rounds, logs, periodic evaluation, checkpoints, and a tidy end.

use crate::checkpoint::{self, CheckpointError, RunDirectory};
use crate::distributed::{Group, part};
use crate::learn::finite::{NotFinite, Stopped};
use crate::logging::RunLog;
use crate::train::assemble::{ClusterTrainer, comparisons};
use crate::train::iterations::{Due, Improvement};
use crate::train::mixture::Mixture;
use crate::train::trainer::TrainerError;
use crate::train::validation::Validator;
use anyhow::Context;
use godwit_envs::env::Env as _;
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

fn train_rounds(
    mixture: &Mixture,
    trainer: &mut ClusterTrainer,
    directory: &RunDirectory,
    session: Session,
) -> anyhow::Result<RunSummary> {
    let mut rounds = Rounds::begin(mixture, trainer, directory, session)?;
    let every = (trainer.config.evaluate_every, trainer.config.checkpoint_every);
    let (mut end, mut late, mut over) = (RunEnd::Complete, false, false);
    let mut stop = rounds.start_together(trainer)?;
    while !rounds.ended(trainer) {
        if stop {
            end = RunEnd::Interrupted;
            break;
        }
        let before = trainer.counters.env_steps;
        rounds.round(trainer)?;
        let now = trainer.counters.env_steps;
        let passed = |every: u64| every > 0 && before / every != now / every;
        (stop, late) = rounds.asked_to_end();
        if passed(every.0) || rounds.ended(trainer) || late {
            rounds.evaluate(trainer)?;
        }
        if late && !trainer.finished() {
            rounds.note("the time limit was reached");
            break;
        }
        let begun = |steps: u64| trainer.config.iterations_begun(steps);
        let due = (begun(now) > begun(before)).then(|| begun(now));
        if let Some(number) = due.filter(|_| !rounds.ended(trainer))
            && rounds.iterate(trainer, number)?
        {
            over = true;
            break;
        }
        if passed(every.1) {
            rounds.checkpoint(trainer)?;
        }
    }
    let over = over || end == RunEnd::Complete && (trainer.finished() || late);
    rounds.finish(trainer, end, over)
}

/// The rounds of a part of a run, and what is done between them.
struct Rounds<'a> {
    mixture: &'a Mixture,
    directory: &'a RunDirectory,
    session: Session<'a>,
    /// The ranks, where there are several.
    group: Option<Arc<dyn Group>>,
    /// Rank 0 logs, and keeps the best weights.
    log: Option<RunLog>,
    validator: Validator,
    improvement: Improvement,
    best: Option<f64>,
    started: Instant,
    /// No limit, if it is zero.
    limit: Duration,
    /// Env step at which this part begins.
    since: u64,
}

impl<'a> Rounds<'a> {
    fn begin(
        mixture: &'a Mixture,
        trainer: &mut ClusterTrainer,
        directory: &'a RunDirectory,
        session: Session<'a>,
    ) -> anyhow::Result<Self> {
        let now = Instant::now();
        let started = now.checked_sub(std::mem::take(&mut trainer.preparation)).unwrap_or(now);
        let since = trainer.counters.env_steps;
        let group = trainer.learner.average.as_ref().map(|average| Arc::clone(average.group()));
        let mut log = match group.as_ref().is_none_or(|group| group.rank() == 0) {
            true => Some(RunLog::open(directory, mixture, &trainer.config, since, started)?),
            false => None,
        };
        if let Some(log) = log.as_mut().filter(|_| session.silent.is_some()) {
            log.silence();
        }
        if let Some(log) = log.as_mut().filter(|_| since > 0) {
            log.resumed(trainer);
        }
        let mut validator = Validator::new(mixture, trainer, group.clone())?;
        let improvement = Improvement::begin(&mut validator, directory, &trainer.config, since)?;
        let best = directory.best_return().filter(|best| !best.is_nan());
        let limit = Duration::from_secs_f64(trainer.config.max_minutes * 60.0);
        Ok(Self {
            mixture,
            directory,
            session,
            group,
            log,
            validator,
            improvement,
            best,
            started,
            limit,
            since,
        })
    }

    /// Lets the ranks begin alike; tells whether one of them was asked to stop already.
    fn start_together(&self, trainer: &mut ClusterTrainer) -> anyhow::Result<bool> {
        let stop = self.session.stop.load(Ordering::Relaxed);
        let Some(group) = &self.group else { return Ok(stop) };
        // Should a rank be lost at once, there is something to go on from.
        if trainer.counters.rounds == 0 {
            group.together(self.save(trainer).map_err(Into::into))?;
        }
        part::assert_equal_weights(trainer, &**group)?;
        Ok(group.any(stop))
    }

    fn ended(&self, trainer: &ClusterTrainer) -> bool {
        trainer.finished() || trainer.counters.env_steps >= self.session.pause_at
    }

    fn round(&mut self, trainer: &mut ClusterTrainer) -> anyhow::Result<()> {
        let before = trainer.counters.env_steps;
        let due = self.log.as_ref().is_some_and(RunLog::wants_stats);
        let mut report = trainer.round(due).map_err(anyhow::Error::from);
        if let Some(group) = &self.group {
            // What one rank cannot go on from ends the run on all of them.
            report = group.together(report);
        }
        if let (Err(error), Some(log)) = (&report, &mut self.log) {
            log.error(&format!("{error:#}"));
        }
        let report = report?;
        if let Some(note) = trainer.learner.take_note()
            && let Some(log) = &mut self.log
        {
            log.warn(&note);
        }
        if let Some(log) = &mut self.log {
            log.round(trainer, &report, due);
        }
        if let Some(made) = self.session.silent {
            made.fetch_add(trainer.counters.env_steps - before, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Whether the run shall end: for a signal, and for the time limit.
    fn asked_to_end(&self) -> (bool, bool) {
        let stop = self.session.stop.load(Ordering::Relaxed);
        let late = !self.limit.is_zero() && self.started.elapsed() > self.limit;
        let Some(group) = &self.group else { return (stop, late) };
        // Ranks stop together, whichever of them was asked to.
        let flags = group.gather(&[f64::from(u8::from(stop)), f64::from(u8::from(late))]);
        let any = |at: usize| flags.iter().any(|flags| flags[at] != 0.0);
        (any(0), any(1))
    }

    /// Plays the validation episodes, and keeps the weights where they are the best so far.
    fn evaluate(&mut self, trainer: &mut ClusterTrainer) -> anyhow::Result<()> {
        if let Some(group) = &self.group {
            part::assert_equal_weights(trainer, &**group)?;
        }
        trainer.check()?;
        let validation = self.validator.run(trainer)?;
        let mean = validation.value;
        let base = validation.base.as_ref().map(|(base, _)| base);
        if !mean.is_finite() {
            let (what, update) = ("validation return".to_owned(), trainer.counters.updates);
            return Err(NotFinite { what, value: mean, update }.into());
        }
        if let Some(log) = &mut self.log {
            log.evaluation(trainer, &validation)?;
        }
        if self.best.is_none_or(|best| mean > best) {
            self.best = Some(mean);
            self.improvement.better(&validation, trainer.counters.env_steps);
            if let Some(log) = &mut self.log
                && let Err(error) =
                    checkpoint::write_best(self.directory, self.mixture, trainer, mean, base)
            {
                log.warn(&format!("{error:#}; the best checkpoint before it is kept"));
            }
        }
        Ok(())
    }

    /// Makes the comparisons anew, on what is best now, unless that is behind what they improved on
    /// for certain; tells whether the run should end, as the part before brought nothing better.
    fn iterate(&mut self, trainer: &mut ClusterTrainer, number: u32) -> anyhow::Result<bool> {
        match self.improvement.due(&trainer.config, number) {
            None => {}
            Some(Due::End) => {
                self.note("no better policy has come for two parts of the run: it ends");
                return Ok(true);
            }
            Some(Due::Nothing(gain)) => self
                .note(&format!("the best policy is behind what is improved on: {}", gain.text())),
            Some(Due::Comparisons(gain)) => {
                self.note(&format!(
                    "from now on the best policy is improved on, {} ahead of what was before",
                    gain.text()
                ));
                let iteration = checkpoint::keep_iteration(self.directory, number)?;
                let made = comparisons(self.mixture, &trainer.config, Some(&iteration), true)?;
                trainer.comparisons = Some(made);
                self.improvement.take();
            }
        }
        Ok(false)
    }

    fn note(&mut self, text: &str) {
        if let Some(log) = &mut self.log {
            log.note(text);
        }
    }

    /// A checkpoint on the way. A disk that refuses it only warns.
    fn checkpoint(&mut self, trainer: &mut ClusterTrainer) -> anyhow::Result<()> {
        match self.save(trainer) {
            Ok(()) => {}
            Err(error @ CheckpointError::NotFinite(_)) => return Err(error.into()),
            Err(error) => {
                let text = format!("{error}; the checkpoint before it is kept");
                match &mut self.log {
                    Some(log) => log.warn(&text),
                    None => eprintln!("warning: {text}"),
                }
            }
        }
        Ok(())
    }

    /// A checkpoint to go on from. The settings that it was made with, which hold from the start of
    /// this part on, are then those of the run.
    fn save(&self, trainer: &mut ClusterTrainer) -> Result<(), CheckpointError> {
        checkpoint::write_last(self.directory, self.mixture, trainer)?;
        self.directory.keep_config(&trainer.config, self.since)
    }

    /// The last checkpoint. Where the run is over, it need not be one to go on from.
    fn finish(
        self,
        trainer: &mut ClusterTrainer,
        end: RunEnd,
        over: bool,
    ) -> anyhow::Result<RunSummary> {
        self.save(trainer).context("the last checkpoint")?;
        if over && !trainer.config.keep_replay {
            checkpoint::drop_replay(self.directory).context("keep_replay = false")?;
        }
        if let Some(log) = self.log {
            log.finish();
        }
        Ok(RunSummary {
            end,
            env_steps: trainer.counters.env_steps,
            updates: trainer.counters.updates,
            best_return: self.best,
            seconds: self.started.elapsed().as_secs_f64(),
        })
    }
}

/// The network as it is now, as a greedy policy.
pub fn trained_policy(trainer: &mut ClusterTrainer) -> NetworkPolicy {
    let sections = trainer.vector.slots()[0].env.observation_space().sections;
    let network = Network::new(trainer.learner.online.spec());
    let mut policy = NetworkPolicy::new("policy", network, sections);
    policy.load_flat(trainer.weights());
    policy
}

#[cfg(test)]
mod tests;
