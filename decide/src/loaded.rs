//! An artifact in memory, with the rules that decisions are made under.

use std::path::Path;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use godwit_envs::scenario::Rules;
use godwit_models::artifact::{Artifact, ArtifactError};
use schemars::JsonSchema;
use serde::Serialize;

use super::timing::micros;

/// An artifact, named so that it can be found again.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ArtifactName {
    /// SHA-256 of the file, in hex.
    pub sha256: String,
    /// Scenario that the policy was trained on.
    pub scenario: String,
}

/// An artifact with the rules that decisions are made under; shared by all engines.
#[derive(Debug)]
pub struct Loaded {
    /// The artifact, which has passed every check.
    pub artifact: Artifact,
    /// What decisions call it.
    pub name: ArtifactName,
    /// Its rules.
    pub rules: Arc<Rules>,
    /// When it was read.
    pub read_at: SystemTime,
    /// How long that took.
    pub read_us: u64,
}

impl Loaded {
    /// Reads and checks the artifact in a file, or the one that comes with the program under this
    /// name.
    ///
    /// # Errors
    /// The first check that fails.
    pub fn open(model: &Path) -> Result<Self, ArtifactError> {
        let started = Instant::now();
        Self::new(model, &Artifact::bytes(model)?, started)
    }

    /// Checks an artifact of these bytes, which were read from `started` on.
    ///
    /// # Errors
    /// The first check that fails.
    pub fn new(model: &Path, bytes: &[u8], started: Instant) -> Result<Self, ArtifactError> {
        let artifact = Artifact::from_bytes(model, bytes)?;
        let rules = Arc::new(artifact.rules()?);
        let name = ArtifactName {
            sha256: artifact.sha256.clone(),
            scenario: artifact.manifest.scenario_name.clone(),
        };
        Ok(Self { artifact, name, rules, read_at: SystemTime::now(), read_us: micros(started) })
    }
}
