//! Searches for reassignments of the challenge's instances and prints how good they are.
//!
//! `cargo run --release -p godwit-models --example reassign -- DIR`: for each `model_NAME.txt` in DIR,
//! with `assignment_NAME.txt` or `assignment_NAME.sol` beside it, one after the other on one core, 60
//! seconds each by default (`--help` for the rest). The last column is what the independent checker
//! says, which also confirms the cost; the exit status is an error where it disagrees with the
//! search.
//!
//! The instances are those of the ROADEF/EURO challenge 2012; `apache/incubator-kie-optaplanner` on
//! GitHub holds them in `optaplanner-examples/data/machinereassignment/import`.

use clap::Parser;
use godwit_envs::env::cluster_env::ClusterEnv;
use godwit_envs::reassignment::{Instance, check};
use godwit_envs::scenario::{Phase, Scenario, WorldTemplate};
use godwit_models::artifact::Artifact;
use godwit_models::baselines::baseline;
use godwit_models::plan::plan;
use godwit_models::policy::Policy;
use godwit_models::reassignment_search::{Found, SearchRules, search, search_from};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Name and best cost known.
const KNOWN: [(&str, i64); 7] = [
    ("a1_1", 44_306_501),
    ("a1_2", 777_531_842),
    ("a1_3", 583_005_719),
    ("a1_4", 248_524_578),
    ("a1_5", 727_578_310),
    ("a2_2", 816_523_983),
    ("b_1", 3_339_186_879),
];
/// Limit where none is given.
const SECONDS: f64 = 60.0;

/// Searches for reassignments of the challenge's instances.
#[derive(Debug, clap::Parser)]
struct Arguments {
    /// Folder with `model_NAME.txt` and `assignment_NAME.txt` or `assignment_NAME.sol`
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Only this instance
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// Time for each instance [default: 60, or none with --iterations]
    #[arg(long, value_parser = seconds)]
    seconds: Option<Duration>,
    /// Moves tried for each instance
    #[arg(long, value_name = "N")]
    iterations: Option<u64>,
    /// Seed of the search
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Where to write what is found: `assignment_NAME.sol`, in the challenge's format
    #[arg(long, value_name = "FOLDER", conflicts_with = "policies")]
    out: Option<PathBuf>,
    /// Compare the search alone with the search after a policy, in the same time: FOLDER/NAME.toml is
    /// the imported instance, FOLDER/NAME.pt a policy for it; the last column is a control, the
    /// search after best single moves
    #[arg(long, value_name = "FOLDER", conflicts_with = "iterations")]
    policies: Option<PathBuf>,
    /// Seeds of that comparison
    #[arg(long, value_name = "N", default_value_t = 5, requires = "policies")]
    repeat: u64,
}

impl Arguments {
    fn rules(&self) -> SearchRules {
        let default = Duration::from_secs_f64(SECONDS);
        let time = self.seconds.or(self.iterations.is_none().then_some(default));
        SearchRules { seed: self.seed, time, iterations: self.iterations }
    }
}

fn seconds(text: &str) -> std::result::Result<Duration, String> {
    let refused = || format!("expected a number of seconds such as 60, got {text:?}");
    Duration::try_from_secs_f64(text.parse().map_err(|_| refused())?).map_err(|_| refused())
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let mut names = names(&arguments.folder)?;
    names.retain(|name| arguments.only.as_ref().is_none_or(|only| only == name));
    match &arguments.policies {
        Some(policies) => compare(&arguments, policies, &names),
        None => search_all(&arguments, &names),
    }
}

fn search_all(arguments: &Arguments, names: &[String]) -> Result<()> {
    println!(
        "{:<8} {:>13} {:>13} {:>13} {:>9} {:>13} {:>9} {:>13} {:>7} {:>8}",
        "instance",
        "initial",
        "found",
        "best known",
        "gap",
        "lower bound",
        "gap",
        "moves tried",
        "seconds",
        "feasible"
    );
    names.iter().try_for_each(|name| report(arguments, name))
}

/// The instances in a folder, in order.
fn names(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let file = entry?.file_name().to_string_lossy().into_owned();
        let name = file.strip_prefix("model_").and_then(|file| file.strip_suffix(".txt"));
        names.extend(name.map(str::to_owned));
    }
    names.sort();
    Ok(names)
}

fn read(folder: &Path, name: &str) -> Result<Instance> {
    let assignment = folder.join(format!("assignment_{name}.txt"));
    let solution = folder.join(format!("assignment_{name}.sol"));
    let start = if solution.exists() && !assignment.exists() { solution } else { assignment };
    Ok(Instance::read(folder.join(format!("model_{name}.txt")), start)?)
}

fn report(arguments: &Arguments, name: &str) -> Result<()> {
    let instance = read(&arguments.folder, name)?;
    let initial = check(&instance, instance.initial()).cost;
    let found = search(&instance, arguments.rules())?;
    let feasible = confirm(name, &instance, &found);
    let known = KNOWN.iter().find(|known| known.0 == name);
    let (bound, best) = (Some(instance.lower_bound()), known.map(|known| known.1));
    let number = |value: Option<i64>| value.map_or("-".to_owned(), |value| value.to_string());
    let gap = |value: Option<i64>| {
        value.map_or("-".to_owned(), |value| {
            format!("{:.4}%", 100.0 * (found.cost - value) as f64 / value as f64)
        })
    };
    println!(
        "{name:<8} {initial:>13} {:>13} {:>13} {:>9} {:>13} {:>9} {:>13} {:>7.1} {:>8}",
        found.cost,
        number(best),
        gap(best),
        number(bound),
        gap(bound),
        found.iterations,
        found.time.as_secs_f64(),
        if feasible.is_ok() { "yes" } else { "NO" }
    );
    feasible?;
    if let Some(out) = &arguments.out {
        write(out, name, &found.assignment)?;
    }
    Ok(())
}

/// Writes an assignment in the challenge's format: machines apart by blanks, in one line.
fn write(folder: &Path, name: &str, assignment: &[u32]) -> Result<()> {
    let machines: Vec<String> = assignment.iter().map(u32::to_string).collect();
    let path = folder.join(format!("assignment_{name}.sol"));
    std::fs::create_dir_all(folder)?;
    std::fs::write(&path, machines.join(" ") + "\n")
        .map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(())
}

/// What the independent checker says of an outcome.
fn confirm(name: &str, instance: &Instance, found: &Found) -> Result<()> {
    let verdict = check(instance, &found.assignment);
    if !verdict.feasible() || verdict.cost != i128::from(found.cost) {
        return Err(format!("{name}: expected a cost of {}, got {verdict:?}", found.cost).into());
    }
    Ok(())
}

/// Search after a policy against search alone, in the same time.
fn compare(arguments: &Arguments, policies: &Path, names: &[String]) -> Result<()> {
    println!(
        "{:<8} {:>13} {:>13} {:>5} {:>8} {:>4} {:>13} {:>13} {:>10} {:>13}",
        "instance",
        "initial",
        "policy",
        "moves",
        "seconds",
        "seed",
        "alone",
        "after policy",
        "ahead by",
        "after greedy"
    );
    for name in names {
        let instance = read(&arguments.folder, name)?;
        let scenario = policies.join(format!("{name}.toml"));
        let artifact = policies.join(format!("{name}.pt"));
        let learnt =
            || -> Result<Box<dyn Policy>> { Ok(Box::new(Artifact::open(&artifact)?.policy(name))) };
        let greedy = || baseline("best-single-move").ok_or_else(|| "no such baseline".into());
        let initial = check(&instance, instance.initial()).cost;
        for seed in arguments.seed..arguments.seed + arguments.repeat {
            let rules = SearchRules { seed, ..arguments.rules() };
            let alone = search(&instance, rules)?;
            confirm(name, &instance, &alone)?;
            let (start, after) = search_after(name, &instance, &scenario, learnt, rules)?;
            let (_, control) = search_after(name, &instance, &scenario, greedy, rules)?;
            println!(
                "{name:<8} {initial:>13} {:>13} {:>5} {:>8.3} {seed:>4} {:>13} {:>13} {:>9.4}% {:>13}",
                start.cost,
                start.moves,
                start.time.as_secs_f64(),
                alone.cost,
                after.cost,
                100.0 * (alone.cost - after.cost) as f64 / alone.cost as f64,
                control.cost,
            );
        }
    }
    Ok(())
}

/// Where a policy gets.
struct Start {
    cost: i128,
    moves: usize,
    time: Duration,
}

/// Follows a policy from the initial assignment, and searches on in what is left of the time.
/// Reading scenario and policy counts, too.
fn search_after(
    name: &str,
    instance: &Instance,
    scenario: &Path,
    policy: impl Fn() -> Result<Box<dyn Policy>>,
    rules: SearchRules,
) -> Result<(Start, Found)> {
    let start = Instant::now();
    let scenario = Scenario::load(scenario)?;
    let env = ClusterEnv::new(Arc::new(WorldTemplate::new(&scenario)), Phase::Evaluate)?;
    let plan = plan(env.state(), &mut *policy()?, u32::MAX, None);
    let mut assignment = instance.initial().to_vec();
    for step in &plan.moves {
        assignment[step.workload] = step.destination as u32;
    }
    let time = start.elapsed();
    let rest = rules.time.map(|limit| limit.saturating_sub(time));
    let found = search_from(instance, &assignment, SearchRules { time: rest, ..rules })?;
    confirm(name, instance, &found)?;
    let cost = check(instance, &assignment).cost;
    Ok((Start { cost, moves: plan.moves.len(), time }, found))
}
