//! What a run takes on the disk, and how a complete run gives up its replay.

use super::directory::{LAST, PREVIOUS, RunDirectory};
use super::error::CheckpointError;
use super::names;
use super::stage::{read_manifest, replace_manifest, sync_directory};
use std::collections::HashSet;
use std::fs::{self, Metadata};
use std::path::Path;

/// Bytes that a run's files take. Files that checkpoints share count once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DiskUse {
    /// All files, those of other ranks included.
    pub bytes: u64,
    /// The replay's part of them.
    pub replay_bytes: u64,
}

/// What the run in this folder takes on the disk. What cannot be read counts for nothing: other
/// ranks may be tidying up.
pub fn disk_use(run: &Path) -> DiskUse {
    let mut sum = DiskUse::default();
    add(run, &mut HashSet::new(), &mut sum);
    sum
}

fn add(folder: &Path, seen: &mut HashSet<(u64, u64)>, sum: &mut DiskUse) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(metadata) = entry.metadata() else { continue };
        if metadata.is_dir() {
            add(&entry.path(), seen, sum);
        } else if identity(&metadata).is_none_or(|file| seen.insert(file)) {
            sum.bytes += metadata.len();
            if entry.file_name() == names::REPLAY {
                sum.replay_bytes += metadata.len();
            }
        }
    }
}

/// What tells a file from others, whatever its name.
#[cfg(unix)]
fn identity(metadata: &Metadata) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt as _;
    Some((metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn identity(_: &Metadata) -> Option<(u64, u64)> {
    None
}

/// Removes the replay from all checkpoints of a run that is complete. They keep their policies;
/// training cannot go on from them. `previous`, which was only there to go on from, goes altogether.
///
/// # Errors
/// When a checkpoint cannot be changed. Those that were not reached can still be resumed.
pub fn drop_replay(directory: &RunDirectory) -> Result<(), CheckpointError> {
    let run = directory.path();
    let previous = run.join(PREVIOUS);
    if previous.exists() {
        fs::remove_dir_all(&previous).map_err(CheckpointError::io(&previous, "remove"))?;
    }
    for entry in fs::read_dir(run).map_err(CheckpointError::io(run, "list"))?.flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let replay = path.join(names::REPLAY);
        if !replay.exists() {
            continue;
        }
        // Damaged ones have no manifest to keep true.
        if name == LAST || name.to_string_lossy().starts_with("step-") {
            let mut manifest = read_manifest(&path)?;
            manifest.resumable = false;
            manifest.files.remove(names::REPLAY);
            // First: a kill after it leaves a file that nobody asks for, not one that is missed.
            replace_manifest(&path, &manifest)?;
        }
        fs::remove_file(&replay).map_err(CheckpointError::io(&replay, "remove"))?;
        sync_directory(&path)?;
    }
    sync_directory(run)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed expectation is the point of a test

    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_file_that_two_checkpoints_share_counts_once() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("last")).unwrap();
        fs::create_dir(at("step-1")).unwrap();
        fs::write(at("last/replay.bin"), [0; 100]).unwrap();
        fs::hard_link(at("last/replay.bin"), at("step-1/replay.bin")).unwrap();
        fs::write(at("config.toml"), [0; 10]).unwrap();
        assert_eq!(disk_use(folder.path()), DiskUse { bytes: 110, replay_bytes: 100 });
    }
}
