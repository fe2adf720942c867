//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Decides migrations for live clusters with a trained policy. Needs no libtorch.
#[derive(Debug, Parser)]
#[command(name = "godwit-scorer", version, about, long_about = None)]
#[command(after_help = "Exit codes: 0 done, 1 failed, 2 bad usage or bad input.")]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Read one snapshot, print one plan
    #[command(after_help = "Example:
  godwit-scorer decide --model policy.pt --snapshot cluster.json --max-moves 5 --pretty")]
    Decide(DecideArgs),
    /// Read one snapshot per line from standard input, print one plan (or error) per line
    #[command(after_help = "Example:
  godwit-scorer stream --model policy.pt < snapshots.jsonl > plans.jsonl")]
    Stream(StreamArgs),
    /// Print what an artifact says about itself
    #[command(after_help = "Example:
  godwit-scorer inspect policy.pt")]
    Inspect(InspectArgs),
    /// Print the JSON Schema of snapshots, or of what `decide` prints
    #[command(after_help = "Example:
  godwit-scorer schema > snapshot.schema.json")]
    Schema(SchemaArgs),
}

/// The policy and how far it may go.
#[derive(Debug, Args)]
pub struct PolicyArgs {
    /// The policy: an artifact that `godwit export` wrote, or the name of an embedded scenario for
    /// the policy that comes with the program
    #[arg(long, value_name = "FILE.pt|NAME")]
    pub model: PathBuf,
    /// At most this many migrations, next to the budget of the artifact's rules
    #[arg(long, value_name = "N", default_value_t = u32::MAX, hide_default_value = true)]
    pub max_moves: u32,
    /// Begin no further decision this many milliseconds after the snapshot was there
    #[arg(long, value_name = "MS")]
    pub deadline_ms: Option<u64>,
}

/// `decide`.
#[derive(Debug, Args)]
pub struct DecideArgs {
    /// The policy.
    #[command(flatten)]
    pub policy: PolicyArgs,
    /// The cluster as it stands, as JSON; `-` for standard input
    #[arg(long, value_name = "FILE.json|-")]
    pub snapshot: PathBuf,
    /// Print JSON on several lines, indented
    #[arg(long)]
    pub pretty: bool,
}

/// `stream`.
#[derive(Debug, Args)]
pub struct StreamArgs {
    /// The policy.
    #[command(flatten)]
    pub policy: PolicyArgs,
}

/// `inspect`.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// The artifact
    #[arg(value_name = "FILE.pt")]
    pub artifact: PathBuf,
    /// Print the whole manifest as JSON
    #[arg(long)]
    pub json: bool,
}

/// `schema`.
#[derive(Debug, Args)]
pub struct SchemaArgs {
    /// Which format
    #[arg(default_value = "snapshot")]
    pub format: Format,
}

/// A format that other programs read or write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// What `decide` reads
    Snapshot,
    /// What `decide` prints
    Plan,
}
