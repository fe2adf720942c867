//! Paired-baseline reward: what the learner is paid beyond what a baseline would have earned in
//! the same tick of the same episode.
//!
//! Demand fluctuates far more than one migration changes, and it does not depend on the actions.
//! A twin of the environment, driven by the same exogenous random numbers, is stepped by a
//! baseline, and its reward per tick is subtracted. That part does not depend on the learner's
//! actions, so the optimal policy stays the same (input-dependent baselines: Mao et al., ICLR
//! 2019).

use godwit_envs::env::cluster_env::ClusterEnv;
use godwit_envs::env::{ActionError, Env, ResetError, Step};
use godwit_envs::observe::{ObservationBuffer, ObservationSpace};
use godwit_envs::state::{Action, Infeasible};
use godwit_models::policy::Policy;
use godwit_models::rollout::{RolloutError, tick_rewards};

/// A cluster environment that may subtract a twin's reward, and luck.
pub struct PairedEnv {
    env: ClusterEnv,
    expected_failures: bool,
    twin: Option<Twin>,
}

struct Twin {
    env: ClusterEnv,
    baseline: Box<dyn Policy>,
    /// Reward that the baseline earns in each tick of the current episode.
    rewards: Vec<f32>,
}

impl PairedEnv {
    /// The environment as it is.
    pub fn plain(env: ClusterEnv) -> Self {
        Self { env, expected_failures: false, twin: None }
    }

    /// The environment minus what `baseline` earns in it.
    pub fn paired(env: ClusterEnv, baseline: Box<dyn Policy>) -> Self {
        let twin =
            Some(Twin { env: env.clone().without_candidates(), baseline, rewards: Vec::new() });
        Self { env, expected_failures: false, twin }
    }

    /// Pays failures as they are expected, not as they happen; see [`Step::luck`].
    #[must_use]
    pub fn expecting_failures(mut self, expected: bool) -> Self {
        self.expected_failures = expected;
        self
    }

    /// The environment inside.
    pub fn inner(&self) -> &ClusterEnv {
        &self.env
    }

    /// Takes an action, offered or not, and is paid as in [`Env::step`].
    ///
    /// # Errors
    /// The constraint that forbids the action; the state is unchanged.
    pub fn apply(&mut self, action: Action) -> Result<Step, Infeasible> {
        let tick = self.env.state().tick as usize;
        let step = self.env.apply(action)?;
        Ok(self.paid(tick, step))
    }

    /// The step as it is paid: without luck, less what the baseline earned in the tick if that has
    /// passed.
    fn paid(&self, tick: usize, mut step: Step) -> Step {
        step.reward = reward(&step, self.expected_failures);
        if let (Some(twin), 1..) = (&self.twin, step.elapsed_ticks) {
            step.reward -= twin.rewards.get(tick).copied().unwrap_or(0.0);
        }
        step
    }

    fn run_twin(&mut self) -> Result<(), ResetError> {
        if let Some(twin) = &mut self.twin {
            let expected = self.expected_failures;
            let (env, baseline, seed) = (&mut twin.env, twin.baseline.as_mut(), self.env.seed());
            let rewards = tick_rewards(env, baseline, seed, |step| reward(step, expected));
            twin.rewards = rewards.map_err(|error| match error {
                RolloutError::Reset(error) => error,
                // A baseline that breaks its contract is a defect, not a condition to handle.
                RolloutError::Infeasible { .. } => unreachable!("{error}"),
            })?;
        }
        Ok(())
    }
}

/// What a step pays: with failures as they are expected, its reward without luck.
pub fn reward(step: &Step, expected_failures: bool) -> f32 {
    if expected_failures { step.reward - step.luck } else { step.reward }
}

impl Env for PairedEnv {
    fn observation_space(&self) -> &ObservationSpace {
        self.env.observation_space()
    }

    fn reset(&mut self, seed: u64) -> Result<(), ResetError> {
        self.env.reset(seed)?;
        self.run_twin()
    }

    fn step(&mut self, action: usize) -> Result<Step, ActionError> {
        let tick = self.env.state().tick as usize;
        let step = self.env.step(action)?;
        Ok(self.paid(tick, step))
    }

    fn observe(&self, out: &mut ObservationBuffer) {
        self.env.observe(out);
    }

    fn observe_actions(&self, actions: &[usize], out: &mut ObservationBuffer) {
        self.env.observe_actions(actions, out);
    }

    fn compact_len(&self) -> usize {
        self.env.compact_len()
    }

    fn write_compact(&self, out: &mut [u8]) {
        self.env.write_compact(out);
    }

    fn read_compact(&mut self, state: &[u8]) {
        self.env.read_compact(state);
    }

    fn save(&self) -> serde_json::Value {
        self.env.save()
    }

    fn restore(&mut self, saved: &serde_json::Value) -> Result<(), String> {
        self.env.restore(saved)?;
        self.run_twin().map_err(|error| error.to_string())
    }
}
