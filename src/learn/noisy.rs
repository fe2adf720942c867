//! Noisy networks (Fortunato et al., ICLR 2018): the weights of the heads are
//! `mu + sigma * noise`, and how much noise there is, sigma, is learnt as well.
//!
//! Noise is factorised: with `f(x) = sgn(x) sqrt(|x|)` and normal draws `e`, the noise of a weight
//! from input i to output j is `f(e_i) f(e_j)`, that of a bias `f(e_j)`. The gradient of sigma is
//! that of the weight times its noise, so that no network needs to know of it. Evaluation, export
//! and the native pass use the means.

use crate::learn::adam::Adam;
use crate::networks::Parameters;
use godwit_models::net::NetworkSpec;
use rand::RngExt;
use rand_distr::StandardNormal;
use rand_xoshiro::Xoshiro256PlusPlus;
use tch::{Device, Kind, Tensor};

/// Parameters, by the front of their names, that are noisy: the heads.
const NOISY: [&str; 5] = ["head", "advantage", "value", "value_out", "output"];

/// Where the noisy layers of a network lie in its flat parameter vector.
#[derive(Debug, Clone)]
pub struct NoisyLayers {
    layers: Vec<Layer>,
    parameters: usize,
}

#[derive(Debug, Clone)]
struct Layer {
    /// Start of the weights `[inputs, outputs]`.
    weight: usize,
    /// Start of the biases `[outputs]`.
    bias: usize,
    inputs: usize,
    outputs: usize,
}

impl NoisyLayers {
    /// Those of this network.
    pub fn new(spec: &NetworkSpec) -> Self {
        let (mut layers, mut at) = (Vec::<Layer>::new(), 0);
        for (name, shape) in spec.parameters() {
            match (name.strip_suffix("_weight"), name.strip_suffix("_bias")) {
                (Some(layer), _) if NOISY.contains(&layer) => {
                    let (inputs, outputs) = (shape[0], shape[1]);
                    // The bias follows its weights in every specification.
                    let bias = at + inputs * outputs;
                    layers.push(Layer { weight: at, bias, inputs, outputs });
                }
                _ => {}
            }
            at += shape.iter().product::<usize>();
        }
        Self { layers, parameters: at }
    }

    /// Sigma at the start, `[P]`: `sigma / sqrt(inputs)` where there is noise, 0 elsewhere.
    pub fn initial(&self, sigma: f64) -> Vec<f32> {
        let mut values = vec![0.0; self.parameters];
        for layer in &self.layers {
            let end = layer.bias + layer.outputs;
            values[layer.weight..end].fill((sigma / (layer.inputs as f64).sqrt()) as f32);
        }
        values
    }

    /// Draws the noise, `[P]`; 0 where there is none.
    pub fn draw(&self, rng: &mut Xoshiro256PlusPlus, out: &mut Vec<f32>) {
        out.clear();
        out.resize(self.parameters, 0.0);
        let mut next = || {
            let x: f32 = rng.sample(StandardNormal);
            x.signum() * x.abs().sqrt()
        };
        for layer in &self.layers {
            for column in &mut out[layer.bias..layer.bias + layer.outputs] {
                *column = next();
            }
            for input in 0..layer.inputs {
                let row = next();
                let start = layer.weight + input * layer.outputs;
                for output in 0..layer.outputs {
                    out[start + output] = row * out[layer.bias + output];
                }
            }
        }
    }

    /// Adds `sigma * noise` to weights, all `[P]`; `noise` is scratch.
    pub fn perturb(
        &self,
        weights: &mut [f32],
        sigma: &[f32],
        rng: &mut Xoshiro256PlusPlus,
        noise: &mut Vec<f32>,
    ) {
        self.draw(rng, noise);
        for ((weight, sigma), noise) in weights.iter_mut().zip(sigma).zip(noise) {
            *weight += sigma * *noise;
        }
    }
}

/// The learner's side: sigma of both networks, its optimiser, and the noise of an update.
#[derive(Debug)]
pub struct Noise {
    /// Where the noise is.
    pub layers: NoisyLayers,
    /// Sigma of the online network, `[P]`.
    pub sigma: Tensor,
    /// Sigma of the target network, `[P]`.
    pub target_sigma: Tensor,
    /// Adam of sigma.
    pub adam: Adam,
    /// Online weights with the noise of this update.
    pub perturbed: Parameters,
    /// The noise of this update, `[P]`.
    drawn: Tensor,
    scratch: Vec<f32>,
}

impl Noise {
    /// Noise of so much `sigma` (0.5 in the paper) for a network.
    pub fn new(spec: &NetworkSpec, sigma: f64, device: Device) -> Self {
        let layers = NoisyLayers::new(spec);
        let values = Tensor::from_slice(&layers.initial(sigma)).to_device(device);
        let size = values.size()[0];
        Self {
            layers,
            target_sigma: values.copy(),
            sigma: values,
            adam: Adam::new(size, device, 0.0),
            perturbed: Parameters::zeros(spec, device),
            drawn: Tensor::zeros([size], (Kind::Float, device)),
            scratch: Vec::new(),
        }
    }

    /// Draws the noise of an update.
    pub fn redraw(&mut self, online: &Parameters, rng: &mut Xoshiro256PlusPlus) {
        self.layers.draw(rng, &mut self.scratch);
        let drawn = Tensor::from_slice(&self.scratch);
        tch::no_grad(|| {
            self.drawn.copy_(&drawn);
            self.perturbed.flat.copy_(&(&online.flat + &self.sigma * &self.drawn));
        });
    }

    /// What a checkpoint holds, by name; each `[P]`.
    pub fn state(&self) -> [(&'static str, &Tensor); 4] {
        [
            ("sigma", &self.sigma),
            ("target_sigma", &self.target_sigma),
            ("sigma_adam_mean", &self.adam.mean),
            ("sigma_adam_square", &self.adam.square),
        ]
    }

    /// As [`Noise::state`], to be restored; the count of updates is that of the weights' Adam.
    pub fn state_mut(&mut self) -> [(&'static str, &mut Tensor); 4] {
        [
            ("sigma", &mut self.sigma),
            ("target_sigma", &mut self.target_sigma),
            ("sigma_adam_mean", &mut self.adam.mean),
            ("sigma_adam_square", &mut self.adam.square),
        ]
    }

    /// Sigma of the online network in host memory, `[P]`.
    pub fn sigma_on_host(&self) -> Vec<f32> {
        to_host(&self.sigma)
    }

    /// Adds noise of its own, with this sigma, to weights on the host.
    pub fn perturb(&self, weights: &mut [f32], sigma: &Tensor, rng: &mut Xoshiro256PlusPlus) {
        self.layers.perturb(weights, &to_host(sigma), rng, &mut Vec::new());
    }

    /// One update of sigma; `gradient` is that of the weights, `[P]`.
    pub fn update(&mut self, gradient: &Tensor, learning_rate: f64) {
        self.adam.update(&mut self.sigma, &(gradient * &self.drawn), learning_rate);
    }
}

fn to_host(tensor: &Tensor) -> Vec<f32> {
    let mut values = vec![0.0; tensor.numel()];
    tensor.to_device(Device::Cpu).copy_data(&mut values, tensor.numel());
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use godwit_models::net::{Architecture, FixedSize};
    use rand::SeedableRng;

    fn spec(architecture: Architecture) -> NetworkSpec {
        let fixed = FixedSize { nodes: 2, workloads: 3 };
        NetworkSpec {
            architecture,
            hidden: 4,
            head_hidden: 3,
            dueling: true,
            node_features: 2,
            workload_features: 2,
            global_features: 2,
            candidate_features: 2,
            fixed: (architecture == Architecture::Mlp).then_some(fixed),
        }
    }

    #[test]
    fn the_heads_are_noisy_and_nothing_else_is() {
        for architecture in [Architecture::Relational, Architecture::Candidate, Architecture::Mlp] {
            let spec = spec(architecture);
            let sigma = NoisyLayers::new(&spec).initial(0.5);
            let mut rest = sigma.as_slice();
            for (name, shape) in spec.parameters() {
                let (own, tail) = rest.split_at(shape.iter().product());
                rest = tail;
                let layer = name.trim_end_matches("_weight").trim_end_matches("_bias");
                // Inputs of the layer: hidden 4, or for the last layers of the heads 3.
                let expected = match layer {
                    "head" | "value" | "output" => 0.25,
                    "advantage" | "value_out" => 0.5 / 3.0_f32.sqrt(),
                    _ => 0.0,
                };
                assert!(own.iter().all(|sigma| (sigma - expected).abs() < 1e-6), "{name}: {own:?}");
            }
            assert!(rest.is_empty());
        }
    }

    #[test]
    fn noise_is_factorised_and_its_products_have_zero_mean_and_known_spread() {
        let layers = NoisyLayers::new(&spec(Architecture::Candidate));
        let Layer { weight, bias, outputs, .. } = layers.layers[0];
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(3);
        let (mut noise, mut sum, mut squares) = (Vec::new(), 0.0, 0.0);
        let draws = 20_000;
        for _ in 0..draws {
            layers.draw(&mut rng, &mut noise);
            // Rows are multiples of the biases' noise.
            let (a, b) = (&noise[weight..], &noise[bias..]);
            assert!((a[0] * b[1] - a[1] * b[0]).abs() < 1e-4);
            assert!((a[outputs] * b[1] - a[outputs + 1] * b[0]).abs() < 1e-4);
            sum += f64::from(a[0]);
            squares += f64::from(a[0]).powi(2);
        }
        // E f(e)^2 = E |e| = sqrt(2 / pi), hence a product's variance is 2 / pi.
        let (mean, variance) = (sum / f64::from(draws), squares / f64::from(draws));
        assert!(mean.abs() < 0.03, "{mean}");
        assert!((variance - 2.0 / std::f64::consts::PI).abs() < 0.03, "{variance}");
    }

    #[test]
    fn the_gradient_of_sigma_is_that_of_autograd() {
        let spec = spec(Architecture::Candidate);
        let mut noise = Noise::new(&spec, 0.5, Device::Cpu);
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(5);
        let online = Parameters::fresh(&spec, Device::Cpu, &mut rng);
        noise.redraw(&online, &mut rng);
        let loss = |weights: &Tensor| (weights * weights * weights).sum(Kind::Float);
        let sigma = noise.sigma.copy().set_requires_grad(true);
        let weights = &online.flat + &sigma * &noise.drawn;
        let expected = Tensor::run_backward(&[loss(&weights)], &[&sigma], false, false);
        let weights = noise.perturbed.flat.copy().set_requires_grad(true);
        let gradient = Tensor::run_backward(&[loss(&weights)], &[&weights], false, false);
        let difference = (&gradient[0] * &noise.drawn - &expected[0]).abs().max();
        assert!(difference.double_value(&[]) < 1e-6);
        assert!(expected[0].abs().max().double_value(&[]) > 1e-3);
    }
}
