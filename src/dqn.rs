//! Deep Q-learning (Mnih et al., Nature 2015) with masked targets, double Q-learning (van Hasselt
//! et al., AAAI 2016) and n-step returns. One update, top to bottom, in the papers' order.
//!
//! Next states are valued by the native forward pass, state by state on all threads: it skips
//! masked candidates and needs no tensors for the hundreds of candidates of a next state, which
//! measured several times faster than the same products through libtorch. On the CPU the gradient
//! step is native as well ([`crate::native`]), and next states of an mlp are valued together.

use crate::adam::Adam;
use crate::batch::{BatchBuilder, StateBatch};
use crate::config::LearnerConfig;
use crate::native::{self, LearnTimes, NativeUpdate, Trained};
use crate::networks::{self, Parameters};
use crate::replay::{Replay, Transition};
use godwit_envs::env::Env;
use godwit_envs::observation::{ObservationBuffer, ObservationSpace};
use godwit_models::net::{Network, NetworkSpec};
use rand::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;
use rayon::prelude::*;
use std::time::Instant;
use tch::{Device, Kind, Tensor};

/// The learner: online and target network, optimiser, and the stream that batches are drawn from.
pub struct Learner<E> {
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
    workers: Vec<Worker<E>>,
    transitions: Vec<Transition>,
    observations: Vec<ObservationBuffer>,
    targets: Vec<f32>,
    taken: Vec<i64>,
    states: BatchBuilder,
    weights: Vec<f32>,
    native: Option<NativeUpdate>,
    next_observations: Vec<ObservationBuffer>,
    next_values: Vec<f32>,
    times: LearnTimes,
    /// Why updates are not made by the backend that the settings ask for.
    pub fallback: Option<String>,
}

/// What a thread needs to turn compact states into observations and values.
struct Worker<E> {
    decoder: E,
    observation: ObservationBuffer,
    online: Network,
    target: Network,
    q: Vec<f32>,
    times: LearnTimes,
}

/// A batch of transitions.
#[derive(Debug)]
pub struct TransitionBatch {
    /// The states, each with the row of the action taken.
    pub states: StateBatch,
    /// Index of the taken action's value in `[Stay values of B states, row values]`, `[B]`.
    pub taken: Tensor,
    /// TD target, `[B]`.
    pub target: Tensor,
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

impl<E: Env> Learner<E> {
    /// Fresh networks. Each of `decoders` is an environment that turns compact states back into
    /// observations; as many threads can value next states.
    pub fn new(
        config: &LearnerConfig,
        spec: &NetworkSpec,
        decoders: Vec<E>,
        space: &ObservationSpace,
        device: Device,
        seed: u64,
    ) -> Self {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let online = Parameters::fresh(spec, device, &mut rng);
        let mut target = Parameters::zeros(spec, device);
        tch::no_grad(|| target.flat.copy_(&online.flat));
        let nothing =
            Transition { state: (0, 0), action: 0, reward: 0.0, discount: 0.0, next: (0, 0) };
        let mut observation = ObservationBuffer::new(space);
        observation.entities = spec.reads_entities();
        let worker = |decoder| Worker {
            decoder,
            observation: observation.clone(),
            online: Network::new(spec),
            target: Network::new(spec),
            q: vec![0.0; space.actions],
            times: LearnTimes::default(),
        };
        let (native, fallback) = match native::serves(config, device) {
            Ok(served) => (served.then(|| NativeUpdate::new(spec, config.batch_size)), None),
            Err(reason) => (None, Some(reason)),
        };
        let batches = native.as_ref().is_some_and(NativeUpdate::values_batches);
        let next = if batches { config.batch_size } else { 0 };
        Self {
            native,
            fallback,
            next_observations: vec![observation.clone(); next],
            next_values: vec![0.0; next],
            times: LearnTimes::default(),
            adam: Adam::new(online.flat.size()[0], device, config.weight_decay),
            config: config.clone(),
            device,
            online,
            target,
            rng,
            workers: decoders.into_iter().map(worker).collect(),
            transitions: vec![nothing; config.batch_size],
            observations: vec![observation.clone(); config.batch_size],
            targets: vec![0.0; config.batch_size],
            taken: Vec::with_capacity(config.batch_size),
            states: BatchBuilder::new(space, spec.architecture),
            weights: Vec::new(),
        }
    }

    /// Draws a batch and makes one gradient step on it, by the backend of the settings.
    pub fn learn(
        &mut self,
        replay: &Replay,
        learning_rate: f64,
        want_stats: bool,
    ) -> Option<UpdateStats> {
        if self.native.is_none() {
            let batch = self.draw(replay);
            let start = Instant::now();
            let stats = self.update(&batch, learning_rate, want_stats);
            self.times.gradient += start.elapsed();
            return stats;
        }
        self.draw_targets(replay);
        let native = self.native.as_mut()?;
        let actions = self.transitions.iter().map(|transition| transition.action as usize);
        native.update(
            self.observations.iter().zip(actions),
            &self.targets,
            None,
            Trained { online: &mut self.online, target: &mut self.target, adam: &mut self.adam },
            &self.config,
            learning_rate,
            want_stats,
            &mut self.times,
        )
    }

    /// Where the time of learning has gone so far; libtorch's optimiser counts as gradient.
    pub fn times(&self) -> LearnTimes {
        let mut times = self.times;
        self.workers.iter().for_each(|worker| times += worker.times);
        times
    }

    /// Draws transitions, decodes their states and computes their TD targets with the current
    /// weights.
    fn draw_targets(&mut self, replay: &Replay) {
        let start = Instant::now();
        replay.sample(self.config.n_step, &mut self.rng, &mut self.transitions);
        self.times.draw += start.elapsed();
        match &mut self.native {
            Some(native) if native.values_batches() => {
                decode(&mut self.workers, replay, &self.transitions, &mut self.observations, false);
                let next = &mut self.next_observations;
                decode(&mut self.workers, replay, &self.transitions, next, true);
                let start = Instant::now();
                let double = self.config.double;
                native.next_values(next, &self.online, &self.target, double, &mut self.next_values);
                for ((t, target), value) in
                    self.transitions.iter().zip(&mut self.targets).zip(&self.next_values)
                {
                    // A terminal step has no next state: what was valued is a leftover.
                    let value = if t.discount == 0.0 { 0.0 } else { *value };
                    *target = t.reward + t.discount * value;
                }
                self.times.next_values += start.elapsed();
            }
            _ => self.value_one_by_one(replay),
        }
    }

    fn value_one_by_one(&mut self, replay: &Replay) {
        let start = Instant::now();
        self.online.save(&mut self.weights);
        self.workers.iter_mut().for_each(|worker| worker.online.load_flat(&self.weights));
        self.target.save(&mut self.weights);
        self.workers.iter_mut().for_each(|worker| worker.target.load_flat(&self.weights));
        self.times.next_values += start.elapsed();
        // Each transition's result depends on nothing but itself, so the split does not matter.
        let share = self.transitions.len().div_ceil(self.workers.len());
        let double = self.config.double;
        self.workers
            .par_iter_mut()
            .zip(self.transitions.par_chunks(share))
            .zip(self.observations.par_chunks_mut(share))
            .zip(self.targets.par_chunks_mut(share))
            .for_each(|(((worker, transitions), observations), targets)| {
                for ((t, observation), target) in transitions.iter().zip(observations).zip(targets)
                {
                    let start = Instant::now();
                    worker.decoder.read_compact(replay.state(t.state));
                    worker.decoder.observe(observation);
                    worker.times.decode += start.elapsed();
                    *target = worker.td_target(t, replay, double);
                }
            });
    }

    /// Draws a batch from the replay and lays it out as tensors, with its TD targets.
    pub fn draw(&mut self, replay: &Replay) -> TransitionBatch {
        self.draw_targets(replay);
        self.states.clear();
        self.taken.clear();
        let size = self.transitions.len();
        for (b, (transition, observation)) in
            self.transitions.iter().zip(&self.observations).enumerate()
        {
            let row = self.states.rows();
            self.taken.push(if transition.action == 0 { b } else { size + row } as i64);
            self.states.add_with_action(observation, transition.action as usize);
        }
        TransitionBatch {
            states: self.states.build(self.device),
            taken: Tensor::from_slice(&self.taken).to_device(self.device),
            target: Tensor::from_slice(&self.targets).to_device(self.device),
        }
    }

    /// One gradient step on a batch, by libtorch. `want_stats` reads the figures back (a device waits for it).
    pub fn update(
        &mut self,
        batch: &TransitionBatch,
        learning_rate: f64,
        want_stats: bool,
    ) -> Option<UpdateStats> {
        // Q(s, a) of the action that was taken.                                   shapes: [B]
        let leaves = self.online.leaves();
        let (stay, rows) = networks::forward(self.online.spec(), &leaves, &batch.states);
        let q = Tensor::cat(&[stay, rows], 0).index_select(0, &batch.taken);
        let loss = q.huber_loss(&batch.target, tch::Reduction::Mean, self.config.huber_delta);
        let gradients = Tensor::run_backward(&[&loss], &leaves, false, false);

        // One flat gradient, clipped to a norm.                                   [P]
        let flat: Vec<Tensor> = gradients.iter().map(|gradient| gradient.reshape([-1])).collect();
        let mut gradient = Tensor::cat(&flat, 0);
        let norm = gradient.norm();
        let scale = ((&norm + 1e-6).reciprocal() * self.config.max_gradient_norm).clamp_max(1.0);
        let _ = gradient.g_mul_(&scale);
        self.adam.update(&mut self.online.flat, &gradient, learning_rate);
        self.update_target();

        want_stats.then(|| {
            let error = (&q - &batch.target).detach().abs();
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

    fn update_target(&mut self) {
        let online = &self.online.flat;
        tch::no_grad(|| {
            if self.config.target_every == 0 {
                // Soft: target += tau (online - target)
                let _ = self.target.flat.lerp_(online, self.config.target_tau);
            } else if self.adam.updates.is_multiple_of(self.config.target_every) {
                self.target.flat.copy_(online);
            }
        });
    }
}

impl<E: Env> Worker<E> {
    /// `r + discount * Q_target(s', argmax_a Q(s', a))` over the unmasked actions of s'.
    fn td_target(&mut self, t: &Transition, replay: &Replay, double: bool) -> f32 {
        if t.discount == 0.0 {
            return t.reward;
        }
        let start = Instant::now();
        self.decoder.read_compact(replay.state(t.next));
        let next = &mut self.observation;
        self.decoder.observe(next);
        let decoded = Instant::now();
        self.times.decode += decoded - start;
        let value = if double {
            // Double DQN: the online net picks, the target net values the pick alone.
            let best = self.online.best_action(next, &mut self.q);
            next.mask.fill(false);
            next.mask[0] = true;
            next.mask[best] = true;
            self.target.q_values(next, &mut self.q);
            self.q[best]
        } else {
            let best = self.target.best_action(next, &mut self.q);
            self.q[best]
        };
        self.times.next_values += decoded.elapsed();
        t.reward + t.discount * value
    }
}

/// Decodes the states of the transitions, or those that follow.
fn decode<E: Env>(
    workers: &mut [Worker<E>],
    replay: &Replay,
    transitions: &[Transition],
    observations: &mut [ObservationBuffer],
    next: bool,
) {
    let share = transitions.len().div_ceil(workers.len());
    workers
        .par_iter_mut()
        .zip(transitions.par_chunks(share))
        .zip(observations.par_chunks_mut(share))
        .for_each(|((worker, transitions), observations)| {
            let start = Instant::now();
            for (t, observation) in transitions.iter().zip(observations) {
                if !next || t.discount != 0.0 {
                    let position = if next { t.next } else { t.state };
                    worker.decoder.read_compact(replay.state(position));
                    worker.decoder.observe(observation);
                }
            }
            worker.times.decode += start.elapsed();
        });
}
