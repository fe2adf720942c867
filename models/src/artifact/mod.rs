//! Artifacts: trained networks as exported files.
//!
//! An artifact is a TorchScript archive (a zip file) that libtorch writes and loads. For readers
//! without libtorch it carries three more entries below `<archive>/extra/`:
//!
//! - `manifest.json`: [`Manifest`],
//! - `weights.safetensors`: what the native forward pass reads,
//! - `golden.safetensors`: a few observations with the values that the exporter computed.
//!
//! libtorch checks no checksums when it loads a file; [`Artifact::read`] checks everything, and
//! every changed byte of the file is an error (see [`seal`]).

mod archive;
mod entries;
mod error;
mod file;
mod live;
mod manifest;
mod tensors;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

pub use archive::{seal, seal_bytes};
pub use error::{ArtifactError, Failure};
pub use file::MAX_FILE_BYTES;
pub use manifest::{Evaluation, FORMAT, Manifest};
pub use tensors::{Golden, golden_bytes, weights_bytes};

use crate::net::Network;
use crate::network_policy::NetworkPolicy;
use crate::onnx;
use crate::pretrained::{pretrained_at, pretrained_hint};
use entries::{GOLDEN, MANIFEST, WEIGHTS};
use godwit_envs::observe::sections::Sections;

/// Largest difference between a golden value and the native forward pass: absolute up to a value of
/// 1, relative above it.
pub const TOLERANCE: f32 = 1e-4;

/// An artifact that has passed every check.
#[derive(Debug, Clone)]
pub struct Artifact {
    /// Where it was read from.
    pub path: PathBuf,
    /// SHA-256 of the whole file, in lower-case hex.
    pub sha256: String,
    /// What it says about itself.
    pub manifest: Manifest,
    /// What the network sees.
    pub sections: Sections,
    /// The network with its weights.
    pub network: Network,
    /// All weights, flat, in the order of `NetworkSpec::parameters`.
    pub weights: Vec<f32>,
    /// The golden vectors; the network agrees with each of them.
    pub golden: Vec<Golden>,
}

impl Artifact {
    /// Reads a file and checks, in this order: that it is a regular file of at most
    /// [`MAX_FILE_BYTES`], that it is a zip file, the CRC-32 of every entry,
    /// the seal over all bytes, format and fields of the manifest, the digests of weights and
    /// golden vectors, the schema hash, the sizes of the network, names and shapes of its
    /// parameters, that all weights are finite, and that the native forward pass gives the
    /// golden values within [`TOLERANCE`].
    pub fn read(path: &Path) -> Result<Self, ArtifactError> {
        Self::from_bytes(path, &read_file(path)?)
    }

    /// Reads a file or, where there is none, the policy of that name that comes with the programs
    /// (see [`crate::pretrained`]), with the same checks.
    pub fn open(path: &Path) -> Result<Self, ArtifactError> {
        Self::from_bytes(path, &Self::bytes(path)?)
    }

    /// The bytes that [`Artifact::open`] checks. Only a regular file of at most [`MAX_FILE_BYTES`]
    /// is read.
    pub fn bytes(path: &Path) -> Result<Vec<u8>, ArtifactError> {
        match pretrained_at(path) {
            Some(bytes) => Ok(bytes),
            None if !path.exists() => {
                let failure = Box::new(Failure::Missing { hint: pretrained_hint(path) });
                Err(ArtifactError { path: path.to_owned(), failure })
            }
            None => read_file(path),
        }
    }

    /// What a file of these bytes holds, with the checks of [`Artifact::read`]; `path` is what the
    /// artifact and its errors are called by.
    pub fn from_bytes(path: &Path, bytes: &[u8]) -> Result<Self, ArtifactError> {
        Self::checked(path, bytes)
            .map_err(|failure| ArtifactError { path: path.to_owned(), failure: Box::new(failure) })
    }

    /// The policy, called by this name.
    pub fn policy(&self, name: &str) -> NetworkPolicy {
        NetworkPolicy::new(name, self.network.clone(), self.sections)
            .trained_within(self.manifest.known_ranges().cloned())
            .on_base(self.manifest.base.as_ref())
            .expect("the base was checked when the artifact was read")
    }

    /// Its network as ONNX (see [`onnx`]); the metadata say which artifact it is of, what it was
    /// trained on, and the names of its features, as JSON.
    pub fn to_onnx(&self) -> Vec<u8> {
        let Manifest { scenario_name, schema, .. } = &self.manifest;
        let (hash, opset) = (schema.hash(), onnx::OPSET.to_string());
        let features = serde_json::to_string(schema).expect("names and numbers are JSON");
        let metadata = [
            ("godwit.artifact_sha256", self.sha256.as_str()),
            ("godwit.scenario", scenario_name),
            ("godwit.schema_sha256", &hash),
            ("godwit.features", &features),
            ("godwit.opset", &opset),
        ];
        onnx::bytes(self.network.spec(), &self.weights, &metadata)
    }

    fn checked(path: &Path, bytes: &[u8]) -> Result<Self, Failure> {
        let [manifest, weights, golden] =
            archive::read_entries(bytes, [MANIFEST, WEIGHTS, GOLDEN])?;
        let manifest = Manifest::parse(&manifest)?;
        for (entry, bytes, expected) in [
            (WEIGHTS, &weights, &manifest.weights_sha256),
            (GOLDEN, &golden, &manifest.golden_sha256),
        ] {
            let computed = archive::sha256(bytes);
            if computed != *expected {
                return Err(Failure::Digest { entry, expected: expected.clone(), computed });
            }
        }
        let sections = manifest.check()?;
        let spec = &manifest.network;
        let weights = tensors::read_weights(spec, &weights)?;
        // Only now: the stated sizes may be absurd until the weights are known to fill them.
        let mut network = Network::new(spec);
        network.load_flat(&weights);
        let golden = tensors::read_golden(spec, &manifest.schema, &golden)?;
        for (i, golden) in golden.iter().enumerate() {
            check_parity(&mut network, i, golden)?;
        }
        let sha256 = archive::sha256(bytes);
        Ok(Self { path: path.to_owned(), sha256, manifest, sections, network, weights, golden })
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>, ArtifactError> {
    file::read(path)
        .map_err(|failure| ArtifactError { path: path.to_owned(), failure: Box::new(failure) })
}

/// Compares the native values of one golden observation with the stored ones.
fn check_parity(network: &mut Network, observation: usize, golden: &Golden) -> Result<(), Failure> {
    let mut q = vec![0.0; golden.q.len()];
    network.q_values(&golden.observation, &mut q);
    for (candidate, (got, expected)) in q.into_iter().zip(&golden.q).enumerate() {
        // Equal covers masked candidates: the difference of two infinities is not a number.
        let limit = TOLERANCE * expected.abs().max(1.0);
        let agrees = got == *expected || expected.is_finite() && (got - expected).abs() <= limit;
        if !agrees {
            return Err(Failure::Parity {
                observation,
                candidate,
                expected: *expected,
                got,
                tolerance: TOLERANCE,
            });
        }
    }
    Ok(())
}

/// The entries that make a TorchScript archive an artifact, as (name below `extra/`, contents),
/// for the writer of the archive. `weights` and `golden` come from [`weights_bytes`] and
/// [`golden_bytes`]; format, schema hash and digests of `manifest` are filled in here. Once the
/// archive is written, [`seal`] completes it.
pub fn extra_files(
    mut manifest: Manifest,
    weights: Vec<u8>,
    golden: Vec<u8>,
) -> [(String, Vec<u8>); 3] {
    manifest.format = FORMAT.to_owned();
    manifest.schema_hash = manifest.schema.hash();
    manifest.weights_sha256 = archive::sha256(&weights);
    manifest.golden_sha256 = archive::sha256(&golden);
    let json = serde_json::to_vec_pretty(&manifest)
        .expect("a manifest has text keys only, and serde_json writes any number");
    [(MANIFEST, json), (WEIGHTS, weights), (GOLDEN, golden)]
        .map(|(name, bytes)| (name.trim_start_matches("extra/").to_owned(), bytes))
}
