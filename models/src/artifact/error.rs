//! Why an artifact was refused.

use std::path::PathBuf;

use godwit_envs::state::objective::OwnTermError;

use crate::baselines::ParameterError;
use crate::net::SpecError;

/// An artifact file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("artifact {}: {failure}", path.display())]
pub struct ArtifactError {
    /// The file.
    pub path: PathBuf,
    /// The first check that failed.
    pub failure: Box<Failure>,
}

/// The checks of an artifact, in the order in which they are made.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The file system refused.
    #[error("cannot read or write the file: {0}")]
    File(std::io::Error),
    /// Nothing is there, and no policy that comes with the programs has that name.
    #[error("expected a file or the name of a pretrained policy{hint}, got neither")]
    Missing {
        /// Which of these names is most like it, if one is.
        hint: String,
    },
    /// A folder, a pipe, a device: reading it may never end.
    #[error("file: expected a regular file, got {got}")]
    NotAFile {
        /// What it is.
        got: &'static str,
    },
    /// More than any network takes.
    #[error("file: expected at most {most} bytes, got {got}")]
    TooLarge {
        /// Most bytes that are read.
        most: u64,
        /// Bytes of the file, as far as it was read.
        got: u64,
    },
    /// Not a zip archive, or one whose directory is damaged.
    #[error(
        "archive: expected a readable zip file (only files of `godwit export` can be used): {0}"
    )]
    Archive(zip::result::ZipError),
    /// An entry cannot be read in full, or its CRC-32 differs from the stated one.
    #[error("checksum: entry {entry}: {source}")]
    Entry {
        /// Name inside the archive.
        entry: String,
        /// What the reader said.
        source: std::io::Error,
    },
    /// The archive does not end in a seal.
    #[error(
        "seal: only files of `godwit export` can be used: expected an archive comment \
         godwit-sha256:<64 digits> at the end, got none"
    )]
    Unsealed,
    /// The bytes of the file differ from those that were sealed.
    #[error("seal: expected SHA-256 {expected} of the whole file, got {computed}")]
    Seal {
        /// Stated in the archive comment.
        expected: String,
        /// Of the bytes in the file.
        computed: String,
    },
    /// An entry that every artifact has is not there exactly once.
    #[error("entries: expected one {name}, got {count}")]
    EntryCount {
        /// Path below the archive's folder.
        name: &'static str,
        /// How often it occurs.
        count: usize,
    },
    /// Written in a format that this version does not know.
    #[error("format: expected {expected:?}, got {got:?}")]
    Format {
        /// The format of this version.
        expected: &'static str,
        /// The format of the file.
        got: String,
    },
    /// The manifest is no JSON or lacks or adds a field.
    #[error("manifest: {0}")]
    Manifest(serde_json::Error),
    /// The bytes of an entry differ from those that the manifest states.
    #[error("digest: expected SHA-256 {expected} of {entry}, got {computed}")]
    Digest {
        /// Path below the archive's folder.
        entry: &'static str,
        /// Stated in the manifest.
        expected: String,
        /// Of the bytes in the entry.
        computed: String,
    },
    /// The feature schema differs from the one whose hash the manifest states.
    #[error("schema: expected hash {expected}, got {computed}")]
    SchemaHash {
        /// Stated in the manifest.
        expected: String,
        /// Of the schema in the manifest.
        computed: String,
    },
    /// The network's sizes describe no network.
    #[error("network: {0}")]
    Network(SpecError),
    /// No baseline plays what the manifest states as the policy's base.
    #[error("base: {0}")]
    Base(ParameterError),
    /// The base's margin is no margin.
    #[error("base: expected a margin of 0 or more, got {0}")]
    Margin(f32),
    /// The network reads another number of features than the schema names.
    #[error("network: expected {schema} {group} features as in the schema, got {network}")]
    Features {
        /// `node`, `workload`, `global` or `candidate`.
        group: &'static str,
        /// Number in the schema.
        schema: usize,
        /// Number that the network reads.
        network: usize,
    },
    /// A tensor file that is not in the safetensors format.
    #[error("tensors: {entry}: {source}")]
    Tensors {
        /// Path below the archive's folder.
        entry: &'static str,
        /// What the reader said.
        source: safetensors::SafeTensorError,
    },
    /// A tensor is missing, superfluous, or of another type or shape.
    #[error("tensors: {entry}: {tensor}: expected {expected}, got {got}")]
    Tensor {
        /// Path below the archive's folder.
        entry: &'static str,
        /// Name of the tensor.
        tensor: String,
        /// Type and shape, or `none`.
        expected: String,
        /// Type and shape, or `none`.
        got: String,
    },
    /// A weight is infinite or not a number.
    #[error("weights: {parameter}: expected finite numbers, got {value} at index {index}")]
    NotFinite {
        /// Name of the parameter.
        parameter: String,
        /// Position in the parameter, row-major.
        index: usize,
        /// The weight.
        value: f32,
    },
    /// A golden observation that no environment could have made.
    #[error("golden vectors: observation {observation}: {problem}")]
    GoldenInput {
        /// Which observation, from 0.
        observation: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// This machine computes another value than the exporter did.
    #[error(
        "golden vectors: observation {observation}, candidate {candidate}: expected Q {expected} \
         within {tolerance}, got {got}"
    )]
    Parity {
        /// Which observation, from 0.
        observation: usize,
        /// Index of the candidate.
        candidate: usize,
        /// Stored value.
        expected: f32,
        /// Value of the native forward pass.
        got: f32,
        /// Largest accepted difference.
        tolerance: f32,
    },
    /// The decision rules are none that this version knows.
    #[error("rules: {0}")]
    Rules(serde_json::Error),
    /// A term of the rules' own is no expression.
    #[error(transparent)]
    OwnTerm(OwnTermError),
    /// The ranges of features are not those of the schema.
    #[error("ranges: expected {schema} {group} features as in the schema, got {ranges}")]
    Ranges {
        /// Which features.
        group: &'static str,
        /// In the schema.
        schema: usize,
        /// In the ranges.
        ranges: usize,
    },
    /// This version observes other features than it was trained on.
    #[error(
        "schema: expected features of this version, got others (version {version} of them): train \
         the policy anew with this version, or use the version that exported it"
    )]
    OtherSchema {
        /// Version of the features, from the manifest.
        version: u32,
    },
}
