//! `godwit baselines`: the heuristics that a policy is compared with.

use super::output;
use comfy_table::{Table, presets};
use godwit_models::baselines::{BASELINES, Baseline};
use serde::Serialize;
use std::process::ExitCode;

/// List the baselines.
///
/// Their names are what `evaluate --baselines`, `tune-baselines --baselines`, `explain --baseline`
/// and the settings comparisons.baseline, demonstrations.baseline and paired_baseline take. The JSON
/// document also states the parameters that can be tuned or set (comparisons.parameters).
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  godwit baselines
  godwit evaluate quickstart --baselines stay,best-single-move")]
pub struct Args {
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// One line of the list.
#[derive(Serialize)]
struct Row {
    name: &'static str,
    description: &'static str,
    parameters: Vec<Parameter>,
}

#[derive(Serialize)]
struct Parameter {
    name: &'static str,
    meaning: &'static str,
    /// What it may be, in words.
    range: String,
    /// In words, as `godwit tune-baselines` writes it.
    default: String,
    /// Whether it does nothing in rebalance scenarios.
    online_only: bool,
}

/// Runs the command.
///
/// # Errors
/// When standard output cannot be written to.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let rows: Vec<Row> = BASELINES.iter().map(row).collect();
    if args.json {
        output::print_json(&rows)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["baseline", "what it does"]);
    for row in &rows {
        table.add_row([row.name, row.description]);
    }
    table.column_iter_mut().for_each(|column| {
        column.set_padding((0, 2));
    });
    output::print(&table.trim_fmt())?;
    Ok(ExitCode::SUCCESS)
}

fn row(baseline: &Baseline) -> Row {
    let declaration = baseline.declaration();
    let declared = declaration.map(|known| known.parameters()).unwrap_or_default();
    let parameters = declared
        .iter()
        .map(|known| Parameter {
            name: known.name,
            meaning: known.meaning,
            range: known.range(),
            default: known.text(known.default),
            online_only: known.online_only,
        })
        .collect();
    Row { name: baseline.name, description: baseline.description, parameters }
}
