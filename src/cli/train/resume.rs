//! `godwit train --resume`: whether a run can go on, to where, and what its schedules do then.

use super::args::Args;
use super::ending::Ending;
use super::next::advise;
use super::started::{Run, Signals};
use crate::checkpoint::{self, RunDirectory};
use crate::cli::{BadInput, OrBadInput, compute_device, output};
use crate::config::TrainConfig;
use crate::distributed::{Group, part};
use crate::train::mixture::Mixture;
use std::path::Path;

/// What there is to do for a run.
pub(super) enum Resumed {
    /// It goes on.
    Run(Box<Run>),
    /// Nothing, which has been said.
    Complete,
    /// It has made its env steps, but was stopped before its end was decided.
    EndIsDue {
        /// Its folder.
        directory: RunDirectory,
        /// Its scenarios.
        mixture: Mixture,
        /// Its env steps.
        env_steps: u64,
    },
}

/// The run in `folder`, ready to go on if anything is left to do; `ending` says how it ends.
///
/// # Errors
/// When it is no run, is on other scenarios than those asked for, has made more env steps than the
/// new end, or cannot be used.
pub(super) fn resume(
    args: &Args,
    folder: &Path,
    asked: Option<&Mixture>,
    group: Option<&dyn Group>,
    ending: Option<&Ending>,
) -> anyhow::Result<Resumed> {
    let device = compute_device(args.device)?;
    let rank = group.map_or(0, Group::rank);
    let directory = RunDirectory::open(part::folder(folder, rank));
    let directory = match group {
        None => directory.or_bad_input()?,
        Some(group) => group.together(directory.map_err(Into::into)).or_bad_input()?,
    };
    let has_replay = directory.has_replay();
    let plan = Plan { args, folder, asked, has_replay, first: rank == 0 };
    // Before the trainer is set up, which may take minutes of rollouts.
    if let Some((made, config, mixture)) = standing(&directory, group)
        && plan.config(made, &config, &mixture)?.is_none()
    {
        if ending.is_some_and(|ending| ending.is_due(made)) {
            eprintln!("{}: {made} env steps are made, the end is still to come", folder.display());
            return Ok(Resumed::EndIsDue { directory, mixture, env_steps: made });
        }
        plan.say_complete(made, &mixture);
        return Ok(Resumed::Complete);
    }
    let resumed = match group {
        None => checkpoint::resume(&directory, device).or_bad_input()?,
        Some(group) => part::resume(&directory, device, group).or_bad_input()?,
    };
    let signals = Signals::expect()?;
    for note in &resumed.notes {
        eprintln!("warning: {note}");
    }
    let mut trainer = resumed.trainer;
    let made = trainer.counters.env_steps;
    let Some(config) = plan.config(made, &trainer.config, &resumed.mixture)? else {
        plan.say_complete(made, &resumed.mixture);
        return Ok(Resumed::Complete);
    };
    if plan.first {
        eprintln!("going on from {} at env step {made}", resumed.path.display());
        if config.env_steps != trainer.config.env_steps {
            eprintln!("{}", schedules(&trainer.config, &config, made));
        }
    }
    // The file of the run follows with the first checkpoint that these settings have led to.
    trainer.config = config;
    Ok(Resumed::Run(Box::new((resumed.mixture, trainer, directory, signals))))
}

/// Env steps, settings and scenarios of the checkpoint that the run goes on from, as far as all
/// ranks can tell without setting it up.
fn standing(
    directory: &RunDirectory,
    group: Option<&dyn Group>,
) -> Option<(u64, TrainConfig, Mixture)> {
    let found = directory.last().and_then(|(path, _)| checkpoint::load(path).ok());
    let made = found.as_ref().map_or(f64::NAN, |found| found.counters.env_steps as f64);
    let made = match group {
        // A kill may have come between the ranks' checkpoints.
        Some(group) => group.gather(&[made]).iter().map(|made| made[0]).reduce(least)?,
        None => made,
    };
    found.filter(|_| !made.is_nan()).map(|found| (made as u64, found.config, found.mixture))
}

/// The lesser number; none where one of them is none.
fn least(a: f64, b: f64) -> f64 {
    if a.is_nan() || a < b { a } else { b }
}

/// What was asked for.
struct Plan<'a> {
    args: &'a Args,
    folder: &'a Path,
    asked: Option<&'a Mixture>,
    has_replay: bool,
    first: bool,
}

impl Plan<'_> {
    /// The settings to go on with after so many env steps; `None` where none is left to make.
    fn config(
        &self,
        made: u64,
        before: &TrainConfig,
        mixture: &Mixture,
    ) -> anyhow::Result<Option<TrainConfig>> {
        let folder = self.folder.display();
        if let Some(asked) = self.asked
            && !asked.same_worlds(mixture)
        {
            let message = format!(
                "--resume {folder}: expected a run on scenario {} as it is now, got one on {}",
                asked.name(),
                mixture.name()
            );
            return Err(BadInput(message).into());
        }
        let mut config = before.clone();
        if let Some(env_steps) = self.args.env_steps {
            config.env_steps = env_steps.unsigned_abs();
            if config.env_steps < made {
                let message = format!(
                    "--env-steps: expected at least the {made} env steps that the run in {folder} \
                     has made, got {}",
                    config.env_steps
                );
                return Err(BadInput(message).into());
            }
        }
        if let Some(minutes) = self.args.minutes {
            config.max_minutes = minutes;
        }
        if let Some(keep_replay) = self.args.keep_replay {
            config.keep_replay = keep_replay;
        }
        Ok((made < config.env_steps).then_some(config))
    }

    /// Rank 0 says that nothing is left to do.
    fn say_complete(&self, made: u64, mixture: &Mixture) {
        if !self.first {
            return;
        }
        let folder = self.folder.display();
        let word = output::word(folder.to_string());
        let longer = match self.has_replay {
            true => format!(
                "a longer one: godwit train --resume {word} --env-steps {}",
                made.saturating_mul(2)
            ),
            false => {
                "it cannot be made longer, as its replay was not kept (keep_replay = false); a new \
                 one may start from its policy: --set initial_policy="
                    .to_owned()
                    + &word
            }
        };
        eprintln!(
            "{folder}: this run is complete with {made} env steps, nothing was done; {longer}"
        );
        advise(self.args, mixture, self.folder);
    }
}

/// What another length does to the settings that change over a run, in a line.
fn schedules(before: &TrainConfig, after: &TrainConfig, made: u64) -> String {
    let at = |config: &TrainConfig| (made as f64 / config.env_steps as f64).min(1.0);
    let changes: Vec<String> = before
        .schedules()
        .into_iter()
        .map(|(name, schedule)| (name, schedule.at(at(before)), schedule.at(at(after))))
        .filter(|(_, then, now)| then != now)
        .map(|(name, then, now)| format!("{name} goes from {then:.3e} to {now:.3e}"))
        .collect();
    let (old, new) = (before.env_steps, after.env_steps);
    let effect = if changes.is_empty() { "nothing changes".into() } else { changes.join(", ") };
    format!(
        "the run's length is now {new} env steps instead of {old}, and its schedules stretch over \
         all of it: at env step {made} {effect}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_longer_run_says_where_its_schedules_stand_then() {
        let mut before = TrainConfig { env_steps: 1_000, ..TrainConfig::default() };
        before.exploration.epsilon.share = 1.0;
        before.learner.learning_rate.to = before.learner.learning_rate.from;
        let after = TrainConfig { env_steps: 4_000, ..before.clone() };
        // Epsilon from 1 to 0.05: at the end before, after a quarter of the way now.
        assert_eq!(
            schedules(&before, &after, 1_000),
            "the run's length is now 4000 env steps instead of 1000, and its schedules stretch \
             over all of it: at env step 1000 exploration.epsilon goes from 5.000e-2 to 7.625e-1"
        );
    }

    #[test]
    fn a_rank_without_a_checkpoint_leaves_nothing_to_tell() {
        assert_eq!(least(3.0, 2.0), 2.0);
        assert!(least(f64::NAN, 2.0).is_nan() && least(2.0, f64::NAN).is_nan());
    }
}
