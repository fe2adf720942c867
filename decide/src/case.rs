//! What is decided about: a snapshot, and the cluster that it shows.

use godwit_envs::snapshot::Snapshot;
use godwit_envs::state::ClusterState;

/// A cluster that is to be decided about.
#[derive(Debug)]
pub struct Case {
    /// The cluster under the artifact's rules.
    pub state: ClusterState,
    /// What was sent.
    pub snapshot: Snapshot,
}
