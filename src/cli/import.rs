//! `godwit import`: real clusters as scenarios.

use super::{OrBadInput, output};
use clap::Subcommand;
use godwit_envs::importers::{self, ImportObjective, ImportOptions, Imported};
use godwit_envs::scenario::SlotRules;
use std::path::PathBuf;
use std::process::ExitCode;

/// Turn a public data set of a real cluster into a scenario.
///
/// Writes the scenario and, next to it, a compact snapshot of the cluster. Training starts from
/// perturbed placements; evaluation starts from the true one.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  godwit import vm-snapshot cluster.json --out cluster.toml --slot cpu=16 --budget 50
  godwit import openb nodes.csv pods.csv --out gpu-cluster.toml --fraction 0.1 --seed 1")]
pub struct Args {
    #[command(subcommand)]
    source: Source,
}

#[derive(Debug, Subcommand)]
enum Source {
    /// Node and pod lists of a GPU cluster (Alibaba openb); pods are placed best fit
    #[command(after_help = "\
Example:
  godwit import openb nodes.csv pods.csv --out gpu-cluster.toml --fraction 0.1 --seed 1")]
    Openb {
        /// Node list
        #[arg(value_name = "NODES.csv")]
        nodes: PathBuf,
        /// Pod list
        #[arg(value_name = "PODS.csv")]
        pods: PathBuf,
        #[command(flatten)]
        options: Options,
        /// Share of the cluster to keep, stratified by node kind
        #[arg(long, default_value_t = 1.0)]
        fraction: f64,
        /// Seed of the sample
        #[arg(long, default_value_t = 0)]
        seed: u64,
    },
    /// Placed virtual machines per NUMA node, as JSON
    #[command(after_help = "\
Example:
  godwit import vm-snapshot cluster.json --out cluster.toml --slot cpu=16 --budget 50")]
    VmSnapshot {
        /// The data set's file
        #[arg(value_name = "FILE.json")]
        file: PathBuf,
        #[command(flatten)]
        options: Options,
    },
}

#[derive(Debug, clap::Args)]
struct Options {
    /// Where to write the scenario; the snapshot gets its name with `.snapshot.json`
    #[arg(long, value_name = "SCENARIO.toml")]
    out: PathBuf,
    /// What to minimise: max-load, imbalance or fragmentation
    #[arg(long, default_value = "fragmentation")]
    objective: ImportObjective,
    /// Unit in which free supply is useful [default: 16 cores or 1 GPU]
    #[arg(long, value_name = "RESOURCE=SIZE")]
    slot: Option<SlotRules>,
    /// Moves that an episode allows
    #[arg(long, default_value_t = 50, value_name = "MOVES")]
    budget: u32,
}

impl Options {
    fn to_import(&self, fraction: f64, seed: u64) -> ImportOptions {
        ImportOptions {
            objective: self.objective,
            slot: self.slot.clone(),
            budget: self.budget,
            fraction,
            seed,
        }
    }
}

/// Runs the command.
///
/// # Errors
/// When a file is not what it should be, or the scenario cannot be written.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.source {
        Source::Openb { nodes, pods, options, fraction, seed } => {
            let imported = || importers::openb(nodes, pods, &options.to_import(*fraction, *seed));
            write(options, imported)
        }
        Source::VmSnapshot { file, options } => {
            let defaults = ImportOptions::default();
            let settings = options.to_import(defaults.fraction, defaults.seed);
            write(options, || importers::vm_snapshot(file, &settings))
        }
    }
}

fn write<E: Into<anyhow::Error>>(
    options: &Options,
    import: impl FnOnce() -> Result<Imported, E>,
) -> anyhow::Result<ExitCode> {
    output::writable_file(&options.out)?;
    let imported = import().or_bad_input()?;
    let snapshot = imported.write(&options.out)?;
    eprint!("{}", imported.report);
    eprintln!("wrote {} and {}", options.out.display(), snapshot.display());
    Ok(ExitCode::SUCCESS)
}
