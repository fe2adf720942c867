//! Moves nothing: what happens if nobody intervenes.
//!
//! Rule: always `Stay`. No parameters. Every other policy has to beat it.

use crate::policy::Policy;
use godwit_envs::state::{Action, ClusterState};

/// Moves nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stay;

impl Policy for Stay {
    fn name(&self) -> &str {
        "stay"
    }

    fn reset(&mut self, _seed: u64) {}

    fn act(&mut self, _state: &ClusterState) -> Action {
        Action::Stay
    }
}
