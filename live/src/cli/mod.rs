//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Watches a cluster, decides which workloads to migrate, and carries it out.
#[derive(Debug, Parser)]
#[command(name = "godwit-live", version, arg_required_else_help = true, after_help = HELP)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Below the list of commands.
const HELP: &str = "\
Examples:
  godwit-live snapshot --config live.toml     what it sees of the cluster
  godwit-live plan --config live.toml         what it would do; moves nothing
  godwit-live run --config live.toml          watch, decide and, with mode = \"active\", move
  godwit-live status --config live.toml       what the running one does
  godwit-live halt --config live.toml         no more moves begin until `resume`

Exit codes: 0 done, 1 it went wrong, 2 the configuration or what was asked for is wrong.";

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Watch, decide, move, assess; until it is told to stop. Moves under way go on without it, and
    /// the next start asks the cluster about them
    Run(RunArgs),
    /// Print the cluster as it is seen, as a snapshot
    Snapshot(SnapshotArgs),
    /// Print the plan for the cluster as it is now; moves nothing and remembers nothing
    Plan(ConfigArgs),
    /// Write down what Prometheus recorded of the cluster, to train on: `godwit import prometheus` makes
    /// a scenario of it
    History(HistoryArgs),
    /// Print what the running one does
    Status(TellArgs),
    /// Print what was done, the latest last; reads the journal, whether or not one is running
    Journal(JournalArgs),
    /// Give a move up: it never begins, or the cluster is asked to cancel it
    Abort(AbortArgs),
    /// Begin no more moves until `resume`; those under way go on
    Halt(ConfigArgs),
    /// Begin moves again
    Resume(ConfigArgs),
    /// Print the JSON Schema of the configuration
    Schema,
}

/// Where the configuration is.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// The configuration
    #[arg(long, value_name = "FILE.toml", default_value = "live.toml")]
    pub config: PathBuf,
}

/// `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Where the configuration is.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Stop when nothing is left to be done: the last decision moves nothing and no move is under way,
    /// or a simulated episode is over
    #[arg(long)]
    pub until_settled: bool,
}

/// `snapshot`.
#[derive(Debug, Args)]
pub struct SnapshotArgs {
    /// Where the configuration is.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Read what `kubectl get nodes,pods,poddisruptionbudgets -A -o json` wrote in place of a cluster; `-`
    /// for standard input. Goes by the table `kubernetes` of the configuration, where there is one
    #[arg(long, value_name = "DUMP.json|-")]
    pub from: Option<PathBuf>,
    /// Print what no snapshot can say, on standard error
    #[arg(long)]
    pub notes: bool,
}

/// `history`.
#[derive(Debug, Args)]
pub struct HistoryArgs {
    /// Where the configuration is; its table `prometheus` says what to ask.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// How far back, days
    #[arg(long, value_name = "DAYS", default_value_t = 14.0)]
    pub days: f64,
    /// Where to write it
    #[arg(long, value_name = "HISTORY.json")]
    pub out: PathBuf,
}

/// `status`.
#[derive(Debug, Args)]
pub struct TellArgs {
    /// Where the configuration is.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Print the whole document as JSON
    #[arg(long)]
    pub json: bool,
}

/// `journal`.
#[derive(Debug, Args)]
pub struct JournalArgs {
    /// Where the configuration is.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Print at most so many records, the latest
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub last: usize,
    /// Print one JSON document per line
    #[arg(long)]
    pub json: bool,
    /// Print what was predicted and what was measured of each move, and by how much predictions were
    /// off, in place of the records
    #[arg(long, conflicts_with = "json")]
    pub moves: bool,
}

/// `abort`.
#[derive(Debug, Args)]
pub struct AbortArgs {
    /// The move, as `status` calls it
    #[arg(value_name = "ORDER")]
    pub order: String,
    /// Where the configuration is.
    #[command(flatten)]
    pub config: ConfigArgs,
}
