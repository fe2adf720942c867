//! `godwit evaluate`: policies and baselines side by side.

use super::{BadInput, output};
#[cfg(feature = "milp")]
use crate::evaluate::bound::mean_bound;
use crate::evaluate::{
    Contender, Evaluation, Factory, Parameters, Settings, evaluate_with, limits, oscillation, table,
};
use crate::policies::tuned_file::{Setting, TunedFile, default_path};
use crate::policies::{baseline_name, load};
use crate::report::{self, data::Report};
use crate::train::validation::VALIDATION_SEED;
use godwit_envs::env::Env;
use godwit_envs::env::cluster_env::ClusterEnv;
use godwit_envs::scenario::{Mode, Phase, Scenario, WorldTemplate};
use godwit_models::baselines::{NAMES, baseline_with};
use godwit_models::best_of::BestOf;
use godwit_models::network_policy::NetworkPolicy;
use godwit_models::policy::Policy;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// Compare policies and baselines on the same held-out episodes.
///
/// Every policy plays the same episodes, which training never draws. The table shows the mean
/// undiscounted return with a 95 % bootstrap interval, by how much the first --policy is ahead of
/// each other row (paired, with its interval), every objective term, and what the moves cost.
/// --report writes the same as a page with charts (index.html, which needs no network), and as
/// results.json, results.csv and episodes.csv.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  godwit evaluate quickstart --policy policy.pt --policy checkpoints/quickstart
  godwit evaluate quickstart --policy policy.pt --best-of 32
  godwit evaluate quickstart --tuned --policy checkpoints/quickstart
  godwit evaluate founding-10x50 --baselines best-single-move,threshold-rules --json > result.json
  godwit evaluate quickstart --bound 20 --baselines best-move-or-swap,annealing
  godwit evaluate bursty --policy bursty --limits limits.toml --return-within 24
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
    /// Also write a report with charts into this folder
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
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
    let mut contenders = contenders(&scenario, &args.policy)?;
    if let Some(plans) = args.best_of {
        if scenario.rules.episode.mode == Mode::Online {
            return Err(needs_rebalance("--best-of", &scenario));
        }
        contenders.extend(planners(&scenario, &args.policy, plans as usize)?);
    }
    let mut tuned = tuned_parameters(args.tuned.as_ref(), &scenario)?;
    for name in baseline_names(&args.baselines, &scenario)? {
        contenders.push(heuristic(name, tuned.remove(name)));
    }
    if contenders.is_empty() {
        let message = "expected at least one --policy or baseline, got none";
        return Err(BadInput(message.into()).into());
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
    let mut evaluation = evaluate_with(&scenario, &contenders, &settings)?;
    evaluation.limits = rules.as_deref().cloned();
    if let Some(seconds) = args.bound {
        evaluation = evaluation.with_bound(bound(&scenario, &settings, seconds)?);
    }
    if let Some(folder) = &args.report {
        write_report(args, folder, &scenario, &contenders, &evaluation)?;
    }
    if args.json {
        output::print_json(&evaluation)?;
    } else {
        eprintln!("{}\n", table::heading(&evaluation));
        output::print(&table::table(&evaluation))?;
    }
    Ok(ExitCode::SUCCESS)
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

/// A baseline, with the parameters of a file if it gives some.
/// What `--tuned` names, by baseline; nothing where it is not given.
pub(super) fn tuned_parameters(
    tuned: Option<&Option<PathBuf>>,
    scenario: &Scenario,
) -> anyhow::Result<BTreeMap<String, Setting>> {
    match tuned {
        Some(Some(path)) => Ok(TunedFile::read(path, scenario)?),
        Some(None) => {
            let path = default_path(scenario);
            if !path.exists() {
                let (path, name) = (path.display(), &scenario.name);
                return Err(BadInput(format!(
                    "--tuned: expected the file {path} (or --tuned FILE), got none; `godwit \
                     tune-baselines {name}` makes it, and `godwit baselines` lists what can be tuned"
                ))
                .into());
            }
            Ok(TunedFile::read(&path, scenario)?)
        }
        None => Ok(BTreeMap::new()),
    }
}

/// A baseline by its name, as `option` gives it.
pub(super) fn contender_of(
    name: &str,
    tuned: &mut BTreeMap<String, Setting>,
    option: &str,
) -> anyhow::Result<Contender> {
    let name = baseline_name(option, name)?;
    Ok(heuristic(name, tuned.remove(name)))
}

fn heuristic(name: &'static str, setting: Option<Setting>) -> Contender {
    let tuned = setting.as_ref().is_some_and(|setting| setting.tuned);
    let values = setting.map(|setting| setting.parameters).unwrap_or_default();
    let factory = move || {
        baseline_with(name, &values).expect("name and parameters were checked when they were read")
    };
    Contender {
        name: name.to_owned(),
        trained: false,
        parameters: Some(if tuned { Parameters::Tuned } else { Parameters::Default }),
        factory: Box::new(factory),
    }
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
    let (command, progress) = (command(args), !args.json);
    let report = Report::gather(scenario, evaluation, contenders, &runs, command, progress)?;
    for (name, bytes) in report::FILES.iter().zip(report::files(&report)?) {
        output::write_file(&folder.join(name), &bytes)?;
    }
    eprintln!("wrote {}", folder.join("index.html").display());
    Ok(())
}

/// The command that was given, for others to repeat: paths are cut down to their last part, which
/// says nothing about this machine.
fn command(args: &Args) -> String {
    let last = |path: &Path| match path.file_name() {
        Some(name) => name.to_string_lossy().into_owned(),
        None => path.display().to_string(),
    };
    let mut words =
        vec!["godwit evaluate".to_owned(), output::word(last(Path::new(&args.scenario)))];
    for policy in &args.policy {
        words.extend(["--policy".into(), output::word(last(policy))]);
    }
    if args.baselines != "all" {
        words.extend(["--baselines".into(), output::word(args.baselines.clone())]);
    }
    match &args.tuned {
        Some(Some(file)) => words.extend(["--tuned".into(), output::word(last(file))]),
        Some(None) => words.push("--tuned".into()),
        None => {}
    }
    words.push(format!("--episodes {} --seed {}", args.episodes, args.seed));
    if let Some(limits) = &args.limits {
        words.extend(["--limits".into(), output::word(last(limits))]);
    }
    if args.unruled {
        words.push("--unruled".into());
    }
    if let Some(window) = args.oscillation_window {
        words.push(format!("--oscillation-window {window}"));
    }
    if let Some(plans) = args.best_of {
        words.push(format!("--best-of {plans}"));
    }
    if let Some(seconds) = args.bound {
        words.push(format!("--bound {seconds}"));
    }
    if let Some(folder) = &args.report {
        words.extend(["--report".into(), output::word(last(folder))]);
    }
    words.join(" ")
}

fn baseline_names(list: &str, scenario: &Scenario) -> anyhow::Result<Vec<&'static str>> {
    match list {
        // Where the exact solver has no program it would only stay.
        "all" => {
            let reassigns =
                scenario.cluster.as_ref().is_some_and(|c| c.machine_reassignment.is_some());
            let solves = scenario.rules.episode.mode == Mode::Rebalance && !reassigns;
            let plays = |name: &&str| solves || *name != "milp";
            return Ok(NAMES.iter().copied().filter(plays).collect());
        }
        "none" => return Ok(Vec::new()),
        _ => {}
    }
    let find = |name: &str| baseline_name("--baselines (all, none or some)", name.trim());
    Ok(list.split(',').map(find).collect::<Result<_, _>>()?)
}

/// The trained policies, each checked against the scenario.
pub(super) fn contenders(scenario: &Scenario, paths: &[PathBuf]) -> anyhow::Result<Vec<Contender>> {
    let trained = |policy: NetworkPolicy| {
        let name = policy.name().to_owned();
        let factory: Factory = Box::new(move || Box::new(policy.clone()));
        Contender { name, trained: true, parameters: None, factory }
    };
    Ok(policies(scenario, paths)?.into_iter().map(trained).collect())
}

/// The best of so many plans of each trained policy.
fn planners(
    scenario: &Scenario,
    paths: &[PathBuf],
    plans: usize,
) -> anyhow::Result<Vec<Contender>> {
    let planner = |policy: NetworkPolicy| {
        let name = format!("{}, best of {plans}", policy.name());
        let planner = BestOf::new(&name, policy, plans);
        let factory: Factory = Box::new(move || Box::new(planner.clone()));
        Contender { name, trained: true, parameters: None, factory }
    };
    Ok(policies(scenario, paths)?.into_iter().map(planner).collect())
}

fn policies(scenario: &Scenario, paths: &[PathBuf]) -> anyhow::Result<Vec<NetworkPolicy>> {
    if paths.is_empty() {
        return Ok(Vec::new());
    }
    let env = ClusterEnv::new(Arc::new(WorldTemplate::new(scenario)), Phase::Evaluate)?;
    let space = env.observation_space();
    let policy = |path| {
        let network = load(path, scenario, space)
            .map_err(|error| BadInput(format!("--policy {}", super::one_line(&error))))?;
        Ok(NetworkPolicy::new(&name_of(path, paths), network))
    };
    paths.iter().map(|path| policy(path)).collect()
}

/// File stem or folder name; the whole path where another policy is called the same.
fn name_of(path: &Path, all: &[PathBuf]) -> String {
    let short = |path: &Path| {
        let name = if path.is_dir() { path.file_name() } else { path.file_stem() };
        name.map(|name| name.to_string_lossy().into_owned())
    };
    let name = short(path);
    let unique = all.iter().filter(|other| short(other) == name).count() == 1;
    match name {
        Some(name) if unique && !NAMES.contains(&name.as_str()) => name,
        _ => path.display().to_string(),
    }
}
