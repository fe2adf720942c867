//! `godwit evaluate`: policies and baselines side by side.

mod command;
mod contenders;

pub(super) use contenders::{contender_of, policies, tuned_parameters};

use super::{BadInput, output};
use crate::machine::signals::received_signal;
use crate::report::{self, data::Report};
use crate::train::validation::VALIDATION_SEED;
use contenders::{baseline_names, name_of};
use godwit_envs::scenario::{Mode, Phase, Scenario};
use godwit_evaluate::before::Before;
#[cfg(feature = "milp")]
use godwit_evaluate::bound::mean_bound;
use godwit_evaluate::external::{External, Told};
use godwit_evaluate::hindsight::hindsight;
use godwit_evaluate::{
    Contender, Evaluation, Settings, evaluate_until, limits, narrow, oscillation, table,
};
use godwit_models::policy::Policy;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Compare policies and baselines on the same held-out episodes.
///
/// Every policy plays the same episodes, which training never draws. The table shows the mean
/// undiscounted return with a 95 % bootstrap interval, by how much the first --policy is ahead of
/// each other row (paired, with its interval), moves, traffic in GiB and the time of a decision;
/// --wide adds both ends of the intervals, the terms of the objective and all that moves cost, and
/// --json compares every --policy with every row, not only the first. --report writes the same as a page with charts (index.html, which needs no network), and as
/// results.json, results.csv and episodes.csv.
///
/// SIGINT and SIGTERM end it early: the rows that are complete are printed, the others are named,
/// nothing else is written, and the exit code is 130 or 143.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  godwit evaluate quickstart --policy checkpoints/quickstart
  godwit evaluate quickstart --policy policy.pt --policy checkpoints/quickstart --wide
  godwit evaluate quickstart --policy policy.pt --best-of 32
  godwit evaluate founding-10x50 --policy founding-10x50 --think 5 --baselines genetic,annealing
  godwit evaluate quickstart --tuned --policy checkpoints/quickstart
  godwit evaluate founding-10x50 --baselines best-single-move,threshold-rules --json > result.json
  godwit evaluate quickstart --baselines genetic,large-neighbourhood --time-limit 0.5
  godwit evaluate quickstart --bound 20 --baselines best-move-or-swap,annealing
  godwit evaluate bursty --policy bursty --episodes 20 --hindsight
  godwit evaluate bursty --policy bursty --limits limits.toml --return-within 24
  godwit evaluate bursty --policy bursty --limits limits.toml --before free.json
  godwit evaluate quickstart --policy quickstart --external 'mine=python3 mine.py'
  godwit evaluate founding-10x50 --policy checkpoints/founding --report report")]
pub struct Args {
    /// Embedded scenario or scenario file
    scenario: String,
    /// An artifact (FILE.pt), a run's folder (its best checkpoint), a checkpoint's folder, or the
    /// name of an embedded scenario for the policy that comes with the program; may be repeated
    #[arg(long, value_name = "FILE|DIR|NAME")]
    policy: Vec<PathBuf>,
    /// Also play the best of so many plans of each --policy, tried in the simulator before the
    /// first move; static scenarios only
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    best_of: Option<u32>,
    /// Also play each --policy as `godwit-scorer --think` does (POLICY+think): in each tick, or at the
    /// start of each static episode, its plan is compared with those of quick baselines for so many
    /// milliseconds at most. Returns then depend on how fast the machine is
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u32).range(1..=60_000))]
    think: Option<u32>,
    /// Also play a program of one's own, which reads one JSON line for each decision (the cluster as
    /// a snapshot) and writes one with its move: {"workload": .., "destination": ..}, by index or by
    /// name, or {} to stay. It is started by `sh -c`, once for each thread; may be repeated
    #[arg(long, value_name = "[NAME=]CMD")]
    external: Vec<String>,
    /// Put the moves that an environment offers into each line for --external, too
    #[arg(long, requires = "external")]
    external_candidates: bool,
    /// `all`, `none`, or names separated by commas
    #[arg(long, default_value = "all", value_name = "NAMES")]
    baselines: String,
    /// Parameters of the baselines, from `godwit tune-baselines` [without FILE:
    /// baselines/SCENARIO.toml]; the others keep their defaults
    #[arg(long, value_name = "FILE.toml", num_args = 0..=1)]
    tuned: Option<Option<PathBuf>>,
    /// Episodes that each policy plays (one where the scenario has a single start)
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    episodes: u32,
    /// Seed of the first episode; the others follow it
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Play the validation episodes by which training picks its best checkpoint, instead of the
    /// held-out ones: what a learning curve compares with; add --unruled for the same returns
    #[arg(long, conflicts_with_all = ["seed", "report", "bound"])]
    validation: bool,
    /// Seconds that each decision of a search may take (baselines, --best-of); it then ends with the
    /// best that it has found, and results depend on the machine. Without it they never do
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    time_limit: Option<f64>,
    /// Threads to use; 0 for one per core
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// Limits of an operator, as `godwit-scorer --limits` reads them: every policy and baseline
    /// keeps to them. A plan is one of a tick, or of a whole episode in rebalance scenarios;
    /// simulated metrics are never old, and the first tick begins at midnight (UTC)
    #[arg(long, value_name = "FILE.toml")]
    limits: Option<PathBuf>,
    /// Let every policy and baseline make whatever moves it likes, as training does: without the
    /// net-gain rule, by which the scorer drops moves that are not worth their costs within
    /// `payback_ticks`
    #[arg(long, conflicts_with = "limits")]
    unruled: bool,
    /// A move back to a node that the workload left at most this many ticks (rebalance: moves)
    /// before is counted as an oscillation [default: those in which the hold-down of --limits
    /// forbids it, else 12]
    #[arg(long, visible_alias = "return-within", value_name = "TICKS")]
    oscillation_window: Option<u32>,
    /// Also prove how much any policy could return at most, and show how much of it each misses;
    /// static scenarios only, so many seconds per episode [without SECONDS: 10]
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "10",
        value_parser = clap::value_parser!(u32).range(1..=86_400))]
    bound: Option<u32>,
    /// Also search, for so many seconds per episode, for the best that who knew it beforehand (demand,
    /// arrivals, faults) could have done, and show what share of its gain over never moving anything
    /// each policy takes; online scenarios only, and no bound [without SECONDS: 10]
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "10",
        value_parser = clap::value_parser!(u32).range(1..=86_400))]
    hindsight: Option<u32>,
    /// Also state by how much each row changed, paired by episode, since an earlier evaluation of
    /// the same episodes, for instance under other limits: what --json printed then
    #[arg(long, value_name = "FILE.json")]
    before: Option<PathBuf>,
    /// Also write a report with charts into this folder
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// Show every column
    #[arg(long, conflicts_with = "json")]
    wide: bool,
    /// Print one JSON document instead of the table
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
/// When the scenario or a policy cannot be used, or an episode cannot be played.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    super::use_threads(args.threads)?;
    if let Some(folder) = &args.report {
        output::writable_folder("--report", folder, &report::FILES)?;
    }
    let scenario = super::scenario(&args.scenario)?;
    if args.bound.is_some() {
        check_bound(&scenario)?;
    }
    if args.hindsight.is_some() && scenario.rules.episode.mode == Mode::Rebalance {
        let name = &scenario.name;
        return Err(BadInput(format!(
            "--hindsight: expected a scenario with mode = \"online\", got {name}, where nothing happens \
             by itself; --bound proves how much any policy could return"
        ))
        .into());
    }
    let policies = policies(&scenario, &args.policy)?;
    let mut contenders: Vec<Contender> = policies.iter().map(Contender::trained).collect();
    if let Some(plans) = args.best_of {
        if scenario.rules.episode.mode == Mode::Online {
            return Err(needs_rebalance("--best-of", &scenario));
        }
        contenders.extend(policies.iter().map(|policy| Contender::best_of(policy, plans as usize)));
    }
    if let Some(think) = args.think {
        let think = Duration::from_millis(think.into());
        contenders.extend(policies.iter().map(|policy| Contender::thinking(policy, think)));
    }
    let received = received_signal()?;
    let told = Arc::new(Told::default());
    for external in externals(&args.external)? {
        let (name, command) = external;
        let (candidates, told, stop) = (args.external_candidates, told.clone(), received.clone());
        let of = name.clone();
        let factory = move || -> Box<dyn Policy> {
            Box::new(External::new(&of, &command, candidates, &told, &stop))
        };
        contenders.push(Contender::of(name, Box::new(factory)));
    }
    let mut tuned = tuned_parameters(args.tuned.as_ref(), &scenario)?;
    for name in baseline_names(&args.baselines, &scenario)? {
        contenders.push(Contender::baseline(name, tuned.remove(name)));
    }
    if contenders.is_empty() {
        let message = "expected at least one --policy or baseline, got none";
        return Err(BadInput(message.into()).into());
    }
    if let Some(seconds) = args.time_limit {
        let limit = Duration::from_secs_f64(seconds);
        contenders = contenders.into_iter().map(|one| one.hurried(limit)).collect();
    }
    let rules = args.limits.as_deref().map(limits::load).transpose()?;
    if !args.unruled {
        let rules = rules.clone().unwrap_or_default();
        if limits::asks_in_vain(&rules, &scenario) {
            eprintln!(
                "note: no workload of {} states a tenant or a disruption group that is limited",
                scenario.name
            );
        }
        let within = |contender| limits::within(contender, &rules, &scenario);
        contenders = contenders.into_iter().map(within).collect();
    }
    let held_down = rules.as_deref().and_then(limits::held_down);
    let settings = Settings {
        episodes: args.episodes as usize,
        first_seed: if args.validation { VALIDATION_SEED } else { args.seed },
        phase: if args.validation { Phase::Validate } else { Phase::Evaluate },
        oscillation_window: args
            .oscillation_window
            .or(held_down)
            .unwrap_or(oscillation::DEFAULT_WINDOW),
        progress: !args.json,
    };
    let read = |path| Before::read(path, &scenario.name, &settings);
    let before = args.before.as_deref().map(read).transpose()?;
    let contenders = Arc::new(contenders);
    let mut evaluation = evaluate_until(&scenario, &contenders, &settings, &received)?;
    if let Some(failure) = told.failure() {
        return Err(BadInput(format!("--external {failure}")).into());
    }
    if let Some(us) = told.answer_us() {
        eprintln!(
            "external programs: {us:.0} us from a line to its answer in the mean, without writing the \
             snapshot"
        );
    }
    evaluation.time_limit_s = args.time_limit;
    evaluation.limits = rules.as_deref().cloned();
    if let Some(before) = before {
        before.compare(&mut evaluation)?;
    }
    let mut signal =
        if evaluation.unfinished.is_empty() { 0 } else { received.load(Ordering::Relaxed) };
    if let Some(seconds) = args.bound.filter(|_| signal == 0) {
        evaluation = evaluation.with_bound(bound(&scenario, &settings, seconds)?);
    }
    if let Some(seconds) = args.hindsight.filter(|_| signal == 0) {
        let found = hindsight(&scenario, &evaluation, &settings, seconds, &received)?;
        if found.is_none() {
            evaluation.unfinished.push("hindsight".to_owned());
            signal = received.load(Ordering::Relaxed);
        }
        evaluation = evaluation.with_hindsight(found);
    }
    if let Some(folder) = args.report.as_ref().filter(|_| signal == 0) {
        write_report(args, folder, &scenario, &contenders, &evaluation)?;
    }
    if args.json {
        output::print_json(&evaluation)?;
    } else if evaluation.policies.is_empty() {
        eprintln!("no policy has played all episodes");
    } else if args.wide {
        eprintln!("{}\n", table::heading(&evaluation));
        output::print(&table::table(&evaluation))?;
    } else {
        eprintln!("{}\n", narrow::heading(&evaluation));
        output::print(&narrow::table(&evaluation))?;
    }
    if signal != 0 {
        eprintln!("stopped by a signal; not finished: {}", evaluation.unfinished.join(", "));
        // Signals are small numbers.
        return Ok(ExitCode::from(128 + signal as u8));
    }
    Ok(ExitCode::SUCCESS)
}

/// Names and commands of external programs.
fn externals(given: &[String]) -> anyhow::Result<Vec<(String, String)>> {
    let is_name = |text: &str| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    let mut found: Vec<(String, String)> = Vec::new();
    for text in given {
        let (name, command) = match text.split_once('=') {
            Some((name, command)) if is_name(name) => (name.to_owned(), command),
            _ if given.len() == 1 => ("external".to_owned(), text.as_str()),
            _ => (format!("external-{}", found.len() + 1), text.as_str()),
        };
        if command.trim().is_empty() {
            let message = format!("--external: expected a command, got {text:?}");
            return Err(BadInput(message).into());
        }
        if found.iter().any(|(known, _)| *known == name) {
            let message =
                format!("--external: expected a name of its own for each, got {name} twice");
            return Err(BadInput(message).into());
        }
        found.push((name, command.to_owned()));
    }
    Ok(found)
}

/// Reads a number of seconds.
fn seconds(text: &str) -> Result<f64, String> {
    let expected = || format!("expected seconds above 0, up to 86400, got {text:?}");
    let value: f64 = text.parse().map_err(|_| expected())?;
    if value > 0.0 && value <= 86_400.0 { Ok(value) } else { Err(expected()) }
}

/// Refuses before any episode is played.
fn check_bound(scenario: &Scenario) -> anyhow::Result<()> {
    if cfg!(not(feature = "milp")) {
        let expected = "--bound: expected a build with the cargo feature milp, got one without";
        return Err(BadInput(expected.into()).into());
    }
    if scenario.rules.episode.mode == Mode::Online {
        return Err(needs_rebalance("--bound", scenario));
    }
    Ok(())
}

fn needs_rebalance(flag: &str, scenario: &Scenario) -> anyhow::Error {
    let name = &scenario.name;
    BadInput(format!(
        "{flag}: expected a scenario with mode = \"rebalance\", got {name}, which is online"
    ))
    .into()
}

#[cfg(feature = "milp")]
fn bound(scenario: &Scenario, settings: &Settings, seconds: u32) -> anyhow::Result<Option<f64>> {
    let limit = std::time::Duration::from_secs(u64::from(seconds));
    let Settings { episodes, first_seed, progress, .. } = *settings;
    mean_bound(scenario, episodes, first_seed, limit, progress).map(Some)
}

#[cfg(not(feature = "milp"))]
fn bound(_: &Scenario, _: &Settings, _: u32) -> anyhow::Result<Option<f64>> {
    Ok(None)
}

fn write_report(
    args: &Args,
    folder: &Path,
    scenario: &Scenario,
    contenders: &[Contender],
    evaluation: &Evaluation,
) -> anyhow::Result<()> {
    let runs: report::data::Sources =
        args.policy.iter().map(|path| (name_of(path, &args.policy), path.clone())).collect();
    let (command, progress) = (command::command(args), !args.json);
    let report = Report::gather(scenario, evaluation, contenders, &runs, command, progress)?;
    for (name, bytes) in report::FILES.iter().zip(report::files(&report)?) {
        output::write_file(&folder.join(name), &bytes)?;
    }
    eprintln!("wrote {}", folder.join("index.html").display());
    Ok(())
}
