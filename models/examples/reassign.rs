//! Searches for reassignments of the challenge's instances and prints how good they are.
//!
//! `cargo run --release -p godwit-models --example reassign -- DIR [--seconds S] [--iterations N]
//! [--seed S] [--only NAME]`: for each `model_NAME.txt` in DIR (with `assignment_NAME.txt` beside
//! it), one after the other on one core, 60 seconds each by default. The last column is what the
//! independent checker says, which also confirms the cost; the exit status is an error where it
//! disagrees with the search.
//!
//! The instances are those of the ROADEF/EURO challenge 2012; `apache/incubator-kie-optaplanner` on
//! GitHub holds them in `optaplanner-examples/data/machinereassignment/import`.

use godwit_envs::reassignment::{Instance, check};
use godwit_models::reassignment::{SearchRules, search};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Duration;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Name, published lower bound, best cost known.
const KNOWN: [(&str, i64, i64); 5] = [
    ("a1_1", 44_306_390, 44_306_501),
    ("a1_2", 777_530_730, 777_531_842),
    ("a1_3", 583_005_700, 583_005_719),
    ("a1_4", 242_387_530, 248_524_578),
    ("a1_5", 727_578_290, 727_578_310),
];
const USAGE: &str = "usage: reassign DIR [--seconds S] [--iterations N] [--seed S] [--only NAME]";

struct Arguments {
    folder: PathBuf,
    only: Option<String>,
    rules: SearchRules,
}

fn main() -> Result<()> {
    let Arguments { folder, only, rules } = arguments()?;
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
    for name in names(&folder)? {
        if only.as_ref().is_none_or(|only| *only == name) {
            report(&folder, &name, rules)?;
        }
    }
    Ok(())
}

fn arguments() -> Result<Arguments> {
    let mut args = std::env::args().skip(1);
    let (mut folder, mut only) = (None, None);
    let mut rules = SearchRules::default();
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or(format!("{arg}: expected a value, got none; {USAGE}"));
        match arg.as_str() {
            "--seconds" => rules.time = Some(Duration::try_from_secs_f64(value()?.parse()?)?),
            "--iterations" => rules.iterations = Some(value()?.parse()?),
            "--seed" => rules.seed = value()?.parse()?,
            "--only" => only = Some(value()?),
            _ if folder.is_none() && !arg.starts_with('-') => folder = Some(PathBuf::from(arg)),
            _ => return Err(format!("expected an option, got {arg}; {USAGE}").into()),
        }
    }
    if rules.time.is_none() && rules.iterations.is_none() {
        rules.time = Some(Duration::from_secs(60));
    }
    Ok(Arguments { folder: folder.ok_or(USAGE)?, only, rules })
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

fn report(folder: &Path, name: &str, rules: SearchRules) -> Result<()> {
    let instance = Instance::read(
        folder.join(format!("model_{name}.txt")),
        folder.join(format!("assignment_{name}.txt")),
    )?;
    let initial = check(&instance, instance.initial()).cost;
    let found = search(&instance, rules)?;
    let verdict = check(&instance, &found.assignment);
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
        if verdict.feasible() { "yes" } else { "NO" }
    );
    if !verdict.feasible() || verdict.cost != i128::from(found.cost) {
        return Err(format!("{name}: expected a cost of {}, got {verdict:?}", found.cost).into());
    }
    Ok(())
}
