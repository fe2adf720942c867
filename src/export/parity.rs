//! libtorch against the native forward pass.

use super::inputs::{inputs, module_q};
use anyhow::{Context, ensure};
use godwit_envs::observe::ObservationBuffer;
use godwit_models::net::{Architecture, Network};
use serde::Serialize;
use std::time::{Duration, Instant};
use tch::CModule;

/// Largest accepted difference of a Q-value: absolute up to a value of 1, relative above, where
/// f32 itself is coarser. In a dueling network every Q-value is a sum with Q(s, Stay), and its
/// rounding is relative to the larger of the two. The best two candidates must differ by more than this before another
/// arg-max counts as a disagreement.
pub const TOLERANCE: f32 = 1e-5;

/// Where the last bits of an observation change its values by more than that, two ways to add up the
/// same sums differ as well: by up to so many times as much.
const ROUNDINGS: f32 = 8.0;

/// How well two forms of a network agree.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Parity {
    /// Observations compared.
    pub observations: usize,
    /// Largest absolute difference of a Q-value.
    pub largest_difference: f32,
    /// Largest absolute Q-value.
    pub largest_q: f32,
    /// Q-values that differ by more than the tolerance.
    pub disagreements: usize,
    /// Observations in which another candidate is best, although the best two differ by more than
    /// the tolerance.
    pub arg_max_disagreements: usize,
    /// Mean time of libtorch's forward pass for one observation, microseconds.
    pub libtorch_us: f64,
    /// Mean time of the native forward pass for one observation, microseconds.
    pub native_us: f64,
}

impl Parity {
    /// Whether the two forms compute the same.
    pub fn holds(&self) -> bool {
        self.observations > 0 && self.disagreements == 0 && self.arg_max_disagreements == 0
    }

    /// Adds the values of one observation; `dueling` says whether Q(s, Stay) is a term of all, and
    /// `last_bits` by how much they change with the last bits of the observation.
    pub fn add(&mut self, libtorch: &[f32], native: &[f32], dueling: bool, last_bits: f32) {
        self.observations += 1;
        let common = if dueling { libtorch[0].abs().max(1.0) } else { 1.0 };
        let rounding = ROUNDINGS * last_bits;
        for (&l, &n) in libtorch.iter().zip(native) {
            // Equal covers masked candidates: the difference of two infinities is not a number.
            if l == n {
                self.largest_q = self.largest_q.max(if l.is_finite() { l.abs() } else { 0.0 });
                continue;
            }
            let difference = (l - n).abs();
            self.largest_q = self.largest_q.max(l.abs());
            // `max` would drop a NaN; an infinite difference is a mask on one side only.
            if difference.is_nan() || difference > self.largest_difference {
                self.largest_difference = difference;
            }
            if !difference.is_finite()
                || difference > (TOLERANCE * l.abs().max(common)).max(rounding)
            {
                self.disagreements += 1;
            }
        }
        let (best, other) = (best(libtorch), best(native));
        if best != other {
            let gap = libtorch[best] - libtorch[other];
            if !gap.is_finite() || gap > (TOLERANCE * libtorch[best].abs().max(1.0)).max(rounding) {
                self.arg_max_disagreements += 1;
            }
        }
    }
}

impl std::fmt::Display for Parity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} observations: largest difference {:.1e} (largest |Q| {:.3}), {} values and {} \
             arg-max beyond tolerance; {:.1} us libtorch, {:.1} us native per forward pass",
            self.observations,
            self.largest_difference,
            self.largest_q,
            self.disagreements,
            self.arg_max_disagreements,
            self.libtorch_us,
            self.native_us
        )
    }
}

/// The first best candidate.
fn best(q: &[f32]) -> usize {
    (1..q.len()).fold(0, |best, a| if q[a] > q[best] { a } else { best })
}

/// Values each observation with both forms, each on one thread.
///
/// # Errors
/// When libtorch refuses an observation or returns another number of values.
pub fn compare<'a>(
    module: &CModule,
    network: &mut Network,
    observations: impl IntoIterator<Item = &'a ObservationBuffer>,
) -> anyhow::Result<Parity> {
    // Threads that wait for each other cost a single observation up to a thousand times its work.
    let threads = tch::get_num_threads();
    tch::set_num_threads(1);
    let parity = compare_on_one_thread(module, network, observations);
    tch::set_num_threads(threads);
    parity
}

fn compare_on_one_thread<'a>(
    module: &CModule,
    network: &mut Network,
    observations: impl IntoIterator<Item = &'a ObservationBuffer>,
) -> anyhow::Result<Parity> {
    let spec = network.spec().clone();
    let mut parity = Parity::default();
    let [mut libtorch_time, mut native_time] = [Duration::ZERO; 2];
    for observation in observations {
        let inputs = inputs(&spec, observation);
        let started = Instant::now();
        let libtorch = module_q(module, &inputs).context("the exported module")?;
        libtorch_time += started.elapsed();
        let mut native = vec![0.0; observation.actions()];
        ensure!(
            libtorch.len() == native.len(),
            "the exported module: expected {} values, got {}",
            native.len(),
            libtorch.len()
        );
        let started = Instant::now();
        network.q_values(observation, &mut native);
        native_time += started.elapsed();
        let dueling = spec.dueling && spec.architecture != Architecture::Mlp;
        parity.add(&libtorch, &native, dueling, last_bits(network, observation, &native));
    }
    let mean = |time: Duration| 1e6 * time.as_secs_f64() / parity.observations.max(1) as f64;
    (parity.libtorch_us, parity.native_us) = (mean(libtorch_time), mean(native_time));
    Ok(parity)
}

/// By how much a value changes at most where each feature has another last bit.
fn last_bits(network: &mut Network, observation: &ObservationBuffer, values: &[f32]) -> f32 {
    let mut other = observation.clone();
    let all = [&mut other.nodes, &mut other.workloads, &mut other.globals, &mut other.candidates];
    for (at, x) in all.into_iter().flatten().enumerate() {
        // Up and down in an order that no row repeats.
        *x *= if (at * at / 7) % 2 == 0 { 1.0 + f32::EPSILON } else { 1.0 - f32::EPSILON };
    }
    let mut changed = vec![0.0; values.len()];
    network.q_values(&other, &mut changed);
    let changes = values.iter().zip(&changed).map(|(a, b)| (a - b).abs());
    changes.filter(|change| change.is_finite()).fold(0.0, f32::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parity(libtorch: &[f32], native: &[f32]) -> Parity {
        let mut parity = Parity::default();
        parity.add(libtorch, native, false, 0.0);
        parity
    }

    #[test]
    fn sums_with_a_large_value_of_stay_round_at_its_scale() {
        let mut sums = Parity::default();
        sums.add(&[-39.0, -1.5], &[-39.0, -1.500_1], true, 0.0);
        assert!(sums.holds());
        sums.add(&[-39.0, -1.5], &[-39.0, -1.501], true, 0.0);
        assert_eq!(sums.disagreements, 1);
        assert!(!parity(&[-39.0, -1.5], &[-39.0, -1.500_1]).holds());
    }

    #[test]
    fn values_that_hang_on_the_last_bits_may_differ_by_as_much() {
        let of = |difference: f32, last_bits: f32| {
            let mut parity = Parity::default();
            parity.add(&[2.0, 0.5], &[2.0, 0.5 + difference], false, last_bits);
            parity.holds()
        };
        assert!(of(7e-5, 1e-5) && !of(9e-5, 1e-5));
        // What they hardly change says nothing.
        assert!(!of(7e-5, 1e-7));
    }

    #[test]
    fn rounding_is_accepted_and_nothing_more() {
        let masked = f32::NEG_INFINITY;
        assert!(parity(&[1.0, masked, 0.5], &[1.000_005, masked, 0.5]).holds());
        assert!(parity(&[300.0, 0.0], &[300.001, 0.0]).holds());
        assert!(!parity(&[1.0, 0.5], &[1.000_1, 0.5]).holds());
        assert!(!parity(&[1.0, masked], &[1.0, 0.5]).holds());
        assert!(!parity(&[1.0, 0.5], &[1.0, f32::NAN]).holds());
        assert!(!parity(&[f32::NAN, 0.5], &[f32::NAN, 0.5]).holds());
        assert!(!Parity::default().holds());
    }

    #[test]
    fn another_arg_max_counts_unless_the_best_two_are_level() {
        assert_eq!(parity(&[0.1, 0.100_001], &[0.100_001, 0.1]).arg_max_disagreements, 0);
        assert_eq!(parity(&[0.1, 0.2], &[0.2, 0.1]).arg_max_disagreements, 1);
    }
}
