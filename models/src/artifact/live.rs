//! From an artifact to decisions about a live cluster.

use std::sync::Arc;

use godwit_envs::input::InputError;
use godwit_envs::scenario::Rules;
use godwit_envs::snapshot::Snapshot;
use godwit_envs::state::ClusterState;
use godwit_envs::state::objective::own_terms;
use serde::Deserialize;

use crate::artifact::Artifact;
use crate::artifact::error::{ArtifactError, Failure};

impl Artifact {
    /// The rules that decisions are made under.
    ///
    /// # Errors
    /// When this version does not know such rules, or one of their own terms is no expression.
    pub fn rules(&self) -> Result<Rules, ArtifactError> {
        self.known_rules().map_err(|failure| ArtifactError {
            path: self.path.clone(),
            failure: Box::new(failure),
        })
    }

    fn known_rules(&self) -> Result<Rules, Failure> {
        let rules = Rules::deserialize(&self.manifest.rules).map_err(Failure::Rules)?;
        // Which resources there are to any rules, each snapshot says.
        if !rules.resources.is_empty() {
            own_terms(&rules).map_err(Failure::OwnTerm)?;
        }
        Ok(rules)
    }

    /// The state that a valid snapshot shows, under `rules` (which [`Artifact::rules`] gave).
    /// `label` is what errors call the snapshot.
    ///
    /// # Errors
    /// When the snapshot does not fit the rules, or has another size than a network that serves
    /// only one.
    pub fn state(
        &self,
        rules: Arc<Rules>,
        snapshot: &Snapshot,
        label: &str,
    ) -> Result<ClusterState, InputError> {
        if let Some(fixed) = self.manifest.network.fixed {
            for (field, expected, got) in [
                ("nodes", fixed.nodes, snapshot.nodes.len()),
                ("workloads", fixed.workloads, snapshot.workloads.len()),
            ] {
                if expected != got {
                    let expected =
                        format!("{expected} {field}, the only size that the network serves");
                    return Err(InputError::field(label, field, expected, got.to_string()));
                }
            }
        }
        ClusterState::from_snapshot(rules, snapshot, label)
    }
}
