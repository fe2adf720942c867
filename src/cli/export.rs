//! `godwit export`: a checkpoint becomes an artifact.

use super::{BadInput, output};
use crate::export::Target;
use godwit_models::artifact::Artifact;
use godwit_models::onnx::OPSET;
use std::path::PathBuf;
use std::process::ExitCode;

/// Write a checkpoint's network as an artifact (TorchScript), or as ONNX.
///
/// The artifact is one immutable file that `torch.jit.load`, C++, tch and `godwit-scorer` read. It
/// is loaded again and compared with the native forward pass before it gets its name. ONNX is for
/// other runtimes: the network alone, of the same weights.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  godwit export checkpoints/quickstart/best --out policy.pt
  godwit export checkpoints/quickstart/best --format onnx --out policy.onnx")]
pub struct Args {
    /// A checkpoint's folder (`best`, `last`, `step-N`) or a run's folder (its best checkpoint)
    checkpoint: PathBuf,
    /// Where to write it
    #[arg(long, value_name = "FILE.pt|FILE.onnx")]
    out: PathBuf,
    /// What to write
    #[arg(long, value_enum, default_value_t = Format::Torchscript)]
    format: Format,
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

/// Forms of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// The artifact that `godwit-scorer` reads
    Torchscript,
    /// The network alone, for runtimes that read ONNX
    Onnx,
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
    if args.format == Format::Onnx {
        return export_onnx(args, target);
    }
    let episodes = args.episodes as usize;
    let report = crate::export::export(&args.checkpoint, &args.out, target, episodes, !args.json)?;
    if args.json {
        output::print_json(&report)?;
    } else {
        eprintln!("{}", report.to_string().trim_end());
    }
    Ok(ExitCode::SUCCESS)
}

/// Exports an artifact, with all its checks, and keeps its network.
fn export_onnx(args: &Args, target: Target) -> anyhow::Result<ExitCode> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("policy.pt");
    let report = crate::export::export(&args.checkpoint, &path, target, 0, false)?;
    let bytes = Artifact::read(&path)?.to_onnx();
    output::write_file(&args.out, &bytes)?;
    let (out, length) = (args.out.display().to_string(), bytes.len());
    if args.json {
        let told = serde_json::json!({
            "path": out, "format": "onnx", "opset": OPSET, "bytes": length,
            "artifact_sha256": report.sha256,
        });
        output::print_json(&told)?;
    } else {
        eprintln!("{out}: ONNX, opset {OPSET}, {length} bytes");
    }
    Ok(ExitCode::SUCCESS)
}
