//! Searches for reassignments of the challenge's instances and prints how good they are.
//!
//! `cargo run --release -p godwit-models --example reassign -- DIR [--seconds S] [--iterations N]
//! [--seed S] [--only NAME] [--policies FOLDER [--repeat N]]`: for each `model_NAME.txt` in DIR (with
//! `assignment_NAME.txt` beside it), one after the other on one core, 60 seconds each by default.
//! The last column is what the independent checker says, which also confirms the cost; the exit
//! status is an error where it disagrees with the search.
//!
//! With `--policies`, FOLDER/NAME.toml is the imported instance and FOLDER/NAME.pt a policy for it:
//! the search begins where the policy got, in what is left of the same time, and is compared with
//! the search alone, seed by seed (N of them, 5 by default). The last column is a control: the
//! search after best single moves.
//!
//! The instances are those of the ROADEF/EURO challenge 2012; `apache/incubator-kie-optaplanner` on
//! GitHub holds them in `optaplanner-examples/data/machinereassignment/import`.

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

/// Name, published lower bound, best cost known.
const KNOWN: [(&str, i64, i64); 5] = [
    ("a1_1", 44_306_390, 44_306_501),
    ("a1_2", 777_530_730, 777_531_842),
    ("a1_3", 583_005_700, 583_005_719),
    ("a1_4", 242_387_530, 248_524_578),
    ("a1_5", 727_578_290, 727_578_310),
];
const USAGE: &str = "usage: reassign DIR [--seconds S] [--iterations N] [--seed S] [--only NAME] \
                     [--policies FOLDER [--repeat N]]";

struct Arguments {
    folder: PathBuf,
    only: Option<String>,
    rules: SearchRules,
    policies: Option<PathBuf>,
    repeat: u64,
}

fn main() -> Result<()> {
    let arguments = arguments()?;
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
    names.iter().try_for_each(|name| report(&arguments.folder, name, arguments.rules))
}

fn arguments() -> Result<Arguments> {
    let mut args = std::env::args().skip(1);
    let (mut folder, mut only, mut policies, mut repeat) = (None, None, None, 5);
    let mut rules = SearchRules::default();
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or(format!("{arg}: expected a value, got none; {USAGE}"));
        match arg.as_str() {
            "--seconds" => rules.time = Some(Duration::try_from_secs_f64(value()?.parse()?)?),
            "--iterations" => rules.iterations = Some(value()?.parse()?),
            "--seed" => rules.seed = value()?.parse()?,
            "--only" => only = Some(value()?),
            "--policies" => policies = Some(PathBuf::from(value()?)),
            "--repeat" => repeat = value()?.parse()?,
            _ if folder.is_none() && !arg.starts_with('-') => folder = Some(PathBuf::from(arg)),
            _ => return Err(format!("expected an option, got {arg}; {USAGE}").into()),
        }
    }
    if rules.time.is_none() && rules.iterations.is_none() {
        rules.time = Some(Duration::from_secs(60));
    }
    if policies.is_some() && rules.time.is_none() {
        return Err("--policies: expected --seconds, the time that both ways share".into());
    }
    Ok(Arguments { folder: folder.ok_or(USAGE)?, only, rules, policies, repeat })
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
    Ok(Instance::read(
        folder.join(format!("model_{name}.txt")),
        folder.join(format!("assignment_{name}.txt")),
    )?)
}

fn report(folder: &Path, name: &str, rules: SearchRules) -> Result<()> {
    let instance = read(folder, name)?;
    let initial = check(&instance, instance.initial()).cost;
    let found = search(&instance, rules)?;
    let feasible = confirm(name, &instance, &found);
    let known = KNOWN.iter().find(|known| known.0 == name);
    let (bound, best) = (known.map(|known| known.1), known.map(|known| known.2));
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
    feasible
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
        for seed in arguments.rules.seed..arguments.rules.seed + arguments.repeat {
            let rules = SearchRules { seed, ..arguments.rules };
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
