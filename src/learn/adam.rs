//! Adam (Kingma and Ba, ICLR 2015) on one flat parameter vector, with a state that can be saved.
//! With weight decay it is AdamW (Loshchilov and Hutter, ICLR 2019).

use tch::{Device, Kind, Tensor};

/// Adam with its moments.
#[derive(Debug)]
pub struct Adam {
    /// First moment, `[P]`.
    pub mean: Tensor,
    /// Second moment, `[P]`.
    pub square: Tensor,
    /// Updates made.
    pub updates: u64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the denominator.
    pub epsilon: f64,
    /// Decoupled weight decay; 0 for none.
    pub weight_decay: f64,
}

impl Adam {
    /// Zero moments for `parameters` weights.
    pub fn new(parameters: i64, device: Device, weight_decay: f64) -> Self {
        let zeros = || Tensor::zeros([parameters], (Kind::Float, device));
        let (beta1, beta2, epsilon) = (0.9, 0.999, 1e-8);
        Self { mean: zeros(), square: zeros(), updates: 0, beta1, beta2, epsilon, weight_decay }
    }

    /// One update of `parameters` (`[P]`, in place) along `gradient` (`[P]`).
    pub fn update(&mut self, parameters: &mut Tensor, gradient: &Tensor, learning_rate: f64) {
        self.updates += 1;
        let t = self.updates as i32;
        let correction1 = 1.0 - self.beta1.powi(t);
        let correction2 = 1.0 - self.beta2.powi(t);
        tch::no_grad(|| {
            if self.weight_decay > 0.0 {
                let _ = parameters.g_mul_scalar_(1.0 - learning_rate * self.weight_decay);
            }
            let _ = self.mean.lerp_(gradient, 1.0 - self.beta1);
            let _ = self.square.g_mul_scalar_(self.beta2);
            let scaled = gradient * (1.0 - self.beta2);
            let _ = self.square.addcmul_(&scaled, gradient);
            // lr * (m / c1) / (sqrt(v / c2) + eps)
            let denominator = self.square.sqrt() * (1.0 / correction2.sqrt()) + self.epsilon;
            let direction = &self.mean * (-learning_rate / correction1);
            let _ = parameters.addcdiv_(&direction, &denominator);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_updates_match_hand_worked_numbers() {
        let mut adam = Adam::new(1, Device::Cpu, 0.0);
        let mut parameters = Tensor::from_slice(&[1.0_f32]);
        // First update: bias-corrected moments are g and g^2, so the step is lr * sign(g).
        adam.update(&mut parameters, &Tensor::from_slice(&[2.0_f32]), 0.1);
        assert!((parameters.double_value(&[0]) - 0.9).abs() < 1e-6);
        // Second, g = -1: m = 0.9*0.2 - 0.1 = 0.08, c1 = 0.19; v = 0.999*0.004 + 0.001 = 0.004996,
        // c2 = 0.001999: step = 0.1 * 0.421053 / 1.580905 = 0.0266337.
        adam.update(&mut parameters, &Tensor::from_slice(&[-1.0_f32]), 0.1);
        assert!((parameters.double_value(&[0]) - 0.873_366_3).abs() < 1e-5);
    }
}
