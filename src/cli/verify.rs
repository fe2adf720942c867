//! `godwit verify`: is an artifact what it says it is?

use super::output;
use std::path::PathBuf;
use std::process::ExitCode;

/// Check an artifact: libtorch against the native forward pass, golden vectors, checksums.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  godwit verify policy.pt")]
pub struct Args {
    /// The artifact
    #[arg(value_name = "FILE.pt")]
    artifact: PathBuf,
    /// Print one JSON document instead of lines
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
/// When a check fails.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let report = crate::export::verify(&args.artifact)?;
    if args.json {
        output::print_json(&report)?;
    } else {
        output::print(&report.to_string())?;
    }
    Ok(ExitCode::SUCCESS)
}
