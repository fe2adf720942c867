//! The command line: one module per command, and what they share.

pub mod baselines;
pub mod bench;
pub mod doctor;
mod errors;
pub mod evaluate;
pub mod explain;
pub mod export;
mod groups;
pub mod import;
mod output;
mod reference;
pub mod scenarios;
mod settings;
mod settings_list;
mod shared;
pub mod snapshot;
pub mod sweep;
pub mod train;
pub mod tune_baselines;
pub mod verify;

pub(crate) use errors::OrBadInput;
pub use errors::{BadInput, exit_code, one_line};
pub use groups::parse;
pub(crate) use shared::{compute_device, interrupted, scenario, use_threads};

use clap::{Parser, Subcommand};

/// Reinforcement-learning trainer for workload migration policies.
#[derive(Debug, Parser)]
#[command(
    version,
    about,
    arg_required_else_help = true,
    after_help = "\
Example, from nothing to a policy that other programs can load:
  godwit train quickstart --out checkpoints/first
  godwit evaluate quickstart --policy checkpoints/first
  godwit export checkpoints/first/best --out policy.pt

`godwit COMMAND --help` says more about a command, with examples.
SCENARIO is the name of an embedded scenario (`godwit scenarios`) or the path of
a scenario file.
Exit codes: 0 done, 1 failed, 2 bad usage, bad input or no place to write to;
130 or 143 when a signal ended a training run or a sweep after its checkpoints
were written."
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands, in the order in which a newcomer meets them.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the embedded scenarios, print one, or their JSON Schema
    Scenarios(scenarios::Args),
    /// List the baselines, with a line about each
    Baselines(baselines::Args),
    /// Train a policy on a scenario
    Train(train::Args),
    /// Search settings: random ones, of which the better train longer
    Sweep(sweep::Args),
    /// Tune the baselines' parameters on training episodes
    TuneBaselines(tune_baselines::Args),
    /// Compare policies and baselines on the same held-out episodes
    Evaluate(evaluate::Args),
    /// Show what a policy's moves are for, beside a baseline's
    Explain(explain::Args),
    /// Write a checkpoint's network as a TorchScript artifact
    Export(export::Args),
    /// Check an artifact: forward passes, golden vectors, checksums
    Verify(verify::Args),
    /// Write the start of an evaluation episode as a snapshot
    Snapshot(snapshot::Args),
    /// Turn a public data set of a real cluster into a scenario
    Import(import::Args),
    /// Measure speeds on this machine
    Bench(bench::Args),
    /// Show what this machine offers and whether libtorch works on it
    Doctor(doctor::Args),
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_shows_an_example() {
        for command in Cli::command().get_subcommands_mut() {
            let help = command.render_long_help().to_string();
            assert!(help.contains("Example"), "{}", command.get_name());
            assert!(help.contains("\n  godwit "), "{}", command.get_name());
        }
    }
}
