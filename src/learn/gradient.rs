//! The gradient of a loss, flat and clipped.

use crate::distributed::average::GradientAverage;
use tch::Tensor;

/// One flat gradient of the loss (or its `average` over the ranks), scaled down to a norm, `[P]`;
/// and the norm before that, `[]`.
pub(crate) fn clipped_gradient(
    loss: &Tensor,
    leaves: &[Tensor],
    max_norm: f64,
    average: Option<&mut GradientAverage>,
) -> (Tensor, Tensor) {
    let gradients = Tensor::run_backward(&[loss], leaves, false, false);
    let flat: Vec<Tensor> = gradients.iter().map(|gradient| gradient.reshape([-1])).collect();
    let mut gradient = Tensor::cat(&flat, 0);
    if let Some(average) = average {
        // No number at all where the loss is not finite, although the gradient of a Huber loss may
        // be finite even then: every rank has to notice.
        let _ = gradient.g_add_(&(loss.detach() * 0.0));
        average.tensor(&mut gradient);
    }
    let norm = gradient.norm();
    let scale = ((&norm + 1e-6).reciprocal() * max_norm).clamp_max(1.0);
    let _ = gradient.g_mul_(&scale);
    (gradient, norm)
}
