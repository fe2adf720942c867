//! Observation normalisation: each feature shifted to mean 0 and scaled to deviation 1 (inputs as
//! in LeCun et al., Efficient BackProp, 1998; in reinforcement learning Andrychowicz et al., What
//! matters for on-policy RL, ICLR 2021).
//!
//! It is measured once and then frozen, where the papers' implementations keep a running mean: a
//! replayed state is observed anew each time it is drawn, and would look different each time. What
//! is frozen is one affine map of the features, which the first layers of a network can take over
//! exactly; for that, nothing is clipped after it, and every row goes through it, that of an absent
//! workload too.

// Lanes are indexed in step across several arrays, which vectorises and reads like the formula.
#![allow(clippy::needless_range_loop)]

use crate::observation::{LANES, ObservationBuffer};
use multiversion::multiversion;

mod moments;
#[cfg(test)]
mod tests;

pub use moments::Moments;

/// What a smaller deviation counts as: a feature that hardly ever leaves its mean is not blown up
/// more than this when it does, for nothing clips it afterwards.
pub const LEAST_DEVIATION: f64 = 0.05;

/// A feature with less deviation than this is constant but for rounding.
const CONSTANT: f64 = 1e-6;

/// What happens to one feature: `x * scale + shift`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Affine {
    /// One over the deviation.
    pub scale: f32,
    /// Minus the mean over the deviation.
    pub shift: f32,
}

/// What happens to each feature, in the order of the schema.
#[derive(Debug, Clone, PartialEq)]
pub struct Normalisation {
    /// Features of a node.
    pub node: Vec<Affine>,
    /// Features of a workload.
    pub workload: Vec<Affine>,
    /// Features of the whole cluster.
    pub global: Vec<Affine>,
    /// Features of a candidate.
    pub candidate: Vec<Affine>,
}

impl Affine {
    /// Changes nothing.
    pub const IDENTITY: Self = Self { scale: 1.0, shift: 0.0 };

    /// What takes a feature of this mean and deviation to mean 0 and deviation 1; leaves one alone
    /// that is constant.
    pub fn standard(mean: f64, deviation: f64) -> Self {
        if deviation < CONSTANT {
            return Self::IDENTITY;
        }
        let deviation = deviation.max(LEAST_DEVIATION);
        Self { scale: (1.0 / deviation) as f32, shift: (-mean / deviation) as f32 }
    }

    /// The feature as networks read it.
    #[inline(always)]
    pub fn apply(self, value: f32) -> f32 {
        value * self.scale + self.shift
    }

    /// The feature as the encoder wrote it, but for rounding.
    pub fn undo(self, value: f32) -> f32 {
        (value - self.shift) / self.scale
    }
}

impl Normalisation {
    /// Numbers of features: F_n, F_w, F_g and F_c.
    pub fn widths(&self) -> [usize; 4] {
        [self.node.len(), self.workload.len(), self.global.len(), self.candidate.len()]
    }

    /// Normalises an observation that the encoder has just written. `Stay` and masked candidates
    /// keep what they hold: the encoder does not write them every time, and a leftover that went
    /// through this again and again would grow without bound.
    pub fn apply(&self, out: &mut ObservationBuffer) {
        self.apply_entities(out);
        if out.parts.candidates {
            apply_candidates(&self.candidate, out.candidate_stride, &out.mask, &mut out.candidates);
        }
    }

    /// As [`Normalisation::apply`], where only these candidates have just been written.
    pub fn apply_to(&self, actions: &[usize], out: &mut ObservationBuffer) {
        self.apply_entities(out);
        if !out.parts.candidates {
            return;
        }
        for (affine, row) in
            self.candidate.iter().zip(out.candidates.chunks_exact_mut(out.candidate_stride))
        {
            for &action in actions.iter().filter(|&&action| action > 0) {
                row[action] = affine.apply(row[action]);
            }
        }
    }

    fn apply_entities(&self, out: &mut ObservationBuffer) {
        apply_rows(&self.global, &mut out.globals);
        if out.parts.entities {
            apply_rows(&self.node, &mut out.nodes);
            apply_rows(&self.workload, &mut out.workloads);
        }
    }
}

#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512dq+avx512vl+avx2+fma",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
fn apply_rows(features: &[Affine], rows: &mut [f32]) {
    for row in rows.chunks_exact_mut(features.len().max(1)) {
        for (value, affine) in row.iter_mut().zip(features) {
            *value = affine.apply(*value);
        }
    }
}

#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512dq+avx512vl+avx2+fma",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
fn apply_candidates(features: &[Affine], stride: usize, mask: &[bool], candidates: &mut [f32]) {
    // A buffer's stride is a multiple of the lanes, and its mask as long.
    for (block, open) in mask.as_chunks::<LANES>().0.iter().enumerate() {
        let mut keep = [0; LANES];
        for l in 0..LANES {
            keep[l] = if open[l] { 0 } else { u32::MAX };
        }
        if block == 0 {
            keep[0] = u32::MAX;
        }
        if keep == [u32::MAX; LANES] {
            continue;
        }
        for (row, affine) in candidates.chunks_exact_mut(stride).zip(features) {
            let values = &mut row[block * LANES..][..LANES];
            for l in 0..LANES {
                // Bits of the one or of the other, without a branch: this vectorises.
                let normalised = affine.apply(values[l]).to_bits();
                values[l] = f32::from_bits(normalised & !keep[l] | values[l].to_bits() & keep[l]);
            }
        }
    }
}
