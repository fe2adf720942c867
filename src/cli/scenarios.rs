//! `godwit scenarios`: what ships inside the program.

use super::{output, reference};
use clap::Subcommand;
use comfy_table::{Table, presets};
use godwit_envs::family;
use godwit_envs::scenario::{EMBEDDED, Mode, Scenario, WorldTemplate};
use serde::Serialize;
use std::path::PathBuf;
use std::process::ExitCode;

/// List the embedded scenarios, or print one.
///
/// A printed scenario is a complete file, comments included: save it, change it, and give its path
/// wherever a command takes SCENARIO.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  godwit scenarios
  godwit scenarios show quickstart > mine.toml
  godwit scenarios schema > scenario.schema.json")]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// Print one JSON document
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print a scenario as the file that it is
    #[command(after_help = "Example:\n  godwit scenarios show quickstart > mine.toml")]
    Show {
        /// Embedded scenario or scenario file
        scenario: String,
    },
    /// Draw worlds of the family that `generalist` is trained on, one file each
    ///
    /// Clusters of 2 to 64 nodes with demand, faults, arrivals, weights and limits as they come. The
    /// same seed gives the same world. Train on some of them to have a policy for clusters that it
    /// never saw; compare on others.
    #[command(after_help = "\
Example:
  godwit scenarios draw --count 3 --out worlds
  godwit train worlds/world-0.toml worlds/world-1.toml worlds/world-2.toml --minutes 10")]
    Draw {
        /// Seed of the first world; the others follow it
        #[arg(long, default_value_t = 0)]
        seed: u64,
        /// How many
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=10_000))]
        count: u64,
        /// Most nodes of a world
        #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(3..=64))]
        largest: u32,
        /// Folder of the files; made if it is not there
        #[arg(long)]
        out: PathBuf,
    },
    /// Print the JSON Schema of scenario files: meaning, unit, range and default of every field
    #[command(after_help = "Example:\n  godwit scenarios schema > scenario.schema.json")]
    Schema {
        /// Print the page of the book instead
        #[arg(long, hide = true)]
        markdown: bool,
    },
}

/// One line of the list.
#[derive(Serialize)]
struct Row {
    name: &'static str,
    mode: Mode,
    nodes: usize,
    workloads: usize,
    description: String,
}

/// Runs the command.
///
/// # Errors
/// When there is no such scenario.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.command {
        Some(Command::Show { scenario: name }) => {
            let scenario = super::scenario(name)?;
            let embedded = EMBEDDED.iter().find(|embedded| embedded.name == name);
            if args.json {
                output::print_json(&scenario)?;
            } else if let Some(embedded) = embedded {
                output::print(embedded.toml)?;
            } else {
                output::print(&std::fs::read_to_string(name)?)?;
            }
        }
        Some(Command::Schema { markdown: true }) => output::print(&reference_page())?,
        Some(Command::Schema { markdown: false }) => output::print_json(&Scenario::json_schema())?,
        Some(Command::Draw { seed, count, largest, out }) => {
            for seed in *seed..seed.saturating_add(*count) {
                let world = family::draw(seed, *largest);
                let path = out.join(format!("{}.toml", world.name));
                output::write_file(&path, world.to_toml().as_bytes())?;
            }
        }
        None => list(args.json)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The page of the book about the fields of a scenario.
pub(super) fn reference_page() -> String {
    let head = "A scenario is a TOML file. This page lists every field, table by table, and within a table in alphabetical order. A path such as `rules.episode` is the table `[rules.episode]` of the file. \"Required\" holds where the table that the field belongs to is there.\n\n`godwit scenarios show quickstart` prints a complete file to start from. `godwit scenarios schema` prints what is on this page as a JSON Schema, which editors can check a file by.";
    let sections = reference::sections(&Scenario::json_schema());
    reference::page("Scenario fields", head, "make reference", &sections)
}

fn list(json: bool) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    for embedded in EMBEDDED {
        let scenario = Scenario::embedded(embedded.name)?;
        let template = WorldTemplate::new(&scenario);
        rows.push(Row {
            name: embedded.name,
            mode: scenario.rules.episode.mode,
            nodes: template.spec().nodes(),
            workloads: template.spec().workloads(),
            description: scenario.description,
        });
    }
    if json {
        return output::print_json(&rows);
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["scenario", "mode", "nodes", "workloads", ""]);
    for row in rows {
        let (nodes, workloads) = (row.nodes.to_string(), row.workloads.to_string());
        table.add_row([row.name, row.mode.name(), &nodes, &workloads, &row.description]);
    }
    table.column_iter_mut().for_each(|column| {
        column.set_padding((0, 2));
    });
    output::print(&table.trim_fmt())
}
