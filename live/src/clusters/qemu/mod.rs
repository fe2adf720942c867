//! Guests of QEMU on a few hosts, moved while they run by QEMU's own live migration.
//!
//! Where a guest is, the monitors say: each guest has one on each host where a process of its is.
//! Nothing else is remembered, so a crash of godwit at any moment leaves no doubt. What happens to
//! the two processes of a move is decided in `handover.rs`, by a table.
//!
//! What it promises: a guest runs on one host, or on none, never on two. A destination starts to run
//! only when it is told to, and it is told only after its source has stopped for good.
//!
//! What it cannot promise: that a guest survives the end of its host, or that no move takes longer
//! than its guest stands. While godwit is down, a guest whose state was just copied stands still
//! until godwit is there again.

mod begin;
mod destination;
mod executor;
mod fleet;
mod handover;
mod measure;
mod mover;
mod placing;
mod presence;
pub mod qmp;
mod settings;
mod settle;
mod source;

use std::sync::Arc;

use godwit_envs::input::InputError;

pub use settings::{Guest, Host, Settings};

use crate::cluster::Cluster;
use executor::Qemu;
use fleet::Fleet;
use source::Monitors;

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
    fn new(field: impl Into<String>, expected: impl Into<String>, got: impl Into<String>) -> Self {
        Self::Setting { field: field.into(), expected: expected.into(), got: got.into() }
    }
}

/// Checks the settings; talks to no monitor yet.
///
/// # Errors
/// When a setting is not as it has to be.
pub fn open(settings: &Settings) -> Result<Cluster, OpenError> {
    let fleet = Arc::new(Fleet::new(settings)?);
    let qemu = Qemu::new(Arc::clone(&fleet));
    let source = Monitors::new(fleet, qemu.copied());
    Ok(Cluster { source: Box::new(source), executor: Some(Arc::new(qemu)) })
}
