//! `godwit tune-baselines`: the heuristics at their best, for a fair comparison.

use super::{BadInput, output};
use anyhow::Context;
use comfy_table::{CellAlignment, Table, presets};
use godwit_envs::input::nearest_hint;
use godwit_envs::scenario::WorldTemplate;
use godwit_evaluate::progress::Progress;
use godwit_evaluate::tuned_file::{TunedBaseline, TunedFile, default_path};
use godwit_models::baselines::BASELINES;
use godwit_models::parameter_search::{Search, tune};
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

/// Tune the parameters of the baselines on a scenario's training episodes.
///
/// A trained policy should be compared with heuristics at their best. For each baseline the
/// defaults and random settings play the same training episodes, the better ones play more, and
/// the best is refined. It replaces the defaults only if it is ahead of them on fresh training
/// episodes, too. Episodes of `godwit evaluate` are never played. The result does not depend on
/// the number of threads.
///
/// The file states scenario, seeds, budget and every parameter with its meaning. `godwit evaluate
/// SCENARIO --tuned` reads it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  godwit tune-baselines quickstart
  godwit evaluate quickstart --tuned
  godwit tune-baselines founding-10x50 --baselines hold-down,sandpiper --trials 300 --out mine.toml
  godwit evaluate founding-10x50 --tuned mine.toml")]
pub struct Args {
    /// Embedded scenario or scenario file
    scenario: String,
    /// Where to write the parameters, replacing what is there [default: baselines/SCENARIO.toml]
    #[arg(long, value_name = "FILE.toml")]
    out: Option<PathBuf>,
    /// `all` that have parameters, or names separated by commas
    #[arg(long, default_value = "all", value_name = "NAMES")]
    baselines: String,
    /// Settings to try for each baseline, its defaults included
    #[arg(long, default_value_t = 96, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    trials: u32,
    /// Training episodes that the best settings play; twice as many fresh ones decide
    #[arg(long, default_value_t = 96, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    episodes: u32,
    /// Seed of the first episode (the others follow it) and of the search
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(..1 << 62))]
    seed: u64,
    /// Threads to use; 0 for one per core
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// Print one JSON document instead of the table
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    out: PathBuf,
    seconds: BTreeMap<&'static str, f64>,
    #[serde(flatten)]
    file: &'a TunedFile,
}

/// Runs the command.
///
/// # Errors
/// When the scenario cannot be used, an episode cannot be played, or the file cannot be written.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    super::use_threads(args.threads)?;
    let scenario = super::scenario(&args.scenario)?;
    let names = tunable_names(&args.baselines)?;
    let out = args.out.clone().unwrap_or_else(|| default_path(&scenario));
    output::writable_file(&out)?;

    let search =
        Search { trials: args.trials as usize, episodes: args.episodes as usize, seed: args.seed };
    let template = Arc::new(WorldTemplate::new(&scenario));
    let mut file = TunedFile::new(&scenario, &search);
    let mut seconds = BTreeMap::new();
    let each = search.episodes_at_most();
    let bar = Progress::new(!args.json, (each * names.len()) as u64, "episodes");
    for (i, &name) in names.iter().enumerate() {
        bar.set_message(name);
        let begin = Instant::now();
        let found = tune(&template, name, &search, &|episodes| bar.inc(episodes as u64))
            .with_context(|| format!("baseline {name}"))?;
        // A search may need fewer episodes than it is given.
        bar.set_position((each * (i + 1)) as u64);
        file.add(name, &found);
        let took = begin.elapsed().as_secs_f64();
        seconds.insert(name, took);
        if !args.json && !std::io::stderr().is_terminal() {
            eprintln!(
                "{name}: {} of {}, default {:.4}, best {:.4}, {took:.1} s",
                i + 1,
                names.len(),
                found.default_return,
                found.best_return
            );
        }
    }
    bar.finish();
    output::write_file(&out, file.to_toml().as_bytes())?;
    if args.json {
        output::print_json(&Report { out, seconds, file: &file })?;
    } else {
        let search = &file.search;
        eprintln!(
            "{}: mean returns over {} fresh training episodes (seeds {} to {})\n",
            scenario.name,
            search.holdout_episodes,
            search.holdout_first_seed,
            search.holdout_first_seed + search.holdout_episodes as u64 - 1
        );
        output::print(&table(&file, &seconds))?;
        eprintln!("\nuse it: godwit evaluate {} --tuned {}", args.scenario, out.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// Baselines that have parameters, in the order of their list.
fn tunable_names(list: &str) -> anyhow::Result<Vec<&'static str>> {
    let tunable = BASELINES.iter().filter(|baseline| baseline.declaration().is_some());
    let known: Vec<&'static str> = tunable.map(|baseline| baseline.name).collect();
    if list == "all" {
        return Ok(known);
    }
    let mut names = Vec::new();
    for name in list.split(',').map(str::trim) {
        let found = known.iter().find(|known| **known == name).ok_or_else(|| {
            BadInput(format!(
                "--baselines: expected all, or some of {} (`godwit baselines` says what each \
                 does){}, got {name:?}",
                known.join(", "),
                nearest_hint(name, known.iter().copied())
            ))
        })?;
        if !names.contains(found) {
            names.push(*found);
        }
    }
    Ok(names)
}

fn table(file: &TunedFile, seconds: &BTreeMap<&'static str, f64>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["baseline", "default", "best", "gain", "+-", "trials", "s", "used"]);
    for (name, found) in &file.baselines {
        let TunedBaseline { tuned, default_return, best_return, standard_error, trials, .. } =
            found;
        table.add_row([
            name.clone(),
            format!("{default_return:.4}"),
            format!("{best_return:.4}"),
            format!("{:+.4}", best_return - default_return),
            format!("{standard_error:.4}"),
            trials.to_string(),
            format!("{:.1}", seconds.get(name.as_str()).copied().unwrap_or(0.0)),
            if *tuned { "best" } else { "default" }.to_owned(),
        ]);
    }
    for (i, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if (1..7).contains(&i) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt()
}
