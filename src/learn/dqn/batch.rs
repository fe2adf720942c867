//! What goes into an update.

use crate::experience::comparisons::Comparisons;
use crate::experience::replay::{Replay, Transition};
use crate::learn::margin::Violations;
use crate::networks::state_batch::StateBatch;
use tch::Tensor;

/// A transition of a batch, and what the update needs to know of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Drawn {
    pub(super) transition: Transition,
    pub(super) scenario: usize,
    pub(super) origin: Origin,
    pub(super) weight: f32,
    pub(super) target: f32,
    /// The action that comes too close to a demonstrated one.
    pub(super) rival: Option<usize>,
    /// The action whose quantiles stand for the next state.
    pub(super) next_action: usize,
}

/// Where a transition of a batch comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Origin {
    /// The learner's own experience.
    Replay,
    /// Demonstrations.
    Demonstrations,
    /// Comparisons: a terminal transition whose reward is by how much its action is worth more than
    /// another one.
    Comparisons {
        /// The other one.
        reference: usize,
    },
}

/// Where a batch comes from.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// The learner's own experience.
    pub replay: &'a Replay,
    /// How far importance weights make up for prioritised draws, 0 to 1.
    pub beta: f64,
    /// Demonstrations, with one ring per scenario.
    pub demonstrations: Option<&'a Replay>,
    /// Share of the batch that demonstrations have.
    pub share: f64,
    /// Actions that were compared by rollouts.
    pub comparisons: Option<&'a Comparisons>,
    /// Share of the batch that comparisons have.
    pub compared: f64,
}

impl<'a> From<&'a Replay> for Source<'a> {
    /// Experience alone, with no correction of prioritised draws.
    fn from(replay: &'a Replay) -> Self {
        Self {
            replay,
            beta: 0.0,
            demonstrations: None,
            share: 0.0,
            comparisons: None,
            compared: 0.0,
        }
    }
}

/// A batch of transitions.
#[derive(Debug)]
pub struct TransitionBatch {
    /// The states by scenario; their sizes add up to B.
    pub groups: Vec<Group>,
    /// TD target, `[B, Q]`, in the order of the groups; Q is 1 but for distributional learning.
    pub target: Tensor,
    /// Weight of each transition in the loss, `[B]`: importance weights, that of comparisons, or 1.
    pub weight: Tensor,
}

/// The states of a batch that belong to one scenario.
#[derive(Debug)]
pub struct Group {
    /// The states, each with the row of the action taken.
    pub states: StateBatch,
    /// Index of the taken action's value in `[Stay values of G states, row values]`, `[G]`.
    pub taken: Tensor,
    /// What the taken action is compared with, as `taken`, or the index after all values, where a
    /// zero stands, `[G]`; `None` where nothing is compared.
    pub reference: Option<Tensor>,
    /// Demonstrated states in which another action comes too close; indices as for `taken`.
    pub violations: Option<Violations>,
}
