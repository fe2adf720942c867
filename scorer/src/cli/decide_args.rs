//! Arguments of `decide` and `stream`, and those that `serve` shares with them.

use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::Args;
use godwit_models::pretrained::GENERALIST;

/// The policy and how far it may go.
#[derive(Debug, Args)]
pub struct PolicyArgs {
    /// The policy: an artifact that `godwit export` wrote, or the name of one that comes with the
    /// program: `generalist`, for any cluster, or that of an embedded scenario
    #[arg(long, value_name = "FILE.pt|NAME", default_value = GENERALIST)]
    pub model: PathBuf,
    /// At most this many migrations, next to the budget of the artifact's rules
    #[arg(long, value_name = "N", default_value_t = u32::MAX, hide_default_value = true)]
    pub max_moves: u32,
    /// Begin no further decision this many milliseconds after the snapshot was there
    #[arg(long, value_name = "MS")]
    pub deadline_ms: Option<u64>,
    /// Compare the policy's plan with those of quick baselines, in the simulator, for so many
    /// milliseconds at most, and take the best: in rebalance scenarios also with changes of it and,
    /// from 10 ms on, with plans of searches; 0 for the policy's own plan. Ends at half of the time
    /// until a deadline. The answer says whose plan it is
    #[arg(long, value_name = "MS", default_value_t = 5,
        value_parser = clap::value_parser!(u32).range(0..=60_000))]
    pub think: u32,
    /// Simulate so many plans on a copy of the cluster and take the one that gains most, costs
    /// taken off: the policy's own, and others whose moves are drawn by the policy's values from
    /// fixed seeds. Takes N times as long; with a deadline, the best of those that there was time
    /// for. In rebalance scenarios only: in online ones the policy's own plan is taken, whatever N is
    #[arg(long, value_name = "N", default_value = "1")]
    pub best_of: NonZeroU32,
    /// Limits on every plan, as TOML: moves per node and tenant, disruption budgets, hold-down,
    /// back-off, windows, lifetime of moves, age of the input, least gain (`godwit-scorer schema limits` lists them).
    /// Those that look back count the plans of `stream`, and of `serve` in mode active, as carried
    /// out
    #[arg(long, value_name = "FILE.toml")]
    pub limits: Option<PathBuf>,
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
    /// What is told.
    #[command(flatten)]
    pub tell: TellArgs,
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
    /// What is remembered across restarts.
    #[command(flatten)]
    pub state: StateArgs,
    /// Longest line; of a longer one nothing is kept, and it gets an error
    #[arg(long, value_name = "BYTES", default_value_t = 8 << 20)]
    pub max_line_bytes: usize,
    /// What is told.
    #[command(flatten)]
    pub tell: TellArgs,
}

/// What is remembered across restarts.
#[derive(Debug, Args)]
pub struct StateArgs {
    /// Keep what is remembered of earlier plans (hold-down, back-off, cool-downs, a halt) in this
    /// folder, which is made if it is not there, and go on from it. Each plan is on the disk before
    /// it is answered
    #[arg(long = "state", value_name = "FOLDER")]
    pub folder: Option<PathBuf>,
}

/// What is told of decisions.
#[derive(Debug, Args)]
pub struct TellArgs {
    /// Name each workload that stays where it is, and why, next to how many stay for each reason
    #[arg(long)]
    pub stays: bool,
}
