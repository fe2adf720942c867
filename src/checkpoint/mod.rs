//! Checkpoints: a training run on disk that survives a kill at any moment.
//!
//! A run directory holds `last/` (everything needed to go on), `previous/` (the one before it),
//! `best/` (the weights with the best validation return) and, if asked for, `step-N/`. Each is a
//! directory with a `manifest.json` of sizes and SHA-256 digests. A checkpoint is written to a
//! temporary directory, synced, and renamed; at every moment a complete one exists under `last` or
//! `previous`. Resuming gives the same bits as never having stopped (CPU).

mod directory;
mod disk;
mod error;
mod load;
mod replay_file;
mod resume;
mod stage;
mod state;
#[cfg(test)]
mod tests;
mod texts;
mod weights;
mod write;

pub use directory::{RunDirectory, write_scenarios};
pub use disk::{DiskUse, disk_use, drop_replay};
pub use error::CheckpointError;
pub use load::{LoadedCheckpoint, load};
pub use resume::{Resumed, resume, resume_previous};
pub use write::{keep_iteration, rebase_best, write_best, write_last};

/// Name of the scenario at this index of a run's mixture, in its directory and its checkpoints.
pub fn scenario_file(at: usize) -> String {
    names::scenario(at)
}

/// Version of the files of a checkpoint.
pub const FORMAT: u32 = 4;

/// Names of the files of a checkpoint.
mod names {
    pub const MANIFEST: &str = "manifest.json";
    pub const STATE: &str = "state.json";
    pub const WEIGHTS: &str = "weights.safetensors";
    pub const REPLAY: &str = "replay.bin";
    pub const CONFIG: &str = "config.toml";
    /// The first scenario.
    pub const SCENARIO: &str = "scenario.toml";

    /// The scenario at this index.
    pub fn scenario(at: usize) -> String {
        if at == 0 { SCENARIO.to_owned() } else { format!("scenario-{}.toml", at + 1) }
    }

    /// The snapshot of the scenario at this index.
    pub fn snapshot(at: usize) -> String {
        scenario(at).replace(".toml", ".snapshot.json")
    }
}
