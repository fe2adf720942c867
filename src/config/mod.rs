//! Every setting of a training run, with its default and the paper it comes from.

use crate::config::schedule::Schedule;
use godwit_models::baselines::Assignment;
use godwit_models::net::Architecture;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub mod schedule;
mod validate;

pub use validate::ConfigError;

/// A whole run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TrainConfig {
    /// Length of the run in env steps.
    pub env_steps: u64,
    /// Stop after this many minutes at the latest; 0 for no limit.
    pub max_minutes: f64,
    /// Seed of everything that is drawn. The same seed gives the same bits on one kind of machine.
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
    /// States that the replay holds (experience replay: Lin 1992; Mnih et al., Nature 2015).
    pub replay_capacity: usize,
    /// Env steps between two evaluations; 0 for one at the end only.
    pub evaluate_every: u64,
    /// Validation episodes of an evaluation.
    pub evaluate_episodes: usize,
    /// Env steps between two checkpoints; 0 for only the last.
    pub checkpoint_every: u64,
    /// How many numbered checkpoints to keep; 0 for none but `last` and `best`.
    pub keep_checkpoints: usize,
    /// Whether the checkpoints of a complete run keep the replay, by far the largest part of them.
    /// Without it a complete run cannot be made longer; one that was interrupted always keeps it.
    pub keep_replay: bool,
    /// Baseline whose reward under the same exogenous randomness is subtracted (Mao et al., ICLR
    /// 2019); empty for none. Reported returns are always the plain ones.
    pub paired_baseline: String,
    /// Pay the learner what failures of degraded nodes were expected to cost just before they were
    /// drawn, in place of what they cost: the same on average, with less noise (a control variate:
    /// Zinkevich et al., AAAI 2006). Reported returns are always the plain ones.
    pub expected_failures: bool,
    /// Normalise observations: every feature shifted to mean 0 and scaled to deviation 1 (LeCun et
    /// al., Efficient BackProp, 1998; Andrychowicz et al., ICLR 2021), as measured on exploring play
    /// before the run and frozen from then on. Artifacts do not change: the first layers take it
    /// over.
    pub normalise_observations: bool,
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NetworkConfig {
    /// Which network.
    pub architecture: Architecture,
    /// Width of encoders or hidden layers.
    pub hidden: usize,
    /// Width of the two heads (not in an mlp).
    pub head_hidden: usize,
    /// Dueling split (Wang et al., ICML 2016) with `Stay` as the reference action.
    pub dueling: bool,
}

/// Exploration: epsilon-greedy over the actions that are allowed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ExplorationConfig {
    /// Probability of an exploring action (epsilon-greedy: Sutton and Barto 2018, section 2.2).
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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LearnerConfig {
    /// What computes it.
    pub backend: Backend,
    /// Transitions per update.
    pub batch_size: usize,
    /// Discount per tick (Watkins and Dayan 1992).
    pub gamma: f64,
    /// Rewards summed before bootstrapping (Sutton 1988).
    pub n_step: usize,
    /// Double Q-learning (van Hasselt et al., AAAI 2016).
    pub double: bool,
    /// Huber loss (Huber 1964): quadratic up to here, linear beyond.
    pub huber_delta: f64,
    /// Step size of Adam (Kingma and Ba, ICLR 2015).
    pub learning_rate: Schedule,
    /// Decoupled weight decay of AdamW (Loshchilov and Hutter, ICLR 2019).
    pub weight_decay: f64,
    /// Gradients are scaled down to this norm (Pascanu et al., ICML 2013).
    pub max_gradient_norm: f64,
    /// Updates between hard copies to the target network (Mnih et al., Nature 2015); 0 for soft
    /// updates.
    pub target_every: u64,
    /// Share of the online network that each soft update mixes in (Lillicrap et al., ICLR 2016).
    pub target_tau: f64,
    /// Rewards are divided by the scenario's objective unit and multiplied by this.
    pub reward_scale: f64,
    /// For a run on several scenarios: what the rewards of each are multiplied by beyond that, in
    /// their order, so that none drowns the others. Empty for 1 each.
    pub scenario_scales: Vec<f64>,
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
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

/// Improvement on a baseline by rollouts under common random numbers. In a share of each batch, the
/// difference of two actions' values is fitted to that of the returns after them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ComparisonConfig {
    /// The baseline that is improved on, and that plays the rollouts; empty for no comparisons, or for
    /// none before the policy of the run itself is improved on (`iterations`). Also
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
    /// How often they are made in a run, after equal parts of it: again on the best policy until then
    /// (approximate policy iteration), unless that is behind what was improved on before for certain,
    /// in validation. Where two parts in a row bring no better
    /// policy, the run ends.
    pub iterations: u32,
    /// States in which they are compared when they are made again, for each scenario, where that is
    /// not 0: rollouts of a network take longer than those of a quick heuristic.
    pub later_states: usize,
    /// Updates from comparisons (and demonstrations) alone before the first env step.
    pub pretrain_updates: u64,
    /// Share of each batch.
    pub share: Schedule,
    /// Weight of their loss beside that of the TD errors.
    pub weight: f64,
}

impl ComparisonConfig {
    /// Whether the run makes any, at its start or later.
    pub fn are_made(&self) -> bool {
        !self.baseline.is_empty() || self.iterations > 1
    }
}

impl TrainConfig {
    /// The JSON Schema of the settings, with the meaning and the default of each.
    pub fn json_schema() -> serde_json::Value {
        schemars::schema_for!(Self).to_value()
    }

    /// Env steps after which the comparisons are made for the `number`th time again, 1 for the first.
    pub fn iteration_at(&self, number: u32) -> u64 {
        let parts = u64::from(self.comparisons.iterations);
        (self.env_steps * u64::from(number)).div_ceil(parts)
    }

    /// How often they have been due again by this env step.
    pub fn iterations_begun(&self, env_steps: u64) -> u32 {
        let due = |&number: &u32| self.iteration_at(number) <= env_steps;
        (1..self.comparisons.iterations).take_while(due).count() as u32
    }

    /// The settings that change over the run and are in use, by their keys.
    pub fn schedules(&self) -> Vec<(&'static str, Schedule)> {
        let Self { exploration, learner, demonstrations, comparisons, .. } = self;
        [
            ("exploration.epsilon", exploration.epsilon, true),
            ("learner.learning_rate", learner.learning_rate, true),
            ("learner.priority_beta", learner.priority_beta, learner.priority_exponent > 0.0),
            ("demonstrations.share", demonstrations.share, !demonstrations.baseline.is_empty()),
            ("comparisons.share", comparisons.share, comparisons.are_made()),
        ]
        .into_iter()
        .filter_map(|(key, schedule, used)| used.then_some((key, schedule)))
        .collect()
    }
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
            keep_replay: true,
            paired_baseline: String::new(),
            expected_failures: true,
            normalise_observations: false,
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
            iterations: 1,
            later_states: 0,
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
            scenario_scales: Vec::new(),
            quantiles: 1,
            priority_exponent: 0.0,
            priority_beta: Schedule { from: 0.4, to: 1.0, share: 1.0 },
            cuda_graph: true,
            tf32: false,
            bf16: false,
        }
    }
}
