//! The light size-free network, backwards.

use crate::net::backward::heads::Heads;
use crate::net::backward::kernels::gate;
use crate::net::backward::slot::Slot;
use crate::net::kernels::{Finish, Rows, Start};
use crate::net::spec::NetworkSpec;
use godwit_envs::observation::ObservationBuffer;

/// The candidate network's backward pass.
#[derive(Debug)]
pub(super) struct Candidate {
    global_encoder_weight: Slot,
    global_encoder_bias: Slot,
    heads: Heads,
    /// `[B, F_g]`.
    inputs: Vec<f32>,
    input_width: usize,
    global: Vec<f32>,
    delta_global: Vec<f32>,
}

impl Candidate {
    pub fn new(spec: &NetworkSpec) -> Self {
        let Ok([global_encoder_weight, global_encoder_bias, heads @ ..]) =
            <[Slot; 14]>::try_from(Slot::all(spec))
        else {
            unreachable!("a candidate specification lists 14 parameters")
        };
        Self {
            global_encoder_weight,
            global_encoder_bias,
            heads: Heads::new(spec, heads),
            inputs: Vec::new(),
            input_width: spec.global_features,
            global: Vec::new(),
            delta_global: Vec::new(),
        }
    }

    pub fn clear(&mut self) {
        self.inputs.clear();
        self.heads.clear();
    }

    pub fn add(&mut self, observation: &ObservationBuffer, action: usize) {
        self.inputs.extend_from_slice(&observation.globals);
        self.heads.add(observation, action);
    }

    pub fn forward(&mut self, flat: &[f32], q: &mut [f32]) {
        self.global_encoder_weight.load(flat);
        self.global_encoder_bias.load(flat);
        let h = self.global_encoder_bias.stride;
        self.global.resize(self.heads.states() * h, 0.0);
        let start = Start::Row(self.global_encoder_bias.weight(flat));
        let inputs = Rows::all(&self.inputs, self.input_width);
        self.global_encoder_weight.apply(flat, inputs, start, Finish::Relu, &mut self.global);
        self.heads.start(flat, &self.global);
        self.heads.finish(flat, &self.global, q);
    }

    pub fn backward(&mut self, flat: &[f32], slope: &[f32], gradient: &mut [f32]) {
        let delta = &mut self.delta_global;
        delta.clear();
        delta.resize(self.global.len(), 0.0);
        self.heads.backward(flat, slope, &self.global, delta, gradient);
        gate(delta, &self.global);
        self.global_encoder_bias.gradient_of_bias(delta, gradient);
        self.global_encoder_weight.gradient_of_weight(
            &self.inputs,
            self.input_width,
            delta,
            gradient,
        );
    }
}
