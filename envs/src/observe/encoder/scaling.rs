//! How raw values become features: logarithms, nearness, remainders, and where all are clipped.

use crate::observe::features::TIGHTEST;
use crate::state::ClusterState;
use crate::state::cluster::Health;
use crate::state::objective::Slot;
use crate::state::outlook::Outlook;

/// Features are clipped here, so that an outlier cannot blow a network up.
pub const CLIP: f32 = 5.0;

/// Whether a node is degraded, whether it drains, and how near its deadline is: 1 in its last
/// tick, half of it with every four ticks more.
#[inline(always)]
pub(super) fn health_features(state: &ClusterState, node: usize) -> [f32; 3] {
    match state.health[node] {
        Health::Degraded => [1.0, 0.0, 0.0],
        Health::Draining => {
            let left = state.deadline[node].saturating_sub(state.tick).max(1) - 1;
            [0.0, 1.0, (-0.25 * left as f32).exp2()]
        }
        Health::Healthy | Health::Failed => [0.0; 3],
    }
}

/// Share of a slot that is free on a node beyond its whole slots.
#[inline(always)]
pub(super) fn slot_remainder(now: &Outlook, slot: Slot, node: usize) -> f32 {
    now.free[node] / slot.size - now.slots[node]
}

/// Base-2 logarithm to about 0.01, for positive x: exact at powers of two and linear between
/// them, corrected by a parabola. Branch-free, so that it vectorises.
#[inline(always)]
pub(super) fn log2_approx(x: f32) -> f32 {
    let bits = x.to_bits();
    let exponent = (bits >> 23) as f32 - 127.0;
    let mantissa = f32::from_bits(bits & 0x007f_ffff | 0x3f80_0000) - 1.0;
    exponent + mantissa + 0.344 * mantissa * (1.0 - mantissa)
}

/// The highest of these values, from the highest on; 0 where there are fewer.
#[inline(always)]
pub(super) fn tightest(values: &[f32]) -> [f32; TIGHTEST] {
    let mut top = [0.0_f32; TIGHTEST];
    for &value in values {
        let mut sinking = value;
        for kept in &mut top {
            (*kept, sinking) = (kept.max(sinking), kept.min(sinking));
        }
    }
    top
}

/// The view in which a policy sees its horizon `h`: that horizon's, or the last that there is.
#[inline(always)]
pub(super) fn view_of(state: &ClusterState, h: usize) -> usize {
    (1 + h).min(state.views() - 1)
}
