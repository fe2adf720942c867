//! `godwit doctor`: will it work here?

use super::output;
use crate::doctor;
use crate::machine::device::DeviceChoice;
use std::process::ExitCode;

/// Show what this machine offers and whether libtorch works on it.
///
/// Prints versions, paths, devices and threads, compares the CPU with the GPU where there is one,
/// and runs a short speed test.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  godwit doctor
  godwit doctor --device cuda --json")]
pub struct Args {
    /// The device that you want to train on: auto, cpu, cuda or cuda:INDEX
    #[arg(long, default_value_t)]
    device: DeviceChoice,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// Runs the command; exit code 1 when a check failed.
///
/// # Errors
/// When the device cannot be had or libtorch fails.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let missing = args.device.resolve().err();
    let report = doctor::report(args.device)?;
    if args.json {
        output::print_json(&report)?;
    } else {
        output::print(&report.to_string())?;
    }
    if let Some(error) = missing {
        return Err(error.into());
    }
    Ok(if report.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
