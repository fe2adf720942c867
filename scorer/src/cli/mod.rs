//! The command line.

pub mod decide_args;
pub mod file_args;
mod help;
pub mod serve_args;

use clap::{Parser, Subcommand};

use crate::cli::decide_args::{DecideArgs, StreamArgs};
use crate::cli::file_args::{InspectArgs, ObserveArgs, ReplayArgs, SchemaArgs};
use crate::cli::help::{REPLAY_HELP, SERVE_HELP};
use crate::cli::serve_args::ServeArgs;

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
  godwit-scorer stream --model policy.pt < snapshots.jsonl > plans.jsonl

A line that cannot be decided about gets {\"line\": N, \"error\": {\"code\": ..., \"message\": ...}}, the
error as serve answers it, and the next line is read. Blank lines are skipped.")]
    Stream(StreamArgs),
    /// Answer requests over HTTP
    #[command(after_help = SERVE_HELP)]
    Serve(Box<ServeArgs>),
    /// Make the decisions of a decision log again and compare
    #[command(after_help = REPLAY_HELP)]
    Replay(ReplayArgs),
    /// Write what a policy sees of a snapshot, and its values, as arrays for other programs
    #[command(after_help = "Example:
  godwit-scorer observe --model policy.pt --snapshot cluster.json --out obs.safetensors

Names, shapes and types are those of an artifact's golden vectors: 0.nodes, 0.workloads, 0.globals,
0.candidates (feature by feature), 0.candidate_workload, 0.candidate_source,
0.candidate_destination, 0.placement, 0.mask, and the network's values 0.q.")]
    Observe(ObserveArgs),
    /// Print what an artifact says about itself
    #[command(after_help = "Example:
  godwit-scorer inspect policy.pt")]
    Inspect(InspectArgs),
    /// Print the JSON Schema of snapshots, or of what `decide` prints
    #[command(after_help = "Example:
  godwit-scorer schema > snapshot.schema.json")]
    Schema(SchemaArgs),
}
