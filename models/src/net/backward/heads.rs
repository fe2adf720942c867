//! What the size-free networks have in common, backwards: the heads of the value and of the
//! candidates that were taken.

use crate::net::backward::kernels::{add_scaled, gate};
use crate::net::backward::slot::Slot;
use crate::net::kernels::{Finish, Rows, Start, dot_rows};
use crate::net::layout::HeadWeights;
use crate::net::spec::NetworkSpec;
use godwit_envs::observe::ObservationBuffer;

/// The heads of [`crate::net::forward::heads::Heads`] for B states, in which E actions are valued, R
/// of them candidates.
#[derive(Debug)]
pub(super) struct Heads {
    dueling: bool,
    weights: HeadWeights<Slot>,
    /// State of each candidate row, `[R]`.
    pub row_state: Vec<u32>,
    /// Number of states, B.
    pub states: usize,
    /// State of each action, `[E]`.
    state_of: Vec<u32>,
    /// Candidate row of each action; none for `Stay`, `[E]`.
    row_of: Vec<Option<u32>>,
    /// `[R, F_c]`.
    features: Vec<f32>,
    feature_count: usize,
    /// Hidden rows of the candidates, `[R, H]`; the network adds its entities' part.
    pub hidden: Vec<f32>,
    /// The gradient with respect to them before their relu, `[R, H]`.
    pub delta: Vec<f32>,
    head: Vec<f32>,
    delta_head: Vec<f32>,
    advantage: Vec<f32>,
    value_head: Vec<f32>,
    delta_value_head: Vec<f32>,
    value: Vec<f32>,
    delta_value: Vec<f32>,
    scattered: Vec<f32>,
}

impl Heads {
    pub fn new(spec: &NetworkSpec, weights: HeadWeights<Slot>) -> Self {
        Self {
            dueling: spec.dueling,
            weights,
            feature_count: spec.candidate_features,
            row_state: Vec::new(),
            states: 0,
            state_of: Vec::new(),
            row_of: Vec::new(),
            features: Vec::new(),
            hidden: Vec::new(),
            delta: Vec::new(),
            head: Vec::new(),
            delta_head: Vec::new(),
            advantage: Vec::new(),
            value_head: Vec::new(),
            delta_value_head: Vec::new(),
            value: Vec::new(),
            delta_value: Vec::new(),
            scattered: Vec::new(),
        }
    }

    pub fn clear(&mut self) {
        self.states = 0;
        self.row_state.clear();
        self.state_of.clear();
        self.row_of.clear();
        self.features.clear();
    }

    /// Adds a state without an action.
    pub fn add_state(&mut self) {
        self.states += 1;
    }

    /// Adds an action of the state that was added last.
    pub fn add_action(&mut self, observation: &ObservationBuffer, action: usize) {
        let b = self.states as u32 - 1;
        self.state_of.push(b);
        if action == 0 {
            self.row_of.push(None);
            return;
        }
        self.row_of.push(Some(self.row_state.len() as u32));
        self.row_state.push(b);
        let features = (0..self.feature_count).map(|f| observation.candidate(action, f));
        self.features.extend(features);
    }

    /// Starts the hidden rows: what bias and cluster add to them. `global` is g, `[B, H]`.
    pub fn start(&mut self, flat: &[f32], global: &[f32]) {
        self.weights.each_mut().for_each(|slot| slot.load(flat));
        let HeadWeights { candidate_global_weight: global_weight, candidate_bias: bias, .. } =
            &self.weights;
        let h = bias.stride;
        self.hidden.resize(self.row_state.len() * h, 0.0);
        let inputs = Rows { data: global, stride: h, index: Some(&self.row_state) };
        let start = Start::Row(bias.weight(flat));
        global_weight.apply(flat, inputs, start, Finish::Linear, &mut self.hidden);
    }

    /// Finishes them and values each action.
    pub fn finish(&mut self, flat: &[f32], global: &[f32], q: &mut [f32]) {
        let HeadWeights {
            candidate_feature_weight: feature_weight,
            candidate_global_weight: _,
            candidate_bias: bias,
            head_weight,
            head_bias,
            advantage_weight,
            advantage_bias,
            value_weight,
            value_bias,
            value_out_weight,
            value_out_bias,
            linear_weight,
        } = &self.weights;
        let (h, g, rows) = (bias.stride, head_bias.stride, self.row_state.len());
        let inputs = Rows::all(&self.features, self.feature_count);
        feature_weight.apply(flat, inputs, Start::Outputs, Finish::Relu, &mut self.hidden);
        self.head.resize(rows * g, 0.0);
        let start = Start::Row(head_bias.weight(flat));
        let inputs = Rows::all(&self.hidden, h);
        head_weight.apply(flat, inputs, start, Finish::Relu, &mut self.head);
        self.advantage.resize(rows, 0.0);
        let base = advantage_bias.scalar(flat);
        dot_rows(&self.head, advantage_weight.weight(flat), base, &mut self.advantage);
        let features = self.features.chunks_exact(self.feature_count);
        for (advantage, features) in self.advantage.iter_mut().zip(features) {
            let terms = features.iter().zip(linear_weight.weight(flat));
            *advantage += terms.map(|(feature, weight)| feature * weight).sum::<f32>();
        }

        let states = self.states;
        self.value_head.resize(states * g, 0.0);
        let start = Start::Row(value_bias.weight(flat));
        value_weight.apply(flat, Rows::all(global, h), start, Finish::Relu, &mut self.value_head);
        self.value.resize(states, 0.0);
        let base = value_out_bias.scalar(flat);
        dot_rows(&self.value_head, value_out_weight.weight(flat), base, &mut self.value);

        for ((q, row), state) in q.iter_mut().zip(&self.row_of).zip(&self.state_of) {
            let value = self.value[*state as usize];
            *q = match row {
                None => value,
                Some(row) => self.advantage[*row as usize] + if self.dueling { value } else { 0.0 },
            };
        }
    }

    /// Fills `delta` and adds to `delta_global`, the gradient with respect to g, `[B, H]`.
    pub fn backward(
        &mut self,
        flat: &[f32],
        slope: &[f32],
        global: &[f32],
        delta_global: &mut [f32],
        gradient: &mut [f32],
    ) {
        let HeadWeights {
            candidate_feature_weight: feature_weight,
            candidate_global_weight: global_weight,
            candidate_bias: bias,
            head_weight,
            head_bias,
            advantage_weight,
            advantage_bias,
            value_weight,
            value_bias,
            value_out_weight,
            value_out_bias,
            linear_weight,
        } = &mut self.weights;
        let (h, g) = (bias.stride, head_bias.stride);

        // The slope of each advantage and of each state's value.
        self.advantage.clear();
        self.delta_value.clear();
        self.delta_value.resize(self.states, 0.0);
        for ((slope, row), state) in slope.iter().zip(&self.row_of).zip(&self.state_of) {
            if row.is_some() {
                self.advantage.push(*slope);
            }
            if row.is_none() || self.dueling {
                self.delta_value[*state as usize] += *slope;
            }
        }

        outer(&self.advantage, advantage_weight.weight(flat), &self.head, &mut self.delta_head);
        advantage_weight.gradient_by(gradient, |out| weighted(&self.advantage, &self.head, out));
        advantage_bias.gradient_by(gradient, |out| out[0] = self.advantage.iter().sum());
        let (features, count) = (&self.features, self.feature_count);
        linear_weight
            .gradient_by(gradient, |out| weighted(&self.advantage, features, &mut out[..count]));
        head_bias.gradient_of_bias(&self.delta_head, gradient);
        head_weight.gradient_of_weight(&self.hidden, h, &self.delta_head, gradient);
        head_weight.transpose(flat);
        self.delta.resize(self.hidden.len(), 0.0);
        head_weight.apply_transposed(&self.delta_head, Start::Zero, &mut self.delta);
        gate(&mut self.delta, &self.hidden);

        bias.gradient_of_bias(&self.delta, gradient);
        let features = &self.features;
        feature_weight.gradient_of_weight(features, self.feature_count, &self.delta, gradient);
        gather(global, h, &self.row_state, &mut self.scattered);
        global_weight.gradient_of_weight(&self.scattered, h, &self.delta, gradient);
        global_weight.transpose(flat);
        global_weight.apply_transposed(&self.delta, Start::Zero, &mut self.scattered);
        scatter_add(&self.scattered, h, &self.row_state, delta_global);

        let slopes = &self.delta_value;
        let value_out = value_out_weight.weight(flat);
        outer(slopes, value_out, &self.value_head, &mut self.delta_value_head);
        value_out_weight.gradient_by(gradient, |out| weighted(slopes, &self.value_head, out));
        value_out_bias.gradient_by(gradient, |out| out[0] = slopes.iter().sum());
        value_bias.gradient_of_bias(&self.delta_value_head, gradient);
        debug_assert_eq!(self.delta_value_head.len(), self.states * g);
        value_weight.gradient_of_weight(global, h, &self.delta_value_head, gradient);
        value_weight.transpose(flat);
        value_weight.apply_transposed(&self.delta_value_head, Start::Outputs, delta_global);
    }
}

/// `out[r] = slopes[r] * weight` where `activation` is not 0.
fn outer(slopes: &[f32], weight: &[f32], activation: &[f32], out: &mut Vec<f32>) {
    out.clear();
    out.resize(activation.len(), 0.0);
    for (out, slope) in out.chunks_exact_mut(weight.len()).zip(slopes) {
        add_scaled(out, *slope, weight);
    }
    gate(out, activation);
}

/// `out = sum_r slopes[r] * rows[r]`.
fn weighted(slopes: &[f32], rows: &[f32], out: &mut [f32]) {
    out.fill(0.0);
    for (row, slope) in rows.chunks_exact(out.len()).zip(slopes) {
        add_scaled(out, *slope, row);
    }
}

/// `out[r] = rows[index[r]]`.
pub(super) fn gather(rows: &[f32], stride: usize, index: &[u32], out: &mut Vec<f32>) {
    out.clear();
    for &row in index {
        out.extend_from_slice(&rows[row as usize * stride..][..stride]);
    }
}

/// `out[index[r]] += rows[r]`.
pub(super) fn scatter_add(rows: &[f32], stride: usize, index: &[u32], out: &mut [f32]) {
    for (row, &to) in rows.chunks_exact(stride).zip(index) {
        crate::net::kernels::add(&mut out[to as usize * stride..][..stride], row);
    }
}
