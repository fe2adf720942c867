//! The command line: one module per command, and what they share.

pub mod baselines;
pub mod bench;
pub mod doctor;
pub mod evaluate;
pub mod explain;
pub mod export;
mod groups;
pub mod import;
mod output;
mod reference;
mod resume;
mod run_header;
pub mod scenarios;
mod settings;
mod settings_list;
pub mod snapshot;
pub mod sweep;
pub mod train;
pub mod tune_baselines;
pub mod verify;

pub use groups::parse;

use crate::checkpoint::CheckpointError;
use crate::config::ConfigError;
use crate::machine::device::DeviceError;
use crate::policies::PolicyError;
use clap::{Parser, Subcommand};
use godwit_envs::env::ResetError;
use godwit_envs::input::InputError;
use godwit_envs::scenario::{Scenario, ScenarioError};
use godwit_models::artifact::ArtifactError;
use std::io;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};

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

/// What the person typed, or a file they named, cannot be used: exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadInput(pub String);

/// Turns any error into [`BadInput`].
pub(crate) trait OrBadInput<T> {
    /// The same, as the user's to mend.
    fn or_bad_input(self) -> anyhow::Result<T>;
}

impl<T, E: Into<anyhow::Error>> OrBadInput<T> for Result<T, E> {
    fn or_bad_input(self) -> anyhow::Result<T> {
        self.map_err(|error| BadInput(one_line(&error.into())).into())
    }
}

/// An error and its causes on one line. A cause that the text before already tells is left out.
pub fn one_line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain() {
        let text = cause.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        if line.is_empty() {
            line = text;
        } else if !line.contains(&text) {
            line = format!("{line}: {text}");
        }
    }
    line
}

/// 2 where the user can mend it by typing something else, by mending a file or by making room for
/// one, otherwise 1.
pub fn exit_code(error: &anyhow::Error) -> ExitCode {
    let bad_input = error.chain().any(|cause| {
        cause.is::<BadInput>()
            || cause.is::<ScenarioError>()
            || cause.is::<InputError>()
            || cause.is::<ConfigError>()
            || cause.is::<PolicyError>()
            || cause.is::<DeviceError>()
            || cause.is::<ArtifactError>()
            || cause.is::<CheckpointError>()
            || cause.is::<ResetError>()
            || cause.downcast_ref().is_some_and(cannot_be_written)
    });
    ExitCode::from(if bad_input { 2 } else { 1 })
}

fn cannot_be_written(error: &io::Error) -> bool {
    use io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    matches!(error.kind(), PermissionDenied | QuotaExceeded | ReadOnlyFilesystem | StorageFull)
}

/// The scenario that the command line names.
pub(crate) fn scenario(name_or_path: &str) -> anyhow::Result<Scenario> {
    Ok(Scenario::resolve(name_or_path)?)
}

/// The exit code that shells give to a process that this signal ended.
pub(crate) fn interrupted(received: &AtomicUsize) -> ExitCode {
    ExitCode::from(128 + u8::try_from(received.load(Ordering::Relaxed)).unwrap_or(0))
}

/// Sizes the thread pool that environments, evaluations and updates share; 0 for one thread per
/// core. The calling thread is one of them: work handed to a pool from outside would wait for
/// another thread to wake up, which takes longer than a small network's update.
pub(crate) fn use_threads(threads: usize) -> anyhow::Result<()> {
    rayon::ThreadPoolBuilder::new().num_threads(threads).use_current_thread().build_global()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed expectation is the point of a test

    use super::*;
    use anyhow::Context;
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

    #[test]
    fn an_error_is_one_line_that_says_nothing_twice() {
        let source = std::io::Error::other("the disk\nis full");
        let error = InputError::Unwritable { file: "out.toml".into(), source };
        let error = Err::<(), _>(error).context("import").unwrap_err();
        assert_eq!(
            one_line(&error),
            "import: out.toml: expected to write it, got the disk is full"
        );
    }

    #[test]
    fn bad_input_is_told_from_failure() {
        let code = |error: &anyhow::Error| format!("{:?}", exit_code(error));
        let bad = Err::<(), _>(Scenario::resolve("nosuch").unwrap_err()).context("evaluate");
        assert_eq!(code(&bad.unwrap_err()), format!("{:?}", ExitCode::from(2)));
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        let full = anyhow::Error::from(full).context("the last checkpoint");
        assert_eq!(code(&full), format!("{:?}", ExitCode::from(2)));
        let failed = anyhow::anyhow!("libtorch failed").context("train");
        assert_eq!(code(&failed), format!("{:?}", ExitCode::from(1)));
    }
}
