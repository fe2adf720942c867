//! What a thread of the learner does with one transition: decode its states and value the next.

use super::batch::Drawn;
use crate::experience::replay::{Replay, Transition};
use crate::learn::cuda::Decode;
use crate::learn::times::LearnTimes;
use godwit_envs::env::Env;
use godwit_envs::observe::ObservationBuffer;
use godwit_models::net::Network;
use std::sync::{LockResult, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// What a thread needs to turn compact states into observations and values.
pub(super) struct Worker<E> {
    /// One per scenario.
    pub(super) views: Vec<View<E>>,
    pub(super) online: Network,
    pub(super) target: Network,
    pub(super) times: LearnTimes,
}

pub(super) struct View<E> {
    pub(super) decoder: E,
    pub(super) observation: ObservationBuffer,
    pub(super) q: Vec<f32>,
}

/// The calling thread's own worker. Nobody waits for it, unless the pool has grown since the workers
/// were made.
pub(super) fn of_this_thread<E>(workers: &[Mutex<Worker<E>>]) -> MutexGuard<'_, Worker<E>> {
    let thread = rayon::current_thread_index().unwrap_or(0);
    unpoisoned(workers[thread % workers.len()].lock())
}

/// What a worker holds is overwritten before it is read: a panic elsewhere leaves nothing behind.
pub(super) fn unpoisoned<T>(held: LockResult<T>) -> T {
    held.unwrap_or_else(PoisonError::into_inner)
}

impl<E: Env> Decode for Mutex<Worker<E>> {
    fn decode(&mut self, state: &[u8]) -> &ObservationBuffer {
        // Only learners of a single scenario decode for a device.
        let View { decoder, observation, .. } = &mut unpoisoned(self.get_mut()).views[0];
        decoder.read_compact(state);
        decoder.observe(observation);
        observation
    }
}

impl<E: Env> Worker<E> {
    /// Observes the state that follows and picks the action that stands for it.
    pub(super) fn observe_next(
        &mut self,
        drawn: &Drawn,
        replay: &Replay,
        double: bool,
        next: &mut ObservationBuffer,
    ) -> usize {
        let View { decoder, q, .. } = &mut self.views[drawn.scenario];
        decoder.read_compact(replay.state(drawn.transition.next));
        decoder.observe(next);
        let network = if double { &mut self.online } else { &mut self.target };
        network.best_action(next, q)
    }

    /// `r + discount * Q_target(s', argmax_a Q(s', a))` over the unmasked actions of s'.
    pub(super) fn td_target(
        &mut self,
        scenario: usize,
        t: &Transition,
        replay: &Replay,
        double: bool,
    ) -> f32 {
        if t.discount == 0.0 {
            return t.reward;
        }
        let View { decoder, observation: next, q } = &mut self.views[scenario];
        let start = Instant::now();
        decoder.read_compact(replay.state(t.next));
        decoder.observe(next);
        let decoded = Instant::now();
        self.times.decode += decoded - start;
        let best = if double {
            // Double DQN: the online net picks, the target net values the pick alone.
            let best = self.online.best_action(next, q);
            next.mask.fill(false);
            next.mask[0] = true;
            next.mask[best] = true;
            self.target.q_values(next, q);
            best
        } else {
            self.target.best_action(next, q)
        };
        self.times.next_values += decoded.elapsed();
        t.reward + t.discount * q[best]
    }
}
