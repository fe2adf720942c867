//! godwit-live: watches a cluster, decides, moves workloads and learns from what came of it.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use godwit_decide::own_folder::FolderError;
use godwit_decide::told::told;
use godwit_envs::input::InputError;
use godwit_live::cli::{Cli, Command};
use godwit_live::clusters::OpenError;
use godwit_live::commands::{ask, look, run, tell};
use godwit_live::desk::DeskError;
use godwit_live::web::WebError;

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Run(args) => run::run(&args),
        Command::Snapshot(args) => look::snapshot(&args),
        Command::Plan(args) => look::plan(&args),
        Command::History(args) => look::history(&args),
        Command::Status(args) => tell::status(&args),
        Command::Journal(args) => tell::journal(&args),
        Command::Abort(args) => ask::abort(&args),
        Command::Halt(args) => ask::halt(&args),
        Command::Resume(args) => ask::resume(&args),
        Command::Schema => tell::schema(),
    };
    let Err(error) = done else { return ExitCode::SUCCESS };
    // Whoever reads our output has read enough.
    if error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe) {
        return ExitCode::SUCCESS;
    }
    // Nothing is left to be done when standard error is closed.
    let _ = writeln!(io::stderr(), "error: {}", told(error.as_ref()));
    let bad_input = error.is::<InputError>()
        || error.is::<FolderError>()
        || error.is::<DeskError>()
        || error.is::<OpenError>()
        || error.is::<WebError>();
    ExitCode::from(if bad_input { 2 } else { 1 })
}
