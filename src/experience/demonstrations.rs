//! Demonstrations: what a baseline does in training episodes, as a replay of its own that batches
//! take a share from (deep Q-learning from demonstrations: Hester et al., AAAI 2018).
//!
//! A baseline may choose moves that are no candidates. Such a move is played and left out: the
//! state before it is kept as one to bootstrap from, as at the end of a truncated episode, so that
//! no transition leads across it.

use crate::config::{LearnerConfig, TrainConfig};
use crate::experience::paired::PairedEnv;
use crate::experience::replay::{Entry, Replay};
use anyhow::{Context, ensure};
use godwit_envs::env::{Env, EpisodeEnd};
use godwit_models::policy::Policy;

/// Env steps played at most for each one kept.
const MOST_PLAYED: u64 = 20;

/// How a demonstrated step becomes an entry of the replay, and a reward one of the learner.
#[derive(Debug, Clone, Copy)]
pub struct Conversion {
    /// Discount per tick.
    pub gamma: f64,
    /// What rewards are multiplied by.
    pub reward_factor: f32,
    /// Whether failures are paid as they are expected; demonstrating environments do that
    /// themselves.
    pub expected_failures: bool,
}

impl Conversion {
    /// As the learner of this configuration is paid in a scenario whose rewards are divided by
    /// `unit`.
    pub fn new(config: &TrainConfig, unit: f64) -> Self {
        let &LearnerConfig { gamma, reward_scale, .. } = &config.learner;
        Self {
            gamma,
            reward_factor: (reward_scale / unit) as f32,
            expected_failures: config.expected_failures,
        }
    }
}

/// Lets `baseline` play the episodes of `seeds` until a ring of the replay is full. Returns the
/// number of moves that were left out because they were no candidates.
///
/// # Errors
/// When an episode has no feasible start, the baseline breaks its contract, or hardly any of its
/// moves are candidates.
pub fn record(
    env: &mut PairedEnv,
    baseline: &mut dyn Policy,
    seeds: impl Iterator<Item = u64>,
    conversion: Conversion,
    replay: &mut Replay,
    ring: usize,
) -> anyhow::Result<u64> {
    let wanted = replay.ring_capacity() as u64;
    let mut state = vec![0; env.compact_len()];
    let (mut played, mut left_out) = (0, 0);
    for seed in seeds {
        env.reset(seed)?;
        baseline.reset(seed);
        // Whether the entry before this state belongs to the same stretch of steps.
        let mut linked = false;
        loop {
            ensure!(
                played < MOST_PLAYED * wanted,
                "demonstrations: expected a baseline whose moves are mostly candidates, got {} \
                 with {left_out} of {played} moves that are none",
                baseline.name()
            );
            let action = baseline.act(env.inner().state());
            let index = env.inner().index_of(action);
            env.write_compact(&mut state);
            let step = env
                .apply(action)
                .with_context(|| format!("demonstrations: {} chose {action:?}", baseline.name()))?;
            played += 1;
            if let Some(index) = index {
                let reward = step.reward * conversion.reward_factor;
                ensure!(
                    reward.is_finite(),
                    "demonstrations: expected finite rewards, got {reward}; learner.reward_scale \
                     is one of its factors"
                );
                let discount = conversion.gamma.powi(step.elapsed_ticks as i32) as f32;
                let ended = step.end == Some(EpisodeEnd::Terminated);
                let kind = if ended { Entry::Terminal } else { Entry::Step };
                replay.push(ring, &state, index as u32, reward, discount, kind);
                linked = !ended;
            } else {
                left_out += 1;
                if std::mem::take(&mut linked) {
                    replay.push(ring, &state, 0, 0.0, 1.0, Entry::Last);
                }
            }
            let room = replay.rings()[ring].written < wanted;
            if linked && room && step.end == Some(EpisodeEnd::Truncated) {
                env.write_compact(&mut state);
                replay.push(ring, &state, 0, 0.0, 1.0, Entry::Last);
            }
            if replay.rings()[ring].written == wanted {
                return Ok(left_out);
            }
            if step.end.is_some() {
                break;
            }
        }
    }
    anyhow::bail!("demonstrations: expected {wanted} steps, got {}", replay.rings()[ring].written)
}

#[cfg(test)]
mod tests {
    use super::*;
    use godwit_envs::env::cluster_env::ClusterEnv;
    use godwit_envs::scenario::{Phase, Scenario, WorldTemplate};
    use godwit_envs::state::{Action, ClusterState};
    use godwit_models::baselines::baseline;
    use std::sync::Arc;

    const CONVERSION: Conversion =
        Conversion { gamma: 0.5, reward_factor: 2.0, expected_failures: false };

    fn env(scenario: &Scenario) -> PairedEnv {
        let template = Arc::new(WorldTemplate::new(scenario));
        PairedEnv::plain(ClusterEnv::new(template, Phase::Train).expect("a start"))
    }

    /// Plays the recorded actions again through the environment's own indices.
    #[test]
    fn a_recording_is_the_baselines_episode_step_by_step() {
        let scenario = Scenario::embedded("quickstart").expect("an embedded scenario");
        let mut env = env(&scenario);
        let mut replay = Replay::new(&[env.compact_len()], 40, 1);
        let mut policy = baseline("best-single-move").expect("a baseline");
        let left_out =
            record(&mut env, policy.as_mut(), 3.., CONVERSION, &mut replay, 0).expect("steps");
        assert_eq!(left_out, 0, "every pair has its index");
        let ring = &replay.rings()[0];
        let (mut seed, mut state) = (3, vec![0; env.compact_len()]);
        env.reset(seed).expect("a start");
        for at in 0..40 {
            env.write_compact(&mut state);
            assert!(replay.state((0, at as u32)) == state, "state {at}");
            let step = env.step(ring.actions[at] as usize).expect("a feasible action");
            assert_eq!(ring.rewards[at], step.reward * 2.0);
            assert_eq!(ring.discounts[at], 0.5);
            assert_eq!(ring.kinds[at] == Entry::Terminal as u8, step.end.is_some());
            if step.end.is_some() {
                seed += 1;
                env.reset(seed).expect("a start");
            }
        }
        assert!(seed > 4, "several episodes");
    }

    /// Moves to feasible places, first those that are no candidates.
    struct OffTheList(ClusterEnv);

    impl Policy for OffTheList {
        fn name(&self) -> &str {
            "off-the-list"
        }
        fn reset(&mut self, seed: u64) {
            self.0.reset(seed).expect("a start");
        }
        fn act(&mut self, state: &ClusterState) -> Action {
            let pairs = (0..state.spec.workloads())
                .flat_map(|k| (0..state.spec.nodes()).map(move |node| (k, node)));
            let unlisted = pairs
                .filter(|&(k, node)| state.check(k, node).is_ok())
                .map(|(workload, destination)| Action::Migrate { workload, destination })
                .find(|&action| self.0.index_of(action).is_none());
            // Every other move is a candidate, the best single one.
            let even = state.moves_left.is_multiple_of(2);
            let action = match unlisted {
                Some(action) if even => action,
                _ => self.0.action(1).unwrap_or(Action::Stay),
            };
            self.0.apply(action).expect("a feasible action");
            action
        }
    }

    #[test]
    fn moves_that_are_no_candidates_are_left_out_and_no_transition_crosses_them() {
        let mut scenario = Scenario::embedded("quickstart").expect("an embedded scenario");
        scenario.rules.candidates.max = 40;
        let mut env = env(&scenario);
        let mut replay = Replay::new(&[env.compact_len()], 40, 3);
        let mut policy = OffTheList(env.inner().clone());
        let left_out =
            record(&mut env, &mut policy, 0.., CONVERSION, &mut replay, 0).expect("steps");
        let lasts =
            replay.rings()[0].kinds.iter().filter(|&&kind| kind == Entry::Last as u8).count();
        // Ten moves an episode, the first (even) one left out without a step before it.
        assert!(left_out >= 15 && lasts >= 12, "{left_out} {lasts}");
        for age in 0..30 {
            if let Some(t) = replay.transition(0, age) {
                let steps = t.next.1.wrapping_sub(t.state.1);
                assert!(t.discount == 0.0 || steps == 1, "three steps would cross a left-out one");
            }
        }
    }
}
