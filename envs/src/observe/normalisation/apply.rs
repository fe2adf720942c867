//! Normalises observations in their buffers.

// Lanes are indexed in step across several arrays, which vectorises and reads like the formula.
#![allow(clippy::needless_range_loop)]

use crate::lanes::LANES;
use crate::observe::ObservationBuffer;
use crate::observe::normalisation::{Affine, Normalisation};
use multiversion::multiversion;

impl Normalisation {
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
