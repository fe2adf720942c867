//! Arguments of the commands about files: `replay`, `observe`, `inspect` and `schema`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use godwit_models::pretrained::GENERALIST;

/// `replay`.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// Files of a decision log, or folders with them
    #[arg(value_name = "LOG", required = true)]
    pub logs: Vec<PathBuf>,
    /// The artifact that decided, as for `serve`; once for each where there were several
    #[arg(long = "model", value_name = "FILE.pt|NAME", required = true)]
    pub models: Vec<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// `observe`.
#[derive(Debug, Args)]
pub struct ObserveArgs {
    /// The policy: an artifact, or the name of one that comes with the program
    #[arg(long, value_name = "FILE.pt|NAME", default_value = GENERALIST)]
    pub model: PathBuf,
    /// The cluster as it stands, as JSON; `-` for standard input
    #[arg(long, value_name = "FILE.json|-")]
    pub snapshot: PathBuf,
    /// Where the arrays go
    #[arg(long, value_name = "FILE.safetensors")]
    pub out: PathBuf,
}

/// `inspect`.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// The artifact
    #[arg(value_name = "FILE.pt")]
    pub artifact: PathBuf,
    /// Print the whole manifest as JSON
    #[arg(long)]
    pub json: bool,
}

/// `schema`.
#[derive(Debug, Args)]
pub struct SchemaArgs {
    /// Which format
    #[arg(default_value = "snapshot")]
    pub format: Format,
}

/// A format that other programs read or write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// What `decide` reads
    Snapshot,
    /// What `decide` prints
    Plan,
    /// What `--limits` reads
    Limits,
}
