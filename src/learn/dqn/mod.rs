//! Deep Q-learning (Mnih et al., Nature 2015) with masked targets, double Q-learning (van Hasselt
//! et al., AAAI 2016) and n-step returns. One update, top to bottom, in the papers' order.
//!
//! Next states are valued by the native forward pass, state by state on all threads: it skips
//! masked candidates and needs no tensors for the hundreds of candidates of a next state, which
//! measured several times faster than the same products through libtorch. On the CPU the gradient
//! step is native as well ([`crate::learn::native`]), and next states of an mlp are valued together.
//!
//! A batch may hold states of several scenarios, whose clusters differ in size: they are laid out
//! in one group per scenario, and one loss goes over all of them.

use crate::config::{DemonstrationConfig, LearnerConfig, TrainConfig};
use crate::distributed::average::GradientAverage;
use crate::experience::replay::{Replay, Transition};
use crate::learn::adam::Adam;
use crate::learn::backend::{Backend, Facts, Kind};
use crate::learn::cuda::{DeviceUpdates, Networks};
use crate::learn::error::LearnError;
use crate::learn::finite::{NotFinite, check_weights};
use crate::learn::native::{Beside, Example, NativeUpdate, Trained};
use crate::learn::noisy::Noise;
use crate::learn::stats::UpdateStats;
use crate::learn::times::LearnTimes;
use crate::networks::Parameters;
use crate::networks::state_batch::BatchBuilder;
use crate::torch_ext::cuda::CudaError;
use godwit_envs::env::Env;
use godwit_envs::observe::ObservationBuffer;
use godwit_models::net::{Network, NetworkSpec};
use rand::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;
use std::sync::Mutex;
use std::time::Instant;
use tch::Device;

mod batch;
mod draw;
mod update;
mod worker;

use batch::{Drawn, Origin};
pub use batch::{Group, Source, TransitionBatch};
use worker::{View, Worker, unpoisoned};

/// The learner: online and target network, optimiser, and the stream that batches are drawn from.
pub struct Learner<E> {
    config: LearnerConfig,
    demonstrations: DemonstrationConfig,
    /// Weight of comparisons in the loss.
    comparison_weight: f32,
    device: Device,
    /// The network that is learnt.
    pub online: Parameters,
    /// The slower copy that values next states.
    pub target: Parameters,
    /// The optimiser with its state.
    pub adam: Adam,
    /// Averages gradients over several processes; `None` in a run of one.
    pub average: Option<GradientAverage>,
    /// Noise on the heads, where networks are noisy.
    pub noise: Option<Noise>,
    /// Stream of the batch draws and of the noise.
    pub rng: Xoshiro256PlusPlus,
    /// Scenario of each ring of the replay.
    scenario_of_ring: Vec<usize>,
    workers: Vec<Mutex<Worker<E>>>,
    batch: Vec<Drawn>,
    /// For each transition of a batch, a buffer of each scenario.
    observations: Vec<Vec<ObservationBuffer>>,
    /// The same for next states, where their quantiles are asked for or they are valued together.
    next_observations: Vec<Vec<ObservationBuffer>>,
    /// One per scenario.
    layouts: Vec<BatchBuilder>,
    // Scratch.
    transitions: Vec<Transition>,
    importance: Vec<f32>,
    weights: Vec<f32>,
    errors: Vec<f32>,
    next_values: Vec<f32>,
    backend: Backend,
    /// What the backend was chosen by.
    facts: Facts,
    times: LearnTimes,
    note: Option<String>,
}

impl<E: Env> Learner<E> {
    /// Fresh networks. `decoders` holds, for each scenario, environments that turn compact states
    /// back into observations; as many threads as each scenario has can value next states.
    /// `scenario_of_ring` says which scenario each ring of the replay belongs to.
    ///
    /// # Errors
    /// When a CUDA device fails.
    pub fn new(
        whole: &TrainConfig,
        spec: &NetworkSpec,
        decoders: Vec<Vec<E>>,
        scenario_of_ring: Vec<usize>,
        device: Device,
        seed: u64,
    ) -> Result<Self, CudaError> {
        let TrainConfig { learner: config, demonstrations, comparisons, .. } = whole;
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let quantiles = config.quantiles;
        let online = Parameters::fresh_quantiles(spec, quantiles, device, &mut rng);
        let mut target = Parameters::zeros_quantiles(spec, quantiles, device);
        tch::no_grad(|| target.flat.copy_(&online.flat));
        let transition =
            Transition { state: (0, 0), action: 0, reward: 0.0, discount: 0.0, next: (0, 0) };
        let nothing = Drawn {
            transition,
            scenario: 0,
            origin: Origin::Replay,
            weight: 1.0,
            target: 0.0,
            rival: None,
            next_action: 0,
        };
        let size = config.batch_size;
        let spaces: Vec<_> =
            decoders.iter().map(|of_scenario| of_scenario[0].observation_space().clone()).collect();
        let buffers: Vec<ObservationBuffer> = spaces
            .iter()
            .map(|space| {
                let mut observation = ObservationBuffer::new(space);
                observation.parts = spec.reads();
                observation
            })
            .collect();
        let threads = decoders.iter().map(Vec::len).min().unwrap_or(0);
        let mut workers: Vec<Worker<E>> = (0..threads)
            .map(|_| {
                let (online, target) = (Network::new(spec), Network::new(spec));
                Worker { views: Vec::new(), online, target, times: LearnTimes::default() }
            })
            .collect();
        for (of_scenario, observation) in decoders.into_iter().zip(&buffers) {
            for (worker, decoder) in workers.iter_mut().zip(of_scenario) {
                let q = vec![0.0; observation.actions()];
                worker.views.push(View { decoder, observation: observation.clone(), q });
            }
        }
        let facts = Facts::new(whole, spaces.len(), device);
        let (kind, note) = facts.choose();
        let backend = match kind {
            Kind::Native => Backend::Native(Box::new(NativeUpdate::new(spec, size))),
            Kind::Device => {
                let architecture = spec.architecture;
                let space = &spaces[0];
                let updates = DeviceUpdates::new(config, architecture, space, device, threads)?;
                Backend::Device(Box::new(updates))
            }
            Kind::Autograd => Backend::Autograd,
        };
        let keeps_next =
            quantiles > 1 || matches!(&backend, Backend::Native(native) if native.values_batches());
        let sigma = whole.exploration.noisy_sigma;
        Ok(Self {
            adam: Adam::new(online.flat.size()[0], device, config.weight_decay),
            config: config.clone(),
            demonstrations: demonstrations.clone(),
            comparison_weight: comparisons.weight as f32,
            device,
            noise: (sigma > 0.0).then(|| Noise::new(spec, sigma, device)),
            online,
            target,
            average: None,
            rng,
            scenario_of_ring,
            workers: workers.into_iter().map(Mutex::new).collect(),
            batch: vec![nothing; size],
            next_observations: vec![if keeps_next { buffers.clone() } else { Vec::new() }; size],
            observations: vec![buffers; size],
            layouts: spaces
                .iter()
                .map(|space| BatchBuilder::new(space, spec.architecture))
                .collect(),
            transitions: vec![transition; size],
            importance: vec![1.0; size],
            weights: Vec::new(),
            errors: vec![0.0; size],
            next_values: vec![0.0; size],
            backend,
            facts,
            times: LearnTimes::default(),
            note,
        })
    }

    /// Starts from these weights, in the order of [`NetworkSpec::parameters`], instead of fresh
    /// ones.
    pub fn start_from(&mut self, weights: &[f32]) {
        self.online.load(weights);
        self.target.load(weights);
    }

    /// Averages gradients over several processes from now on. On a CUDA device that takes libtorch's
    /// ordinary updates.
    pub fn average(&mut self, average: GradientAverage) {
        self.average = Some(average);
        self.facts.several_ranks = true;
        let (kind, note) = self.facts.choose();
        if kind == Kind::Autograd {
            self.backend = Backend::Autograd;
        }
        self.note = note;
    }

    /// Draws a batch and makes one gradient step on it. `want_stats` reads the figures back (a
    /// device waits for it).
    ///
    /// # Errors
    /// When a CUDA device fails, or loss or gradient norm are not finite: then the weights are as
    /// before. Updates that live on a CUDA device do not wait to see; there
    /// [`acting_weights`](Self::acting_weights) and [`check`](Self::check) tell, and the weights
    /// may be lost.
    pub fn learn(
        &mut self,
        source: &Source,
        learning_rate: f64,
        want_stats: bool,
    ) -> Result<Option<UpdateStats>, LearnError> {
        match std::mem::replace(&mut self.backend, Backend::Autograd) {
            Backend::Device(mut device) => {
                let stats = self.learn_with(&mut device, source.replay, learning_rate, want_stats);
                self.backend = Backend::Device(device);
                stats
            }
            Backend::Native(mut native) => {
                let stats = self.learn_natively(&mut native, source, learning_rate, want_stats);
                self.backend = Backend::Native(native);
                Ok(stats?)
            }
            Backend::Autograd => {
                let batch = self.draw(source);
                let start = Instant::now();
                let stats = self.update(&batch, learning_rate, want_stats);
                self.times.gradient += start.elapsed();
                Ok(stats?)
            }
        }
    }

    /// The same in plain Rust, for one scenario and the mean of returns.
    fn learn_natively(
        &mut self,
        native: &mut NativeUpdate,
        source: &Source,
        learning_rate: f64,
        want_stats: bool,
    ) -> Result<Option<UpdateStats>, NotFinite> {
        // Rivals of demonstrated actions are found, and comparisons decoded, one by one.
        let plain = source.demonstrations.is_none() && source.comparisons.is_none();
        if native.values_batches() && plain {
            self.value_together(native, source);
        } else {
            self.value_one_by_one(source);
        }
        let states = self.observations.iter().map(|of_scenarios| &of_scenarios[0]);
        let examples = self.batch.iter().zip(states).map(|(drawn, state)| Example {
            state,
            action: drawn.transition.action as usize,
            target: drawn.target,
            weight: drawn.weight,
            beside: match (drawn.origin, drawn.rival) {
                (Origin::Comparisons { reference }, _) => Beside::Reference(reference),
                (_, Some(rival)) => Beside::Rival(rival),
                (_, None) => Beside::Nothing,
            },
        });
        let stats = native.update(
            examples,
            Trained {
                online: &mut self.online,
                target: &mut self.target,
                adam: &mut self.adam,
                average: self.average.as_ref(),
            },
            &self.config,
            &self.demonstrations,
            learning_rate,
            want_stats,
            &mut self.times,
        );
        self.errors.copy_from_slice(native.errors());
        stats
    }

    /// What computes the updates: `native` or `libtorch`.
    pub fn backend(&self) -> &'static str {
        if matches!(self.backend, Backend::Native(_)) { "native" } else { "libtorch" }
    }

    /// Where the time of learning has gone so far; libtorch's optimiser counts as gradient.
    pub fn times(&self) -> LearnTimes {
        let mut times = self.times;
        for worker in &self.workers {
            times += unpoisoned(worker.lock()).times;
        }
        times
    }

    /// The same by way of `cuda`, from a replay that is drawn from uniformly.
    ///
    /// # Errors
    /// When its device fails.
    pub fn learn_with(
        &mut self,
        cuda: &mut DeviceUpdates,
        replay: &Replay,
        learning_rate: f64,
        want_stats: bool,
    ) -> Result<Option<UpdateStats>, LearnError> {
        replay.sample(0.0, &mut self.rng, &mut self.transitions, &mut self.importance);
        cuda.fill(&mut self.workers, replay, &self.transitions)?;
        let Self { online, target, adam, .. } = self;
        Ok(cuda.update(Networks { online, target, adam }, learning_rate, want_stats)?)
    }

    /// The weights to act with, flat: the current ones; on a CUDA device those of the call before,
    /// so that nobody waits for the updates since then.
    ///
    /// # Errors
    /// When a CUDA device fails, one of the weights is not finite, or an update on the device was
    /// made with a loss or gradient norm that was not.
    pub fn acting_weights(&mut self, out: &mut Vec<f32>) -> Result<(), LearnError> {
        match &mut self.backend {
            Backend::Device(device) => device.weights(&self.online, out)?,
            Backend::Native(_) | Backend::Autograd => self.online.save(out),
        }
        // Means over quantiles, where there are some: one that is not finite shows in its mean.
        Ok(check_weights("online", out, self.online.spec(), 1, self.adam.updates)?)
    }

    /// Looks for numbers that are not finite in both networks and the optimiser's moments, and
    /// waits for what is under way on a CUDA device.
    ///
    /// # Errors
    /// The first that is found.
    pub fn check(&self) -> Result<(), NotFinite> {
        if let Backend::Device(device) = &self.backend {
            device.check()?;
        }
        let mut values = Vec::new();
        for (group, tensor) in [
            ("online", &self.online.flat),
            ("target", &self.target.flat),
            ("adam_mean", &self.adam.mean),
            ("adam_square", &self.adam.square),
        ]
        .into_iter()
        .chain(self.noise.iter().flat_map(Noise::state))
        {
            values.resize(tensor.numel(), 0.0);
            let length = values.len();
            tensor.to_device(Device::Cpu).copy_data(&mut values, length);
            let (spec, quantiles) = (self.online.spec(), self.online.quantiles());
            check_weights(group, &values, spec, quantiles, self.adam.updates)?;
        }
        Ok(())
    }

    /// The updates of a CUDA device, if this learner has one.
    pub fn cuda(&mut self) -> Option<&mut DeviceUpdates> {
        self.on_device().map(|(device, _)| device)
    }

    /// The same with what its updates change.
    pub fn on_device(&mut self) -> Option<(&mut DeviceUpdates, Networks<'_>)> {
        let Self { backend: Backend::Device(device), online, target, adam, .. } = self else {
            return None;
        };
        Some((device, Networks { online, target, adam }))
    }

    /// What people should know, once: that updates are not made the way the device allows.
    pub fn take_note(&mut self) -> Option<String> {
        self.note.take().or_else(|| self.cuda()?.take_note())
    }

    /// Hands the absolute TD errors of the last update to the replay that its batch came from.
    pub fn report_errors(&self, replay: &mut Replay) {
        for (drawn, &error) in self.batch.iter().zip(&self.errors) {
            if drawn.origin == Origin::Replay {
                replay.update_priority(&drawn.transition, error);
            }
        }
    }
}
