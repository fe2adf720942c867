//! Many copies of an environment, stepped in parallel into caller-owned buffers.

use crate::env::{ActionError, Env, EpisodeEnd, ResetError, Step};
use crate::observe::{ObservationBuffer, Parts};
use crate::rng::child_seed;
use rayon::prelude::*;

/// Copies of an environment that reset themselves at the end of an episode.
#[derive(Debug)]
pub struct VectorEnv<E> {
    slots: Vec<Slot<E>>,
    seed: u64,
}

/// One copy with what its last step left.
#[derive(Debug)]
pub struct Slot<E> {
    /// The environment.
    pub env: E,
    /// Observation of its current state.
    pub observation: ObservationBuffer,
    /// Compact form of its current state.
    pub state: Vec<u8>,
    /// Compact form of the last state of the episode that ended last.
    pub final_state: Vec<u8>,
    /// What the last step returned; none where the copy was left out of it.
    pub step: Option<Step>,
    /// Episodes started so far.
    pub episodes: u64,
}

/// A failure of one copy.
#[derive(Debug, thiserror::Error)]
pub enum VectorError {
    /// A copy refused its action.
    #[error(transparent)]
    Action(#[from] ActionError),
    /// A copy could not start its next episode.
    #[error(transparent)]
    Reset(#[from] ResetError),
}

impl<E: Env> VectorEnv<E> {
    /// Resets every copy to its first episode. Episode `e` of copy `i` of `n` has the seed
    /// `child_seed(seed, e n + i)`.
    ///
    /// # Errors
    /// When an episode has no feasible start.
    pub fn new(envs: Vec<E>, seed: u64) -> Result<Self, VectorError> {
        let slots = envs
            .into_iter()
            .map(|env| Slot {
                observation: ObservationBuffer::new(env.observation_space()),
                state: vec![0; env.compact_len()],
                final_state: vec![0; env.compact_len()],
                step: None,
                episodes: 0,
                env,
            })
            .collect();
        let mut vector = Self { slots, seed };
        let count = vector.slots.len() as u64;
        for (i, slot) in vector.slots.iter_mut().enumerate() {
            slot.start_next(seed, i as u64, count)?;
        }
        Ok(vector)
    }

    /// The copies.
    pub fn slots(&self) -> &[Slot<E>] {
        &self.slots
    }

    /// The copies, for restoring a saved run; call [`VectorEnv::refresh`] after it.
    pub fn slots_mut(&mut self) -> &mut [Slot<E>] {
        &mut self.slots
    }

    /// Observes every copy's current state again.
    pub fn refresh(&mut self) {
        self.slots.iter_mut().for_each(Slot::observe);
    }

    /// Which features observations hold from now on.
    pub fn observe_parts(&mut self, parts: Parts) {
        for slot in &mut self.slots {
            slot.observation.parts = parts;
        }
    }

    /// Lets `choose` pick an action for each copy (from its index and observation) and takes it.
    /// A copy whose episode ends keeps the final state and starts its next episode.
    ///
    /// # Errors
    /// The first failure of a copy.
    pub fn step(
        &mut self,
        choose: impl Fn(usize, &ObservationBuffer) -> usize + Sync,
    ) -> Result<(), VectorError> {
        self.step_first(self.slots.len(), choose)
    }

    /// [`VectorEnv::step`] for the first `stepped` copies; the others stay as they are.
    ///
    /// # Errors
    /// The first failure of a copy.
    pub fn step_first(
        &mut self,
        stepped: usize,
        choose: impl Fn(usize, &ObservationBuffer) -> usize + Sync,
    ) -> Result<(), VectorError> {
        let (seed, count) = (self.seed, self.slots.len() as u64);
        self.slots.par_iter_mut().enumerate().try_for_each(|(i, slot)| {
            if i >= stepped {
                slot.step = None;
                return Ok(());
            }
            let action = choose(i, &slot.observation);
            let step = slot.env.step(action)?;
            slot.step = Some(step);
            if step.end.is_some() {
                slot.env.write_compact(&mut slot.final_state);
                slot.start_next(seed, i as u64, count)?;
            } else {
                slot.observe();
            }
            Ok(())
        })
    }
}

impl<E: Env> Slot<E> {
    /// How the last step ended the episode, if it did.
    pub fn end(&self) -> Option<EpisodeEnd> {
        self.step.and_then(|step| step.end)
    }

    fn start_next(&mut self, seed: u64, index: u64, count: u64) -> Result<(), ResetError> {
        self.env.reset(child_seed(seed, self.episodes * count + index))?;
        self.episodes += 1;
        self.observe();
        Ok(())
    }

    fn observe(&mut self) {
        self.env.observe(&mut self.observation);
        self.env.write_compact(&mut self.state);
    }
}
