//! The founding network, backwards, and its values for a whole batch of states.
//!
//! Only the output of the action that was taken has a slope, so that the output layer costs one
//! row per state in both directions instead of a product over all actions.

use crate::net::backward::kernels::{add_scaled, gate, transpose};
use crate::net::backward::slot::Slot;
use crate::net::forward::first_best;
use crate::net::kernels::{Finish, Rows, Start, add, dense, dense_feature_major, dot_rows};
use crate::net::layout::MlpWeights;
use crate::net::padded::padded;
use crate::net::spec::{FixedSize, NetworkSpec};
use godwit_envs::observe::ObservationBuffer;

/// States laid out for an mlp.
#[derive(Debug, Default)]
struct States {
    count: usize,
    /// Features of nodes, workloads and cluster, `[B, X - K N]`.
    inputs: Vec<f32>,
    /// State and row of the first layer's weights of each placed workload: the ones of the one-hot
    /// part of the input.
    ones: Vec<(u32, u32)>,
}

/// Weights and activations of an mlp for a batch.
#[derive(Debug)]
struct Layers {
    fixed: FixedSize,
    /// Features of nodes, workloads and cluster.
    width: usize,
    weights: MlpWeights<Slot>,
    /// `[B, H]`.
    hidden1: Vec<f32>,
    /// `[B, H]`.
    hidden2: Vec<f32>,
}

/// The mlp's backward pass.
#[derive(Debug)]
pub(super) struct Mlp {
    dueling: bool,
    layers: Layers,
    states: States,
    /// State and action of each value.
    actions: Vec<(usize, usize)>,
    delta1: Vec<f32>,
    delta2: Vec<f32>,
    /// Gradient of the output layer, `[A, H]`.
    output_gradient: Vec<f32>,
}

/// Values of the best action in a batch of states; see [`MlpValues::next_values`].
#[derive(Debug)]
pub struct MlpValues {
    dueling: bool,
    online: Layers,
    target: Layers,
    states: States,
    masks: Vec<bool>,
    outputs: Vec<f32>,
}

impl States {
    fn clear(&mut self) {
        self.count = 0;
        self.inputs.clear();
        self.ones.clear();
    }

    fn add(&mut self, observation: &ObservationBuffer, layers: &Layers) {
        let FixedSize { nodes, workloads } = layers.fixed;
        for part in [&observation.nodes, &observation.workloads, &observation.globals] {
            self.inputs.extend_from_slice(part);
        }
        self.count += 1;
        assert_eq!(
            (self.inputs.len(), observation.placement.len()),
            (self.count * layers.width, workloads),
            "an mlp serves the cluster size it was trained on"
        );
        for (k, &node) in observation.placement.iter().enumerate() {
            if (node as usize) < nodes {
                let row = layers.width + k * nodes + node as usize;
                self.ones.push((self.count as u32 - 1, row as u32));
            }
        }
    }
}

impl Layers {
    fn new(spec: &NetworkSpec) -> Self {
        let fixed = spec.fixed.unwrap_or(FixedSize { nodes: 0, workloads: 0 });
        Self {
            width: spec.mlp_inputs() - fixed.nodes * fixed.workloads,
            fixed,
            weights: MlpWeights::take(&mut Slot::all(spec)),
            hidden1: Vec::new(),
            hidden2: Vec::new(),
        }
    }

    /// Fills both hidden layers.
    fn forward(&mut self, flat: &[f32], states: &States) {
        for slot in [
            &mut self.weights.hidden1_weight,
            &mut self.weights.hidden1_bias,
            &mut self.weights.hidden2_weight,
            &mut self.weights.hidden2_bias,
            &mut self.weights.output_bias,
        ] {
            slot.load(flat);
        }
        let h = self.weights.hidden1_bias.stride;
        self.hidden1.resize(states.count * h, 0.0);
        self.hidden2.resize(states.count * h, 0.0);
        let weight = self.weights.hidden1_weight.weight(flat);
        let (front, _) = weight.split_at(self.width * h);
        let bias = self.weights.hidden1_bias.weight(flat);
        for row in self.hidden1.chunks_exact_mut(h) {
            row.copy_from_slice(bias);
        }
        for &(b, row) in &states.ones {
            add(&mut self.hidden1[b as usize * h..][..h], &weight[row as usize * h..][..h]);
        }
        let inputs = Rows::all(&states.inputs, self.width);
        dense(inputs, front, h, Start::Outputs, Finish::Relu, &mut self.hidden1);
        let start = Start::Row(self.weights.hidden2_bias.weight(flat));
        let inputs = Rows::all(&self.hidden1, h);
        self.weights.hidden2_weight.apply(flat, inputs, start, Finish::Relu, &mut self.hidden2);
    }

    /// Value of one output of state `b`; needs the transposed output layer.
    fn output(&self, flat: &[f32], b: usize, action: usize) -> f32 {
        let h = self.weights.hidden2_bias.stride;
        let mut value = [0.0];
        dot_rows(
            &self.hidden2[b * h..][..h],
            self.weights.output_weight.column(action),
            self.weights.output_bias.weight(flat)[action],
            &mut value,
        );
        value[0]
    }

    fn value(&self, flat: &[f32], b: usize, action: usize, dueling: bool) -> f32 {
        let base = if dueling && action > 0 { self.output(flat, b, 0) } else { 0.0 };
        base + self.output(flat, b, action)
    }
}

impl Mlp {
    pub fn new(spec: &NetworkSpec) -> Self {
        let layers = Layers::new(spec);
        Self {
            dueling: spec.dueling,
            output_gradient: vec![0.0; spec.mlp_outputs() * padded(spec.hidden)],
            layers,
            states: States::default(),
            actions: Vec::new(),
            delta1: Vec::new(),
            delta2: Vec::new(),
        }
    }

    pub fn clear(&mut self) {
        self.states.clear();
        self.actions.clear();
    }

    pub fn add_state(&mut self, observation: &ObservationBuffer) {
        self.states.add(observation, &self.layers);
    }

    pub fn add_action(&mut self, _: &ObservationBuffer, action: usize) {
        self.actions.push((self.states.count - 1, action));
    }

    pub fn forward(&mut self, flat: &[f32], q: &mut [f32]) {
        self.layers.forward(flat, &self.states);
        self.layers.weights.output_weight.transpose(flat);
        for (q, &(b, action)) in q.iter_mut().zip(&self.actions) {
            *q = self.layers.value(flat, b, action, self.dueling);
        }
    }

    pub fn backward(&mut self, flat: &[f32], slope: &[f32], gradient: &mut [f32]) {
        let Self { layers, states, delta1, delta2, output_gradient, .. } = self;
        let h = layers.weights.hidden1_bias.stride;
        delta1.resize(states.count * h, 0.0);
        delta2.resize(states.count * h, 0.0);

        delta2.fill(0.0);
        output_gradient.fill(0.0);
        layers.weights.output_bias.gradient_by(gradient, |bias| bias.fill(0.0));
        for (&slope, &(b, action)) in slope.iter().zip(&self.actions) {
            let (delta, hidden) = (&mut delta2[b * h..][..h], &layers.hidden2[b * h..][..h]);
            let outputs = [Some(action), (self.dueling && action > 0).then_some(0)];
            for output in outputs.into_iter().flatten() {
                add_scaled(delta, slope, layers.weights.output_weight.column(output));
                add_scaled(&mut output_gradient[output * h..][..h], slope, hidden);
                layers.weights.output_bias.gradient_by(gradient, |bias| bias[output] += slope);
            }
        }
        let (outputs, a) = (output_gradient.len() / h, layers.weights.output_weight.stride);
        layers.weights.output_weight.gradient_by(gradient, |out| {
            let rows = out.len() / a;
            transpose(output_gradient, (outputs, rows, h), out, a);
        });
        gate(delta2, &layers.hidden2);

        layers.weights.hidden2_bias.gradient_of_bias(delta2, gradient);
        layers.weights.hidden2_weight.gradient_of_weight(&layers.hidden1, h, delta2, gradient);
        layers.weights.hidden2_weight.transpose(flat);
        layers.weights.hidden2_weight.apply_transposed(delta2, Start::Zero, delta1);
        gate(delta1, &layers.hidden1);

        layers.weights.hidden1_bias.gradient_of_bias(delta1, gradient);
        let width = layers.width;
        layers.weights.hidden1_weight.gradient_by(gradient, |out| {
            let (front, ones) = out.split_at_mut(width * h);
            let inputs = &states.inputs;
            dense_feature_major(inputs, width, delta1, h, Start::Zero, Finish::Linear, front);
            ones.fill(0.0);
            for &(b, row) in &states.ones {
                let row = row as usize - width;
                add(&mut ones[row * h..][..h], &delta1[b as usize * h..][..h]);
            }
        });
    }
}

impl MlpValues {
    /// For networks of this shape.
    ///
    /// # Panics
    /// If `spec` is not that of an mlp.
    pub fn new(spec: &NetworkSpec) -> Self {
        Self {
            dueling: spec.dueling,
            online: Layers::new(spec),
            target: Layers::new(spec),
            states: States::default(),
            masks: Vec::new(),
            outputs: Vec::new(),
        }
    }

    /// Forgets the states added so far.
    pub fn clear(&mut self) {
        self.states.clear();
        self.masks.clear();
    }

    /// Adds a state.
    pub fn add(&mut self, observation: &ObservationBuffer) {
        self.states.add(observation, &self.online);
        self.masks.extend_from_slice(&observation.mask[..observation.actions()]);
    }

    /// `Q_target(s, a*)` of each state added, `[B]`, where a* is the unmasked action that is best
    /// to the online network (double Q-learning), or to the target network without one. Both as
    /// flat weights.
    pub fn next_values(&mut self, online: Option<&[f32]>, target: &[f32], values: &mut [f32]) {
        self.target.forward(target, &self.states);
        let actions = self.masks.len() / self.states.count.max(1);
        let (judge, flat) = match online {
            Some(online) => {
                self.online.forward(online, &self.states);
                self.target.weights.output_weight.transpose(target);
                (&mut self.online, online)
            }
            None => (&mut self.target, target),
        };
        judge.weights.output_weight.load(flat);
        let (a, h) = (judge.weights.output_weight.stride, judge.weights.hidden2_bias.stride);
        self.outputs.resize(self.states.count * a, 0.0);
        let inputs = Rows::all(&judge.hidden2, h);
        let start = Start::Row(judge.weights.output_bias.weight(flat));
        judge.weights.output_weight.apply(flat, inputs, start, Finish::Linear, &mut self.outputs);
        let rows = self.outputs.chunks_exact_mut(a).zip(self.masks.chunks_exact(actions));
        for (b, ((outputs, mask), value)) in rows.zip(values).enumerate() {
            let base = if self.dueling { outputs[0] } else { 0.0 };
            let outputs = &mut outputs[..actions];
            for (output, allowed) in outputs[1..].iter_mut().zip(&mask[1..]) {
                *output = if *allowed { *output + base } else { f32::NEG_INFINITY };
            }
            let best = first_best(outputs);
            *value = match online {
                None => outputs[best],
                Some(_) => self.target.value(target, b, best, self.dueling),
            };
        }
    }
}
