//! What the size-free networks have in common: the value head, and the score of each candidate.

use crate::net::kernels::{
    Finish, LANES, Rows, Start, dense, dense_feature_major, dot_rows, gather_sum, pack,
};
use crate::net::layout::HeadWeights;
use crate::net::padded::{Parameter, padded};
use crate::net::spec::NetworkSpec;
use godwit_envs::observe::ObservationBuffer;

/// Candidates valued at once: a multiple of the kernels' row tile, and small enough that their
/// hidden rows stay in the first-level cache together with the weights of the head.
const BLOCK: usize = 48;

/// Elements between two rows of a block's packed features: room for the last run.
const PACKED: usize = BLOCK + LANES;

/// Heads on top of a state `g` and of the hidden rows of candidates:
///
/// ```text
/// value  = relu(g @ W + b) @ W + b
/// z[a]   = relu(entities[a] + candidates[a] @ W + g @ W + b)
/// adv[a] = relu(z[a] @ W + b) @ W + b + candidates[a] @ W
/// Q[0]   = value                               Q[a] = adv[a], plus value where dueling
/// ```
///
/// The last term of an advantage is linear in the features (wide and deep: Cheng et al., DLRS 2016):
/// what a move gains and costs is nearly so, and differences between moves are far smaller than
/// the values that the hidden layers are fitted to.
#[derive(Debug, Clone)]
pub(super) struct Heads {
    dueling: bool,
    pub weights: HeadWeights<Parameter>,
    /// g, `[H]`; the network fills it in.
    pub global: Vec<f32>,
    /// What all candidates share: bias and the product with g, `[H]`.
    pub shared: Vec<f32>,
    /// Candidates that are not masked, without `Stay`.
    pub allowed: Vec<u32>,
    /// Hidden row of the value head, `[G]`.
    value_hidden: Vec<f32>,
    /// Candidate features of a block whose candidates are not all neighbours, `[F_c, PACKED]`.
    features: Vec<f32>,
    /// Neighbours among the candidates of a block, at most [`LANES`]: where the first of them is
    /// packed, and which candidate it is.
    runs: Vec<[u32; 2]>,
    /// z of a block, `[BLOCK, H]`.
    block_hidden: Vec<f32>,
    /// Hidden row of the advantage head of a block, `[BLOCK, G]`.
    block_head: Vec<f32>,
    /// adv of a block.
    block_advantage: Vec<f32>,
}

/// What a candidate's workload, source and destination add to its hidden row, the shared part
/// included: three tables of rows `[.., H]`, and the row of each allowed candidate in each.
pub(super) struct Entities<'a> {
    pub tables: [&'a [f32]; 3],
    pub picks: &'a [[u32; 3]],
}

impl Heads {
    /// All weights zero.
    pub fn new(spec: &NetworkSpec) -> Self {
        let (h, g) = (spec.hidden, spec.head_hidden);
        Self {
            dueling: spec.dueling,
            weights: HeadWeights::of(spec).map(Parameter::zeros),
            global: vec![0.0; padded(h)],
            shared: vec![0.0; padded(h)],
            allowed: Vec::new(),
            value_hidden: vec![0.0; padded(g)],
            features: vec![0.0; spec.candidate_features * PACKED],
            runs: Vec::with_capacity(BLOCK),
            block_hidden: vec![0.0; BLOCK * padded(h)],
            block_head: vec![0.0; BLOCK * padded(g)],
            block_advantage: vec![0.0; BLOCK],
        }
    }

    /// Takes g up: fills what candidates share and lists those that are allowed.
    pub fn prepare(&mut self, observation: &ObservationBuffer) {
        let h = self.weights.candidate_bias.stride;
        let start = Start::Row(&self.weights.candidate_bias.data);
        let inputs = Rows::all(&self.global, h);
        dense(
            inputs,
            &self.weights.candidate_global_weight.data,
            h,
            start,
            Finish::Linear,
            &mut self.shared,
        );
        self.allowed.clear();
        self.allowed
            .extend((1..observation.actions() as u32).filter(|&a| observation.mask[a as usize]));
    }

    /// Values `Stay` and the allowed candidates; the others get `f32::NEG_INFINITY`.
    pub fn score(
        &mut self,
        observation: &ObservationBuffer,
        entities: Option<&Entities>,
        q: &mut [f32],
    ) {
        let value = self.value();
        q.fill(f32::NEG_INFINITY);
        q[0] = value;
        let base = if self.dueling { value } else { 0.0 };
        for block in 0..self.allowed.len().div_ceil(BLOCK) {
            self.score_block(observation, entities, block, base, q);
        }
    }

    /// Value of `Stay`.
    fn value(&mut self) -> f32 {
        let (h, g) = (self.weights.candidate_bias.stride, self.weights.value_bias.stride);
        let start = Start::Row(&self.weights.value_bias.data);
        let inputs = Rows::all(&self.global, h);
        let weight = &self.weights.value_weight.data;
        dense(inputs, weight, g, start, Finish::Relu, &mut self.value_hidden);
        let mut value = [0.0];
        let bias = self.weights.value_out_bias.data[0];
        dot_rows(&self.value_hidden, &self.weights.value_out_weight.data, bias, &mut value);
        value[0]
    }

    fn score_block(
        &mut self,
        observation: &ObservationBuffer,
        entities: Option<&Entities>,
        block: usize,
        base: f32,
        q: &mut [f32],
    ) {
        let (h, g) = (self.weights.candidate_bias.stride, self.weights.head_bias.stride);
        let from = block * BLOCK;
        let to = (from + BLOCK).min(self.allowed.len());
        let allowed = &self.allowed[from..to];
        let count = allowed.len();

        let stride = observation.candidate_stride;
        let first = allowed[0] as usize;
        let neighbours = allowed[count - 1] as usize - first == count - 1;
        let (features, stride) = if neighbours {
            (&observation.candidates[first..], stride)
        } else {
            self.runs.clear();
            for (at, &a) in allowed.iter().enumerate() {
                match self.runs.last() {
                    Some([from, first])
                        if a - first == at as u32 - from && a - first < LANES as u32 => {}
                    _ => self.runs.push([at as u32, a]),
                }
            }
            pack(&observation.candidates, stride, &self.runs, PACKED, &mut self.features);
            (&self.features[..], PACKED)
        };

        let hidden = &mut self.block_hidden[..count * h];
        let start = match entities {
            None => Start::Row(&self.shared),
            Some(Entities { tables, picks }) => {
                gather_sum(*tables, &picks[from..to], h, hidden);
                Start::Outputs
            }
        };
        let weight = &self.weights.candidate_feature_weight.data;
        dense_feature_major(features, stride, weight, h, start, Finish::Relu, hidden);

        let head = &mut self.block_head[..count * g];
        let start = Start::Row(&self.weights.head_bias.data);
        dense(Rows::all(hidden, h), &self.weights.head_weight.data, g, start, Finish::Relu, head);
        let advantage = &mut self.block_advantage[..count];
        let bias = self.weights.advantage_bias.data[0];
        dot_rows(head, &self.weights.advantage_weight.data, bias, advantage);
        for (row, &weight) in features.chunks(stride).zip(&self.weights.linear_weight.data) {
            for (advantage, feature) in advantage.iter_mut().zip(row) {
                *advantage += weight * feature;
            }
        }
        // The value last: it is far larger than what has been added up so far.
        for (a, advantage) in allowed.iter().zip(advantage) {
            q[*a as usize] = *advantage + base;
        }
    }
}
