//! Draws a batch, values its next states, and lays it out as tensors.

use super::Learner;
use super::batch::{Drawn, Group, Origin, Source, TransitionBatch};
use super::worker::{Worker, of_this_thread, unpoisoned};
use crate::config::LearnerConfig;
use crate::experience::comparisons::Comparison;
use crate::experience::replay::Transition;
use crate::learn::margin::{self, Violations};
use crate::learn::native::NativeUpdate;
use godwit_envs::env::Env;
use godwit_envs::observe::ObservationBuffer;
use rayon::prelude::*;
use std::time::Instant;
use tch::Tensor;

/// Transitions that a thread takes on at a time where they cost differently.
const UNEVEN_TASK: usize = 2;

/// Stands for no index.
const NOTHING: i64 = -1;

impl<E: Env> Learner<E> {
    /// Draws a batch; all its next states are valued in one go.
    pub(super) fn value_together(&mut self, native: &mut NativeUpdate, source: &Source) {
        self.choose(source);
        // All cost the same: the fewer tasks, the less there is to hand over.
        let share = self.batch.len().div_ceil(self.workers.len());
        self.share_out(share, |worker, batch, observations, next| {
            let start = Instant::now();
            let view = &mut worker.views[0];
            for ((drawn, observations), next) in batch.iter().zip(observations).zip(next) {
                let transition = &drawn.transition;
                view.decoder.read_compact(source.replay.state(transition.state));
                let action = transition.action as usize;
                view.decoder.observe_actions(&[action], &mut observations[0]);
                if transition.discount != 0.0 {
                    view.decoder.read_compact(source.replay.state(transition.next));
                    view.decoder.observe(&mut next[0]);
                }
            }
            worker.times.decode += start.elapsed();
        });
        let start = Instant::now();
        let next = self.next_observations.iter().map(|of_scenarios| &of_scenarios[0]);
        let double = self.config.double;
        native.next_values(next, &self.online, &self.target, double, &mut self.next_values);
        for (drawn, &value) in self.batch.iter_mut().zip(&self.next_values) {
            let Transition { reward, discount, .. } = drawn.transition;
            // A terminal step has no next state: what was valued is a leftover.
            drawn.target = if discount == 0.0 { reward } else { reward + discount * value };
        }
        self.times.next_values += start.elapsed();
    }

    /// Draws a batch, computes its TD targets with the current weights, and lays it out as tensors.
    pub fn draw(&mut self, source: &Source) -> TransitionBatch {
        self.value_one_by_one(source);
        self.lay_out()
    }

    pub(super) fn value_one_by_one(&mut self, source: &Source) {
        self.choose(source);
        let start = Instant::now();
        self.load_workers();
        self.times.next_values += start.elapsed();
        // Each transition's result depends on nothing but itself, so it does not matter who works it
        // out. Those of comparisons, which have no next state, lie side by side and cost a tenth of
        // the others: small tasks even that out.
        let LearnerConfig { double, quantiles, .. } = self.config;
        let margin = self.demonstrations.margin as f32;
        self.share_out(UNEVEN_TASK, |worker, batch, observations, next| {
            for ((drawn, observations), next) in batch.iter_mut().zip(observations).zip(next) {
                let replay = match source.demonstrations {
                    Some(shown) if drawn.origin == Origin::Demonstrations => shown,
                    _ => source.replay,
                };
                let at = drawn.transition.state;
                let state = match (source.comparisons, drawn.origin) {
                    (Some(comparisons), Origin::Comparisons { .. }) => comparisons.state(at),
                    _ => replay.state(at),
                };
                let observation = &mut observations[drawn.scenario];
                let view = &mut worker.views[drawn.scenario];
                let start = Instant::now();
                view.decoder.read_compact(state);
                let action = drawn.transition.action as usize;
                match drawn.origin {
                    Origin::Replay => view.decoder.observe_actions(&[action], observation),
                    // Any other action may turn out to be the rival.
                    Origin::Demonstrations => view.decoder.observe(observation),
                    Origin::Comparisons { reference } => {
                        let both = [action.min(reference), action.max(reference)];
                        view.decoder.observe_actions(&both, observation);
                    }
                }
                worker.times.decode += start.elapsed();
                if drawn.origin == Origin::Demonstrations {
                    worker.online.q_values(observation, &mut view.q);
                    let rival = margin::rival(&view.q, action, margin);
                    drawn.rival = (rival != action).then_some(rival);
                }
                if quantiles > 1 {
                    let next = &mut next[drawn.scenario];
                    drawn.next_action = worker.observe_next(drawn, replay, double, next);
                } else {
                    drawn.target =
                        worker.td_target(drawn.scenario, &drawn.transition, replay, double);
                }
            }
        });
    }

    /// Hands the batch to the threads, `size` transitions with their observations at a time.
    fn share_out(
        &mut self,
        size: usize,
        work: impl Fn(
            &mut Worker<E>,
            &mut [Drawn],
            &mut [Vec<ObservationBuffer>],
            &mut [Vec<ObservationBuffer>],
        ) + Sync,
    ) {
        let workers = &self.workers;
        self.batch
            .par_chunks_mut(size)
            .with_max_len(1)
            .zip(self.observations.par_chunks_mut(size))
            .zip(self.next_observations.par_chunks_mut(size))
            .for_each(|((batch, observations), next)| {
                work(&mut of_this_thread(workers), batch, observations, next);
            });
    }

    /// Hands the current weights to the threads. Noise is drawn apart for the update, for picking
    /// next actions, and for valuing them.
    fn load_workers(&mut self) {
        self.online.save(&mut self.weights);
        if let Some(noise) = &mut self.noise {
            noise.redraw(&self.online, &mut self.rng);
            noise.perturb(&mut self.weights, &noise.sigma, &mut self.rng);
        }
        for worker in &mut self.workers {
            unpoisoned(worker.get_mut()).online.load_flat(&self.weights);
        }
        self.target.save(&mut self.weights);
        if let Some(noise) = &self.noise {
            noise.perturb(&mut self.weights, &noise.target_sigma, &mut self.rng);
        }
        for worker in &mut self.workers {
            unpoisoned(worker.get_mut()).target.load_flat(&self.weights);
        }
    }

    /// Draws the transitions, those of a scenario side by side.
    fn choose(&mut self, source: &Source) {
        let start = Instant::now();
        let size = self.batch.len();
        let part = |share: f64| ((share * size as f64).round() as usize).min(size);
        let shown = source.demonstrations.map_or(0, |_| part(source.share));
        let compared = source.comparisons.map_or(0, |_| part(source.compared)).min(size - shown);
        if let Some(demonstrations) = source.demonstrations {
            let (transitions, weights) =
                (&mut self.transitions[..shown], &mut self.importance[..shown]);
            demonstrations.sample(source.beta, &mut self.rng, transitions, weights);
        }
        let own = shown + compared..;
        let (transitions, weights) =
            (&mut self.transitions[own.clone()], &mut self.importance[own]);
        source.replay.sample(source.beta, &mut self.rng, transitions, weights);
        for (at, drawn) in self.batch.iter_mut().enumerate() {
            let (transition, ring) = (self.transitions[at], self.transitions[at].state.0 as usize);
            drawn.transition = transition;
            (drawn.origin, drawn.scenario) = match at < shown {
                true => (Origin::Demonstrations, ring),
                false => (Origin::Replay, self.scenario_of_ring[ring]),
            };
            drawn.weight = self.importance[at];
            drawn.rival = None;
        }
        if let Some(comparisons) = source.comparisons {
            for drawn in &mut self.batch[shown..shown + compared] {
                let Comparison { scenario, state, action, reference, gain } =
                    comparisons.draw(&mut self.rng);
                let state = (scenario, state);
                drawn.transition =
                    Transition { state, action, reward: gain, discount: 0.0, next: state };
                drawn.origin = Origin::Comparisons { reference: reference as usize };
                drawn.scenario = scenario as usize;
                drawn.weight = self.comparison_weight;
            }
        }
        if self.layouts.len() > 1 {
            self.batch.sort_unstable_by_key(|drawn| {
                (drawn.scenario, drawn.origin, drawn.transition.state)
            });
        }
        self.times.draw += start.elapsed();
    }

    /// The tensors of the batch that was drawn.
    fn lay_out(&mut self) -> TransitionBatch {
        let device = self.device;
        let tensor = |of: fn(&Drawn) -> f32| {
            let values: Vec<f32> = self.batch.iter().map(of).collect();
            Tensor::from_slice(&values).to_device(device)
        };
        let weight = tensor(|drawn| drawn.weight);
        let mut target = tensor(|drawn| drawn.target).unsqueeze(1);
        if self.config.quantiles > 1 {
            let reward = tensor(|drawn| drawn.transition.reward).unsqueeze(1);
            let discount = tensor(|drawn| drawn.transition.discount).unsqueeze(1);
            target = reward + discount * self.next_quantiles();
        }
        let mut groups = Vec::with_capacity(self.layouts.len());
        let mut first = 0;
        // A network that reads candidates alone reads those of all scenarios at once.
        let together = self.layouts[0].omits_entities();
        for drawn_together in self.batch.chunk_by(|a, b| together || a.scenario == b.scenario) {
            let size = drawn_together.len();
            let states = &mut self.layouts[drawn_together[0].scenario];
            states.clear();
            let mut taken = Vec::with_capacity(size);
            let (mut demonstrated, mut rivals) = (Vec::new(), Vec::new());
            let mut references = vec![NOTHING; size];
            let observations = &self.observations[first..first + size];
            for (b, (drawn, observations)) in drawn_together.iter().zip(observations).enumerate() {
                let observation = &observations[drawn.scenario];
                let action = drawn.transition.action as usize;
                let place =
                    |action: usize, row: usize| (if action == 0 { b } else { size + row }) as i64;
                taken.push(place(action, states.rows()));
                states.add_with_action(observation, action);
                if let Some(rival) = drawn.rival {
                    demonstrated.push(taken[b]);
                    rivals.push(place(rival, states.rows()));
                    states.add_action(observation, rival);
                }
                if let Origin::Comparisons { reference } = drawn.origin {
                    references[b] = place(reference, states.rows());
                    states.add_action(observation, reference);
                }
            }
            let list = |values: &[i64]| Tensor::from_slice(values).to_device(device);
            let compares = references.iter().any(|&reference| reference != NOTHING);
            let after_all = (size + states.rows()) as i64;
            references.iter_mut().filter(|at| **at == NOTHING).for_each(|at| *at = after_all);
            groups.push(Group {
                states: states.build(device),
                taken: list(&taken),
                reference: compares.then(|| list(&references)),
                violations: (!rivals.is_empty()).then(|| Violations {
                    demonstrated: list(&demonstrated),
                    rival: list(&rivals),
                }),
            });
            first += size;
        }
        TransitionBatch { groups, target, weight }
    }

    /// Quantiles of the next states by the target network, `[B, Q]`.
    fn next_quantiles(&mut self) -> Tensor {
        let mut quantiles = Vec::with_capacity(self.layouts.len());
        let mut observations = self.next_observations.iter();
        for of_scenario in self.batch.chunk_by(|a, b| a.scenario == b.scenario) {
            let scenario = of_scenario[0].scenario;
            let states = &mut self.layouts[scenario];
            states.clear();
            let mut picked = Vec::with_capacity(of_scenario.len());
            for (b, (drawn, next)) in of_scenario.iter().zip(observations.by_ref()).enumerate() {
                let stays = drawn.next_action == 0;
                let row = of_scenario.len() + states.rows();
                picked.push(if stays { b } else { row } as i64);
                states.add_with_action(&next[scenario], drawn.next_action);
            }
            let (stay, rows) = self.target.forward_quantiles(&states.build(self.device));
            let picked = Tensor::from_slice(&picked).to_device(self.device);
            quantiles.push(Tensor::cat(&[stay, rows], 0).index_select(0, &picked));
        }
        Tensor::cat(&quantiles, 0)
    }
}
