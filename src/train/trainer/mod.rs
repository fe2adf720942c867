//! The training loop: rounds in which acting and learning run side by side.
//!
//! In a round the actors step their environments with the weights of the round's start, while the
//! learner makes its updates from the experience of the rounds before. Weights and experience are
//! exchanged between rounds only, so that results do not depend on which thread was faster.

use crate::config::TrainConfig;
use crate::experience::comparisons::Comparisons;
use crate::experience::replay::Replay;
use crate::learn::dqn::{Learner, Source};
use crate::learn::error::LearnError;
use crate::learn::finite::{NotFinite, check_weights};
use crate::learn::stats::UpdateStats;
use crate::torch_ext::cuda::CudaError;
use crate::train::actor::Actor;
use godwit_envs::env::Env;
use godwit_envs::env::vector::{VectorEnv, VectorError};
use godwit_envs::observe::normalisation::Normalisation;
use godwit_envs::observe::{ObservationSpace, Parts};
use godwit_envs::rng::{child_seed, stream};
use godwit_envs::state::term::TERMS;
use godwit_models::net::{NetworkSpec, fold};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tch::Device;

mod collect;

use collect::{Staged, Staging, collect};

pub use collect::{Counters, FinishedEpisode};

/// Updates between two looks at the clock while nothing else is done.
const PRETRAINING_ROUND: u64 = 16;

/// The environments of one scenario, for a trainer.
pub struct World<E> {
    /// Those that are stepped.
    pub envs: Vec<E>,
    /// More of the same kind, one for each thread that may value next states.
    pub decoders: Vec<E>,
    /// What rewards are divided by.
    pub reward_unit: f64,
}

/// A training run in memory. Between rounds it can be saved and restored whole.
pub struct Trainer<E> {
    /// Settings of the run.
    pub config: TrainConfig,
    /// Networks and optimiser.
    pub learner: Learner<E>,
    /// Experience.
    pub replay: Replay,
    /// What a baseline did, one ring per scenario.
    pub demonstrations: Option<Replay>,
    /// Actions that were compared by rollouts.
    pub comparisons: Option<Comparisons>,
    /// Time that gathering the two took; whoever counts the time of the run takes it.
    pub preparation: Duration,
    /// The environments that are stepped.
    pub vector: VectorEnv<E>,
    /// One per environment copy.
    pub actors: Vec<Mutex<Actor>>,
    /// Where the run stands.
    pub counters: Counters,
    /// Time spent acting and stepping environments, replay included.
    pub collecting: Duration,
    staged: Staging,
    weights: Vec<f32>,
    /// What the rewards of each copy are multiplied by.
    reward_factors: Vec<f32>,
}

/// Why a run cannot be set up or go on.
#[derive(Debug, thiserror::Error)]
pub enum TrainerError {
    /// An environment failed.
    #[error(transparent)]
    Environment(#[from] VectorError),
    /// The CUDA device failed.
    #[error("the CUDA device failed: {0}")]
    Cuda(#[from] CudaError),
    /// Nothing can be learnt any more.
    #[error(transparent)]
    NotFinite(#[from] NotFinite),
}

impl From<LearnError> for TrainerError {
    fn from(error: LearnError) -> Self {
        match error {
            LearnError::Cuda(error) => Self::Cuda(error),
            LearnError::NotFinite(found) => Self::NotFinite(found),
        }
    }
}

/// What a round brought.
#[derive(Debug, Clone, Default)]
pub struct RoundReport {
    /// Episodes that ended in it.
    pub finished: Vec<FinishedEpisode>,
    /// Figures of its last update, if there was one.
    pub stats: Option<UpdateStats>,
}

impl<E: Env> Trainer<E> {
    /// A run at its start. Environments of all worlds show the same features, normalised alike.
    ///
    /// # Errors
    /// When an environment has no feasible start, or a CUDA device fails.
    pub fn new(
        config: &TrainConfig,
        spec: &NetworkSpec,
        worlds: Vec<World<E>>,
        device: Device,
    ) -> Result<Self, TrainerError> {
        let (mut envs, mut decoders) = (Vec::new(), Vec::new());
        let (mut reward_factors, mut scenario_of_ring) = (Vec::new(), Vec::new());
        for (scenario, world) in worlds.into_iter().enumerate() {
            let factor = (config.learner.reward_scale / world.reward_unit) as f32;
            reward_factors.extend(world.envs.iter().map(|_| factor));
            scenario_of_ring.extend(world.envs.iter().map(|_| scenario));
            envs.extend(world.envs);
            decoders.push(world.decoders);
        }
        let copies = envs.len();
        let actors = envs
            .iter()
            .enumerate()
            .map(|(i, env)| {
                let rng = stream(child_seed(config.seed, i as u64), "exploration");
                Mutex::new(Actor::new(spec, env.observation_space(), &config.exploration, rng))
            })
            .collect();
        let state_bytes: Vec<usize> = envs.iter().map(Env::compact_len).collect();
        let mut replay = Replay::new(&state_bytes, config.replay_capacity, config.learner.n_step);
        if config.learner.priority_exponent > 0.0 {
            replay = replay.prioritised(config.learner.priority_exponent);
        }
        let mut vector = VectorEnv::new(envs, child_seed(config.seed, 1 << 33))?;
        // Greedy exploration looks at what candidates gain, whatever the network reads.
        vector.observe_parts(Parts { candidates: true, ..spec.reads() });
        let seed = child_seed(config.seed, 1 << 32);
        let learner = Learner::new(config, spec, decoders, scenario_of_ring, device, seed)?;
        Ok(Self {
            replay,
            demonstrations: None,
            comparisons: None,
            preparation: Duration::ZERO,
            vector,
            counters: Counters {
                running_return: vec![0.0; copies],
                running_terms: vec![[0.0; TERMS]; copies],
                ..Counters::default()
            },
            reward_factors,
            config: config.clone(),
            learner,
            actors,
            collecting: Duration::ZERO,
            staged: Staging::default(),
            weights: Vec::new(),
        })
    }

    /// Share of the run that is behind, 0 to 1.
    pub fn progress(&self) -> f64 {
        (self.counters.env_steps as f64 / self.config.env_steps as f64).min(1.0)
    }

    /// Whether the run is complete.
    pub fn finished(&self) -> bool {
        self.counters.env_steps >= self.config.env_steps
    }

    /// The current epsilon.
    pub fn epsilon(&self) -> f64 {
        self.config.exploration.epsilon.at(self.progress())
    }

    /// The current learning rate.
    pub fn learning_rate(&self) -> f64 {
        self.config.learner.learning_rate.at(self.progress())
    }

    /// The online network's weights, flat, as a policy has them: those for observations as the
    /// encoder writes them, where the learner's own are normalised.
    pub fn weights(&mut self) -> &[f32] {
        self.learner.online.save(&mut self.weights);
        if let Some(normalisation) = &space(&self.vector).normalisation {
            fold(self.learner.online.spec(), normalisation, &mut self.weights);
        }
        &self.weights
    }

    /// Looks for numbers that are not finite in what the learner holds and in the policy that comes
    /// of it: taking over a normalisation may carry a weight beyond what 32 bits hold.
    ///
    /// # Errors
    /// The first that is found.
    pub fn check(&mut self) -> Result<(), NotFinite> {
        self.learner.check()?;
        self.weights();
        let learner = &self.learner;
        check_weights("policy", &self.weights, learner.online.spec(), 1, learner.adam.updates)
    }

    /// What normalises the learner's observations, if anything does.
    pub fn normalisation(&self) -> Option<&Arc<Normalisation>> {
        space(&self.vector).normalisation.as_ref()
    }

    /// Acts and learns for one round; before the first env step, learns from demonstrations and
    /// comparisons alone as long as the configuration says so. The last round is shorter where whole
    /// rounds would make more env steps than the run has.
    ///
    /// # Errors
    /// When an environment or a CUDA device fails, or a loss, gradient norm, weight or reward is not
    /// finite. The run cannot go on then; its checkpoints are not touched.
    pub fn round(&mut self, want_stats: bool) -> Result<RoundReport, TrainerError> {
        let shown = self.demonstrations.as_ref().map(|_| &self.config.demonstrations);
        let compared = self.comparisons.as_ref().map(|_| &self.config.comparisons);
        let pretraining = shown
            .map_or(0, |config| config.pretrain_updates)
            .max(compared.map_or(0, |config| config.pretrain_updates));
        if self.counters.updates < pretraining {
            return self.pretrain(pretraining - self.counters.updates, want_stats);
        }
        let start = Instant::now();
        self.learner.acting_weights(&mut self.weights)?;
        let noise = self.learner.noise.as_ref().map(|noise| (noise.sigma_on_host(), &noise.layers));
        for actor in &mut self.actors {
            let actor = actor.get_mut().unwrap_or_else(|poisoned| poisoned.into_inner());
            match &noise {
                Some((sigma, layers)) => actor.load_noisy(&self.weights, sigma, layers),
                None => actor.load(&self.weights),
            }
        }
        let (epsilon, learning_rate) = (self.epsilon(), self.learning_rate());
        let beta = self.config.learner.priority_beta.at(self.progress());
        let share = self.config.demonstrations.share.at(self.progress());
        let compared = self.config.comparisons.share.at(self.progress());
        let updates = self.due_updates();
        let mut report = RoundReport::default();
        let before = self.counters.env_steps;
        let Self {
            config,
            learner,
            replay,
            demonstrations,
            comparisons,
            vector,
            actors,
            counters,
            staged,
            reward_factors,
            collecting,
            ..
        } = self;
        *collecting += start.elapsed();
        let (demonstrations, comparisons) = (demonstrations.as_ref(), comparisons.as_ref());
        let (stats, collected) = rayon::join(
            || {
                // libtorch's setting is per thread, and this may be any thread of the pool.
                tch::set_num_threads(1);
                let mut stats = None;
                for update in 0..updates {
                    let source =
                        Source { replay, beta, demonstrations, share, comparisons, compared };
                    let last = update + 1 == updates;
                    stats = learner.learn(&source, learning_rate, want_stats && last)?;
                    learner.report_errors(replay);
                }
                Ok::<_, LearnError>(stats)
            },
            || {
                let start = Instant::now();
                let finished =
                    collect(config, vector, actors, counters, staged, epsilon, reward_factors);
                (finished, start.elapsed())
            },
        );
        let (collected, collect_time) = collected;
        let start = Instant::now();
        report.finished = collected?;
        report.stats = stats?;
        // Before it gets into the replay, from where checkpoints would keep it.
        if let Some(bad) = staged.entries.iter().find(|entry| !entry.reward.is_finite()) {
            let what = format!("scaled reward of environment copy {}", bad.ring);
            let (value, update) = (f64::from(bad.reward), learner.adam.updates);
            return Err(NotFinite { what, value, update }.into());
        }
        for &Staged { ring, state, action, reward, discount, kind } in &staged.entries {
            let size = replay.rings()[ring].state_bytes;
            replay.push(ring, &staged.states[state..][..size], action, reward, discount, kind);
        }
        *collecting += collect_time + start.elapsed();
        counters.updates += updates;
        counters.rounds += 1;
        self.owe_less(self.counters.env_steps - before);
        Ok(report)
    }

    fn pretrain(&mut self, left: u64, want_stats: bool) -> Result<RoundReport, TrainerError> {
        tch::set_num_threads(1);
        let learning_rate = self.learning_rate();
        let updates = left.min(PRETRAINING_ROUND);
        let mut report = RoundReport::default();
        let (demonstrations, comparisons) =
            (self.demonstrations.as_ref(), self.comparisons.as_ref());
        // What there is of the two, in equal parts.
        let share = if comparisons.is_some() { 0.5 } else { 1.0 };
        let replay = &self.replay;
        for update in 0..updates {
            let source =
                Source { replay, beta: 1.0, demonstrations, share, comparisons, compared: 1.0 };
            let want_stats = want_stats && update + 1 == updates;
            report.stats = self.learner.learn(&source, learning_rate, want_stats)?;
        }
        self.counters.updates += updates;
        self.counters.rounds += 1;
        Ok(report)
    }

    /// Takes back what the next round will owe for steps that this one, the last of its run, did not
    /// make: the run may be made longer.
    fn owe_less(&mut self, made: u64) {
        let whole = self.config.round_steps * self.vector.slots().len();
        let missing = (whole as u64).saturating_sub(made);
        if missing > 0 && self.counters.env_steps >= self.config.warm_up_steps {
            self.counters.owed_updates -= missing as f64 / self.config.steps_per_update;
        }
    }

    /// Updates that this round owes for the env steps of the round before.
    fn due_updates(&mut self) -> u64 {
        let ready =
            self.counters.env_steps >= self.config.warm_up_steps && self.replay.can_sample();
        // Ranks make their updates together or not at all.
        let ready = self.learner.average.as_ref().map_or(ready, |average| average.all(ready));
        if !ready {
            return 0;
        }
        let steps = self.config.round_steps * self.config.env_copies;
        let owed = self.counters.owed_updates + steps as f64 / self.config.steps_per_update;
        self.counters.owed_updates = owed.fract();
        // Not negative but by rounding.
        owed.max(0.0) as u64
    }
}

/// What the learner observes.
fn space<E: Env>(vector: &VectorEnv<E>) -> &ObservationSpace {
    // There is at least one environment: the configuration demands it.
    vector.slots()[0].env.observation_space()
}

#[cfg(test)]
mod tests;
