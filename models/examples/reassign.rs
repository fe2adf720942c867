//! Searches for reassignments of the challenge's instances and prints how good they are.
//!
//! `cargo run --release -p godwit-models --example reassign -- DIR [--seconds S] [--iterations N]
//! [--seed S] [--only NAME]`: for each `model_NAME.txt` in DIR (with `assignment_NAME.txt` beside
//! it), on one core. Every assignment is judged by the independent checker before it is printed.

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

fn main() -> Result<()> {
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
    let folder = folder.ok_or(USAGE)?;
    if rules.time.is_none() && rules.iterations.is_none() {
        rules.time = Some(Duration::from_secs(60));
    }
    println!(
        "{:<8} {:>14} {:>14} {:>14} {:>9} {:>14} {:>8} {:>12} {:>8}",
        "instance",
        "initial",
        "final",
        "best known",
        "gap",
        "lower bound",
        "gap",
        "moves tried",
        "seconds"
    );
    for name in names(&folder)? {
        if only.as_ref().is_none_or(|only| *only == name) {
            report(&folder, &name, rules)?;
        }
    }
    Ok(())
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
    if !verdict.feasible() || verdict.cost != i128::from(found.cost) {
        return Err(format!("{name}: expected a cost of {}, got {verdict:?}", found.cost).into());
    }
    let known = KNOWN.iter().find(|known| known.0 == name);
    let number = |value: Option<i64>| value.map_or("-".to_owned(), |value| value.to_string());
    let gap = |value: Option<i64>| {
        value.map_or("-".to_owned(), |value| {
            format!("{:.4}%", 100.0 * (found.cost - value) as f64 / value as f64)
        })
    };
    let (bound, best) = (known.map(|known| known.1), known.map(|known| known.2));
    println!(
        "{name:<8} {initial:>14} {:>14} {:>14} {:>9} {:>14} {:>8} {:>12} {:>8.1}",
        found.cost,
        number(best),
        gap(best),
        number(bound),
        gap(bound),
        found.iterations,
        found.time.as_secs_f64()
    );
    Ok(())
}
