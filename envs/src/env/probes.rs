//! Probe environments: worlds so small that every Q-value is known exactly. A learner that does
//! not reach them has a bug, and which probe it fails says where.
//!
//! All probes show one workload on two nodes, hence three actions (`Stay`, to node 0, to node 1),
//! each pair at its fixed index. What an action does is the probe's own business: nothing moves.
//! A state is shown as a signal of -1 or +1 and a stage (0 first, 1 then), the two global features;
//! nodes and workloads carry the signal as well, and candidates their action's sign and their
//! sign times the signal.

use crate::env::{ActionError, Env, EpisodeEnd, ResetError, Step};
use crate::observe::schema::{Feature, ObservationSchema};
use crate::observe::sections::Sections;
use crate::observe::{ObservationBuffer, ObservationSpace};
use crate::rng::child_seed;
use crate::state::term::TERMS;
use serde::{Deserialize, Serialize};

/// Number of actions of every probe.
pub const PROBE_ACTIONS: usize = 3;

/// Which question a probe asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeKind {
    /// Reward 1, then the end: Q = 1 everywhere. Fails with a broken value head or loss.
    ConstantReward,
    /// Reward 0, then reward 1 and the end: Q = gamma, then 1. Fails with broken bootstrapping.
    DelayedReward,
    /// [`ProbeKind::DelayedReward`], but no tick passes in the first step: Q = 1 in both states,
    /// since a transition's discount is `gamma^elapsed_ticks`.
    SameTick,
    /// [`ProbeKind::DelayedReward`], but three ticks pass in the first step: Q = gamma^3, then 1.
    ThreeTicks,
    /// The signal is the reward, then the end: Q = signal. Fails where observations are mixed up.
    ObservedReward,
    /// `Stay` pays 0, node 0 pays 1, node 1 pays -1, then the end. Fails where actions are mixed
    /// up.
    ActionReward,
    /// First stage: no reward; `Stay` ends the episode, node 0 leads to the open second stage,
    /// node 1 to the closed one. Second stage: `Stay` pays 0, the node that agrees with the signal
    /// (+1: node 1, -1: node 0) pays 1, the other one pays 0.5; then the end. In the closed stage
    /// the paying node is masked. Nothing but the mask tells open from closed, so that a learner
    /// knows from the open one that the masked action would pay 1. First stage: Q = 0 for `Stay`,
    /// gamma for node 0, gamma / 2 for node 1; a learner whose target looks at masked actions
    /// gets gamma for node 1.
    MaskedBest,
    /// Reward 1 for ever, truncated every eight steps, while the observation never changes:
    /// Q = 1 / (1 - gamma). A learner that takes a truncation for an end falls far short.
    Endless,
}

impl ProbeKind {
    /// All probes, from the simplest on.
    pub const ALL: [ProbeKind; 8] = [
        Self::ConstantReward,
        Self::DelayedReward,
        Self::SameTick,
        Self::ThreeTicks,
        Self::ObservedReward,
        Self::ActionReward,
        Self::MaskedBest,
        Self::Endless,
    ];

    /// Name in test output.
    pub fn name(self) -> &'static str {
        match self {
            Self::ConstantReward => "constant_reward",
            Self::DelayedReward => "delayed_reward",
            Self::SameTick => "same_tick",
            Self::ThreeTicks => "three_ticks",
            Self::ObservedReward => "observed_reward",
            Self::ActionReward => "action_reward",
            Self::MaskedBest => "masked_best",
            Self::Endless => "endless",
        }
    }
}

/// Steps after which [`ProbeKind::Endless`] is truncated.
pub const ENDLESS_STEPS: u32 = 8;

/// Where a probe stands: all that an observation is a function of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stand {
    /// 0 or 1: signal -1 or +1.
    signal: u8,
    /// 0 or 1.
    stage: u8,
    /// Whether the best action is masked.
    closed: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    stand: Stand,
    steps: u32,
    ended: bool,
}

/// Exact Q-values of one state.
#[derive(Debug, Clone, PartialEq)]
pub struct ProbeState {
    /// Its compact form, for [`Env::read_compact`].
    pub compact: Vec<u8>,
    /// Q of each action; `None` where it is masked.
    pub q: [Option<f32>; PROBE_ACTIONS],
}

/// A probe environment.
#[derive(Debug, Clone)]
pub struct Probe {
    kind: ProbeKind,
    space: ObservationSpace,
    stand: Stand,
    steps: u32,
    ended: bool,
}

impl Probe {
    /// A probe at the start of the episode of seed 0.
    pub fn new(kind: ProbeKind) -> Self {
        let features = |names: &[&str]| {
            names
                .iter()
                .map(|name| Feature { name: (*name).into(), unit: "1".into(), scale: 1.0 })
                .collect()
        };
        let schema = ObservationSchema {
            version: 1,
            node: features(&["signal"]),
            workload: features(&["signal"]),
            global: features(&["signal", "stage"]),
            candidate: features(&["sign", "sign_times_signal"]),
        };
        let space = ObservationSpace {
            sections: Sections::default(),
            nodes: 2,
            workloads: 1,
            actions: PROBE_ACTIONS,
            fixed_pairs: true,
            schema,
            normalisation: None,
        };
        let stand = start(kind, 0);
        Self { kind, space, stand, steps: 0, ended: false }
    }

    /// Which probe this is.
    pub fn kind(&self) -> ProbeKind {
        self.kind
    }

    /// Every state that an episode can be in, with its exact Q-values under the optimal policy.
    /// A step of one tick is discounted by `gamma`.
    pub fn q_values(&self, gamma: f32) -> Vec<ProbeState> {
        let state = |signal, stage, closed, q: [f32; PROBE_ACTIONS]| {
            let stand = Stand { signal, stage, closed };
            let mut states = ProbeState { compact: stand.bytes().to_vec(), q: q.map(Some) };
            if let Some(masked) = stand.masked() {
                states.q[masked] = None;
            }
            states
        };
        let same = |q: f32| [q; PROBE_ACTIONS];
        match self.kind {
            ProbeKind::ConstantReward => vec![state(1, 0, false, same(1.0))],
            ProbeKind::DelayedReward | ProbeKind::SameTick | ProbeKind::ThreeTicks => {
                let first = gamma.powi(first_ticks(self.kind) as i32);
                vec![state(1, 0, false, same(first)), state(1, 1, false, same(1.0))]
            }
            ProbeKind::ObservedReward => {
                vec![state(0, 0, false, same(-1.0)), state(1, 0, false, same(1.0))]
            }
            ProbeKind::ActionReward => vec![state(1, 0, false, [0.0, 1.0, -1.0])],
            ProbeKind::MaskedBest => {
                let first = [0.0, gamma, gamma / 2.0];
                let mut states = Vec::new();
                for (signal, second) in [(0, [0.0, 1.0, 0.5]), (1, [0.0, 0.5, 1.0])] {
                    states.push(state(signal, 0, false, first));
                    states.push(state(signal, 1, false, second));
                    states.push(state(signal, 1, true, second));
                }
                states
            }
            ProbeKind::Endless => vec![state(1, 0, false, same(1.0 / (1.0 - gamma)))],
        }
    }
}

fn start(kind: ProbeKind, seed: u64) -> Stand {
    let signal = match kind {
        ProbeKind::ObservedReward | ProbeKind::MaskedBest => (child_seed(seed, 0) & 1) as u8,
        _ => 1,
    };
    Stand { signal, stage: 0, closed: false }
}

/// Ticks that the first of two steps takes.
fn first_ticks(kind: ProbeKind) -> u32 {
    match kind {
        ProbeKind::SameTick => 0,
        ProbeKind::ThreeTicks => 3,
        _ => 1,
    }
}

impl Stand {
    fn bytes(self) -> [u8; 3] {
        [self.signal, self.stage, u8::from(self.closed)]
    }

    /// The action that pays most in the second stage of [`ProbeKind::MaskedBest`].
    fn best(self) -> usize {
        1 + usize::from(self.signal)
    }

    fn masked(self) -> Option<usize> {
        self.closed.then(|| self.best())
    }

    fn signal(self) -> f32 {
        f32::from(self.signal) * 2.0 - 1.0
    }
}

impl Env for Probe {
    fn observation_space(&self) -> &ObservationSpace {
        &self.space
    }

    fn reset(&mut self, seed: u64) -> Result<(), ResetError> {
        self.stand = start(self.kind, seed);
        self.steps = 0;
        self.ended = false;
        Ok(())
    }

    fn step(&mut self, index: usize) -> Result<Step, ActionError> {
        if self.ended {
            return Err(ActionError::Ended);
        }
        if index >= PROBE_ACTIONS {
            return Err(ActionError::OutOfRange { index, size: PROBE_ACTIONS });
        }
        if self.stand.masked() == Some(index) {
            return Err(ActionError::Masked { index, reason: "the stage is closed".into() });
        }
        let stand = self.stand;
        self.steps += 1;
        let mut end = Some(EpisodeEnd::Terminated);
        let (mut reward, mut elapsed_ticks) = (1.0, 1);
        match self.kind {
            ProbeKind::ConstantReward => {}
            ProbeKind::DelayedReward | ProbeKind::SameTick | ProbeKind::ThreeTicks => {
                if stand.stage == 0 {
                    (reward, elapsed_ticks, end) = (0.0, first_ticks(self.kind), None);
                    self.stand.stage = 1;
                }
            }
            ProbeKind::ObservedReward => reward = stand.signal(),
            ProbeKind::ActionReward => reward = [0.0, 1.0, -1.0][index],
            ProbeKind::MaskedBest if stand.stage == 0 => {
                reward = 0.0;
                if index > 0 {
                    end = None;
                    self.stand = Stand { stage: 1, closed: index == 2, ..stand };
                }
            }
            ProbeKind::MaskedBest => {
                reward = match index {
                    0 => 0.0,
                    best if best == stand.best() => 1.0,
                    _ => 0.5,
                }
            }
            ProbeKind::Endless => {
                let cut = self.steps >= ENDLESS_STEPS;
                end = cut.then_some(EpisodeEnd::Truncated);
            }
        }
        self.ended = end.is_some();
        Ok(Step { reward, luck: 0.0, terms: [0.0; TERMS], elapsed_ticks, end })
    }

    fn observe(&self, out: &mut ObservationBuffer) {
        let signal = self.stand.signal();
        out.nodes.fill(signal);
        out.workloads.fill(signal);
        out.globals.copy_from_slice(&[signal, f32::from(self.stand.stage)]);
        out.candidates.fill(0.0);
        out.mask.fill(false);
        for (a, sign) in [0.0, -1.0, 1.0].into_iter().enumerate() {
            out.candidates[a] = sign;
            out.candidates[out.candidate_stride + a] = sign * signal;
            out.mask[a] = self.stand.masked() != Some(a);
        }
        out.candidate_workload.fill(0);
        out.candidate_source.fill(0);
        out.candidate_destination.copy_from_slice(&[0, 0, 1]);
        out.placement.fill(0);
    }

    fn compact_len(&self) -> usize {
        3
    }

    fn write_compact(&self, out: &mut [u8]) {
        out.copy_from_slice(&self.stand.bytes());
    }

    fn read_compact(&mut self, state: &[u8]) {
        self.stand = Stand { signal: state[0], stage: state[1], closed: state[2] != 0 };
    }

    fn save(&self) -> serde_json::Value {
        let saved = Saved { stand: self.stand, steps: self.steps, ended: self.ended };
        serde_json::to_value(saved).unwrap_or_default()
    }

    fn restore(&mut self, saved: &serde_json::Value) -> Result<(), String> {
        let saved = Saved::deserialize(saved).map_err(|error| format!("probe state: {error}"))?;
        (self.stand, self.steps, self.ended) = (saved.stand, saved.steps, saved.ended);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Value iteration by rolling every action from every stated state, with the stated values
    /// of the state that follows: the stated values must be a fixed point.
    #[test]
    fn the_stated_values_satisfy_the_bellman_equation() {
        let gamma = 0.75;
        for kind in ProbeKind::ALL {
            let states = Probe::new(kind).q_values(gamma);
            for state in &states {
                for (action, q) in state.q.iter().enumerate() {
                    let mut probe = Probe::new(kind);
                    probe.read_compact(&state.compact);
                    let Some(q) = q else {
                        assert!(probe.step(action).is_err());
                        continue;
                    };
                    let step = probe.step(action).unwrap();
                    let mut target = step.reward;
                    if step.end != Some(EpisodeEnd::Terminated) {
                        let mut bytes = vec![0; 3];
                        probe.write_compact(&mut bytes);
                        let next = states.iter().find(|state| state.compact == bytes).unwrap();
                        let best = next.q.iter().flatten().copied().fold(f32::MIN, f32::max);
                        target += gamma.powi(step.elapsed_ticks as i32) * best;
                    }
                    assert!((q - target).abs() < 1e-6, "{}: {q} {target}", kind.name());
                }
            }
        }
    }

    #[test]
    fn open_and_closed_stages_differ_in_the_mask_alone() {
        let mut probe = Probe::new(ProbeKind::MaskedBest);
        let mut seen = [false, true].map(|closed| {
            probe.stand = Stand { signal: 1, stage: 1, closed };
            let mut out = ObservationBuffer::new(probe.observation_space());
            probe.observe(&mut out);
            out
        });
        assert_ne!(seen[0].mask, seen[1].mask);
        seen[0].mask = seen[1].mask.clone();
        assert_eq!(seen[0], seen[1]);
    }

    #[test]
    fn both_signals_are_drawn() {
        let mut probe = Probe::new(ProbeKind::ObservedReward);
        let drawn: std::collections::HashSet<u8> = (0..32)
            .map(|seed| {
                probe.reset(seed).unwrap();
                probe.stand.signal
            })
            .collect();
        assert_eq!(drawn.len(), 2);
    }
}
