//! The update by libtorch's autograd: loss, gradient, optimiser, target network.

use super::Learner;
use super::batch::{Group, TransitionBatch};
use crate::config::{DemonstrationConfig, LearnerConfig};
use crate::learn::finite::{NotFinite, check_update};
use crate::learn::gradient::clipped_gradient;
use crate::learn::margin;
use crate::learn::noisy::Noise;
use crate::learn::stats::UpdateStats;
use crate::networks;
use crate::networks::quantile;
use godwit_envs::env::Env;
use tch::{Device, Kind, Tensor};

impl<E: Env> Learner<E> {
    /// One gradient step on a batch. `want_stats` reads all figures back. A device is waited for
    /// either way: the batch was valued with weights that came from it.
    ///
    /// # Errors
    /// When the loss or the gradient's norm is not finite; then nothing has changed.
    pub fn update(
        &mut self,
        batch: &TransitionBatch,
        learning_rate: f64,
        want_stats: bool,
    ) -> Result<Option<UpdateStats>, NotFinite> {
        // Q(s, a) of the action that was taken, or its quantiles.              shapes: [B, Q]
        let leaves = self.noise.as_ref().map_or(&self.online, |noise| &noise.perturbed).leaves();
        let values: Vec<Tensor> = batch
            .groups
            .iter()
            .map(|group| {
                let (stay, rows) = networks::forward(self.online.spec(), &leaves, &group.states);
                Tensor::cat(&[stay, rows], 0)
            })
            .collect();
        // For comparisons, how much more that is than Q(s, a) of the reference.
        let taken = |(values, group): (&Tensor, &Group)| {
            let taken = values.index_select(0, &group.taken);
            let Some(reference) = &group.reference else { return taken };
            let nothing = Tensor::zeros([1, values.size()[1]], (Kind::Float, self.device));
            taken - Tensor::cat(&[values, &nothing], 0).index_select(0, reference)
        };
        let q = Tensor::cat(&values.iter().zip(&batch.groups).map(taken).collect::<Vec<_>>(), 0);
        let delta = self.config.huber_delta;
        let losses = match self.config.quantiles {
            1 => q.huber_loss(&batch.target, tch::Reduction::None, delta).squeeze_dim(1),
            _ => quantile::loss(&q, &batch.target, delta),
        };
        let mut loss = (losses * &batch.weight).mean(Kind::Float);
        for (values, group) in values.iter().zip(&batch.groups) {
            if let Some(violations) = &group.violations {
                let DemonstrationConfig { margin, margin_weight, .. } = self.demonstrations;
                let share = margin_weight / self.batch.len() as f64;
                let values = values.mean_dim(1, false, Kind::Float);
                loss += margin::loss(&values, violations, margin) * share;
            }
        }
        let (gradient, norm) =
            clipped_gradient(&loss, &leaves, self.config.max_gradient_norm, self.average.as_mut());
        let mut figures = [0.0_f32; 2];
        Tensor::stack(&[loss.detach(), norm], 0).to_device(Device::Cpu).copy_data(&mut figures, 2);
        let [loss, norm] = figures.map(f64::from);
        check_update(loss, norm, self.adam.updates + 1)?;
        self.adam.update(&mut self.online.flat, &gradient, learning_rate);
        if let Some(noise) = &mut self.noise {
            noise.update(&gradient, learning_rate);
        }
        self.update_target();

        // [B]
        let error = (&q - &batch.target).mean_dim(1, false, Kind::Float).detach().abs();
        if self.config.priority_exponent > 0.0 {
            error.to_device(Device::Cpu).copy_data(&mut self.errors, self.batch.len());
        }
        Ok(want_stats.then(|| {
            let levels = Tensor::from_slice(&[0.1_f32, 0.5, 0.9]).to_device(self.device);
            let quantiles = error.quantile(&levels, None, false, "linear");
            UpdateStats {
                loss,
                mean_q: q.mean(Kind::Float).double_value(&[]),
                gradient_norm: norm,
                td_error: [0, 1, 2].map(|at| quantiles.double_value(&[at])),
            }
        }))
    }

    fn update_target(&mut self) {
        let LearnerConfig { target_every, target_tau, .. } = self.config;
        let updates = self.adam.updates;
        let follow = |target: &mut Tensor, online: &Tensor| {
            tch::no_grad(|| {
                if target_every == 0 {
                    // Soft: target += tau (online - target)
                    let _ = target.lerp_(online, target_tau);
                } else if updates.is_multiple_of(target_every) {
                    target.copy_(online);
                }
            });
        };
        follow(&mut self.target.flat, &self.online.flat);
        if let Some(Noise { sigma, target_sigma, .. }) = &mut self.noise {
            follow(target_sigma, sigma);
        }
    }
}
