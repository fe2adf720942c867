//! The founding network: two hidden layers on the flattened observation.

use godwit_envs::observation::ObservationBuffer;

use crate::net::kernels::{Finish, Rows, Start, add, dense, relu};
use crate::net::padded::{Parameter, padded};
use crate::net::spec::{FixedSize, NetworkSpec};

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
    hidden1_weight: Parameter,
    hidden1_bias: Parameter,
    hidden2_weight: Parameter,
    hidden2_bias: Parameter,
    output_weight: Parameter,
    output_bias: Parameter,
    hidden1: Vec<f32>,
    hidden2: Vec<f32>,
    outputs: Vec<f32>,
}

impl Mlp {
    /// All weights zero; `spec` is valid and has a fixed size.
    pub(super) fn new(spec: &NetworkSpec) -> Self {
        let fixed = spec.fixed.unwrap_or(FixedSize { nodes: 0, workloads: 0 });
        let (inputs, outputs, h) = (spec.mlp_inputs(), spec.mlp_outputs(), spec.hidden);
        Self {
            spec: spec.clone(),
            fixed,
            hidden1_weight: Parameter::matrix(inputs, h),
            hidden1_bias: Parameter::row(h),
            hidden2_weight: Parameter::matrix(h, h),
            hidden2_bias: Parameter::row(h),
            output_weight: Parameter::matrix(h, outputs),
            output_bias: Parameter::row(outputs),
            hidden1: vec![0.0; padded(h)],
            hidden2: vec![0.0; padded(h)],
            outputs: vec![0.0; padded(outputs)],
        }
    }

    pub(super) fn spec(&self) -> &NetworkSpec {
        &self.spec
    }

    /// In the order of [`NetworkSpec::parameters`].
    pub(in crate::net) fn parameters_mut(&mut self) -> [&mut Parameter; 6] {
        [
            &mut self.hidden1_weight,
            &mut self.hidden1_bias,
            &mut self.hidden2_weight,
            &mut self.hidden2_bias,
            &mut self.output_weight,
            &mut self.output_bias,
        ]
    }

    pub(super) fn q_values(&mut self, observation: &ObservationBuffer, q: &mut [f32]) {
        let FixedSize { nodes, workloads } = self.fixed;
        assert_eq!(
            (observation.nodes.len(), observation.placement.len(), q.len()),
            (nodes * self.spec.node_features, workloads, 1 + nodes * workloads),
            "an mlp serves the cluster size it was trained on"
        );
        let h = self.hidden1_bias.stride;
        self.hidden1.copy_from_slice(&self.hidden1_bias.data);
        let mut weight = &self.hidden1_weight.data[..];
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
        let weight = &self.hidden2_weight.data;
        let start = Start::Row(&self.hidden2_bias.data);
        dense(rows, weight, h, start, Finish::Relu, &mut self.hidden2);
        let rows = Rows::all(&self.hidden2, h);
        let start = Start::Row(&self.output_bias.data);
        let stride = self.output_weight.stride;
        dense(rows, &self.output_weight.data, stride, start, Finish::Linear, &mut self.outputs);

        let stay = self.outputs[0];
        let base = if self.spec.dueling { stay } else { 0.0 };
        for ((q, out), allowed) in q.iter_mut().zip(&self.outputs).zip(&observation.mask) {
            *q = if *allowed { out + base } else { f32::NEG_INFINITY };
        }
        q[0] = stay;
    }
}
