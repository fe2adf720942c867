//! The artifact that decides now, and how another one takes its place while requests run.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use godwit_decide::loaded::Loaded;
use godwit_models::artifact::{Artifact, ArtifactError};
use schemars::JsonSchema;
use serde::Serialize;

use super::takeover::{Reader, ReloadError, differences};
use godwit_decide::outcomes::drift::Standing;

/// The artifact that decides now. Whoever works with one keeps it until the work is done.
#[derive(Debug)]
pub struct LiveModel {
    path: PathBuf,
    /// Whether an artifact with other rules, or for other input, may take over at any time.
    allow_other_rules: bool,
    current: RwLock<Arc<Loaded>>,
    reader: Reader,
    /// Held while the file is being read, so that two reloads never overlap.
    seen: Mutex<Seen>,
}

/// What is known of the file.
#[derive(Debug, Default)]
struct Seen {
    /// The file as it was when it was last read.
    signature: Option<Signature>,
    /// Whether it was told that the file system does not answer.
    slow: bool,
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
    pub fn open(path: PathBuf, allow_other_rules: bool) -> Result<Self, ArtifactError> {
        let seen = Seen { signature: Signature::of(&path), slow: false };
        let current = RwLock::new(Arc::new(Loaded::open(&path)?));
        let reader = Reader::default();
        Ok(Self { path, allow_other_rules, current, reader, seen: Mutex::new(seen) })
    }

    /// The artifact that decides now.
    pub fn current(&self) -> Arc<Loaded> {
        // A poisoned lock still holds one whole artifact or the other.
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the file again and lets what it holds decide from now on, with other rules only if
    /// they are allowed here or were at the start.
    ///
    /// # Errors
    /// The first check that fails; the artifact before then stays.
    pub fn reload(&self, allow_other_rules: bool) -> Result<Arc<Loaded>, ReloadError> {
        let mut seen = self.seen();
        self.swap(&mut seen, allow_other_rules)
    }

    /// [`LiveModel::reload`] if the file is another than the one that was last read; `None` if it is
    /// the same or gone. A file system that does not answer is told of once.
    pub fn reload_if_changed(&self) -> Option<Result<Arc<Loaded>, ReloadError>> {
        let mut seen = self.seen();
        let reloaded = match self.reader.ask(&self.path, Signature::of) {
            Ok(now) if now.is_none() || now == seen.signature => {
                seen.slow = false;
                return None;
            }
            Ok(_) => self.swap(&mut seen, false),
            Err(error) => Err(error),
        };
        let slow = matches!(reloaded, Err(ReloadError::Slow(_)));
        let told = std::mem::replace(&mut seen.slow, slow);
        (!(slow && told)).then_some(reloaded)
    }

    fn swap(&self, seen: &mut Seen, allow: bool) -> Result<Arc<Loaded>, ReloadError> {
        let started = Instant::now();
        // The signature comes first: a file that changes while it is being read is read once more.
        let read = |path: &Path| (Signature::of(path), Artifact::bytes(path));
        let (signature, bytes) = self.reader.ask(&self.path, read)?;
        seen.signature = signature;
        let loaded = Arc::new(Loaded::new(&self.path, &bytes?, started)?);
        if !(allow || self.allow_other_rules) {
            let differences = differences(&self.current(), &loaded);
            if !differences.is_empty() {
                return Err(ReloadError::OtherRules { path: self.path.clone(), differences });
            }
        }
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&loaded);
        Ok(loaded)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
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
    fn of(path: &Path) -> Option<Self> {
        let file = std::fs::metadata(path).ok()?;
        #[cfg(unix)]
        let inode = std::os::unix::fs::MetadataExt::ino(&file);
        #[cfg(not(unix))]
        let inode = 0;
        Some(Self { modified: file.modified().ok(), length: file.len(), inode })
    }
}
