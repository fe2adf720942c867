//! The networks in their training form: libtorch tensors over one flat parameter vector.
//!
//! The names, shapes and order of the parameters come from [`NetworkSpec::parameters`]; the native
//! form in `godwit-models` and the TorchScript form beside each file here compute the same.

mod candidate;
mod heads;
mod mlp;
pub mod quantile;
mod relational;
pub mod spec;
pub mod state_batch;

use crate::networks::state_batch::StateBatch;
use godwit_models::net::layout::POOL_SCALE;
use godwit_models::net::{Architecture, NetworkSpec};
use rand::RngExt;
use rand_xoshiro::Xoshiro256PlusPlus;
use tch::{Device, Kind, Tensor};

/// Weights of one network: a flat vector and, sharing its memory, one tensor per parameter.
#[derive(Debug)]
pub struct Parameters {
    spec: NetworkSpec,
    quantiles: usize,
    /// All parameters, `[P]`.
    pub flat: Tensor,
    tensors: Vec<Tensor>,
}

impl Parameters {
    /// Zero weights.
    pub fn zeros(spec: &NetworkSpec, device: Device) -> Self {
        Self::zeros_quantiles(spec, 1, device)
    }

    /// Zero weights of a network that states so many quantiles in place of a value; see
    /// [`crate::networks::quantile`].
    pub fn zeros_quantiles(spec: &NetworkSpec, quantiles: usize, device: Device) -> Self {
        let shapes = quantile::parameters(spec, quantiles);
        let count: usize = shapes.iter().map(|(_, shape)| shape.iter().product::<usize>()).sum();
        let flat = Tensor::zeros([count as i64], (Kind::Float, device));
        let mut at = 0;
        let tensors = shapes
            .iter()
            .map(|(_, shape)| {
                let size: usize = shape.iter().product();
                let shape: Vec<i64> = shape.iter().map(|&size| size as i64).collect();
                let tensor = flat.narrow(0, at as i64, size as i64).view(shape.as_slice()).detach();
                at += size;
                tensor
            })
            .collect();
        Self { spec: spec.clone(), quantiles, flat, tensors }
    }

    /// Fresh weights: uniform in +-sqrt(1 / inputs) (PyTorch's default for linear layers), with
    /// the output layers a tenth of that, so that first values are near zero.
    pub fn fresh(spec: &NetworkSpec, device: Device, rng: &mut Xoshiro256PlusPlus) -> Self {
        Self::fresh_quantiles(spec, 1, device, rng)
    }

    /// As [`Parameters::fresh`], for so many quantiles in place of a value.
    pub fn fresh_quantiles(
        spec: &NetworkSpec,
        quantiles: usize,
        device: Device,
        rng: &mut Xoshiro256PlusPlus,
    ) -> Self {
        let mut values = Vec::new();
        for (name, shape) in quantile::parameters(spec, quantiles) {
            let size: usize = shape.iter().product();
            let inputs = if shape.len() == 2 { shape[0] } else { shape[0].max(64) };
            let last =
                ["advantage", "value_out", "output", "linear"].iter().any(|p| name.starts_with(p));
            let bound = (1.0 / inputs as f32).sqrt() * if last { 0.1 } else { 1.0 };
            values.extend((0..size).map(|_| rng.random_range(-bound..bound)));
        }
        let mut parameters = Self::zeros_quantiles(spec, quantiles, device);
        parameters.load(&values);
        parameters
    }

    /// The network's shape.
    pub fn spec(&self) -> &NetworkSpec {
        &self.spec
    }

    /// Overwrites the weights.
    pub fn load(&mut self, values: &[f32]) {
        let source = Tensor::from_slice(values);
        tch::no_grad(|| self.flat.copy_(&source));
    }

    /// Copies the weights to host memory, in the shapes of the specification: those of the mean
    /// where the network states quantiles.
    pub fn save(&self, out: &mut Vec<f32>) {
        out.resize(self.flat.size()[0] as usize, 0.0);
        let length = out.len();
        self.flat.to_device(Device::Cpu).copy_data(out, length);
        if self.quantiles > 1 {
            let wide = std::mem::take(out);
            quantile::mean_network(&self.spec, self.quantiles, &wide, out);
        }
    }

    /// Quantiles in place of a value; 1 for none.
    pub fn quantiles(&self) -> usize {
        self.quantiles
    }

    /// Name and tensor of every parameter.
    pub fn named(&self) -> impl Iterator<Item = (String, &Tensor)> {
        self.spec.parameters().into_iter().map(|(name, _)| name).zip(&self.tensors)
    }

    /// The parameters, in the order of [`NetworkSpec::parameters`].
    pub fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// The parameters as leaves that collect gradients; they share this memory.
    pub fn leaves(&self) -> Vec<Tensor> {
        self.tensors.iter().map(|tensor| tensor.detach().set_requires_grad(true)).collect()
    }

    /// `Q(s, Stay)` of each state `[B]`, and `Q(s, a)` of each candidate row `[R]`.
    pub fn forward(&self, batch: &StateBatch) -> (Tensor, Tensor) {
        let (stay, rows) = self.forward_quantiles(batch);
        (stay.squeeze_dim(1), rows.squeeze_dim(1))
    }

    /// Quantiles of both, `[B, Q]` and `[R, Q]`; Q = 1 where the network states values.
    pub fn forward_quantiles(&self, batch: &StateBatch) -> (Tensor, Tensor) {
        forward(&self.spec, &self.tensors, batch)
    }
}

/// The forward pass with explicit parameters (see [`Parameters::leaves`] and
/// [`Parameters::forward_quantiles`]).
pub fn forward(spec: &NetworkSpec, parameters: &[Tensor], batch: &StateBatch) -> (Tensor, Tensor) {
    match spec.architecture {
        Architecture::Relational => relational::forward(spec, parameters, batch),
        Architecture::Candidate => candidate::forward(spec, parameters, batch),
        Architecture::Mlp => mlp::forward(spec, parameters, batch),
    }
}

/// TorchScript source of the exported module: methods `forward` and `act`.
pub fn script(spec: &NetworkSpec) -> String {
    let source = match spec.architecture {
        Architecture::Relational => include_str!("relational.torchscript"),
        Architecture::Candidate => include_str!("candidate.torchscript"),
        Architecture::Mlp => include_str!("mlp.torchscript"),
    };
    let dueling = if spec.dueling { "value + advantage" } else { "advantage" };
    let source =
        source.replace("DUELING_VALUE", dueling).replace("POOL_SCALE", &POOL_SCALE.to_string());
    format!("{source}\n{}", include_str!("act.torchscript"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use godwit_envs::scenario::Scenario;
    use std::collections::BTreeSet;

    #[test]
    fn the_exported_source_uses_each_parameter_of_the_layout_and_no_other() {
        let scenario = Scenario::embedded("founding-3x3").expect("an embedded scenario");
        let schema = godwit_envs::observe::features::schema(scenario.rules.sections());
        let fixed = godwit_models::net::FixedSize { nodes: 3, workloads: 3 };
        for architecture in [Architecture::Relational, Architecture::Candidate, Architecture::Mlp] {
            let fixed = (architecture == Architecture::Mlp).then_some(fixed);
            let spec = NetworkSpec::new(architecture, &schema, fixed);
            let source = script(&spec);
            let used: BTreeSet<&str> = source
                .split("self.")
                .skip(1)
                .filter_map(|rest| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next())
                .filter(|name| *name != "forward")
                .collect();
            let known: BTreeSet<&str> = spec.layout().iter().map(|(name, _)| *name).collect();
            assert_eq!(used, known, "{architecture:?}");
            assert!(!source.contains("POOL_SCALE"), "{architecture:?}");
        }
    }
}
