//! Every setting of a training run, with its default and the paper it comes from.

use crate::schedule::Schedule;
use godwit_models::baselines::Assignment;
use godwit_models::net::Architecture;
use serde::{Deserialize, Serialize};

/// A whole run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainConfig {
    /// Length of the run in env steps.
    pub env_steps: u64,
    /// Stop after this many minutes at the latest; 0 for no limit.
    pub max_minutes: f64,
    /// Seed of everything that is drawn.
    pub seed: u64,
    /// Trained policy whose weights the run starts with: an artifact, a folder of a run or
    /// checkpoint, or the name of a pretrained policy; empty for fresh weights.
    pub initial_policy: String,
    /// Environment copies that are stepped side by side.
    pub env_copies: usize,
    /// Env steps of each copy between two exchanges of weights and experience.
    pub round_steps: usize,
    /// Env steps for each update.
    pub steps_per_update: f64,
    /// Env steps before the first update.
    pub warm_up_steps: u64,
    /// States that the replay holds.
    pub replay_capacity: usize,
    /// Env steps between two evaluations; 0 for one at the end only.
    pub evaluate_every: u64,
    /// Validation episodes of an evaluation.
    pub evaluate_episodes: usize,
    /// Env steps between two checkpoints; 0 for only the last.
    pub checkpoint_every: u64,
    /// How many numbered checkpoints to keep; 0 for none but `last` and `best`.
    pub keep_checkpoints: usize,
    /// Baseline whose reward under the same exogenous randomness is subtracted (Mao et al., ICLR
    /// 2019); empty for none. Reported returns are always the plain ones.
    pub paired_baseline: String,
    /// Pay the learner what failures of degraded nodes were expected to cost just before they were
    /// drawn, in place of what they cost: the same on average, with less noise (a control variate:
    /// Zinkevich et al., AAAI 2006). Reported returns are always the plain ones.
    pub expected_failures: bool,
    /// The network.
    pub network: NetworkConfig,
    /// Exploration.
    pub exploration: ExplorationConfig,
    /// The update.
    pub learner: LearnerConfig,
    /// Warm start from a baseline.
    pub demonstrations: DemonstrationConfig,
    /// Improvement on a baseline by rollouts.
    pub comparisons: ComparisonConfig,
}

/// The network's shape.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NetworkConfig {
    /// `relational` or `candidate` (any cluster size), or `mlp` (fixed size).
    pub architecture: Architecture,
    /// Width of encoders or hidden layers.
    pub hidden: usize,
    /// Width of the two heads (not in an mlp).
    pub head_hidden: usize,
    /// Dueling split (Wang et al., ICML 2016) with `Stay` as the reference action.
    pub dueling: bool,
}

/// Epsilon-greedy over the mask.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ExplorationConfig {
    /// Probability of an exploring action.
    pub epsilon: Schedule,
    /// Share of exploring actions that take the best one-step change of the objective instead of
    /// a uniform draw.
    pub greedy_share: f64,
    /// Share of uniform draws that are `Stay`, whatever the number of candidates.
    pub stay_share: f64,
    /// Noisy networks (Fortunato et al., ICLR 2018): sigma_0 of factorised noise on the weights of
    /// the heads, redrawn for each update, and for each environment copy in each round. 0 for
    /// none; the paper's choice is 0.5, with an epsilon of 0.
    pub noisy_sigma: f64,
}

/// What computes the updates.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Backend {
    /// `native` on the CPU, `libtorch` on other devices.
    #[default]
    Auto,
    /// Forward pass, backward pass and Adam in plain Rust; for the CPU.
    Native,
    /// libtorch's autograd.
    Libtorch,
}

/// The update.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LearnerConfig {
    /// What computes it: `auto`, `native` or `libtorch`.
    pub backend: Backend,
    /// Transitions per update.
    pub batch_size: usize,
    /// Discount per tick.
    pub gamma: f64,
    /// Rewards summed before bootstrapping (Sutton 1988).
    pub n_step: usize,
    /// Double Q-learning (van Hasselt et al., AAAI 2016).
    pub double: bool,
    /// Huber loss: quadratic up to here, linear beyond.
    pub huber_delta: f64,
    /// Step size of Adam.
    pub learning_rate: Schedule,
    /// Decoupled weight decay of AdamW.
    pub weight_decay: f64,
    /// Gradients are scaled down to this norm.
    pub max_gradient_norm: f64,
    /// Updates between hard copies to the target network; 0 for soft updates.
    pub target_every: u64,
    /// Share of the online network that each soft update mixes in.
    pub target_tau: f64,
    /// Rewards are divided by the scenario's objective unit and multiplied by this.
    pub reward_scale: f64,
    /// Alpha of prioritised replay (Schaul et al., ICLR 2016): a transition is drawn in proportion
    /// to its last absolute TD error to this power; 0 draws uniformly, the paper's choice is 0.6.
    pub priority_exponent: f64,
    /// Quantiles of the return that the network learns in place of its mean (quantile regression:
    /// Dabney et al., AAAI 2018, with 200); 1 for the mean alone. `huber_delta` is its kappa. Not
    /// for an mlp, and not with noisy heads.
    pub quantiles: usize,
    /// Beta of prioritised replay: how far importance weights in the loss make up for the uneven
    /// draws, from 0 (not at all) to 1 (in full).
    pub priority_beta: Schedule,
    /// On a CUDA device: record the update as a graph and replay it, which costs one launch instead
    /// of hundreds. The results are the same.
    pub cuda_graph: bool,
    /// On a CUDA device: matrix products may round their factors to TF32 (10 bits of mantissa
    /// instead of 23).
    pub tf32: bool,
    /// On a CUDA device: forward and backward pass compute in bf16 (7 bits of mantissa); weights,
    /// loss and optimiser stay in f32.
    pub bf16: bool,
}

/// Deep Q-learning from demonstrations (DQfD: Hester et al., AAAI 2018): a share of each batch
/// shows what a baseline did in training episodes, and there its action shall be worth more than
/// any other by a margin. Demonstrations have a fixed, decaying share instead of the paper's bonus
/// on priorities (a fixed one: Paine et al., 2019), and are drawn uniformly; the paper's L2 penalty
/// is `learner.weight_decay`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DemonstrationConfig {
    /// The baseline; empty for no demonstrations.
    pub baseline: String,
    /// Demonstrated env steps, in equal parts from each scenario.
    pub steps: usize,
    /// Updates from demonstrations alone before the first env step.
    pub pretrain_updates: u64,
    /// Share of each batch.
    pub share: Schedule,
    /// By how much the demonstrated action shall be worth more, in scaled rewards.
    pub margin: f64,
    /// Weight of the large-margin loss beside that of the TD errors.
    pub margin_weight: f64,
}

/// Improvement on a baseline by rollouts under common random numbers; see [`crate::comparisons`]. In
/// a share of each batch, the difference of two actions' values is fitted to that of the returns
/// after them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ComparisonConfig {
    /// The baseline that is improved on, and that plays the rollouts; empty for no comparisons. Also
    /// a trained policy: an artifact, a folder of a run or checkpoint, or the name of a pretrained
    /// one.
    pub baseline: String,
    /// Its parameters; defaults where none are given. Those of `godwit tune-baselines`, say.
    pub parameters: Assignment,
    /// States in which actions are compared, for each scenario.
    pub states: usize,
    /// Most actions that are compared with the baseline's in each state.
    pub actions: usize,
    /// Ticks of a rollout (in rebalance scenarios: moves).
    pub ticks: u32,
    /// Updates from comparisons (and demonstrations) alone before the first env step.
    pub pretrain_updates: u64,
    /// Share of each batch.
    pub share: Schedule,
    /// Weight of their loss beside that of the TD errors.
    pub weight: f64,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            env_steps: 200_000,
            max_minutes: 0.0,
            seed: 0,
            initial_policy: String::new(),
            env_copies: 16,
            round_steps: 4,
            steps_per_update: 4.0,
            warm_up_steps: 2_000,
            replay_capacity: 100_000,
            evaluate_every: 20_000,
            evaluate_episodes: 32,
            checkpoint_every: 50_000,
            keep_checkpoints: 0,
            paired_baseline: String::new(),
            expected_failures: true,
            network: NetworkConfig::default(),
            exploration: ExplorationConfig::default(),
            learner: LearnerConfig::default(),
            demonstrations: DemonstrationConfig::default(),
            comparisons: ComparisonConfig::default(),
        }
    }
}

impl Default for DemonstrationConfig {
    fn default() -> Self {
        Self {
            baseline: String::new(),
            steps: 10_000,
            pretrain_updates: 1_000,
            share: Schedule { from: 0.5, to: 0.0, share: 0.5 },
            margin: 0.05,
            margin_weight: 1.0,
        }
    }
}

impl Default for ComparisonConfig {
    fn default() -> Self {
        Self {
            baseline: String::new(),
            parameters: Assignment::new(),
            states: 10_000,
            actions: 9,
            ticks: 40,
            pretrain_updates: 3_000,
            share: Schedule { from: 0.5, to: 0.5, share: 1.0 },
            weight: 1.0,
        }
    }
}

impl Default for NetworkConfig {
    fn default() -> Self {
        Self { architecture: Architecture::Relational, hidden: 64, head_hidden: 32, dueling: true }
    }
}

impl Default for ExplorationConfig {
    fn default() -> Self {
        Self {
            epsilon: Schedule { from: 1.0, to: 0.05, share: 0.3 },
            greedy_share: 0.5,
            stay_share: 0.1,
            noisy_sigma: 0.0,
        }
    }
}

impl Default for LearnerConfig {
    fn default() -> Self {
        Self {
            backend: Backend::Auto,
            batch_size: 64,
            gamma: 0.99,
            n_step: 5,
            double: true,
            huber_delta: 1.0,
            learning_rate: Schedule { from: 5e-4, to: 5e-5, share: 1.0 },
            weight_decay: 0.0,
            max_gradient_norm: 10.0,
            target_every: 0,
            target_tau: 0.01,
            reward_scale: 1.0,
            quantiles: 1,
            priority_exponent: 0.0,
            priority_beta: Schedule { from: 0.4, to: 1.0, share: 1.0 },
            cuda_graph: true,
            tf32: false,
            bf16: false,
        }
    }
}

/// A setting that is out of its range.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{field}: expected {expected}, got {got}")]
pub struct ConfigError {
    /// Path of the setting.
    pub field: &'static str,
    /// What would have been accepted.
    pub expected: &'static str,
    /// What was given.
    pub got: String,
}

impl TrainConfig {
    /// Checks every range.
    ///
    /// # Errors
    /// The first setting that is out of its range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let (e, l) = (&self.exploration, &self.learner);
        let (d, c) = (&self.demonstrations, &self.comparisons);
        let share = |x: f64| (0.0..=1.0).contains(&x);
        let shares = |s: &Schedule| share(s.from) && share(s.to) && share(s.share);
        let positive = |x: f64| x.is_finite() && x > 0.0;
        let checks: &[(&'static str, bool, &'static str, String)] = &[
            ("env_steps", self.env_steps > 0, "at least 1", self.env_steps.to_string()),
            (
                "max_minutes",
                (0.0..=1e7).contains(&self.max_minutes),
                "0 to 1e7",
                self.max_minutes.to_string(),
            ),
            (
                "env_copies",
                (1..=4096).contains(&self.env_copies),
                "1 to 4096",
                self.env_copies.to_string(),
            ),
            (
                "round_steps",
                (1..=4096).contains(&self.round_steps),
                "1 to 4096",
                self.round_steps.to_string(),
            ),
            (
                "steps_per_update",
                positive(self.steps_per_update),
                "more than 0",
                self.steps_per_update.to_string(),
            ),
            (
                "replay_capacity",
                self.replay_capacity >= self.env_copies * (l.n_step + 8),
                "room for at least n_step + 8 states per environment copy",
                self.replay_capacity.to_string(),
            ),
            (
                "evaluate_episodes",
                self.evaluate_episodes > 0,
                "at least 1",
                self.evaluate_episodes.to_string(),
            ),
            (
                "network.hidden",
                (1..=4096).contains(&self.network.hidden),
                "1 to 4096",
                self.network.hidden.to_string(),
            ),
            (
                "network.head_hidden",
                (1..=4096).contains(&self.network.head_hidden),
                "1 to 4096",
                self.network.head_hidden.to_string(),
            ),
            (
                "exploration.epsilon",
                shares(&e.epsilon),
                "from, to and share within 0 to 1",
                format!("{:?}", e.epsilon),
            ),
            (
                "exploration.greedy_share",
                share(e.greedy_share),
                "0 to 1",
                e.greedy_share.to_string(),
            ),
            (
                "exploration.noisy_sigma",
                (0.0..=100.0).contains(&e.noisy_sigma),
                "0 to 100",
                e.noisy_sigma.to_string(),
            ),
            ("exploration.stay_share", share(e.stay_share), "0 to 1", e.stay_share.to_string()),
            (
                "learner.batch_size",
                (1..=65_536).contains(&l.batch_size),
                "1 to 65536",
                l.batch_size.to_string(),
            ),
            ("learner.gamma", share(l.gamma), "0 to 1", l.gamma.to_string()),
            ("learner.n_step", (1..=1000).contains(&l.n_step), "1 to 1000", l.n_step.to_string()),
            (
                "learner.huber_delta",
                positive(l.huber_delta),
                "more than 0",
                l.huber_delta.to_string(),
            ),
            (
                "learner.learning_rate",
                positive(l.learning_rate.from)
                    && l.learning_rate.to >= 0.0
                    && l.learning_rate.to.is_finite()
                    && share(l.learning_rate.share),
                "from above 0, to at least 0, share within 0 to 1",
                format!("{:?}", l.learning_rate),
            ),
            (
                "learner.weight_decay",
                l.weight_decay >= 0.0 && l.weight_decay.is_finite(),
                "0 or more",
                l.weight_decay.to_string(),
            ),
            (
                "learner.max_gradient_norm",
                positive(l.max_gradient_norm),
                "more than 0",
                l.max_gradient_norm.to_string(),
            ),
            ("learner.target_tau", share(l.target_tau), "0 to 1", l.target_tau.to_string()),
            (
                "learner.reward_scale",
                positive(l.reward_scale),
                "more than 0",
                l.reward_scale.to_string(),
            ),
            (
                "demonstrations.steps",
                d.baseline.is_empty() || (l.n_step + 8..=100_000_000).contains(&d.steps),
                "n_step + 8 to 100000000",
                d.steps.to_string(),
            ),
            (
                "demonstrations.share",
                shares(&d.share),
                "from, to and share within 0 to 1",
                format!("{:?}", d.share),
            ),
            (
                "demonstrations.margin",
                (0.0..=1e6).contains(&d.margin),
                "0 to 1e6",
                d.margin.to_string(),
            ),
            (
                "demonstrations.margin_weight",
                (0.0..=1e6).contains(&d.margin_weight),
                "0 to 1e6",
                d.margin_weight.to_string(),
            ),
            (
                "comparisons.states",
                (1..=100_000_000).contains(&c.states),
                "1 to 100000000",
                c.states.to_string(),
            ),
            (
                "comparisons.actions",
                (1..=10_000).contains(&c.actions),
                "1 to 10000",
                c.actions.to_string(),
            ),
            (
                "comparisons.ticks",
                (1..=1_000_000).contains(&c.ticks),
                "1 to 1000000",
                c.ticks.to_string(),
            ),
            (
                "comparisons.share",
                shares(&c.share),
                "from, to and share within 0 to 1",
                format!("{:?}", c.share),
            ),
            (
                "comparisons.weight",
                (0.0..=1e6).contains(&c.weight),
                "0 to 1e6",
                c.weight.to_string(),
            ),
            (
                "learner.quantiles",
                l.quantiles == 1 || c.baseline.is_empty(),
                "1 with comparisons",
                l.quantiles.to_string(),
            ),
            (
                "learner.priority_exponent",
                share(l.priority_exponent),
                "0 to 1",
                l.priority_exponent.to_string(),
            ),
            (
                "learner.quantiles",
                (1..=1000).contains(&l.quantiles),
                "1 to 1000",
                l.quantiles.to_string(),
            ),
            (
                "learner.quantiles",
                l.quantiles == 1 || self.network.architecture != Architecture::Mlp,
                "1 for an mlp",
                l.quantiles.to_string(),
            ),
            (
                "learner.quantiles",
                l.quantiles == 1 || e.noisy_sigma == 0.0,
                "1 with exploration.noisy_sigma above 0",
                l.quantiles.to_string(),
            ),
            (
                "learner.priority_beta",
                shares(&l.priority_beta),
                "from, to and share within 0 to 1",
                format!("{:?}", l.priority_beta),
            ),
        ];
        match checks.iter().find(|(_, good, _, _)| !good) {
            Some((field, _, expected, got)) => {
                Err(ConfigError { field, expected, got: got.clone() })
            }
            None => Ok(()),
        }
    }
}
