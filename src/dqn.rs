//! Deep Q-learning (Mnih et al., Nature 2015) with masked targets, double Q-learning (van Hasselt
//! et al., AAAI 2016) and n-step returns. One update, top to bottom, in the papers' order.

use crate::adam::Adam;
use crate::batch::{BatchBuilder, StateBatch};
use crate::config::LearnerConfig;
use crate::networks::{self, Parameters};
use crate::replay::{Replay, Transition};
use godwit_envs::env::Env;
use godwit_envs::observation::ObservationBuffer;
use rand::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;
use tch::{Device, Kind, Tensor};

/// The learner: online and target network, optimiser, and the stream that batches are drawn from.
#[derive(Debug)]
pub struct Learner {
    config: LearnerConfig,
    device: Device,
    /// The network that is learnt.
    pub online: Parameters,
    /// The slower copy that values next states.
    pub target: Parameters,
    /// The optimiser with its state.
    pub adam: Adam,
    /// Stream of the batch draws.
    pub rng: Xoshiro256PlusPlus,
    transitions: Vec<Transition>,
    observation: ObservationBuffer,
    states: BatchBuilder,
    next_states: BatchBuilder,
}

/// A batch of transitions as tensors.
#[derive(Debug)]
pub struct TransitionBatch {
    /// The states, each with the row of the action taken.
    pub states: StateBatch,
    /// The next states, each with a row per unmasked action.
    pub next_states: StateBatch,
    /// Index of the taken action's value in `[Stay values of B states, row values]`, `[B]`.
    pub taken: Tensor,
    /// n-step reward, `[B]`.
    pub reward: Tensor,
    /// Discount of the next state's value; 0 after a terminal step, `[B]`.
    pub discount: Tensor,
}

/// What one update showed.
#[derive(Debug, Clone, Copy, Default)]
pub struct UpdateStats {
    /// Huber loss.
    pub loss: f64,
    /// Mean of Q(s, a) over the batch.
    pub mean_q: f64,
    /// Norm of the gradient before clipping.
    pub gradient_norm: f64,
    /// 10 %, 50 % and 90 % quantile of the absolute TD error.
    pub td_error: [f64; 3],
}

impl Learner {
    /// Fresh networks for this environment.
    pub fn new<E: Env>(
        config: &LearnerConfig,
        spec: &godwit_models::net::NetworkSpec,
        env: &E,
        device: Device,
        seed: u64,
    ) -> Self {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let online = Parameters::fresh(spec, device, &mut rng);
        let mut target = Parameters::zeros(spec, device);
        tch::no_grad(|| target.flat.copy_(&online.flat));
        let space = env.observation_space();
        Self {
            adam: Adam::new(online.flat.size()[0], device, config.weight_decay),
            config: config.clone(),
            device,
            online,
            target,
            rng,
            transitions: vec![
                Transition { state: (0, 0), action: 0, reward: 0.0, discount: 0.0, next: (0, 0) };
                config.batch_size
            ],
            observation: ObservationBuffer::new(space),
            states: BatchBuilder::new(space),
            next_states: BatchBuilder::new(space),
        }
    }

    /// Draws a batch from the replay; `decoder` is an environment that turns compact states back
    /// into observations.
    pub fn draw<E: Env>(&mut self, replay: &Replay, decoder: &mut E) -> TransitionBatch {
        replay.sample(self.config.n_step, &mut self.rng, &mut self.transitions);
        self.states.clear();
        self.next_states.clear();
        let size = self.transitions.len();
        let mut taken = Vec::with_capacity(size);
        for (b, transition) in self.transitions.iter().enumerate() {
            decoder.read_compact(replay.state(transition.state));
            decoder.observe(&mut self.observation);
            let row = self.states.rows();
            taken.push(if transition.action == 0 { b } else { size + row } as i64);
            self.states.add_with_action(&self.observation, transition.action as usize);
            decoder.read_compact(replay.state(transition.next));
            decoder.observe(&mut self.observation);
            self.next_states.add_with_all(&self.observation);
        }
        let column = |f: fn(&Transition) -> f32| {
            let values: Vec<f32> = self.transitions.iter().map(f).collect();
            Tensor::from_slice(&values).to_device(self.device)
        };
        TransitionBatch {
            states: self.states.build(self.device),
            next_states: self.next_states.build(self.device),
            taken: Tensor::from_slice(&taken).to_device(self.device),
            reward: column(|t| t.reward),
            discount: column(|t| t.discount),
        }
    }

    /// One gradient step on a batch. `want_stats` reads the figures back (a device waits for it).
    pub fn update(
        &mut self,
        batch: &TransitionBatch,
        learning_rate: f64,
        want_stats: bool,
    ) -> Option<UpdateStats> {
        let target = self.td_target(batch);
        // Q(s, a) of the action that was taken.                                   shapes: [B]
        let leaves = self.online.leaves();
        let (stay, rows) = networks::forward(self.online.spec(), &leaves, &batch.states);
        let q = Tensor::cat(&[stay, rows], 0).index_select(0, &batch.taken);
        let loss = q.huber_loss(&target, tch::Reduction::Mean, self.config.huber_delta);
        let gradients = Tensor::run_backward(&[&loss], &leaves, false, false);

        // One flat gradient, clipped to a norm.                                   [P]
        let flat: Vec<Tensor> = gradients.iter().map(|gradient| gradient.reshape([-1])).collect();
        let mut gradient = Tensor::cat(&flat, 0);
        let norm = gradient.norm();
        let scale = (self.config.max_gradient_norm / (&norm + 1e-6)).clamp_max(1.0);
        let _ = gradient.g_mul_(&scale);
        self.adam.update(&mut self.online.flat, &gradient, learning_rate);
        self.update_target();

        want_stats.then(|| {
            let error = (&q - &target).detach().abs();
            let levels = Tensor::from_slice(&[0.1_f32, 0.5, 0.9]).to_device(self.device);
            let quantiles = error.quantile(&levels, None, false, "linear");
            UpdateStats {
                loss: loss.double_value(&[]),
                mean_q: q.mean(Kind::Float).double_value(&[]),
                gradient_norm: norm.double_value(&[]),
                td_error: [0, 1, 2].map(|at| quantiles.double_value(&[at])),
            }
        })
    }

    /// `r + discount * Q_target(s', argmax_a Q(s', a))` over the unmasked actions.      `[B]`
    pub fn td_target(&self, batch: &TransitionBatch) -> Tensor {
        tch::no_grad(|| {
            let next = &batch.next_states;
            let target_next_q = action_values(next, self.target.forward(next));
            // Double DQN: the online net picks, the target net values.              [B, W]
            let next_value = if self.config.double {
                let online_next_q = action_values(next, self.online.forward(next));
                let best = online_next_q.argmax(1, true);
                target_next_q.gather(1, &best, false).squeeze_dim(1)
            } else {
                target_next_q.amax([1], false)
            };
            &batch.reward + &batch.discount * next_value
        })
    }

    fn update_target(&mut self) {
        let online = &self.online.flat;
        let due = self.adam.updates % self.config.target_every.max(1) == 0;
        tch::no_grad(|| {
            if self.config.target_every > 0 {
                if due {
                    self.target.flat.copy_(online);
                }
            } else {
                // Soft: target += tau (online - target)
                let _ = self.target.flat.lerp_(online, self.config.target_tau);
            }
        });
    }
}

/// Values of `Stay` and of every row as a table, minus infinity where a state has fewer rows than
/// another: masked actions have no row, so they can never be the maximum.             `[B, W]`
fn action_values(batch: &StateBatch, (stay, rows): (Tensor, Tensor)) -> Tensor {
    let (b, width) = (batch.states, batch.width);
    let mut table = Tensor::full([b * width], f64::NEG_INFINITY, (Kind::Float, stay.device()));
    let _ = table.index_copy_(0, &batch.row_slot, &rows);
    let mut table = table.view([b, width]);
    let mut first = table.select(1, 0);
    first.copy_(&stay);
    let _ = &mut table;
    table
}
