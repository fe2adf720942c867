//! Acting: one round of env steps by all copies, as entries for the replay.

use crate::config::TrainConfig;
use crate::experience::replay::Entry;
use crate::train::actor::Actor;
use godwit_envs::env::vector::{Slot, VectorEnv, VectorError};
use godwit_envs::env::{Env, EpisodeEnd};
use godwit_envs::state::term::{TERMS, Terms};
use std::sync::Mutex;

/// Where a run stands.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Counters {
    /// Env steps made.
    pub env_steps: u64,
    /// Updates made.
    pub updates: u64,
    /// Rounds made.
    pub rounds: u64,
    /// Episodes finished.
    pub episodes: u64,
    /// Return of each copy's current episode so far, as paid to the learner, in objective units.
    pub running_return: Vec<f64>,
    /// Terms of each copy's current episode so far.
    pub running_terms: Vec<Terms>,
    /// Updates owed because rounds do not divide evenly.
    pub owed_updates: f64,
}

/// A finished episode.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FinishedEpisode {
    /// Index of its environment copy.
    pub copy: usize,
    /// Undiscounted return as paid to the learner.
    pub episode_return: f64,
    /// Sum of the step terms.
    pub terms: Terms,
}

/// Experience of a round on its way to the replay.
#[derive(Default)]
pub(super) struct Staging {
    /// Compact states, one after the other.
    pub(super) states: Vec<u8>,
    pub(super) entries: Vec<Staged>,
}

pub(super) struct Staged {
    pub(super) ring: usize,
    /// Where its state starts.
    pub(super) state: usize,
    pub(super) action: u32,
    pub(super) reward: f32,
    pub(super) discount: f32,
    pub(super) kind: Entry,
}

impl Staging {
    fn clear(&mut self) {
        self.states.clear();
        self.entries.clear();
    }

    /// Keeps a state and tells where.
    pub(super) fn keep(&mut self, state: &[u8]) -> usize {
        self.states.extend_from_slice(state);
        self.states.len() - state.len()
    }
}

/// Lets every copy make the steps of a round, or those that the run still lacks.
pub(super) fn collect<E: Env>(
    config: &TrainConfig,
    vector: &mut VectorEnv<E>,
    actors: &[Mutex<Actor>],
    counters: &mut Counters,
    staged: &mut Staging,
    epsilon: f64,
    reward_factors: &[f32],
) -> Result<Vec<FinishedEpisode>, VectorError> {
    let mut finished = Vec::new();
    staged.clear();
    // Who goes on with a run that is complete makes whole rounds.
    let complete = counters.env_steps >= config.env_steps;
    let end = if complete { u64::MAX } else { config.env_steps };
    for _ in 0..config.round_steps {
        let left = end.saturating_sub(counters.env_steps);
        let stepped = vector.slots().len().min(usize::try_from(left).unwrap_or(usize::MAX));
        if stepped == 0 {
            break;
        }
        let first = staged.states.len();
        for slot in vector.slots() {
            staged.keep(&slot.state);
        }
        vector.step_first(stepped, |i, observation| {
            let mut actor = actors[i].lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            actor.act(observation, epsilon)
        })?;
        let chosen = |i: usize| {
            let actor = actors[i].lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            actor.chosen as u32
        };
        let gamma = config.learner.gamma;
        stage(vector.slots(), chosen, first, staged, gamma, reward_factors);
        count(vector.slots(), counters, &mut finished);
        counters.env_steps += stepped as u64;
    }
    Ok(finished)
}

/// Makes entries of what the copies have done; the states from before that are kept from `first` on,
/// in the order of the copies.
pub(super) fn stage<E: Env>(
    slots: &[Slot<E>],
    chosen: impl Fn(usize) -> u32,
    first: usize,
    staged: &mut Staging,
    gamma: f64,
    reward_factors: &[f32],
) {
    let mut next = first;
    for (i, slot) in slots.iter().enumerate() {
        // Whether or not the copy has made a step: its state is kept.
        let state = next;
        next += slot.state.len();
        let Some(step) = slot.step else { continue };
        staged.entries.push(Staged {
            ring: i,
            state,
            action: chosen(i),
            reward: step.reward * reward_factors[i],
            discount: gamma.powi(step.elapsed_ticks as i32) as f32,
            kind: if step.end == Some(EpisodeEnd::Terminated) {
                Entry::Terminal
            } else {
                Entry::Step
            },
        });
        if step.end == Some(EpisodeEnd::Truncated) {
            let state = staged.keep(&slot.final_state);
            let (action, reward, discount, kind) = (0, 0.0, 1.0, Entry::Last);
            staged.entries.push(Staged { ring: i, state, action, reward, discount, kind });
        }
    }
}

/// Adds the copies' steps up, and what they come to where an episode has ended.
fn count<E>(slots: &[Slot<E>], counters: &mut Counters, finished: &mut Vec<FinishedEpisode>) {
    for (i, slot) in slots.iter().enumerate() {
        let Some(step) = slot.step else { continue };
        counters.running_return[i] += f64::from(step.reward);
        for (sum, term) in counters.running_terms[i].iter_mut().zip(step.terms) {
            *sum += term;
        }
        if step.end.is_some() {
            finished.push(FinishedEpisode {
                copy: i,
                episode_return: std::mem::take(&mut counters.running_return[i]),
                terms: std::mem::replace(&mut counters.running_terms[i], [0.0; TERMS]),
            });
            counters.episodes += 1;
        }
    }
}
