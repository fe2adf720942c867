//! Guests of QEMU on a few hosts, moved while they run by QEMU's own live migration.
//!
//! Where a guest is, its monitors say: it has one on each host where there is a process of it. Nothing
//! else is remembered that a decision depends on, so a crash of godwit at any moment leaves no doubt.
//! What becomes of the two processes of a move is decided in `handover.rs`, by a table.
//!
//! What it promises: a guest runs on one host, or on none, never on two. A destination runs only
//! when it is told to, and it is told only after its source has stopped for good.
//!
//! What it cannot promise: that a guest survives the end of its host, or that one which dirties its
//! memory fast can be moved at all. While godwit is down, a guest whose state was just copied stands
//! still until godwit is there again.

mod begin;
mod destination;
mod executor;
mod fleet;
mod handover;
mod measure;
mod mover;
mod open_error;
mod placing;
mod presence;
pub mod qmp;
mod settings;
mod settle;
mod source;
#[cfg(test)]
mod testing;

use std::sync::Arc;

pub use open_error::OpenError;
pub use settings::{Guest, Host, Settings};

use crate::cluster::Cluster;
use executor::Qemu;
use fleet::Fleet;
use source::Monitors;

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
