//! Settings that are refused.

use godwit_envs::input::InputError;

/// Why the guests of QEMU cannot be watched.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A setting is not as it has to be.
    #[error("[qemu]: {field}: expected {expected}, got {got}")]
    Setting {
        /// Path of the setting within its table.
        field: String,
        /// What would have been accepted.
        expected: String,
        /// What was found.
        got: String,
    },
    /// The hosts make no snapshot.
    #[error(transparent)]
    Snapshot(InputError),
}

impl OpenError {
    /// A setting that is not as it has to be.
    pub fn new(
        field: impl Into<String>,
        expected: impl Into<String>,
        got: impl Into<String>,
    ) -> Self {
        Self::Setting { field: field.into(), expected: expected.into(), got: got.into() }
    }
}
