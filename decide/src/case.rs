//! What is decided about: a snapshot, and the cluster that it shows.

use godwit_envs::observe::encoder::observation;
use godwit_envs::observe::sections::Sections;
use godwit_envs::observe::{ObservationBuffer, ObservationSpace};
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

impl Case {
    /// What a policy that reads these sections of features sees of it, and the sizes of that.
    pub fn observation(&self, sections: Sections) -> (ObservationSpace, ObservationBuffer) {
        let (space, _, seen) = observation(&self.state, sections);
        (space, seen)
    }
}
