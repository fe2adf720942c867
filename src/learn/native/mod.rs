//! The update without libtorch, for the CPU: the same loss, gradient and optimiser as in
//! [`crate::learn::dqn`], in plain loops over the flat vectors that libtorch's tensors hold, which stay
//! where they are. For small networks libtorch's cost per call is a multiple of the arithmetic.
//!
//! Where the time of an update goes is measured by `godwit bench learn`.

mod host;
#[cfg(test)]
mod tests;

use crate::config::{DemonstrationConfig, LearnerConfig};
use crate::distributed::average::GradientAverage;
use crate::learn::adam::Adam;
use crate::learn::finite::{NotFinite, check_update};
use crate::learn::stats::{UpdateStats, linear_quantile};
use crate::learn::times::LearnTimes;
use crate::networks::Parameters;
use godwit_envs::observe::ObservationBuffer;
use godwit_models::net::backward::{AdamFactors, Backward, MlpValues, adam, sum_of_squares};
use godwit_models::net::{Architecture, NetworkSpec};
use host::{host, host_mut};
use std::time::Instant;

/// The parts of an update that libtorch does otherwise.
#[derive(Debug)]
pub struct NativeUpdate {
    backward: Backward,
    next: Option<MlpValues>,
    terms: Vec<Term>,
    q: Vec<f32>,
    slope: Vec<f32>,
    error: Vec<f32>,
    sorted: Vec<f32>,
    gradient: Vec<f32>,
}

/// A transition to learn from.
#[derive(Debug, Clone, Copy)]
pub struct Example<'a> {
    /// The state.
    pub state: &'a ObservationBuffer,
    /// The action that was taken in it.
    pub action: usize,
    /// TD target of its value.
    pub target: f32,
    /// What it weighs in the loss; 1 unless draws are prioritised.
    pub weight: f32,
    /// Another action of the state that enters the loss.
    pub beside: Beside,
}

/// Another action of an example's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beside {
    /// None.
    Nothing,
    /// In a demonstrated state, the action that comes too close to the demonstrated one; see
    /// [`crate::learn::margin`].
    Rival(usize),
    /// What the action is compared with: the target is that of the difference of their values; see
    /// [`crate::experience::comparisons`].
    Reference(usize),
}

/// What the loss needs to know of an example: values are in rows of their own, that of the other
/// action follows that of the action taken.
#[derive(Debug, Clone, Copy)]
struct Term {
    row: usize,
    target: f32,
    weight: f32,
    beside: Beside,
}

/// What an update changes.
pub struct Trained<'a> {
    /// The network that is learnt.
    pub online: &'a mut Parameters,
    /// The slower copy.
    pub target: &'a mut Parameters,
    /// The optimiser.
    pub adam: &'a mut Adam,
    /// Averages the gradient over the ranks, where there are several.
    pub average: Option<&'a GradientAverage>,
}

impl NativeUpdate {
    /// For batches of `size` transitions.
    pub fn new(spec: &NetworkSpec, size: usize) -> Self {
        let zeros = || vec![0.0; size];
        Self {
            backward: Backward::new(spec),
            next: (spec.architecture == Architecture::Mlp).then(|| MlpValues::new(spec)),
            terms: Vec::with_capacity(size),
            q: zeros(),
            slope: zeros(),
            error: zeros(),
            sorted: zeros(),
            gradient: vec![0.0; spec.parameter_count()],
        }
    }

    /// Whether next states are valued batch by batch ([`NativeUpdate::next_values`]): where all
    /// actions come out of one product, that is faster than state by state.
    pub fn values_batches(&self) -> bool {
        self.next.is_some()
    }

    /// `Q_target(s', a*)` of each state, `[B]`; see [`MlpValues::next_values`]. Only where
    /// [`NativeUpdate::values_batches`].
    pub fn next_values<'a>(
        &mut self,
        states: impl Iterator<Item = &'a ObservationBuffer>,
        online: &Parameters,
        target: &Parameters,
        double: bool,
        values: &mut [f32],
    ) {
        let Some(next) = &mut self.next else { return };
        next.clear();
        states.for_each(|state| next.add(state));
        next.next_values(double.then(|| host(&online.flat)), host(&target.flat), values);
    }

    /// One gradient step on the mean weighted Huber loss, and on the large-margin loss where
    /// examples have rivals. Afterwards [`NativeUpdate::errors`] holds the absolute TD errors.
    ///
    /// # Errors
    /// When the loss or the gradient's norm is not finite; then nothing has changed.
    #[expect(clippy::too_many_arguments, reason = "the ingredients of an update")]
    pub fn update<'a>(
        &mut self,
        examples: impl Iterator<Item = Example<'a>>,
        trained: Trained,
        config: &LearnerConfig,
        demonstrations: &DemonstrationConfig,
        learning_rate: f64,
        want_stats: bool,
        times: &mut LearnTimes,
    ) -> Result<Option<UpdateStats>, NotFinite> {
        let start = Instant::now();
        self.fill(examples);
        let Trained { online, target, adam, average } = trained;
        let loss = self.gradient(host(&online.flat), config.huber_delta as f32, demonstrations);
        if let Some(average) = average {
            if !loss.is_finite() {
                // The gradient of a Huber loss may be finite even so: every rank has to notice.
                self.gradient[0] = f32::NAN;
            }
            average.slice(&mut self.gradient);
        }
        let middle = Instant::now();
        times.gradient += middle - start;
        let norm = sum_of_squares(&self.gradient).sqrt();
        check_update(loss, norm, adam.updates + 1)?;
        self.descend(online, target, adam, config, learning_rate, norm);
        times.optimiser += middle.elapsed();
        Ok(want_stats.then(|| self.stats(loss, norm)))
    }

    /// The absolute TD error of each transition of the last update, `[B]`.
    pub fn errors(&self) -> &[f32] {
        &self.error
    }

    /// The gradient of the last update before clipping, `[P]`.
    pub fn last_gradient(&self) -> &[f32] {
        &self.gradient
    }

    fn fill<'a>(&mut self, examples: impl Iterator<Item = Example<'a>>) {
        self.backward.clear();
        self.terms.clear();
        let mut row = 0;
        for Example { state, action, target, weight, beside } in examples {
            self.backward.add(state, action);
            self.terms.push(Term { row, target, weight, beside });
            row += 1;
            if let Beside::Rival(other) | Beside::Reference(other) = beside {
                self.backward.add_action(state, other);
                row += 1;
            }
        }
        self.q.resize(row, 0.0);
        self.slope.resize(row, 0.0);
    }

    /// Fills the gradient of the loss of the examples; returns the loss.
    fn gradient(
        &mut self,
        online: &[f32],
        delta: f32,
        demonstrations: &DemonstrationConfig,
    ) -> f64 {
        self.backward.forward(online, &mut self.q);
        let DemonstrationConfig { margin, margin_weight, .. } = *demonstrations;
        let share = 1.0 / self.terms.len() as f32;
        let mut loss = 0.0;
        for (error_size, &Term { row, target, weight, beside }) in
            self.error.iter_mut().zip(&self.terms)
        {
            let reference = match beside {
                Beside::Reference(_) => self.q[row + 1],
                Beside::Nothing | Beside::Rival(_) => 0.0,
            };
            let error = self.q[row] - reference - target;
            let size = error.abs();
            let huber =
                if size <= delta { 0.5 * error * error } else { delta * (size - 0.5 * delta) };
            loss += f64::from(weight * huber);
            *error_size = size;
            let slope = share * weight * error.clamp(-delta, delta);
            self.slope[row] = slope;
            if let Beside::Reference(_) = beside {
                self.slope[row + 1] = -slope;
            }
            if let Beside::Rival(_) = beside {
                loss += margin_weight * (f64::from(self.q[row + 1] - self.q[row]) + margin);
                let slope = share * margin_weight as f32;
                self.slope[row] -= slope;
                self.slope[row + 1] = slope;
            }
        }
        self.backward.backward(online, &self.slope, &mut self.gradient);
        loss * f64::from(share)
    }

    /// Clipping to the gradient's `norm`, Adam and the target network.
    fn descend(
        &mut self,
        online: &mut Parameters,
        target: &mut Parameters,
        optimiser: &mut Adam,
        config: &LearnerConfig,
        learning_rate: f64,
        norm: f64,
    ) {
        optimiser.updates += 1;
        let t = optimiser.updates as i32;
        let factors = AdamFactors {
            gradient: (config.max_gradient_norm / (norm + 1e-6)).min(1.0) as f32,
            mean: (1.0 - optimiser.beta1) as f32,
            square: optimiser.beta2 as f32,
            rate: (learning_rate / (1.0 - optimiser.beta1.powi(t))) as f32,
            correction: (1.0 / (1.0 - optimiser.beta2.powi(t)).sqrt()) as f32,
            epsilon: optimiser.epsilon as f32,
            keep: (1.0 - learning_rate * optimiser.weight_decay) as f32,
            tau: if config.target_every == 0 { config.target_tau as f32 } else { 0.0 },
        };
        let (mean, square) = (&mut optimiser.mean, &mut optimiser.square);
        let online = host_mut(&mut online.flat);
        let target = host_mut(&mut target.flat);
        adam(factors, &self.gradient, online, host_mut(mean), host_mut(square), target);
        if config.target_every > 0 && optimiser.updates.is_multiple_of(config.target_every) {
            target.copy_from_slice(online);
        }
    }

    fn stats(&mut self, loss: f64, gradient_norm: f64) -> UpdateStats {
        self.sorted.copy_from_slice(&self.error);
        self.sorted.sort_unstable_by(f32::total_cmp);
        UpdateStats {
            loss,
            mean_q: self.terms.iter().map(|term| f64::from(self.q[term.row])).sum::<f64>()
                / self.terms.len() as f64,
            gradient_norm,
            td_error: [0.1, 0.5, 0.9].map(|level| linear_quantile(&self.sorted, level)),
        }
    }
}
