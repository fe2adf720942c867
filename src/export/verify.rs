//! Is an artifact what it says it is, and do libtorch and the native forward pass agree on it?

use super::observe::disturbed;
use super::parity::{Parity, TOLERANCE, compare};
use anyhow::{Context, ensure};
use godwit_models::artifact::Artifact;
use godwit_models::net::Network;
use godwit_models::pretrained::pretrained_at;
use serde::Serialize;
use std::path::{Path, PathBuf};
use tch::CModule;

/// Observations that [`verify`] compares on, next to the golden ones.
const OBSERVATIONS: usize = 1000;

/// What a verification found.
#[derive(Debug, Clone, Serialize)]
pub struct VerifyReport {
    /// The file.
    pub path: PathBuf,
    /// SHA-256 of the file.
    pub sha256: String,
    /// Golden observations; the native forward pass gives the stored value of each.
    pub golden: usize,
    /// Stored golden values against libtorch.
    pub golden_parity: Parity,
    /// libtorch against the native forward pass, on observations made from the golden ones.
    pub parity: Parity,
}

impl std::fmt::Display for VerifyReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}: intact, sha256 {}", self.path.display(), self.sha256)?;
        writeln!(f, "golden vectors: {}", self.golden_parity)?;
        writeln!(f, "libtorch against native: {}", self.parity)
    }
}

/// Checks checksums, schema and golden vectors of an artifact, and compares libtorch with the
/// native forward pass on the golden and on 1,000 further observations.
///
/// # Errors
/// The first check that fails.
pub fn verify(path: &Path) -> anyhow::Result<VerifyReport> {
    verify_with(path, OBSERVATIONS)
}

/// [`verify`] with this many further observations.
///
/// # Errors
/// As for [`verify`].
pub fn verify_with(path: &Path, count: usize) -> anyhow::Result<VerifyReport> {
    let artifact = Artifact::open(path)?;
    // Refuses rules that this version reads differently.
    artifact.rules()?;
    let spec = &artifact.manifest.network;
    let module = load_module(path)?;
    let mut network = Network::new(spec);
    network.load_flat(&artifact.weights);

    let golden: Vec<_> = artifact.golden.iter().map(|golden| &golden.observation).collect();
    let golden_parity = compare(&module, &mut network, golden.iter().copied())?;
    require(&golden_parity, path)?;
    let observations = disturbed(spec, &golden, artifact.manifest.known_ranges(), count, 0);
    let parity = compare(&module, &mut network, &observations)?;
    require(&parity, path)?;
    Ok(VerifyReport {
        path: path.to_owned(),
        sha256: artifact.sha256,
        golden: artifact.golden.len(),
        golden_parity,
        parity,
    })
}

/// Loads the module of an artifact: of a file, or else of the policy of that name that comes with
/// the program.
///
/// # Errors
/// When libtorch refuses it.
pub fn load_module(path: &Path) -> anyhow::Result<CModule> {
    let module = match pretrained_at(path) {
        Some(bytes) => CModule::load_data(&mut bytes.as_slice()),
        None => CModule::load(path),
    };
    module.with_context(|| format!("{}: expected a TorchScript module", path.display()))
}

/// Fails where the two forms differ.
pub(super) fn require(parity: &Parity, path: &Path) -> anyhow::Result<()> {
    ensure!(
        parity.holds(),
        "{}: expected libtorch and the native forward pass to agree within {TOLERANCE:e}, got {parity}",
        path.display()
    );
    Ok(())
}
