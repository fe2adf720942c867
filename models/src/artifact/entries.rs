//! Names of the entries that an artifact adds to an archive.

/// Entry of the manifest, below the archive's folder.
pub(super) const MANIFEST: &str = "extra/manifest.json";

/// Entry of the weights, below the archive's folder.
pub(super) const WEIGHTS: &str = "extra/weights.safetensors";

/// Entry of the golden vectors, below the archive's folder.
pub(super) const GOLDEN: &str = "extra/golden.safetensors";
