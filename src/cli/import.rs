//! `godwit import`: real clusters as scenarios.

use super::{OrBadInput, output};
use clap::Subcommand;
use godwit_envs::importers::{
    self, ChurnOptions, History, ImportObjective, ImportOptions, Imported, ImportedOnline,
    LogOptions, TraceOptions,
};
use godwit_envs::scenario::SlotRules;
use godwit_models::artifact::Artifact;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Turn a public data set of a real cluster, or the log of a live one, into a scenario.
///
/// Writes the scenario and, next to it, a compact snapshot of the cluster. Training starts from
/// perturbed placements; evaluation starts from the true one. With `openb --churn`, workloads come
/// and go as they did; training and evaluation play different days.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  godwit import vm-snapshot cluster.json --out cluster.toml --slot cpu=16 --budget 50
  godwit import openb nodes.csv pods.csv --out gpu-cluster.toml --fraction 0.1 --seed 1
  godwit import openb nodes.csv pods.csv --churn --out gpu-churn.toml
  godwit import machine-reassignment model_a1_2.txt assignment_a1_2.txt --out a1_2.toml
  godwit import trace usage.csv.gz --scenario founding-10x50 --out usage.toml
  godwit import decision-log decisions --model policy.pt --out live.toml
  godwit import prometheus history.json --model policy.pt --out live.toml")]
pub struct Args {
    #[command(subcommand)]
    source: Source,
}

/// What a recorded live cluster is made into.
#[derive(Debug, clap::Args)]
struct LiveOptions {
    /// Where to write the scenario
    #[arg(long, value_name = "SCENARIO.toml")]
    out: PathBuf,
    /// Artifact, or the name of a policy that comes with the program, whose rules (objective, costs,
    /// limits, forecast) the scenario takes over
    #[arg(long, value_name = "FILE.pt", conflicts_with_all = ["objective", "slot"])]
    model: Option<PathBuf>,
    /// What to minimise: max-load, imbalance or fragmentation
    #[arg(long, default_value = "max-load")]
    objective: ImportObjective,
    /// Unit in which free supply is useful, for fragmentation
    #[arg(long, value_name = "RESOURCE=SIZE")]
    slot: Option<SlotRules>,
    /// Share of the record that training plays; evaluation plays the rest [default: both play all,
    /// and training starts from disturbed placements]
    #[arg(long, value_name = "SHARE")]
    split: Option<f64>,
    /// Ticks of an episode [default: the whole record or, with --split, as in the rules, but at
    /// most half of the shorter part]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    ticks: Option<u32>,
}

impl LiveOptions {
    fn to_import(&self) -> anyhow::Result<LogOptions> {
        let artifact = self.model.as_deref().map(Artifact::open).transpose()?;
        Ok(LogOptions {
            rules: artifact.map(|artifact| artifact.rules()).transpose()?,
            objective: self.objective,
            slot: self.slot.clone(),
            split: self.split,
            ticks: self.ticks,
        })
    }
}

#[derive(Debug, Subcommand)]
enum Source {
    /// What `godwit-scorer serve --decision-log` wrote: a live cluster, as it was decided about
    ///
    /// Workloads want what the snapshots say from tick to tick, and come and go as they did; nodes
    /// fail as often as they did. What was decided plays no part. Lines that cannot be read are
    /// skipped and counted.
    #[command(after_help = "\
Examples:
  godwit import decision-log decisions --model policy.pt --out live.toml
  godwit import decision-log decisions --objective imbalance --split 0.7 --out live.toml")]
    DecisionLog {
        /// Folder of the log
        #[arg(value_name = "FOLDER")]
        folder: PathBuf,
        #[command(flatten)]
        options: LiveOptions,
    },
    /// Node and pod lists of a GPU cluster (Alibaba openb): pods placed best fit, or as churn
    #[command(after_help = "\
Examples:
  godwit import openb nodes.csv pods.csv --out gpu-cluster.toml --fraction 0.1 --seed 1
  godwit import openb nodes.csv pods.csv --churn --out gpu-churn.toml")]
    Openb {
        /// Node list
        #[arg(value_name = "NODES.csv")]
        nodes: PathBuf,
        /// Pod list
        #[arg(value_name = "PODS.csv")]
        pods: PathBuf,
        #[command(flatten)]
        options: Options,
        /// Share of the cluster to keep, stratified by node kind [default: 1, or by --load]
        #[arg(long)]
        fraction: Option<f64>,
        /// Seed of the sample
        #[arg(long, default_value_t = 0)]
        seed: u64,
        /// Let pods come and go as they did: an online scenario, episodes of a day
        #[arg(long, conflicts_with = "budget")]
        churn: bool,
        #[command(flatten)]
        days: Days,
    },
    /// An instance of the machine-reassignment challenge (ROADEF/EURO 2012): model and assignment
    ///
    /// Capacity, conflict, spread, dependency and transient constraints hold in every state; the
    /// objective is the challenge's cost.
    #[command(after_help = "\
Example:
  godwit import machine-reassignment model_a1_2.txt assignment_a1_2.txt --out a1_2.toml --budget 100")]
    MachineReassignment {
        /// Machines, services, processes and costs, in the challenge's format
        #[arg(value_name = "MODEL.txt")]
        model: PathBuf,
        /// Initial machine of each process
        #[arg(value_name = "ASSIGNMENT.txt")]
        assignment: PathBuf,
        /// Where to write the scenario; a snapshot gets its name with `.snapshot.json`
        #[arg(long, value_name = "SCENARIO.toml")]
        out: PathBuf,
        /// Moves that an episode allows
        #[arg(long, default_value_t = 50, value_name = "MOVES")]
        budget: u32,
    },
    /// What `godwit-live history` wrote: a live cluster, with the use that Prometheus recorded
    ///
    /// Nodes and workloads are those of the snapshot in it, for all of the time; demand follows what was
    /// recorded. Gaps keep the value before them.
    #[command(after_help = "\
Examples:
  godwit-live history --config live.toml --days 14 --out history.json
  godwit import prometheus history.json --model policy.pt --split 0.7 --out live.toml")]
    Prometheus {
        /// The history
        #[arg(value_name = "HISTORY.json")]
        file: PathBuf,
        #[command(flatten)]
        options: LiveOptions,
    },
    /// A utilisation trace (time, id, value), laid over the requests of an online scenario
    ///
    /// Every workload follows the series of one id: its demand is its request times a factor, which
    /// rises in proportion to the value. Training plays the first part of the trace, evaluation the
    /// rest.
    #[command(after_help = "\
Examples:
  godwit import trace usage.csv.gz --scenario founding-10x50 --out usage.toml
  godwit import trace duty.csv --scenario mine.toml --out duty.toml --time-column timestamp --id-column pod --low 0.2 --high 1.5")]
    Trace {
        /// Trace as CSV with a header, plain or compressed by gzip
        #[arg(value_name = "TRACE.csv[.gz]")]
        file: PathBuf,
        /// Embedded scenario or scenario file: nodes, requests and rules
        #[arg(long)]
        scenario: String,
        /// Where to write the scenario
        #[arg(long, value_name = "SCENARIO.toml")]
        out: PathBuf,
        #[command(flatten)]
        options: Box<TraceArgs>,
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

/// Which part of the trace becomes churn, and on how many nodes.
#[derive(Debug, clap::Args)]
struct Days {
    /// Day with which training begins
    #[arg(long, default_value_t = 117, requires = "churn", value_name = "DAY")]
    from_day: u32,
    /// Day with which training ends and evaluation begins
    #[arg(long, default_value_t = 140, requires = "churn", value_name = "DAY")]
    split_day: u32,
    /// Day with which evaluation ends
    #[arg(long, default_value_t = 149, requires = "churn", value_name = "DAY")]
    to_day: u32,
    /// Keep the fewest nodes on which the mean utilisation of no resource exceeds this
    #[arg(
        long,
        default_value_t = 0.6,
        requires = "churn",
        conflicts_with = "fraction",
        value_name = "SHARE"
    )]
    load: f64,
}

/// How values become demand.
#[derive(Debug, clap::Args)]
struct TraceArgs {
    /// Column of the time in seconds
    #[arg(long, default_value = "time", value_name = "NAME")]
    time_column: String,
    /// Column that tells the series apart
    #[arg(long, default_value = "id", value_name = "NAME")]
    id_column: String,
    /// Column of the utilisation, in any unit
    #[arg(long, default_value = "value", value_name = "NAME")]
    value_column: String,
    /// Factor on the request where the value is 0
    #[arg(long, default_value_t = 0.5, value_name = "FACTOR")]
    low: f32,
    /// Factor on the request where the value is the highest of the part that training plays, or more
    #[arg(long, default_value_t = 2.0, value_name = "FACTOR")]
    high: f32,
    /// Leave out ids that have values in less than this share of the ticks
    #[arg(long, default_value_t = 0.9, value_name = "SHARE")]
    coverage: f64,
    /// Share of the trace that training plays
    #[arg(long, default_value_t = 0.6, value_name = "SHARE")]
    split: f64,
    /// Ticks of an episode [default: the scenario's, but at most half of the shorter part]
    #[arg(long)]
    ticks: Option<u32>,
    /// Resources that follow the trace, separated by commas [default: all]
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    resources: Vec<String>,
    /// Refuse the file at its first bad row; else bad rows are left out, counted and the first
    /// named, as long as there are more good ones
    #[arg(long)]
    strict: bool,
}

impl TraceArgs {
    fn to_import(&self) -> TraceOptions {
        TraceOptions {
            columns: [&self.time_column, &self.id_column, &self.value_column].map(String::clone),
            factors: [self.low, self.high],
            coverage: self.coverage,
            split: self.split,
            ticks: self.ticks,
            resources: self.resources.clone(),
            strict: self.strict,
        }
    }
}

#[derive(Debug, clap::Args)]
struct Options {
    /// Where to write the scenario; a snapshot gets its name with `.snapshot.json`
    #[arg(long, value_name = "SCENARIO.toml")]
    out: PathBuf,
    /// What to minimise: max-load, imbalance or fragmentation
    #[arg(long, default_value = "fragmentation")]
    objective: ImportObjective,
    /// Unit in which free supply is useful [default: 16 cores, 1 GPU, or 8 with --churn]
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
        Source::Openb { nodes, pods, options, fraction, seed, churn: true, days } => {
            let churn = ChurnOptions {
                objective: options.objective,
                slot: options.slot.clone(),
                from_day: days.from_day,
                split_day: days.split_day,
                to_day: days.to_day,
                load: days.load,
                fraction: *fraction,
                seed: *seed,
            };
            write_online(&options.out, || importers::openb_churn(nodes, pods, &churn))
        }
        Source::Openb { nodes, pods, options, fraction, seed, .. } => {
            let settings = options.to_import(fraction.unwrap_or(1.0), *seed);
            let imported = || importers::openb(nodes, pods, &settings);
            write(&options.out, imported)
        }
        Source::DecisionLog { folder, options } => {
            let settings = options.to_import()?;
            write_online(&options.out, || importers::decision_log(folder, &settings))
        }
        Source::Prometheus { file, options } => {
            let settings = options.to_import()?;
            write_online(&options.out, || History::load(file)?.import(&settings))
        }
        Source::MachineReassignment { model, assignment, out, budget } => {
            write(out, || importers::machine_reassignment(model, assignment, *budget))
        }
        Source::Trace { file, scenario, out, options } => {
            let base = super::scenario(scenario)?;
            write_online(out, || importers::trace(file, &base, &options.to_import()))
        }
        Source::VmSnapshot { file, options } => {
            let defaults = ImportOptions::default();
            let settings = options.to_import(defaults.fraction, defaults.seed);
            write(&options.out, || importers::vm_snapshot(file, &settings))
        }
    }
}

fn write<E: Into<anyhow::Error>>(
    out: &Path,
    import: impl FnOnce() -> Result<Imported, E>,
) -> anyhow::Result<ExitCode> {
    output::writable_file(out)?;
    let imported = import().or_bad_input()?;
    let snapshot = imported.write(out)?;
    eprint!("{}", imported.report);
    eprintln!("wrote {} and {}", out.display(), snapshot.display());
    Ok(ExitCode::SUCCESS)
}

fn write_online<R: Display, E: Into<anyhow::Error>>(
    out: &Path,
    import: impl FnOnce() -> Result<ImportedOnline<R>, E>,
) -> anyhow::Result<ExitCode> {
    output::writable_file(out)?;
    let imported = import().or_bad_input()?;
    imported.write(out)?;
    eprint!("{}", imported.report);
    eprintln!("wrote {}", out.display());
    Ok(ExitCode::SUCCESS)
}
