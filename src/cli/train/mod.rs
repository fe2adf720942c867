//! `godwit train`: a new run, or one that goes on.

mod args;
mod ending;
mod found;
mod next;
mod resume;
mod run_header;
mod seeds;
mod started;

use super::settings::{self, Sources};
use super::{BadInput, OrBadInput, compute_device, output, settings_list};
use crate::checkpoint::{DiskUse, RunDirectory, disk_use};
use crate::distributed::{self, FailedElsewhere, Group, Launch, part};
use crate::learn::finite::Stopped;
use crate::train::assemble;
use crate::train::mixture::{Mixture, Part};
use crate::train::run::{self, RunEnd};
use ending::Ending;
use godwit_evaluate::side_by_side::Ahead;
use next::{advise, resume_command, weighted};
use resume::{Resumed, resume};
use started::{Run, Signals};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use toml::Value;

pub use args::Args;

/// Runs the command; exit code 130 or 143 when a signal ended the run.
///
/// # Errors
/// When the settings, the device or the folder cannot be used, or training fails.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if args.list_settings {
        list_settings(args)?;
        return Ok(ExitCode::SUCCESS);
    }
    super::use_threads(args.threads)?;
    if args.seeds.is_empty() { Ok(one(args)?.code) } else { seeds::run(args) }
}

/// What came of a run.
#[derive(Debug, Clone)]
struct Finished {
    /// Of the process.
    code: ExitCode,
    /// Whether it was not interrupted.
    complete: bool,
    best_return: Option<f64>,
    /// By how much the policy is ahead of the best heuristic, where that was played.
    ahead: Option<Ahead>,
}

impl Finished {
    fn with(code: ExitCode) -> Self {
        Self { code, complete: code == ExitCode::SUCCESS, best_return: None, ahead: None }
    }
}

/// A run by itself.
fn one(args: &Args) -> anyhow::Result<Finished> {
    let asked = mixture(&args.scenario)?;
    if let Some(minutes) = args.minutes
        && !(0.0..=1e7).contains(&minutes)
    {
        return Err(BadInput(format!("--minutes: expected 0 to 1e7, got {minutes}")).into());
    }
    let launch = distributed::join().or_bad_input()?;
    let group = launch.as_ref().map(|launch| Arc::clone(&launch.group));
    let mut ending = None;
    let (mixture, mut trainer, directory, signals) = match (&args.resume, asked) {
        (Some(folder), asked) => {
            if group.is_none() {
                ending = Ending::read(folder).or_bad_input()?;
            }
            match resume(args, folder, asked.as_ref(), group.as_deref(), ending.as_ref())? {
                Resumed::Run(run) => *run,
                Resumed::Complete => {
                    launch.into_iter().for_each(Launch::leave);
                    return Ok(Finished::with(ExitCode::SUCCESS));
                }
                Resumed::EndIsDue { directory, mixture, env_steps } => {
                    let best_return = directory.best_return();
                    return end(args, ending, &mixture, &directory, env_steps, best_return);
                }
            }
        }
        (None, Some(mixture)) => begin(args, mixture, group.as_deref(), &mut ending)?,
        (None, None) => unreachable!("clap asks for a scenario or --resume"),
    };
    if let Some(group) = &group {
        part::attach(&mut trainer, group).or_bad_input()?;
        let folder = args.resume.as_deref().unwrap_or(directory.path());
        group.advise(&format!("go on with: {}", resume_command(folder)));
    }
    let ranks = group.as_ref().map_or(1, |group| group.size());
    if group.as_ref().is_none_or(|group| group.rank() == 0) {
        eprint!("{}", run_header::header(&mixture, &trainer, ranks, directory.path()));
    }
    let outcome = run::train(&mixture, &mut trainer, &directory, &signals.stop);
    if let Err(error) = &outcome
        && (error.is::<Stopped>() || error.is::<FailedElsewhere>())
    {
        // All ranks end here: none is lost.
        launch.into_iter().for_each(Launch::leave);
        return outcome.map(|_| Finished::with(ExitCode::FAILURE));
    }
    let summary = outcome?;
    let first = group.as_ref().is_none_or(|group| group.rank() == 0);
    if let Some(launch) = launch {
        launch.leave();
    }
    if !first {
        return Ok(Finished::with(match summary.end {
            RunEnd::Interrupted => super::interrupted(&signals.received),
            RunEnd::Complete => ExitCode::SUCCESS,
        }));
    }
    let best = summary.best_return.map_or("none".into(), |best| format!("{best:.4}"));
    eprintln!(
        "{}: {} env steps, {} updates, best validation return {best}, {:.1} s",
        mixture.name(),
        summary.env_steps,
        summary.updates,
        summary.seconds
    );
    eprintln!("{}", disk_line(directory.path()));
    match summary.end {
        RunEnd::Interrupted => {
            eprintln!("interrupted; go on with: {}", resume_command(directory.path()));
            Ok(Finished::with(super::interrupted(&signals.received)))
        }
        RunEnd::Complete => {
            end(args, ending, &mixture, &directory, summary.env_steps, summary.best_return)
        }
    }
}

/// What comes after the last env step.
fn end(
    args: &Args,
    ending: Option<Ending>,
    mixture: &Mixture,
    directory: &RunDirectory,
    env_steps: u64,
    best_return: Option<f64>,
) -> anyhow::Result<Finished> {
    let mut ahead = None;
    if let Some(ending) = ending {
        let verdict = ending.decide(mixture, directory, env_steps)?;
        ahead = verdict.and_then(|it| it.heuristics.first().map(|(.., ahead)| *ahead));
    }
    advise(args, mixture, directory.path());
    Ok(Finished { code: ExitCode::SUCCESS, complete: true, best_return, ahead })
}

/// The settings, in the form that was asked for.
fn list_settings(args: &Args) -> anyhow::Result<()> {
    match (args.json, args.markdown) {
        (true, _) => output::print_json(&settings_list::list()),
        (_, true) => output::print(&settings_list::page()),
        _ => output::print(&settings_list::as_toml(&settings_list::list())),
    }
}

/// What the run takes on the disk.
fn disk_line(folder: &Path) -> String {
    let DiskUse { bytes, replay_bytes } = disk_use(folder);
    let mib = |bytes: u64| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
    let folder = folder.display();
    match replay_bytes {
        0 => format!("{folder}: {} on disk", mib(bytes)),
        replay => format!("{folder}: {} on disk, of which {} replay", mib(bytes), mib(replay)),
    }
}

/// The scenarios that the command line names; none if it names none.
fn mixture(texts: &[String]) -> anyhow::Result<Option<Mixture>> {
    if texts.is_empty() {
        return Ok(None);
    }
    let mut parts = Vec::new();
    for text in texts {
        let (name, weight) = weighted(text);
        parts.push(Part { scenario: super::scenario(name)?, weight });
    }
    Mixture::new(parts).or_bad_input().map(Some)
}

/// Where runs go for which no folder was given.
fn default_folder(mixture: &Mixture) -> PathBuf {
    Path::new("checkpoints").join(mixture.name())
}

/// Where the runs of `args` go.
fn folder(args: &Args) -> anyhow::Result<PathBuf> {
    let default = || Ok(mixture(&args.scenario)?.as_ref().map(default_folder).unwrap_or_default());
    args.out.clone().map_or_else(default, Ok)
}

/// A new run. Everything is checked before anything is written.
fn begin(
    args: &Args,
    mixture: Mixture,
    group: Option<&dyn Group>,
    ending: &mut Option<Ending>,
) -> anyhow::Result<Run> {
    let integer = |value: Option<i64>| value.map(Value::Integer);
    let flags = [
        ("--env-steps", "env_steps", integer(args.env_steps)),
        ("--minutes", "max_minutes", args.minutes.map(Value::Float)),
        ("--keep-replay", "keep_replay", args.keep_replay.map(Value::Boolean)),
        ("--seed", "seed", integer(args.seed)),
    ];
    let flags = flags.into_iter().filter_map(|(flag, key, value)| Some((flag, key, value?)));
    let sources = Sources {
        file: args.config.as_deref(),
        set: &args.set,
        flags: flags.collect(),
        ..Sources::default()
    };
    let mut config = settings::resolve(mixture.first(), &sources)?;
    if let Some(group) = group {
        config.seed = group.seed(config.seed);
    }
    let device = compute_device(args.device)?;
    let out = args.out.clone().unwrap_or_else(|| default_folder(&mixture));
    if group.is_none_or(|group| group.rank() == 0) {
        RunDirectory::check_free(&out).or_bad_input()?;
    }
    let wanted = group.is_none() && found::wanted(args, &mixture);
    let count = mixture.parts().len();
    if args.hold_out > 0 && (!wanted || args.hold_out >= count) {
        return Err(BadInput(format!(
            "--hold-out: expected fewer than the {count} scenarios, and settings that are found (no \
             [train] table, --config, --set or --env-steps), got {}",
            args.hold_out
        ))
        .into());
    }
    let (mut mixture, mut held_out) = (mixture, None);
    if wanted && count > 1 {
        let found = found::find_for_several(args, &mixture, &config, device)?;
        *ending = Some(Ending::of_several(&found));
        (config, mixture, held_out) = (found.config, found.trained, found.held_out);
    } else if wanted {
        let found = found::find(args, mixture.first(), &config, device)?;
        config = found.config;
        *ending = Some(Ending::of_one(found.rivals));
    }
    let mixture = assemble::seen_by_initial_policy(mixture, &config).or_bad_input()?;
    // What is refused here are settings that do not fit the scenario.
    let trainer = assemble::begin(&mixture, &config, device).or_bad_input()?;
    // Before the run's folder is there: a signal never leaves it without a checkpoint.
    let signals = Signals::expect()?;
    let directory = part::create(&out, &mixture, &config, group).or_bad_input()?;
    if let Some(ending) = ending {
        ending.keep(&directory, held_out.as_ref())?;
    }
    Ok((mixture, trainer, directory, signals))
}
