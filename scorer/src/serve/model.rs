//! The artifact that decides now, and how another one takes its place while requests run.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use godwit_models::artifact::ArtifactError;
use schemars::JsonSchema;
use serde::Serialize;

use super::drift::Standing;
use crate::engine::Loaded;

/// The artifact that decides now. Whoever works with one keeps it until the work is done.
#[derive(Debug)]
pub struct LiveModel {
    path: PathBuf,
    current: RwLock<Arc<Loaded>>,
    /// The file as it was when it was last read; held while it is being read, so that two reloads
    /// never overlap.
    read: Mutex<Option<Signature>>,
}

/// What `GET /v1/model` says.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ModelInfo {
    /// Where it was read from: a file, or the name of a policy that comes with the program.
    pub path: String,
    /// SHA-256 of the file, in hex.
    pub sha256: String,
    /// Scenario that the policy was trained on.
    pub scenario: String,
    /// Hash of the feature schema.
    pub schema_hash: String,
    /// `relational`, `candidate` or `mlp`.
    pub architecture: String,
    /// Number of weights.
    pub weights: usize,
    /// Version of godwit that exported it.
    pub producer: String,
    /// When it was read, in seconds since 1970.
    pub read_at_seconds: u64,
    /// How its plans have done.
    pub standing: Standing,
}

impl LiveModel {
    /// Reads the artifact for the first time.
    ///
    /// # Errors
    /// The first check of the artifact that fails.
    pub fn open(path: PathBuf) -> Result<Self, ArtifactError> {
        let signature = Signature::of(&path);
        let current = RwLock::new(Arc::new(Loaded::open(&path)?));
        Ok(Self { path, current, read: Mutex::new(signature) })
    }

    /// The artifact that decides now.
    pub fn current(&self) -> Arc<Loaded> {
        // A poisoned lock still holds one whole artifact or the other.
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the file again and lets what it holds decide from now on.
    ///
    /// # Errors
    /// The first check that fails; the artifact before then stays.
    pub fn reload(&self) -> Result<Arc<Loaded>, ArtifactError> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        // Taken first: a file that changes while it is being read is read once more.
        *read = Signature::of(&self.path);
        self.swap()
    }

    /// [`LiveModel::reload`] if the file is another than the one that was last read; `None` if it is
    /// the same or gone.
    pub fn reload_if_changed(&self) -> Option<Result<Arc<Loaded>, ArtifactError>> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Signature::of(&self.path)?;
        if *read == Some(now) {
            return None;
        }
        *read = Some(now);
        Some(self.swap())
    }

    fn swap(&self) -> Result<Arc<Loaded>, ArtifactError> {
        let loaded = Arc::new(Loaded::open(&self.path)?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&loaded);
        Ok(loaded)
    }
}

impl ModelInfo {
    /// What is told about this artifact.
    pub fn new(loaded: &Loaded, standing: Standing) -> Self {
        let manifest = &loaded.artifact.manifest;
        let architecture = serde_json::to_value(manifest.network.architecture).unwrap_or_default();
        let since = loaded.read_at.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            path: loaded.artifact.path.display().to_string(),
            sha256: loaded.name.sha256.clone(),
            scenario: loaded.name.scenario.clone(),
            schema_hash: manifest.schema_hash.clone(),
            architecture: architecture.as_str().unwrap_or_default().to_owned(),
            weights: manifest.network.parameter_count(),
            producer: manifest.producer.clone(),
            read_at_seconds: since.as_secs(),
            standing,
        }
    }
}

/// What shows that a file is another, without reading it.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Signature {
    modified: Option<SystemTime>,
    length: u64,
    inode: u64,
}

impl Signature {
    fn of(path: &PathBuf) -> Option<Self> {
        let file = std::fs::metadata(path).ok()?;
        #[cfg(unix)]
        let inode = std::os::unix::fs::MetadataExt::ino(&file);
        #[cfg(not(unix))]
        let inode = 0;
        Some(Self { modified: file.modified().ok(), length: file.len(), inode })
    }
}
