//! `godwit train`: a new run, or one that goes on.

use super::resume::resume;
use super::settings::{self, Sources};
use super::{BadInput, OrBadInput, output, run_header, settings_list};
use crate::checkpoint::{self, DiskUse, RunDirectory, disk_use};
use crate::distributed::{self, FailedElsewhere, Group, Launch, part};
use crate::learn::finite::Stopped;
use crate::machine::device::DeviceChoice;
use crate::machine::signals::{received_signal, stop_flag};
use crate::train::assemble::{self, ClusterTrainer};
use crate::train::mixture::{Mixture, Part};
use crate::train::run::{self, RunEnd};
use godwit_envs::scenario::Scenario;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use tch::Device;
use toml::Value;

/// Train a policy on a scenario, or on several at once.
///
/// Several scenarios share one network, which must serve any cluster size; their clusters may
/// differ in size, their features may not. SCENARIO=WEIGHT gives a scenario more or less of the
/// environment copies than another. The first one's [train] table is used.
///
/// Settings are merged in this order, later ones win: defaults, the scenario's [train] table,
/// --config, --set, the flags below. The run's folder holds the resolved config.toml, the
/// checkpoints last/ and best/, metrics.jsonl and TensorBoard events. Ctrl-C or SIGTERM writes a
/// checkpoint and ends the run; --resume goes on from there, with the same results as if it had
/// never stopped.
///
/// --resume with a larger --env-steps makes a longer run of it: the schedules (exploration, learning
/// rate, shares of demonstrations and comparisons) stretch over the new length, and what that
/// changes is printed. The new settings replace config.toml with the first checkpoint that they lead
/// to; those before are kept as config.until-N.toml, N being the env step up to which they held.
/// Resuming a complete run says so and does nothing.
///
/// Training stops with exit code 1 at the first loss, gradient norm, weight or reward that is not
/// finite. The last good checkpoint is kept, and the message says where it is.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  godwit train quickstart
  godwit train quickstart=2 twice-as-large.toml=1 --set network.architecture=candidate
  godwit train founding-10x50 --minutes 30 --set learner.gamma=0.97 --out checkpoints/fleet
  godwit train --resume checkpoints/fleet
  godwit train --resume checkpoints/fleet --env-steps 400000")]
pub struct Args {
    /// Embedded scenario or scenario file; several may be given, each with a weight [without
    /// WEIGHT: 1]
    #[arg(required_unless_present_any = ["resume", "list_settings"], value_name = "SCENARIO[=WEIGHT]")]
    scenario: Vec<String>,
    /// TOML file with settings
    #[arg(long, value_name = "FILE", conflicts_with = "resume")]
    config: Option<PathBuf>,
    /// A setting by its dotted key, with a TOML value; may be repeated
    #[arg(long, value_name = "KEY=VALUE", conflicts_with = "resume")]
    set: Vec<String>,
    /// Length of the run in env steps; with --resume at least those that it has made
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(1..))]
    pub(super) env_steps: Option<i64>,
    /// Stop after this many minutes at the latest; 0 for no limit
    #[arg(long, value_name = "M")]
    pub(super) minutes: Option<f64>,
    /// Whether the checkpoints of the complete run keep the replay, by far the largest part of them;
    /// without it a complete run cannot be made longer [default: true]
    #[arg(long, value_name = "BOOL", action = clap::ArgAction::Set)]
    pub(super) keep_replay: Option<bool>,
    /// Seed of everything that is drawn
    #[arg(long, conflicts_with = "resume", value_parser = clap::value_parser!(i64).range(0..))]
    seed: Option<i64>,
    /// Where to compute updates: auto, cpu, cuda or cuda:INDEX
    #[arg(long, default_value_t)]
    pub(super) device: DeviceChoice,
    /// Folder of the run, new or empty [default: checkpoints/<scenario name>]
    #[arg(long, value_name = "DIR", conflicts_with = "resume")]
    out: Option<PathBuf>,
    /// Go on with the run in this folder; only --env-steps, --minutes and --keep-replay may change
    #[arg(long, value_name = "DIR")]
    resume: Option<PathBuf>,
    /// Threads that step environments; 0 for one per core
    #[arg(long, default_value_t = 0, value_name = "N")]
    threads: usize,
    /// Print every setting with its type, range, default and meaning, as a file for --config, and
    /// train nothing
    #[arg(long, conflicts_with_all = ["scenario", "resume", "config", "set"])]
    list_settings: bool,
    /// With --list-settings: print one JSON document
    #[arg(long, requires = "list_settings")]
    json: bool,
    /// With --list-settings: print the page of the book
    #[arg(long, requires = "list_settings", conflicts_with = "json", hide = true)]
    markdown: bool,
}

/// Runs the command; exit code 130 or 143 when a signal ended the run.
///
/// # Errors
/// When the settings, the device or the folder cannot be used, or training fails.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if args.list_settings {
        list_settings(args)?;
        return Ok(ExitCode::SUCCESS);
    }
    let asked = mixture(&args.scenario)?;
    if let Some(minutes) = args.minutes
        && !(0.0..=1e7).contains(&minutes)
    {
        return Err(BadInput(format!("--minutes: expected 0 to 1e7, got {minutes}")).into());
    }
    super::use_threads(args.threads)?;
    let launch = distributed::join().or_bad_input()?;
    let group = launch.as_ref().map(|launch| Arc::clone(&launch.group));
    let (mixture, mut trainer, directory, signals) = match (&args.resume, asked) {
        (Some(folder), asked) => {
            let Some(run) = resume(args, folder, asked.as_ref(), group.as_deref())? else {
                launch.into_iter().for_each(Launch::leave);
                return Ok(ExitCode::SUCCESS);
            };
            run
        }
        (None, Some(mixture)) => begin(args, mixture, group.as_deref())?,
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
        return outcome.map(|_| ExitCode::FAILURE);
    }
    let summary = outcome?;
    let first = group.as_ref().is_none_or(|group| group.rank() == 0);
    if let Some(launch) = launch {
        launch.leave();
    }
    if !first {
        return Ok(match summary.end {
            RunEnd::Interrupted => super::interrupted(&signals.received),
            RunEnd::Complete => ExitCode::SUCCESS,
        });
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
            Ok(super::interrupted(&signals.received))
        }
        RunEnd::Complete => {
            advise(args, &mixture, directory.path());
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// The settings, in the form that was asked for.
fn list_settings(args: &Args) -> anyhow::Result<()> {
    match (args.json, args.markdown) {
        (true, _) => output::print_json(&settings_list::list()),
        (_, true) => output::print(&settings_list::page()),
        _ => output::print(&settings_list::as_toml(&settings_list::list())),
    }
}

fn resume_command(folder: &Path) -> String {
    format!("godwit train --resume {}", output::word(folder.display().to_string()))
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

/// Says what can be done with the run's policy next, as commands. Scenarios are named as they were
/// given, by their name where they come with the program, or else as the run keeps them.
pub(super) fn advise(args: &Args, mixture: &Mixture, folder: &Path) {
    let run = output::word(folder.display().to_string());
    let names: Vec<String> = (0..mixture.parts().len())
        .map(|at| output::word(scenario_argument(args, mixture, folder, at)))
        .collect();
    for name in &names {
        eprintln!("compare it: godwit evaluate {name} --policy {run}");
    }
    for name in &names {
        eprintln!("explain it: godwit explain {name} --policy {run} --against {EXPLAIN_AGAINST}");
    }
    let artifact = output::word(folder.join("policy.pt").display().to_string());
    eprintln!("export it: godwit export {run} --out {artifact}");
}

/// The baseline that decisions are first held against: it plays every scenario.
const EXPLAIN_AGAINST: &str = "best-single-move";

fn scenario_argument(args: &Args, mixture: &Mixture, folder: &Path, at: usize) -> String {
    let scenario = &mixture.parts()[at].scenario;
    let embedded = Scenario::embedded(&scenario.name);
    match args.scenario.get(at) {
        Some(text) => weighted(text).0.to_owned(),
        None if embedded.is_ok_and(|embedded| embedded.same_world(scenario)) => {
            scenario.name.clone()
        }
        None => folder.join(checkpoint::scenario_file(at)).display().to_string(),
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

/// `NAME=WEIGHT`, or a name (which may itself hold a `=`) of weight 1.
fn weighted(text: &str) -> (&str, f64) {
    text.rsplit_once('=')
        .and_then(|(name, weight)| Some((name, weight.parse().ok()?)))
        .unwrap_or((text, 1.0))
}

/// A run that begins or goes on.
pub(super) type Run = (Mixture, ClusterTrainer, RunDirectory, Signals);

/// What asks for a tidy end. Until these are there, a signal ends the process at once: while a run
/// is prepared, which may take minutes of rollouts, there is nothing to lose.
pub(super) struct Signals {
    stop: Arc<AtomicBool>,
    /// The exit code tells which signal it was.
    received: Arc<AtomicUsize>,
}

impl Signals {
    pub(super) fn expect() -> anyhow::Result<Self> {
        Ok(Self { received: received_signal()?, stop: stop_flag()? })
    }
}

/// A new run. Everything is checked before anything is written.
fn begin(args: &Args, mixture: Mixture, group: Option<&dyn Group>) -> anyhow::Result<Run> {
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
    let out = args.out.clone().unwrap_or_else(|| Path::new("checkpoints").join(mixture.name()));
    if group.is_none_or(|group| group.rank() == 0) {
        RunDirectory::check_free(&out).or_bad_input()?;
    }
    // What is refused here are settings that do not fit the scenario.
    let trainer = assemble::begin(&mixture, &config, device).or_bad_input()?;
    // Before the run's folder is there: a signal never leaves it without a checkpoint.
    let signals = Signals::expect()?;
    let directory = part::create(&out, &mixture, &config, group).or_bad_input()?;
    Ok((mixture, trainer, directory, signals))
}

/// The device of the updates. This comes before any other use of libtorch, which looks for its
/// CUDA half once only.
pub(super) fn compute_device(choice: DeviceChoice) -> anyhow::Result<Device> {
    let device = choice.resolve()?;
    // Networks are narrow: more threads inside one operation gain nothing, and they would fight
    // with the threads that step environments.
    tch::set_num_threads(1);
    Ok(device)
}
