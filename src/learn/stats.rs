//! What one update showed.

/// What one update showed.
#[derive(Debug, Clone, Copy, Default)]
pub struct UpdateStats {
    /// The loss that was minimised: Huber loss, weighted, plus the large-margin loss of
    /// demonstrations.
    pub loss: f64,
    /// Mean of Q(s, a) over the batch.
    pub mean_q: f64,
    /// Norm of the gradient before clipping.
    pub gradient_norm: f64,
    /// 10 %, 50 % and 90 % quantile of the absolute TD error.
    pub td_error: [f64; 3],
}

/// Of sorted values, with linear interpolation.
pub(crate) fn linear_quantile(sorted: &[f32], level: f64) -> f64 {
    let at = level * (sorted.len() - 1) as f64;
    let (low, high) =
        (f64::from(sorted[at.floor() as usize]), f64::from(sorted[at.ceil() as usize]));
    low + (high - low) * at.fract()
}
