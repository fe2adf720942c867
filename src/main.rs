//! The `godwit` program: train migration policies, compare them, export them.

#![warn(missing_docs)]

use godwit::cli::{self, Command};
use std::process::ExitCode;

fn main() -> ExitCode {
    godwit::machine::memory::keep_freed_memory();
    let outcome = match cli::parse().command {
        Command::Scenarios(args) => cli::scenarios::run(&args),
        Command::Baselines(args) => cli::baselines::run(&args),
        Command::Train(args) => cli::train::run(&args),
        Command::Sweep(args) => cli::sweep::run(&args),
        Command::TuneBaselines(args) => cli::tune_baselines::run(&args),
        Command::Evaluate(args) => cli::evaluate::run(&args),
        Command::Explain(args) => cli::explain::run(&args),
        Command::Export(args) => cli::export::run(&args),
        Command::Verify(args) => cli::verify::run(&args),
        Command::Snapshot(args) => cli::snapshot::run(&args),
        Command::Import(args) => cli::import::run(&args),
        Command::Bench(args) => cli::bench::run(&args),
        Command::Doctor(args) => cli::doctor::run(&args),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {}", cli::one_line(&error));
        cli::exit_code(&error)
    })
}
