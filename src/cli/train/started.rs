//! A run that is ready, and what it runs on.

use crate::checkpoint::RunDirectory;
use crate::machine::signals::{received_signal, stop_flag};
use crate::train::assemble::ClusterTrainer;
use crate::train::mixture::Mixture;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize};

/// A run that begins or goes on.
pub(super) type Run = (Mixture, ClusterTrainer, RunDirectory, Signals);

/// What asks for a tidy end. Until these are there, a signal ends the process at once: while a run
/// is prepared, which may take minutes of rollouts, there is nothing to lose.
pub(super) struct Signals {
    pub(super) stop: Arc<AtomicBool>,
    /// The exit code tells which signal it was.
    pub(super) received: Arc<AtomicUsize>,
}

impl Signals {
    pub(super) fn expect() -> anyhow::Result<Self> {
        Ok(Self { received: received_signal()?, stop: stop_flag()? })
    }
}
