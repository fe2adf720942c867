//! Sizes and schema of observations.

use crate::lanes::LANES;
use crate::observe::normalisation::Normalisation;
use crate::observe::schema::{Feature, ObservationSchema};
use crate::observe::sections::Sections;
use std::sync::Arc;

/// Sizes and schema of an environment's observations.
#[derive(Debug, Clone, PartialEq)]
pub struct ObservationSpace {
    /// Number of nodes, N.
    pub nodes: usize,
    /// Number of workload slots, K.
    pub workloads: usize,
    /// Number of candidate slots, A (index 0 is `Stay`).
    pub actions: usize,
    /// Whether a (workload, destination) pair always has the index `1 + k N + i`.
    pub fixed_pairs: bool,
    /// Which groups of features there are; without meaning for features of another kind.
    pub sections: Sections,
    /// Names and order of the features.
    pub schema: ObservationSchema,
    /// What has happened to the features after they were encoded; `None` for nothing. It is no part
    /// of the schema: whoever hands weights on folds it into them first.
    pub normalisation: Option<Arc<Normalisation>>,
}

impl ObservationSpace {
    /// Elements between two feature rows of
    /// [`ObservationBuffer::candidates`](crate::observe::ObservationBuffer::candidates).
    pub fn candidate_stride(&self) -> usize {
        (self.actions + LANES).next_multiple_of(LANES)
    }

    /// Where a feature of this name is in a node's row; [`features`](crate::observe::features) says
    /// what each means. `None` where the rules do not show it.
    pub fn node_feature(&self, name: &str) -> Option<usize> {
        position(&self.schema.node, name)
    }

    /// The same in a workload's row.
    pub fn workload_feature(&self, name: &str) -> Option<usize> {
        position(&self.schema.workload, name)
    }

    /// The same among those of the cluster.
    pub fn global_feature(&self, name: &str) -> Option<usize> {
        position(&self.schema.global, name)
    }

    /// The same for a candidate: the `f` of [`ObservationBuffer::candidate`].
    ///
    /// [`ObservationBuffer::candidate`]: crate::observe::ObservationBuffer::candidate
    pub fn candidate_feature(&self, name: &str) -> Option<usize> {
        position(&self.schema.candidate, name)
    }
}

fn position(features: &[Feature], name: &str) -> Option<usize> {
    features.iter().position(|feature| feature.name == name)
}
