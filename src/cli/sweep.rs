//! `godwit sweep`: hyper-parameter search.

use super::settings::{self, Sources};
use super::{BadInput, OrBadInput, output};
use crate::config::TrainConfig;
use crate::distributed::{self, Group};
use crate::machine::device::DeviceChoice;
use crate::machine::signals::{received_signal, stop_flag};
use crate::sweep::plan::{Plan, file_name, rungs};
use crate::sweep::results::{Report, report};
use crate::sweep::space::{SpaceError, SweepFile, dimensions, draw};
use crate::sweep::{Place, sweep};
use crate::train::assemble;
use anyhow::Context;
use comfy_table::{CellAlignment, Table, presets};
use godwit_envs::scenario::Scenario;
use indicatif::{ProgressBar, ProgressStyle};
use std::fs::{self, File, TryLockError};
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use toml::Value;

/// Settings that the file gives by fields of its own, and a limit that would make results depend
/// on the machine.
const RESERVED: [(&str, &str); 3] = [
    ("seed", "none: `seeds` at the top gives them"),
    ("env_steps", "none: `env_steps` at the top gives them"),
    ("max_minutes", "none: a sweep compares runs by env steps"),
];

/// The file of the sweep, as it was when the sweep began.
const KEPT: &str = "sweep.toml";
const RESULTS: &str = "results.json";
const LOCK: &str = ".lock";

/// Between two lines about progress on standard error that is no terminal.
const PLAIN_EVERY: Duration = Duration::from_secs(30);

/// Search hyper-parameters.
///
/// SPACE.toml names scenarios, the number of trials, the env steps of a whole run, and the
/// settings to search; the settings are those of `godwit train --set`:
///
///   scenarios = ["quickstart"]
///   trials = 27
///   env_steps = 90000
///   halving = 3          # of 27 trials, 9 go on after 1/27 of the env steps, then 3, then 1;
///                        # 1 (the default) trains every trial to its end
///   rungs = 3            # fewer rungs: here 27, 9 and 3 trials
///   seeds = [0, 1]       # every trial trains with each (default: 0)
///   seed = 0             # of the draws
///   [settings]           # what all trials share
///   learner.n_step = 3
///   [space]
///   learner.gamma = { values = [0.9, 0.97, 0.99] }
///   learner.learning_rate.from = { min = 1e-4, max = 1e-2, log = true }
///   network.hidden = { min = 16, max = 128, log = true, integer = true }
///
/// Trials are compared by their best mean validation return, averaged over the seeds; with several
/// scenarios by their mean rank. A trial whose training meets a number that is not finite comes last
/// and does not end the sweep. Each run has an ordinary run directory below DIR, which `godwit
/// evaluate --policy`, `export` and `train --resume` accept. DIR/results.json holds the outcome,
/// and TensorBoard shows DIR with its hyper-parameter view. A sweep that was stopped or killed goes
/// on with the same command. The outcome depends neither on that nor on the number of threads.
// The text is what clap shows, which is no Markdown.
#[allow(rustdoc::broken_intra_doc_links, rustdoc::private_intra_doc_links)]
#[derive(Debug, clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  godwit sweep space.toml --out sweeps/first
  godwit evaluate quickstart --policy sweeps/first/trial-003-quickstart-seed-0"
)]
pub struct Args {
    /// What to search
    #[arg(value_name = "SPACE.toml")]
    space: PathBuf,
    /// Folder of the sweep: new, empty, or that of the same sweep to go on with
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Runs side by side; 0 for one per thread
    #[arg(long, default_value_t = 0, value_name = "N")]
    jobs: usize,
    /// Threads that the runs share; 0 for one per core
    #[arg(long, default_value_t = 0, value_name = "N")]
    threads: usize,
    /// Where to compute updates: auto, cpu, cuda or cuda:INDEX
    #[arg(long, default_value_t)]
    device: DeviceChoice,
    /// Print one JSON document instead of the table
    #[arg(long)]
    json: bool,
}

/// Runs the command; exit code 130 or 143 when a signal ended the sweep.
///
/// # Errors
/// When the file or the folder cannot be used, or a run fails.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let launch = distributed::join().or_bad_input()?;
    let group = launch.as_ref().map(|launch| &*launch.group);
    let first = group.is_none_or(|group| group.rank() == 0);
    let (file, plan) = plan(&args.space)?;
    let received = received_signal()?;
    let stop = stop_flag()?;
    let device = crate::cli::compute_device(args.device)?;
    let claimed = if first { claim(&args.out, &args.space, &file).map(Some) } else { Ok(None) };
    let _lock = match group {
        Some(group) => {
            group.advise("the same command goes on");
            group.together(claimed)?
        }
        None => claimed?,
    };

    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = if args.threads > 0 { args.threads } else { cores };
    let jobs = if args.jobs > 0 { args.jobs } else { threads };
    let ranks = group.map_or(1, Group::size) as u64;
    let (env_steps, over) = (AtomicU64::new(0), AtomicBool::new(false));
    let folder = args.out.as_path();
    let env_steps_made = &env_steps;
    let place =
        Place { folder, device, jobs, threads, group, stop: &stop, env_steps: env_steps_made };
    // Each rank counts its own runs; rank 0 speaks for all.
    let bar = if first { bar(plan.env_steps() / ranks) } else { ProgressBar::hidden() };
    let say = |text: &str| bar.suspend(|| eprintln!("{text}"));
    let standings = std::thread::scope(|scope| {
        if first {
            scope.spawn(|| watch(&bar, &env_steps, &over));
        }
        let outcome = sweep(&plan, place, &|run, env_steps, value| {
            let folder = plan.folder(run);
            say(&match value.is_nan() {
                true => format!("{folder}: stopped at a number that is not finite, ranks last"),
                false => format!("{folder}: {env_steps} env steps, return {value:.4}"),
            });
        });
        over.store(true, Ordering::Relaxed);
        outcome
    });
    bar.finish_and_clear();
    let standings = standings.inspect_err(|_| {
        eprintln!("what is done is kept in {}; the same command goes on", folder.display());
    })?;
    if let Some(launch) = launch {
        launch.leave();
    }
    let Some(standings) = standings else {
        if first {
            eprintln!("interrupted; the same command goes on");
        }
        return Ok(super::interrupted(&received));
    };
    if !first {
        return Ok(ExitCode::SUCCESS);
    }
    let report = report(&plan, &standings)?;
    let json = serde_json::to_string_pretty(&report)? + "\n";
    output::write_file(&folder.join(RESULTS), json.as_bytes())?;
    if args.json {
        output::print_json(&report)?;
    } else {
        output::print(&table(&report))?;
        let best = report.trials[0].scenarios.iter().next();
        if let Some((name, run)) = best.and_then(|(name, best)| Some((name, best.runs.first()?))) {
            let run = folder.join(run);
            eprintln!("\ncompare the best: godwit evaluate {name} --policy {}", run.display());
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads the file and checks everything in it: every key, and every value or both ends of every
/// range.
fn plan(path: &Path) -> anyhow::Result<(SweepFile, Plan)> {
    let label = path.display().to_string();
    let table = settings::read(path)?;
    let file: SweepFile = serde_path_to_error::deserialize(Value::Table(table)).map_err(
        |error: serde_path_to_error::Error<toml::de::Error>| {
            let field = match error.path().to_string() {
                root if root == "." => String::new(),
                field => format!("{field}: "),
            };
            BadInput(format!("{label}: {field}{}", error.inner().message().trim_end()))
        },
    )?;
    checked_plan(&file)
        .map_err(|error| BadInput(format!("{label}: {}", super::one_line(&error))))
        .map(|plan| (file, plan))
        .map_err(Into::into)
}

fn checked_plan(file: &SweepFile) -> anyhow::Result<Plan> {
    let scenarios = file
        .scenarios
        .iter()
        .map(|name| super::scenario(name))
        .collect::<anyhow::Result<Vec<_>>>()?;
    if scenarios.is_empty() {
        return Err(SpaceError::new("scenarios", "at least one", "none").into());
    }
    let names: Vec<String> = scenarios.iter().map(|scenario| file_name(&scenario.name)).collect();
    if let Some(name) = twice(&names) {
        return Err(SpaceError::new("scenarios", "different names", format!("{name} twice")).into());
    }
    if file.seeds.is_empty() {
        return Err(SpaceError::new("seeds", "at least one", "none").into());
    }
    if let Some(seed) = twice(&file.seeds) {
        return Err(SpaceError::new("seeds", "different ones", format!("{seed} twice")).into());
    }
    let dimensions = dimensions(&file.space)?;
    for (key, expected) in RESERVED {
        let given = |place: &str| SpaceError::new(format!("{place}.{key}"), expected, "one");
        if file.settings.contains_key(key) {
            return Err(given("settings").into());
        }
        if dimensions.iter().any(|dimension| dimension.key == key) {
            return Err(given("space").into());
        }
    }
    let rungs = rungs(file.trials, file.halving, file.rungs, file.env_steps)?;
    for scenario in &scenarios {
        resolve(file, scenario, &[]).map(|config| accepted(scenario, &config))??;
        for dimension in &dimensions {
            for value in dimension.domain.extremes() {
                resolve(file, scenario, &[(&dimension.key, &value)])
                    .and_then(|config| accepted(scenario, &config))
                    .with_context(|| format!("space.{} = {value}", dimension.key))?;
            }
        }
    }
    let trials = draw(&dimensions, file.trials, file.seed)?;
    let mut configs = Vec::with_capacity(trials.len());
    for (trial, settings) in trials.iter().enumerate() {
        let pairs: Vec<(&String, &Value)> = settings.iter().collect();
        let resolved = scenarios.iter().map(|scenario| {
            let config = resolve(file, scenario, &pairs)?;
            if rungs[0].env_steps <= config.warm_up_steps {
                let expected = format!(
                    "a first rung of more than warm_up_steps = {} (fewer rungs, or more env_steps)",
                    config.warm_up_steps
                );
                return Err(SpaceError::new("rungs", expected, rungs[0].env_steps).into());
            }
            Ok(config)
        });
        let resolved = resolved.collect::<anyhow::Result<Vec<_>>>();
        configs.push(resolved.with_context(|| format!("trial {trial}"))?);
    }
    Ok(Plan { scenarios, seeds: file.seeds.clone(), dimensions, trials, configs, rungs })
}

/// The first value that is there more than once.
fn twice<T: PartialEq>(values: &[T]) -> Option<&T> {
    (1..values.len())
        .map(|at| (at, &values[at]))
        .find(|(at, v)| values[..*at].contains(v))
        .map(|(_, v)| v)
}

/// Settings of a run on this scenario with these of the searched ones.
fn resolve(
    file: &SweepFile,
    scenario: &Scenario,
    searched: &[(&String, &Value)],
) -> anyhow::Result<TrainConfig> {
    let mut tables = vec![("settings", file.settings.clone())];
    for (key, value) in searched {
        tables.push(("space", settings::nested(key, (*value).clone())));
    }
    let steps = i64::try_from(file.env_steps)
        .map_err(|_| SpaceError::new("env_steps", "at most 2^63 - 1", file.env_steps))?;
    let flags = vec![
        ("env_steps", "env_steps", Value::Integer(steps)),
        ("max_minutes", "max_minutes", Value::Float(0.0)),
    ];
    settings::resolve(scenario, &Sources { tables: &tables, flags, ..Sources::default() })
}

/// Whether a run can be set up with these settings; a single small environment tells.
fn accepted(scenario: &Scenario, config: &TrainConfig) -> anyhow::Result<()> {
    let env_copies = 1;
    let replay_capacity = config.learner.n_step + 8;
    let mut small = TrainConfig { env_copies, replay_capacity, ..config.clone() };
    small.demonstrations.steps = replay_capacity;
    assemble::new_trainer(&scenario.clone().into(), &small, tch::Device::Cpu).map(|_| ())
}

/// Takes hold of the folder: of a new one, or of that of the same sweep.
fn claim(folder: &Path, space: &Path, file: &SweepFile) -> anyhow::Result<File> {
    let out = folder.display();
    let kept = folder.join(KEPT);
    let begun = kept.is_file();
    if begun {
        let before = settings::read(&kept)?.try_into::<SweepFile>().ok();
        if before.as_ref() != Some(file) {
            let (kept, space) = (kept.display(), space.display());
            let text = format!("--out {out}: expected the sweep of {kept}, got another in {space}");
            return Err(BadInput(text).into());
        }
    } else if fs::read_dir(folder).is_ok_and(|mut entries| {
        entries.any(|entry| entry.is_ok_and(|entry| entry.file_name() != LOCK))
    }) {
        let text = format!("--out {out}: expected a new or empty folder, got one with other files");
        return Err(BadInput(text).into());
    }
    output::writable_folder("--out", folder, &[RESULTS])?;
    let lock = File::create(folder.join(LOCK)).or_bad_input()?;
    // Some network file systems have no locks; that is no reason not to train there.
    if let Err(TryLockError::WouldBlock) = lock.try_lock() {
        let text =
            format!("--out {out}: expected a folder that no other sweep uses, got one in use");
        return Err(BadInput(text).into());
    }
    if !begun {
        let text = fs::read(space).with_context(|| space.display().to_string())?;
        output::write_file(&kept, &text)?;
    }
    Ok(lock)
}

fn table(report: &Report) -> String {
    let several = report.trials[0].scenarios.len() > 1;
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let mut header = vec!["trial".to_owned(), "env steps".to_owned()];
    header.extend(several.then(|| "rank".to_owned()));
    header.extend(report.trials[0].scenarios.keys().cloned());
    let figures = header.len();
    header.extend(report.trials[0].settings.keys().cloned());
    table.set_header(header);
    for trial in &report.trials {
        let mut row = vec![trial.trial.to_string(), trial.env_steps.to_string()];
        row.extend(several.then(|| format!("{:.2}", trial.rank)));
        row.extend(trial.scenarios.values().map(|result| {
            let error =
                result.standard_error.map_or(String::new(), |error| format!(" +- {error:.4}"));
            format!("{:.4}{error}", result.mean_return)
        }));
        row.extend(trial.settings.values().map(|value| match value {
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        }));
        table.add_row(row);
    }
    for (i, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if i < figures {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt()
}

fn bar(env_steps: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} env steps, {eta_precise} left");
    let bar = ProgressBar::new(env_steps);
    // The template is a constant; if it were wrong, the default style would do.
    if let Ok(style) = style { bar.with_style(style) } else { bar }
}

/// Shows how far the sweep is until it is over.
fn watch(bar: &ProgressBar, env_steps: &AtomicU64, over: &AtomicBool) {
    let plain = !std::io::stderr().is_terminal();
    let mut said = Instant::now();
    while !over.load(Ordering::Relaxed) {
        bar.set_position(env_steps.load(Ordering::Relaxed));
        if plain && said.elapsed() >= PLAIN_EVERY {
            said = Instant::now();
            let (at, all) = (bar.position(), bar.length().unwrap_or(0));
            let left = bar.eta().as_secs();
            eprintln!("{at} of {all} env steps, {}:{:02} left", left / 60, left % 60);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}
