//! `godwit export`: a checkpoint becomes an artifact.

use super::{BadInput, output};
use crate::export::Target;
use std::path::PathBuf;
use std::process::ExitCode;

/// Write a checkpoint's network as a TorchScript artifact.
///
/// The artifact is one immutable file that `torch.jit.load`, C++, tch and `godwit-scorer` read. It
/// is loaded again and compared with the native forward pass before it gets its name.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  godwit export checkpoints/quickstart/best --out policy.pt")]
pub struct Args {
    /// A checkpoint's folder (`best`, `last`, `step-N`) or a run's folder (its best checkpoint)
    checkpoint: PathBuf,
    /// Where to write the artifact
    #[arg(long, value_name = "FILE.pt")]
    out: PathBuf,
    /// Decide under the rules of this scenario, in place of those of the first training scenario
    #[arg(long, value_name = "SCENARIO")]
    scenario: Option<String>,
    /// Take the resource kinds of each snapshot, in place of the scenario's: for a policy that was
    /// trained on clusters of many kinds
    #[arg(long)]
    any_resources: bool,
    /// Held-out episodes (one where the scenario has a single start) on which the policy and the
    /// baselines are compared for the table in the artifact's manifest; 0 leaves it empty
    #[arg(long, default_value_t = 20)]
    episodes: u32,
    /// Print one JSON document instead of lines
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
/// When the checkpoint cannot be used, the file cannot be written, or the two forms of the
/// network differ.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if !args.checkpoint.is_dir() {
        let label = args.checkpoint.display();
        let message = format!("{label}: expected the folder of a checkpoint, got none");
        return Err(BadInput(message).into());
    }
    output::writable_file(&args.out)?;
    let scenario = args.scenario.as_deref().map(super::scenario).transpose()?;
    let target = Target { scenario, any_resources: args.any_resources };
    let episodes = args.episodes as usize;
    let report = crate::export::export(&args.checkpoint, &args.out, target, episodes, !args.json)?;
    if args.json {
        output::print_json(&report)?;
    } else {
        eprintln!("{}", report.to_string().trim_end());
    }
    Ok(ExitCode::SUCCESS)
}
