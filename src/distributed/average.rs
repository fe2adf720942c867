//! The gradient's average over the ranks of a group.

use super::Group;
use std::sync::Arc;
use tch::{Device, Kind, Tensor};

/// Averages flat gradients, through host memory (pinned where they are on a CUDA device).
pub struct GradientAverage {
    group: Arc<dyn Group>,
    host: Vec<f32>,
    pinned: Option<Tensor>,
}

impl GradientAverage {
    /// Over this group.
    pub fn new(group: Arc<dyn Group>) -> Self {
        Self { group, host: Vec::new(), pinned: None }
    }

    /// The group.
    pub fn group(&self) -> &Arc<dyn Group> {
        &self.group
    }

    /// Whether every rank says so.
    pub fn all(&self, flag: bool) -> bool {
        !self.group.any(!flag)
    }

    /// Replaces a gradient in host memory by the mean over the ranks.
    pub fn slice(&self, gradient: &mut [f32]) {
        self.group.sum(gradient);
        let share = 1.0 / self.group.size() as f32;
        gradient.iter_mut().for_each(|value| *value *= share);
    }

    /// Replaces a gradient (`[P]`, f32) by the mean over the ranks.
    pub fn tensor(&mut self, gradient: &mut Tensor) {
        let mut host = std::mem::take(&mut self.host);
        host.resize(gradient.numel(), 0.0);
        let length = host.len();
        if gradient.device() == Device::Cpu {
            gradient.copy_data(&mut host, length);
            self.slice(&mut host);
            tch::no_grad(|| gradient.copy_(&Tensor::from_slice(&host)));
        } else {
            let device = gradient.device();
            let pinned = self.pinned.get_or_insert_with(|| {
                Tensor::zeros([length as i64], (Kind::Float, Device::Cpu)).pin_memory(device)
            });
            let mut pinned = pinned.shallow_clone();
            tch::no_grad(|| pinned.copy_(gradient));
            pinned.copy_data(&mut host, length);
            self.slice(&mut host);
            tch::no_grad(|| {
                pinned.copy_(&Tensor::from_slice(&host));
                gradient.copy_(&pinned);
            });
        }
        self.host = host;
    }
}
