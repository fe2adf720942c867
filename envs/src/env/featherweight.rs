//! Two environments that cost next to nothing, so that what is measured is the learner, and that
//! other learners can be given as well: CartPole, and one of 200 inputs and 50 actions.
//!
//! A fixed-size network reads all of an observation; where its numbers stand carries no meaning
//! here. All actions are always allowed and no workload is on a node, so that the placement part of
//! the input stays 0.

use crate::env::{ActionError, Env, EpisodeEnd, ResetError, Step};
use crate::observe::schema::{Feature, ObservationSchema};
use crate::observe::sections::Sections;
use crate::observe::{ObservationBuffer, ObservationSpace};
use crate::rng::child_seed;
use crate::state::term::TERMS;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Which of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpeedKind {
    /// CartPole-v1 of Gymnasium (Barto, Sutton and Anderson 1983): push a cart left or right to
    /// keep its pole up. 4 inputs, 2 actions, reward 1 per step, truncated after 500.
    CartPole,
    /// The observation is a window of [`FLAT_INPUTS`] numbers on a fixed table, which starts
    /// [`FLAT_STRIDE`] further with every step; the action with the number of the step, modulo
    /// [`FLAT_ACTIONS`], pays 1. Terminated after [`FLAT_STEPS`] steps.
    Flat,
}

impl SpeedKind {
    /// Both.
    pub const ALL: [SpeedKind; 2] = [Self::CartPole, Self::Flat];

    /// Name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::CartPole => "cartpole",
            Self::Flat => "flat-200x50",
        }
    }

    /// Nodes and workloads of the space: every pair is an action beside `Stay`.
    fn size(self) -> usize {
        match self {
            Self::CartPole => 1,
            Self::Flat => 7,
        }
    }

    /// Cluster features; each node and each workload has one more.
    fn globals(self) -> usize {
        self.inputs() - 2 * self.size()
    }

    fn inputs(self) -> usize {
        match self {
            Self::CartPole => 4,
            Self::Flat => FLAT_INPUTS,
        }
    }
}

/// Inputs of [`SpeedKind::Flat`].
pub const FLAT_INPUTS: usize = 200;
/// Actions of [`SpeedKind::Flat`].
pub const FLAT_ACTIONS: usize = 50;
/// Numbers that a window moves on in a step.
pub const FLAT_STRIDE: usize = 7;
/// Steps of an episode of [`SpeedKind::Flat`].
pub const FLAT_STEPS: u32 = 100;
/// Steps after which CartPole is truncated.
pub const CART_POLE_STEPS: u32 = 500;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    state: Vec<f32>,
    start: usize,
    steps: u32,
    ended: bool,
}

/// One of the two environments.
#[derive(Debug, Clone)]
pub struct SpeedEnv {
    kind: SpeedKind,
    space: ObservationSpace,
    /// What is observed.
    state: Vec<f32>,
    table: Arc<[f32]>,
    /// Workload and destination of each action.
    workload: Vec<u32>,
    destination: Vec<u32>,
    /// Where the episode's first window starts.
    start: usize,
    steps: u32,
    ended: bool,
}

impl SpeedEnv {
    /// An environment at the start of the episode of seed 0.
    pub fn new(kind: SpeedKind) -> Self {
        let features = |count: usize| {
            (0..count)
                .map(|i| Feature { name: format!("x{i}"), unit: "1".into(), scale: 1.0 })
                .collect()
        };
        let schema = ObservationSchema {
            version: 1,
            node: features(1),
            workload: features(1),
            global: features(kind.globals()),
            candidate: features(1),
        };
        let n = kind.size();
        let space = ObservationSpace {
            sections: Sections::default(),
            nodes: n,
            workloads: n,
            actions: 1 + n * n,
            fixed_pairs: true,
            schema,
            normalisation: None,
        };
        let windows = FLAT_INPUTS + FLAT_STRIDE * (FLAT_STEPS as usize + FLAT_ACTIONS);
        let table = (0..windows as u64).map(|i| unit(child_seed(0, i))).collect();
        // `Stay` is shown as the first pair.
        let pairs = std::iter::once(0).chain(0..(n * n) as u32);
        let mut env = Self {
            kind,
            space,
            state: vec![0.0; kind.inputs()],
            table,
            workload: pairs.clone().map(|pair| pair / n as u32).collect(),
            destination: pairs.map(|pair| pair % n as u32).collect(),
            start: 0,
            steps: 0,
            ended: false,
        };
        env.begin(0);
        env
    }

    fn begin(&mut self, seed: u64) {
        (self.steps, self.ended) = (0, false);
        match self.kind {
            SpeedKind::CartPole => {
                for (i, value) in self.state.iter_mut().enumerate() {
                    *value = 0.05 * unit(child_seed(seed, i as u64));
                }
            }
            SpeedKind::Flat => {
                self.start = (child_seed(seed, 0) % FLAT_ACTIONS as u64) as usize;
                self.show_window();
            }
        }
    }

    fn show_window(&mut self) {
        let at = (self.start + self.steps as usize) * FLAT_STRIDE;
        self.state.copy_from_slice(&self.table[at..][..FLAT_INPUTS]);
    }

    /// The equations of motion, one Euler step of 0.02 s, with Gymnasium's constants: gravity 9.8,
    /// cart 1 kg, pole 0.1 kg and half a metre to its middle, force 10 N.
    fn push(&mut self, right: bool) -> bool {
        let (tau, mass, pole_mass_length, length) = (0.02, 1.1, 0.05, 0.5);
        let [x, x_dot, theta, theta_dot] = [0, 1, 2, 3].map(|i| self.state[i]);
        let force = if right { 10.0 } else { -10.0 };
        let (sin, cos) = theta.sin_cos();
        let temp = (force + pole_mass_length * theta_dot * theta_dot * sin) / mass;
        let theta_acc = (9.8 * sin - cos * temp) / (length * (4.0 / 3.0 - 0.1 * cos * cos / mass));
        let x_acc = temp - pole_mass_length * theta_acc * cos / mass;
        let moved = [
            x + tau * x_dot,
            x_dot + tau * x_acc,
            theta + tau * theta_dot,
            theta_dot + tau * theta_acc,
        ];
        self.state.copy_from_slice(&moved);
        moved[0].abs() > 2.4 || moved[2].abs() > 12.0_f32.to_radians()
    }
}

/// -1 to 1 from the high bits of a seed.
fn unit(bits: u64) -> f32 {
    (bits >> 40) as f32 / (1_u32 << 23) as f32 - 1.0
}

impl Env for SpeedEnv {
    fn observation_space(&self) -> &ObservationSpace {
        &self.space
    }

    fn reset(&mut self, seed: u64) -> Result<(), ResetError> {
        self.begin(seed);
        Ok(())
    }

    fn step(&mut self, index: usize) -> Result<Step, ActionError> {
        if self.ended {
            return Err(ActionError::Ended);
        }
        if index >= self.space.actions {
            return Err(ActionError::OutOfRange { index, size: self.space.actions });
        }
        let (reward, end) = match self.kind {
            SpeedKind::CartPole => {
                let fell = self.push(index == 1);
                self.steps += 1;
                let late = self.steps >= CART_POLE_STEPS;
                (
                    1.0,
                    match (fell, late) {
                        (true, _) => Some(EpisodeEnd::Terminated),
                        (false, true) => Some(EpisodeEnd::Truncated),
                        (false, false) => None,
                    },
                )
            }
            SpeedKind::Flat => {
                let pays = index == self.steps as usize % FLAT_ACTIONS;
                self.steps += 1;
                self.show_window();
                let end = (self.steps >= FLAT_STEPS).then_some(EpisodeEnd::Terminated);
                (if pays { 1.0 } else { 0.0 }, end)
            }
        };
        self.ended = end.is_some();
        Ok(Step { reward, luck: 0.0, terms: [0.0; TERMS], elapsed_ticks: 1, end })
    }

    fn observe(&self, out: &mut ObservationBuffer) {
        let n = self.kind.size();
        let (globals, entities) = self.state.split_at(self.kind.globals());
        out.globals.copy_from_slice(globals);
        out.nodes.copy_from_slice(&entities[..n]);
        out.workloads.copy_from_slice(&entities[n..]);
        out.placement.fill(n as u32);
        out.candidate_workload.copy_from_slice(&self.workload);
        out.candidate_destination.copy_from_slice(&self.destination);
        out.candidate_source[1..].fill(n as u32);
        out.mask[..self.space.actions].fill(true);
    }

    fn compact_len(&self) -> usize {
        4 * self.state.len()
    }

    fn write_compact(&self, out: &mut [u8]) {
        for (out, value) in out.as_chunks_mut::<4>().0.iter_mut().zip(&self.state) {
            *out = value.to_le_bytes();
        }
    }

    fn read_compact(&mut self, state: &[u8]) {
        for (value, bytes) in self.state.iter_mut().zip(state.as_chunks::<4>().0) {
            *value = f32::from_le_bytes(*bytes);
        }
    }

    fn save(&self) -> serde_json::Value {
        let Self { state, start, steps, ended, .. } = self.clone();
        serde_json::to_value(Saved { state, start, steps, ended }).unwrap_or_default()
    }

    fn restore(&mut self, saved: &serde_json::Value) -> Result<(), String> {
        let saved = Saved::deserialize(saved).map_err(|error| format!("state: {error}"))?;
        if saved.state.len() != self.state.len() || saved.start >= FLAT_ACTIONS {
            let (expected, got) = (self.state.len(), saved.state.len());
            return Err(format!("state: expected {expected} numbers, got {got}"));
        }
        (self.state, self.start) = (saved.state, saved.start);
        (self.steps, self.ended) = (saved.steps, saved.ended);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed expectation is the point of a test

    use super::*;
    use crate::env::checker::check_env;

    #[test]
    fn cart_pole_follows_gymnasium() {
        // gymnasium.make("CartPole-v1").unwrapped with state (0.01, 0.02, 0.03, 0.04), actions
        // 1, 1, 0, 1.
        let mut env = SpeedEnv::new(SpeedKind::CartPole);
        env.state.copy_from_slice(&[0.01, 0.02, 0.03, 0.04]);
        for action in [1, 1, 0, 1] {
            env.step(action).unwrap();
        }
        let expected = [0.027_157_96, 0.408_769, 0.010_918_285, -0.512_916_3];
        for (got, expected) in env.state.iter().zip(expected) {
            assert!((got - expected).abs() < 1e-5, "{:?} {expected:?}", env.state);
        }
    }

    #[test]
    fn pushing_one_way_ends_a_cart_pole_episode() {
        let mut env = SpeedEnv::new(SpeedKind::CartPole);
        let steps = (1..).find(|_| env.step(1).unwrap().end.is_some());
        assert!((8..12).contains(&steps.unwrap()), "{steps:?}");
        assert!(env.step(1).is_err());
    }

    #[test]
    fn one_action_pays_in_the_flat_environment() {
        let mut env = SpeedEnv::new(SpeedKind::Flat);
        for step in 0..FLAT_STEPS as usize {
            let pays = step % 3 == 0;
            let got = env.step((step + usize::from(!pays)) % FLAT_ACTIONS).unwrap();
            assert_eq!(got.reward, if pays { 1.0 } else { 0.0 }, "step {step}");
            assert_eq!(got.end.is_some(), step + 1 == FLAT_STEPS as usize);
        }
    }

    #[test]
    fn both_keep_the_promises_of_an_environment() {
        for kind in SpeedKind::ALL {
            let report = check_env(|| SpeedEnv::new(kind), 0..4, 600).unwrap();
            assert_eq!(report.terminated + report.truncated, 4, "{}", kind.name());
        }
    }
}
