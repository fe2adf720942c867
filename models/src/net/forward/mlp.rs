//! The founding network: two hidden layers on the flattened observation.

use crate::net::kernels::{Finish, Rows, Start, add, dense, relu};
use crate::net::layout::MlpWeights;
use crate::net::padded::{Parameter, padded};
use crate::net::spec::{FixedSize, NetworkSpec};
use godwit_envs::observe::ObservationBuffer;

/// Weights and scratch of one mlp.
///
/// `x = [nodes, workloads, globals, placement]`, the placement one-hot at `k * N + node`;
/// `out = relu(relu(x @ W_1 + b_1) @ W_2 + b_2) @ W_o + b_o`; `Q[0] = out[0]`,
/// `Q[a] = out[a]`, plus `out[0]` where dueling. Candidate a is the pair
/// `a = 1 + k * N + destination`; candidate features are not read.
#[derive(Debug, Clone)]
pub struct Mlp {
    spec: NetworkSpec,
    fixed: FixedSize,
    weights: MlpWeights<Parameter>,
    hidden1: Vec<f32>,
    hidden2: Vec<f32>,
    outputs: Vec<f32>,
}

impl Mlp {
    /// All weights zero; `spec` is valid and has a fixed size.
    pub(super) fn new(spec: &NetworkSpec) -> Self {
        let fixed = spec.fixed.unwrap_or(FixedSize { nodes: 0, workloads: 0 });
        let h = spec.hidden;
        Self {
            spec: spec.clone(),
            fixed,
            weights: MlpWeights::of(spec).map(Parameter::zeros),
            hidden1: vec![0.0; padded(h)],
            hidden2: vec![0.0; padded(h)],
            outputs: vec![0.0; padded(spec.mlp_outputs())],
        }
    }

    pub(super) fn spec(&self) -> &NetworkSpec {
        &self.spec
    }

    /// In the order of [`NetworkSpec::parameters`].
    pub(in crate::net) fn parameters_mut(&mut self) -> impl Iterator<Item = &mut Parameter> {
        self.weights.each_mut()
    }

    pub(super) fn q_values(&mut self, observation: &ObservationBuffer, q: &mut [f32]) {
        let FixedSize { nodes, workloads } = self.fixed;
        assert_eq!(
            (observation.nodes.len(), observation.placement.len(), q.len()),
            (nodes * self.spec.node_features, workloads, 1 + nodes * workloads),
            "an mlp serves the cluster size it was trained on"
        );
        let h = self.weights.hidden1_bias.stride;
        self.hidden1.copy_from_slice(&self.weights.hidden1_bias.data);
        let mut weight = &self.weights.hidden1_weight.data[..];
        for part in [&observation.nodes, &observation.workloads, &observation.globals] {
            let (front, rest) = weight.split_at(part.len() * h);
            let rows = Rows::all(part, part.len());
            dense(rows, front, h, Start::Outputs, Finish::Linear, &mut self.hidden1);
            weight = rest;
        }
        for (k, node) in observation.placement.iter().enumerate() {
            // The one-hot input picks one row of the weights. A workload that is on no node
            // contributes nothing.
            if (*node as usize) < nodes {
                add(&mut self.hidden1, &weight[(k * nodes + *node as usize) * h..][..h]);
            }
        }
        self.hidden1.iter_mut().for_each(|value| *value = relu(*value));
        let rows = Rows::all(&self.hidden1, h);
        let weight = &self.weights.hidden2_weight.data;
        let start = Start::Row(&self.weights.hidden2_bias.data);
        dense(rows, weight, h, start, Finish::Relu, &mut self.hidden2);
        let rows = Rows::all(&self.hidden2, h);
        let start = Start::Row(&self.weights.output_bias.data);
        let stride = self.weights.output_weight.stride;
        dense(
            rows,
            &self.weights.output_weight.data,
            stride,
            start,
            Finish::Linear,
            &mut self.outputs,
        );

        let stay = self.outputs[0];
        let base = if self.spec.dueling { stay } else { 0.0 };
        for ((q, out), allowed) in q.iter_mut().zip(&self.outputs).zip(&observation.mask) {
            *q = if *allowed { out + base } else { f32::NEG_INFINITY };
        }
        q[0] = stay;
    }
}
