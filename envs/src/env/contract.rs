//! The Gym-style contract between a world and a learner (after Gymnasium's `Env`).

use crate::observe::{ObservationBuffer, ObservationSpace};
use crate::state::term::Terms;

/// Why an episode ended. The two are kept apart because a truncated episode still has a future
/// (its last state bootstraps) and a terminated one has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EpisodeEnd {
    /// The episode's own end: the return is complete.
    Terminated,
    /// Cut from outside, for example at the last simulated tick.
    Truncated,
}

/// What one env step returned.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// Reward of this step, in units of the weighted objective.
    pub reward: f32,
    /// What chance added to the reward: how much more was paid than these events were expected to
    /// come to just before they were drawn. It is zero on average, whatever the policy does, so
    /// that `reward - luck` has the same mean as the reward and less noise (a control variate:
    /// Zinkevich et al., AAAI 2006). Counts the failures of degraded nodes; 0 elsewhere.
    pub luck: f32,
    /// The unweighted objective terms that were paid for in this step.
    pub terms: Terms,
    /// Ticks that passed: the discount of this transition is `gamma^elapsed_ticks`.
    pub elapsed_ticks: u32,
    /// Whether, and how, the episode ended with this step.
    pub end: Option<EpisodeEnd>,
}

impl Step {
    /// This step and the one after it as one.
    #[must_use]
    pub(super) fn followed_by(&self, next: &Self) -> Self {
        let mut terms = self.terms;
        terms.iter_mut().zip(&next.terms).for_each(|(sum, term)| *sum += term);
        Self {
            reward: self.reward + next.reward,
            luck: self.luck + next.luck,
            terms,
            elapsed_ticks: self.elapsed_ticks + next.elapsed_ticks,
            end: next.end,
        }
    }
}

/// An action that the environment refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ActionError {
    /// The index is outside the action space.
    #[error("action index: expected less than {size}, got {index}")]
    OutOfRange {
        /// The index that was asked for.
        index: usize,
        /// Size of the action space.
        size: usize,
    },
    /// The action is masked in this state.
    #[error("action index {index}: expected a feasible action, got one that is masked: {reason}")]
    Masked {
        /// The index that was asked for.
        index: usize,
        /// The constraint that forbids it.
        reason: String,
    },
    /// The episode has ended; call `reset` first.
    #[error("step: expected a running episode, got one that has ended (call reset first)")]
    Ended,
}

/// A reset that could not produce a start state.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error(
    "reset with seed {seed}: expected a feasible start placement, got none in {attempts} draws"
)]
pub struct ResetError {
    /// The episode's seed.
    pub seed: u64,
    /// How many placements were drawn.
    pub attempts: u32,
}

/// A seeded, steppable world with a masked, discrete action space.
///
/// Action 0 is always `Stay` and always allowed. The mask is part of the observation.
pub trait Env: Send {
    /// Sizes and names of everything an observation holds.
    fn observation_space(&self) -> &ObservationSpace;

    /// Number of action indices (the mask's length).
    fn action_space(&self) -> usize {
        self.observation_space().actions
    }

    /// Starts the episode that `seed` stands for.
    ///
    /// # Errors
    /// When no feasible start exists for this seed.
    fn reset(&mut self, seed: u64) -> Result<(), ResetError>;

    /// Takes the action with this index.
    ///
    /// # Errors
    /// When the index is out of range or masked, or the episode has ended; the state is unchanged.
    fn step(&mut self, action: usize) -> Result<Step, ActionError>;

    /// Writes the current observation; `out` must have been made for `observation_space()`.
    fn observe(&self, out: &mut ObservationBuffer);

    /// As [`Env::observe`], but of the candidates only these actions have to be written, which must
    /// be unmasked and ascend: what learning needs of a state whose action is known.
    fn observe_actions(&self, _actions: &[usize], out: &mut ObservationBuffer) {
        self.observe(out);
    }

    /// Bytes of one compact state (see [`Env::write_compact`]); constant for an environment.
    fn compact_len(&self) -> usize;

    /// Writes what the observation is a function of: the replay's form of a state.
    /// `out.len()` must be `compact_len()`.
    fn write_compact(&self, out: &mut [u8]);

    /// Becomes the state that `write_compact` wrote, as far as observing it is concerned.
    /// Stepping after this is not meaningful.
    fn read_compact(&mut self, state: &[u8]);

    /// Everything needed to go on stepping with the same results, as JSON (for checkpoints).
    fn save(&self) -> serde_json::Value;

    /// Restores what `save` returned.
    ///
    /// # Errors
    /// A message that says what was expected, when the value does not belong to this environment.
    fn restore(&mut self, saved: &serde_json::Value) -> Result<(), String>;
}
