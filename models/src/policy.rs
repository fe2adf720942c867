//! What chooses migrations: baselines and networks alike.

use godwit_envs::observe::ranges::Unfamiliar;
use godwit_envs::scenario::Rules;
use godwit_envs::state::{Action, ClusterState};
use schemars::JsonSchema;
use serde::Serialize;
use std::time::Duration;

/// Chooses an action for a cluster as it stands.
pub trait Policy: Send {
    /// Name in tables and logs.
    fn name(&self) -> &str;

    /// Forgets everything about the last episode; a policy that draws at random draws from a
    /// stream of its own for this seed.
    fn reset(&mut self, seed: u64);

    /// The next action: one that [`ClusterState::check`] allows, or `Stay`.
    fn act(&mut self, state: &ClusterState) -> Action;

    /// From now on each decision may take so long, or as long as it likes. Searches then end in time
    /// with the best that they have found, and what they find depends on the machine; those that
    /// decide at once anyway do not listen.
    fn limit_time(&mut self, _limit: Option<Duration>) {}

    /// Whether under these rules it looks at the health of nodes, and so has its own say over who
    /// leaves those that drain.
    fn sees_health(&self, _rules: &Rules) -> bool {
        false
    }

    /// What of this state lies far outside of what it was trained on; nothing where that is not known.
    fn unfamiliar(&mut self, _state: &ClusterState) -> Vec<Unfamiliar> {
        Vec::new()
    }

    /// Whose plan it has followed since the last reset, where it compares several.
    fn thought(&self) -> Option<Thought> {
        None
    }
}

/// What came of comparing several plans.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Thought {
    /// Whose plan was taken: `policy`, or a baseline; with `, polished` where it was changed.
    pub origin: String,
    /// Plans that were simulated to the end.
    pub simulations: u32,
}
