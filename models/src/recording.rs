//! An episode kept tick by tick: what every node carried, what the objective was made of, and what
//! happened.
//!
//! [`record`] plays exactly the episode that [`crate::rollout::rollout`] plays; it only looks on.
//! A recording has one [`Frame`] for each tick and one more for the end, so that n ticks lie
//! between n + 1 frames. In a static episode each move is one tick.

use crate::policy::Policy;
use crate::rollout::{Observer, Outcome, RolloutError, run};
use godwit_envs::env::Step;
use godwit_envs::env::cluster_env::ClusterEnv;
use godwit_envs::state::ClusterState;
use godwit_envs::state::event::Event;
use godwit_envs::state::term::{LEVEL_TERMS, TERMS, Terms};

/// A whole episode.
#[derive(Debug, Clone, PartialEq)]
pub struct Recording {
    /// Weight of each objective term.
    pub weights: Terms,
    /// One per tick, and the end.
    pub frames: Vec<Frame>,
    /// What happened, in order.
    pub events: Vec<Event>,
    /// What the episode came to.
    pub outcome: Outcome,
}

/// The cluster as a tick finds it, and what the tick cost.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// Tick.
    pub tick: u32,
    /// Load of each node before the tick's decisions, `[N]`.
    pub loads: Vec<f32>,
    /// The level terms at that moment, unweighted.
    pub level: [f32; LEVEL_TERMS],
    /// The terms that were paid for in this tick, unweighted: level terms as held over the tick
    /// (online) or as they changed (rebalance), flow costs as they accrued. Zero in the last
    /// frame.
    pub paid: Terms,
}

impl Recording {
    /// The weighted terms paid for in each tick; their sum is minus the tick's reward.
    pub fn weighted_paid(&self, frame: &Frame) -> Terms {
        std::array::from_fn(|at| self.weights[at] * frame.paid[at])
    }

    /// The weighted level terms of a frame.
    pub fn weighted_level(&self, frame: &Frame) -> [f32; LEVEL_TERMS] {
        std::array::from_fn(|at| self.weights[at] * frame.level[at])
    }
}

/// Plays the episode of this seed and keeps what happens.
///
/// # Errors
/// When the episode has no feasible start or the policy chooses an infeasible action.
pub fn record(
    env: &mut ClusterEnv,
    policy: &mut dyn Policy,
    seed: u64,
) -> Result<Recording, RolloutError> {
    let mut outcome = Outcome::default();
    let mut frames = Frames::default();
    env.record_events(true);
    let played = run(env, policy, seed, &mut outcome, &mut frames);
    let events = env.events().to_vec();
    env.record_events(false);
    played?;
    Ok(Recording { weights: env.state().objective.weights, frames: frames.0, events, outcome })
}

#[derive(Default)]
struct Frames(Vec<Frame>);

impl Frames {
    fn push(&mut self, state: &ClusterState) {
        self.0.push(Frame {
            tick: state.tick,
            loads: state.now.load[..state.spec.nodes()].to_vec(),
            level: state.level_terms(),
            paid: [0.0; TERMS],
        });
    }
}

impl Observer for Frames {
    fn began(&mut self, state: &ClusterState) {
        self.push(state);
    }

    fn stepped(&mut self, state: &ClusterState, step: &Step) {
        if let Some(frame) = self.0.last_mut() {
            for (sum, term) in frame.paid.iter_mut().zip(step.terms) {
                *sum += term;
            }
        }
        if step.elapsed_ticks > 0 {
            self.push(state);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed expectation is the point of a test

    use super::*;
    use crate::baselines::baseline;
    use crate::rollout::rollout;
    use crate::testing::env;
    use godwit_envs::scenario::Phase;
    use godwit_envs::state::event::EventKind;

    fn recorded(scenario: &str, policy: &str, seed: u64) -> (Recording, Outcome) {
        let mut env = env(scenario, Phase::Evaluate);
        let mut policy = baseline(policy).unwrap();
        let recording = record(&mut env, policy.as_mut(), seed).unwrap();
        (recording, rollout(&mut env, policy.as_mut(), seed).unwrap())
    }

    #[test]
    fn a_recording_is_the_episode_that_a_rollout_plays() {
        for scenario in ["quickstart", "founding-10x50", "faults"] {
            let (recording, outcome) = recorded(scenario, "best-single-move", 3);
            assert_eq!(recording.outcome.episode_return, outcome.episode_return);
            assert_eq!(recording.outcome.moves_made, outcome.moves_made);
            assert_eq!(outcome.moves_made.len(), outcome.moves as usize);
            let moved = |event: &&Event| matches!(event.kind, EventKind::TransferStarted { .. });
            assert_eq!(recording.events.iter().filter(moved).count(), outcome.moves as usize);
            assert_eq!(recording.frames.len(), outcome.tick_rewards.len() + 1);
        }
    }

    #[test]
    fn what_the_frames_paid_adds_up_to_the_return() {
        for scenario in ["quickstart", "founding-10x50"] {
            let (recording, outcome) = recorded(scenario, "best-single-move", 4);
            for (frame, &reward) in recording.frames.iter().zip(&outcome.tick_rewards) {
                let paid: f32 = recording.weighted_paid(frame).iter().sum();
                assert!((paid + reward).abs() < 1e-4, "{scenario} {}: {paid} {reward}", frame.tick);
            }
        }
    }

    #[test]
    fn a_static_recording_goes_down_by_its_return_and_its_costs() {
        let (recording, outcome) = recorded("quickstart", "best-single-move", 5);
        let level = |frame: &Frame| recording.weighted_level(frame).iter().sum::<f32>();
        let (first, last) = (&recording.frames[0], recording.frames.last().unwrap());
        let flow: f32 = recording
            .frames
            .iter()
            .map(|frame| recording.weighted_paid(frame)[LEVEL_TERMS..].iter().sum::<f32>())
            .sum();
        let gained = f64::from(level(first) - level(last) - flow);
        assert!((gained - outcome.episode_return).abs() < 1e-4);
        assert_eq!(last.paid, [0.0; TERMS]);
    }
}
