//! godwit-scorer: live migration decisions from cluster snapshots, without libtorch.
//!
//! One program with seven commands: `decide` and `stream` read snapshots and print plans, `serve`
//! answers over HTTP, `replay` makes logged decisions again, `observe` writes what a policy sees,
//! `inspect` and `schema` say what there is to know before. Whatever decides does so through the crate `godwit-decide`: the same snapshot gets the same plan
//! from each command.
//!
//! # Layout
//! Each takes from those above it in this list, never from those below:
//!
//! - `cli`: the command line and its help
//! - `decision_log`: records of decisions, enough of each to make it again
//! - `stderr_log`: log lines on standard error
//! - `serve`: the service, which describes its own layout
//! - `commands`: every other command

mod cli;
mod commands;
mod decision_log;
mod serve;
mod stderr_log;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use godwit_decide::engine::EngineError;
use godwit_decide::own_folder::FolderError;
use godwit_decide::told::told;
use godwit_envs::input::InputError;
use godwit_models::artifact::ArtifactError;

use cli::{Cli, Command};
use commands::replay_log::ReplayError;
use commands::{decide_stream, inspect, observe, replay_log};
use decision_log::LogError;
use serve::settings::settings_error::SettingsError;

/// A request makes and drops some thousand small things, many on another thread than they were made.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Decide(args) => decide_stream::decide(&args),
        Command::Stream(args) => decide_stream::stream(&args),
        Command::Serve(args) => serve::serve(&args),
        Command::Replay(args) => replay_log::replay(&args),
        Command::Observe(args) => observe::observe(&args),
        Command::Inspect(args) => inspect::inspect(&args),
        Command::Schema(args) => inspect::schema(args.format),
    };
    let Err(error) = done else { return ExitCode::SUCCESS };
    // Whoever reads our output has read enough.
    if error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe) {
        return ExitCode::SUCCESS;
    }
    // Nothing is left to be done when standard error is closed.
    let _ = writeln!(io::stderr(), "error: {}", told(error.as_ref()));
    let bad_input = error.is::<InputError>()
        || error.is::<ArtifactError>()
        || error.is::<SettingsError>()
        || error.is::<LogError>()
        || error.is::<FolderError>()
        || matches!(error.downcast_ref(), Some(EngineError::Input(_)))
        || matches!(error.downcast_ref(), Some(ReplayError::Incomplete(_)));
    ExitCode::from(if bad_input { 2 } else { 1 })
}
