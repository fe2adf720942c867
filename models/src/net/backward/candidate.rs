//! The light size-free network, backwards.

use crate::net::backward::heads::Heads;
use crate::net::backward::kernels::gate;
use crate::net::backward::slot::Slot;
use crate::net::kernels::{Finish, Rows, Start};
use crate::net::layout::{CandidateWeights, HeadWeights};
use crate::net::spec::NetworkSpec;
use godwit_envs::observe::ObservationBuffer;

/// The candidate network's backward pass.
#[derive(Debug)]
pub(super) struct Candidate {
    weights: CandidateWeights<Slot>,
    heads: Heads,
    /// `[B, F_g]`.
    inputs: Vec<f32>,
    input_width: usize,
    global: Vec<f32>,
    delta_global: Vec<f32>,
}

impl Candidate {
    pub fn new(spec: &NetworkSpec) -> Self {
        let mut slots = Slot::all(spec);
        Self {
            weights: CandidateWeights::take(&mut slots),
            heads: Heads::new(spec, HeadWeights::take(&mut slots)),
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

    pub fn add_state(&mut self, observation: &ObservationBuffer) {
        self.inputs.extend_from_slice(&observation.globals);
        self.heads.add_state();
    }

    pub fn add_action(&mut self, observation: &ObservationBuffer, action: usize) {
        self.heads.add_action(observation, action);
    }

    pub fn forward(&mut self, flat: &[f32], q: &mut [f32]) {
        self.weights.each_mut().for_each(|slot| slot.load(flat));
        let h = self.weights.global_encoder_bias.stride;
        self.global.resize(self.heads.states * h, 0.0);
        let start = Start::Row(self.weights.global_encoder_bias.weight(flat));
        let inputs = Rows::all(&self.inputs, self.input_width);
        self.weights.global_encoder_weight.apply(
            flat,
            inputs,
            start,
            Finish::Relu,
            &mut self.global,
        );
        self.heads.start(flat, &self.global);
        self.heads.finish(flat, &self.global, q);
    }

    pub fn backward(&mut self, flat: &[f32], slope: &[f32], gradient: &mut [f32]) {
        let delta = &mut self.delta_global;
        delta.clear();
        delta.resize(self.global.len(), 0.0);
        self.heads.backward(flat, slope, &self.global, delta, gradient);
        gate(delta, &self.global);
        self.weights.global_encoder_bias.gradient_of_bias(delta, gradient);
        self.weights.global_encoder_weight.gradient_of_weight(
            &self.inputs,
            self.input_width,
            delta,
            gradient,
        );
    }
}
