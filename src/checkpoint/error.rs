//! What can be wrong with a run directory or a checkpoint.

use crate::learn::finite::NotFinite;
use std::path::{Path, PathBuf};

/// Why a checkpoint could not be written or read. Every message names the file.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The disk refused.
    #[error("{path}: cannot {action}: {source}", path = path.display())]
    Io {
        /// File or directory.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file of the checkpoint is missing.
    #[error("{path}: expected a file of this checkpoint, got none", path = path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// A file has another size than the manifest says.
    #[error("{path}: expected {expected} bytes, got {got}", path = path.display())]
    Size {
        /// The file.
        path: PathBuf,
        /// Bytes when it was written.
        expected: u64,
        /// Bytes now.
        got: u64,
    },
    /// A file has other bytes than the manifest says.
    #[error("{path}: expected SHA-256 {expected}, got {got}", path = path.display())]
    Digest {
        /// The file.
        path: PathBuf,
        /// Digest when it was written.
        expected: String,
        /// Digest now.
        got: String,
    },
    /// A file says something else than this program understands or the rest of the checkpoint says.
    #[error("{path}: expected {expected}, got {got}", path = path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What would have been accepted.
        expected: String,
        /// What was found.
        got: String,
    },
    /// The trainer holds a number that nobody can go on from; nothing was written.
    #[error(transparent)]
    NotFinite(#[from] NotFinite),
    /// Nothing to load there.
    #[error("{path}: expected a checkpoint or a run directory with one, got neither", path = path.display())]
    NoCheckpoint {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A checkpoint of weights only.
    #[error("{path}: expected a checkpoint that training can go on from, got one of weights only", path = path.display())]
    NotResumable {
        /// The checkpoint.
        path: PathBuf,
    },
    /// A checkpoint of a complete run that has given up its replay.
    #[error("{path}: expected a checkpoint with its replay, from which training goes on, got one without: the run was complete, and keep_replay was false; a new run may start from its policy: --set initial_policy={path}", path = path.display())]
    NoReplay {
        /// The checkpoint.
        path: PathBuf,
    },
    /// Neither checkpoint of a run can be used.
    #[error("{last}; and {previous}")]
    BothDamaged {
        /// What is wrong with `last`.
        last: Box<CheckpointError>,
        /// What is wrong with `previous`.
        previous: Box<CheckpointError>,
    },
    /// The output directory of a new run is taken.
    #[error("{path}: expected a new or empty directory, got one that holds {holds}", path = path.display())]
    NotEmpty {
        /// The directory.
        path: PathBuf,
        /// What was found in it, and what to do.
        holds: &'static str,
    },
    /// Another process trains in this directory.
    #[error("{path}: expected a run that nothing is training, got one that another process holds", path = path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
    },
}

impl CheckpointError {
    /// Wraps an error of the system.
    pub(super) fn io(path: &Path, action: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, action, source }
    }

    /// Something unexpected inside a file.
    pub(super) fn content(
        path: &Path,
        expected: impl std::fmt::Display,
        got: impl std::fmt::Display,
    ) -> Self {
        Self::Content {
            path: path.to_owned(),
            expected: expected.to_string(),
            got: got.to_string(),
        }
    }
}
