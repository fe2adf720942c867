//! Observation normalisation: each feature shifted to mean 0 and scaled to deviation 1 (inputs as
//! in LeCun et al., Efficient BackProp, 1998; in reinforcement learning Andrychowicz et al., What
//! matters for on-policy RL, ICLR 2021).
//!
//! It is measured once and then frozen, where the papers' implementations keep a running mean: a
//! replayed state is observed anew each time it is drawn, and would look different each time. What
//! is frozen is one affine map of the features, which the first layers of a network can take over
//! exactly; for that, nothing is clipped after it, and every row goes through it, that of an absent
//! workload too.

mod apply;
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
}
