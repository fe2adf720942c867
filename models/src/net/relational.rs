//! The size-free network: shared encoders for nodes and workloads, one score per candidate.

use godwit_envs::observation::ObservationBuffer;

use super::kernels::{
    Finish, Rows, Start, add, dense, dense_feature_major, dot_rows, gather_sum, scale,
};
use super::{NetworkSpec, Parameter, padded};

/// Candidates valued at once: a multiple of the kernels' row tile, and small enough that their
/// hidden rows stay in the first-level cache together with the weights of the head.
const BLOCK: usize = 48;

/// What the pooled workloads of a node are multiplied with, to keep a full node near 1.
const POOL_SCALE: f32 = 1.0 / 8.0;

/// Marks an entity that no candidate uses.
const UNUSED: u32 = u32::MAX;

/// Weights and scratch of one relational network.
///
/// With `h_w = relu(workloads @ W + b)` and `pooled[i]` the sum of `h_w` over the workloads on
/// node i, divided by 8:
///
/// ```text
/// h_n  = relu(nodes @ W + pooled @ W + b)
/// g    = relu(globals @ W + mean(h_n) @ W + mean(h_w) @ W + b)
/// z[a] = relu(h_w[workload] @ W + h_n[source] @ W + h_n[destination] @ W + candidates[a] @ W + g @ W + b)
/// adv[a] = relu(z[a] @ W + b) @ W + b        value = relu(g @ W + b) @ W + b
/// Q[0] = value                               Q[a] = adv[a], plus value where dueling
/// ```
///
/// each `W` and `b` its own parameter, in the order of [`NetworkSpec::parameters`]. `Stay` is the
/// reference that the others are compared with, so value and advantages are identified without a
/// mean over candidates. A placement of N or more means that the workload is on no node.
#[derive(Debug, Clone)]
pub struct Relational {
    spec: NetworkSpec,
    workload_encoder_weight: Parameter,
    workload_encoder_bias: Parameter,
    node_encoder_weight: Parameter,
    node_pool_weight: Parameter,
    node_encoder_bias: Parameter,
    global_encoder_weight: Parameter,
    global_nodes_weight: Parameter,
    global_workloads_weight: Parameter,
    global_encoder_bias: Parameter,
    candidate_workload_weight: Parameter,
    candidate_source_weight: Parameter,
    candidate_destination_weight: Parameter,
    candidate_feature_weight: Parameter,
    candidate_global_weight: Parameter,
    candidate_bias: Parameter,
    head_weight: Parameter,
    head_bias: Parameter,
    advantage_weight: Parameter,
    advantage_bias: Parameter,
    value_weight: Parameter,
    value_bias: Parameter,
    value_out_weight: Parameter,
    value_out_bias: Parameter,
    scratch: Scratch,
}

/// Buffers that grow to the largest observation seen and are then reused.
#[derive(Debug, Clone, Default)]
struct Scratch {
    /// h_w, `[K, H]`.
    workloads: Vec<f32>,
    /// pooled, `[N, H]`.
    pooled: Vec<f32>,
    /// h_n, `[N, H]`.
    nodes: Vec<f32>,
    /// mean of h_w, `[H]`.
    mean_workload: Vec<f32>,
    /// mean of h_n, `[H]`.
    mean_node: Vec<f32>,
    /// g, `[H]`.
    global: Vec<f32>,
    /// What all candidates share: bias and the product with g, `[H]`.
    shared: Vec<f32>,
    /// Hidden row of the value head, `[G]`.
    value_hidden: Vec<f32>,
    /// Candidates that are not masked, without `Stay`.
    allowed: Vec<u32>,
    /// Workload, source and destination of each allowed candidate, as rows of the projections.
    picks: Vec<[u32; 3]>,
    /// Projections of the workloads, sources and destinations that occur in candidates.
    projections: [Projection; 3],
    /// Candidate features of a block whose candidates are not neighbours, `[F_c, BLOCK]`.
    features: Vec<f32>,
    /// z of a block, `[BLOCK, H]`.
    block_hidden: Vec<f32>,
    /// Hidden row of the advantage head of a block, `[BLOCK, G]`.
    block_head: Vec<f32>,
    /// adv of a block.
    block_advantage: Vec<f32>,
}

/// Products of one weight with the entities that candidates use, each computed once.
#[derive(Debug, Clone, Default)]
struct Projection {
    /// Row of each entity in `rows`, or [`UNUSED`].
    slots: Vec<u32>,
    /// Entities in the order of `rows`.
    used: Vec<u32>,
    /// `[used, H]`.
    rows: Vec<f32>,
}

impl Projection {
    fn clear(&mut self, entities: usize) {
        self.slots.clear();
        self.slots.resize(entities, UNUSED);
        self.used.clear();
    }

    /// The row that will hold this entity.
    #[inline]
    fn slot(&mut self, entity: u32) -> u32 {
        let slot = &mut self.slots[entity as usize];
        if *slot == UNUSED {
            *slot = self.used.len() as u32;
            self.used.push(entity);
        }
        *slot
    }

    /// `rows = start + entities[used] @ weight`.
    fn compute(&mut self, entities: &[f32], weight: &[f32], stride: usize, start: Start) {
        self.rows.resize(self.used.len() * stride, 0.0);
        let inputs = Rows { data: entities, stride, index: Some(&self.used) };
        dense(inputs, weight, stride, start, Finish::Linear, &mut self.rows);
    }
}

impl Relational {
    /// All weights zero; `spec` is valid.
    pub(super) fn new(spec: &NetworkSpec) -> Self {
        let (h, g) = (spec.hidden, spec.head_hidden);
        let square = || Parameter::matrix(h, h);
        let row = || Parameter::row(h);
        let zeros = || vec![0.0; padded(h)];
        Self {
            spec: spec.clone(),
            workload_encoder_weight: Parameter::matrix(spec.workload_features, h),
            workload_encoder_bias: row(),
            node_encoder_weight: Parameter::matrix(spec.node_features, h),
            node_pool_weight: square(),
            node_encoder_bias: row(),
            global_encoder_weight: Parameter::matrix(spec.global_features, h),
            global_nodes_weight: square(),
            global_workloads_weight: square(),
            global_encoder_bias: row(),
            candidate_workload_weight: square(),
            candidate_source_weight: square(),
            candidate_destination_weight: square(),
            candidate_feature_weight: Parameter::matrix(spec.candidate_features, h),
            candidate_global_weight: square(),
            candidate_bias: row(),
            head_weight: Parameter::matrix(h, g),
            head_bias: Parameter::row(g),
            advantage_weight: Parameter::row(g),
            advantage_bias: Parameter::row(1),
            value_weight: Parameter::matrix(h, g),
            value_bias: Parameter::row(g),
            value_out_weight: Parameter::row(g),
            value_out_bias: Parameter::row(1),
            scratch: Scratch {
                mean_workload: zeros(),
                mean_node: zeros(),
                global: zeros(),
                shared: zeros(),
                value_hidden: vec![0.0; padded(g)],
                features: vec![0.0; spec.candidate_features * BLOCK],
                block_hidden: vec![0.0; BLOCK * padded(h)],
                block_head: vec![0.0; BLOCK * padded(g)],
                block_advantage: vec![0.0; BLOCK],
                ..Scratch::default()
            },
        }
    }

    pub(super) fn spec(&self) -> &NetworkSpec {
        &self.spec
    }

    /// In the order of [`NetworkSpec::parameters`].
    pub(super) fn parameters_mut(&mut self) -> [&mut Parameter; 23] {
        [
            &mut self.workload_encoder_weight,
            &mut self.workload_encoder_bias,
            &mut self.node_encoder_weight,
            &mut self.node_pool_weight,
            &mut self.node_encoder_bias,
            &mut self.global_encoder_weight,
            &mut self.global_nodes_weight,
            &mut self.global_workloads_weight,
            &mut self.global_encoder_bias,
            &mut self.candidate_workload_weight,
            &mut self.candidate_source_weight,
            &mut self.candidate_destination_weight,
            &mut self.candidate_feature_weight,
            &mut self.candidate_global_weight,
            &mut self.candidate_bias,
            &mut self.head_weight,
            &mut self.head_bias,
            &mut self.advantage_weight,
            &mut self.advantage_bias,
            &mut self.value_weight,
            &mut self.value_bias,
            &mut self.value_out_weight,
            &mut self.value_out_bias,
        ]
    }

    pub(super) fn q_values(&mut self, observation: &ObservationBuffer, q: &mut [f32]) {
        self.encode(observation);
        let value = self.value();
        q.fill(f32::NEG_INFINITY);
        q[0] = value;
        self.project(observation);
        let base = if self.spec.dueling { value } else { 0.0 };
        for block in 0..self.scratch.allowed.len().div_ceil(BLOCK) {
            self.score_block(observation, block, base, q);
        }
    }

    /// Fills h_w, h_n, g and what all candidates share.
    fn encode(&mut self, observation: &ObservationBuffer) {
        let h = self.candidate_bias.stride;
        let (workloads, nodes) =
            (observation.placement.len(), observation.nodes.len() / self.spec.node_features);
        let s = &mut self.scratch;

        s.workloads.resize(workloads * h, 0.0);
        let inputs = plain(&observation.workloads, self.spec.workload_features);
        let start = Start::Row(&self.workload_encoder_bias.data);
        dense(inputs, &self.workload_encoder_weight.data, h, start, Finish::Relu, &mut s.workloads);

        s.pooled.clear();
        s.pooled.resize(nodes * h, 0.0);
        s.mean_workload.fill(0.0);
        for (row, node) in s.workloads.chunks_exact(h).zip(&observation.placement) {
            add(&mut s.mean_workload, row);
            if (*node as usize) < nodes {
                add(&mut s.pooled[*node as usize * h..][..h], row);
            }
        }
        scale(&mut s.pooled, POOL_SCALE);
        scale(&mut s.mean_workload, 1.0 / workloads.max(1) as f32);

        s.nodes.resize(nodes * h, 0.0);
        let inputs = plain(&observation.nodes, self.spec.node_features);
        let start = Start::Row(&self.node_encoder_bias.data);
        dense(inputs, &self.node_encoder_weight.data, h, start, Finish::Linear, &mut s.nodes);
        let weight = &self.node_pool_weight.data;
        dense(plain(&s.pooled, h), weight, h, Start::Outputs, Finish::Relu, &mut s.nodes);
        s.mean_node.fill(0.0);
        for row in s.nodes.chunks_exact(h) {
            add(&mut s.mean_node, row);
        }
        scale(&mut s.mean_node, 1.0 / nodes.max(1) as f32);

        let inputs = plain(&observation.globals, self.spec.global_features);
        let start = Start::Row(&self.global_encoder_bias.data);
        dense(inputs, &self.global_encoder_weight.data, h, start, Finish::Linear, &mut s.global);
        let weight = &self.global_nodes_weight.data;
        dense(plain(&s.mean_node, h), weight, h, Start::Outputs, Finish::Linear, &mut s.global);
        let weight = &self.global_workloads_weight.data;
        dense(plain(&s.mean_workload, h), weight, h, Start::Outputs, Finish::Relu, &mut s.global);

        let weight = &self.candidate_global_weight.data;
        let start = Start::Row(&self.candidate_bias.data);
        dense(plain(&s.global, h), weight, h, start, Finish::Linear, &mut s.shared);
    }

    /// Value of `Stay`.
    fn value(&mut self) -> f32 {
        let (h, g) = (self.candidate_bias.stride, self.value_bias.stride);
        let hidden = &mut self.scratch.value_hidden;
        let start = Start::Row(&self.value_bias.data);
        let inputs = plain(&self.scratch.global, h);
        dense(inputs, &self.value_weight.data, g, start, Finish::Relu, hidden);
        let mut value = [0.0];
        dot_rows(hidden, &self.value_out_weight.data, self.value_out_bias.data[0], &mut value);
        value[0]
    }

    /// Lists the allowed candidates and projects the entities that occur in them.
    fn project(&mut self, observation: &ObservationBuffer) {
        let h = self.candidate_bias.stride;
        let s = &mut self.scratch;
        let (workloads, nodes) = (s.workloads.len() / h, s.nodes.len() / h);
        let [by_workload, by_source, by_destination] = &mut s.projections;
        by_workload.clear(workloads);
        by_source.clear(nodes);
        by_destination.clear(nodes);
        s.allowed.clear();
        s.picks.clear();
        for a in 1..observation.actions() {
            if observation.mask[a] {
                s.allowed.push(a as u32);
                s.picks.push([
                    by_workload.slot(observation.candidate_workload[a]),
                    by_source.slot(observation.candidate_source[a]),
                    by_destination.slot(observation.candidate_destination[a]),
                ]);
            }
        }
        // The shared part rides along with the sources, so that no candidate adds it again.
        let shared = Start::Row(&s.shared);
        by_workload.compute(&s.workloads, &self.candidate_workload_weight.data, h, Start::Zero);
        by_source.compute(&s.nodes, &self.candidate_source_weight.data, h, shared);
        by_destination.compute(&s.nodes, &self.candidate_destination_weight.data, h, Start::Zero);
    }

    /// Scores one block of allowed candidates; their values are `base` plus the advantage.
    fn score_block(
        &mut self,
        observation: &ObservationBuffer,
        block: usize,
        base: f32,
        q: &mut [f32],
    ) {
        let (h, g) = (self.candidate_bias.stride, self.head_bias.stride);
        let s = &mut self.scratch;
        let from = block * BLOCK;
        let to = (from + BLOCK).min(s.allowed.len());
        let (allowed, picks) = (&s.allowed[from..to], &s.picks[from..to]);
        let count = allowed.len();
        let hidden = &mut s.block_hidden[..count * h];
        let tables = [&s.projections[0].rows[..], &s.projections[1].rows, &s.projections[2].rows];
        gather_sum(tables, picks, h, hidden);

        let stride = observation.candidate_stride;
        let first = allowed[0] as usize;
        let neighbours = allowed[count - 1] as usize - first == count - 1;
        let (features, stride) = if neighbours {
            (&observation.candidates[first..], stride)
        } else {
            let rows = observation.candidates.chunks_exact(stride);
            for (packed, row) in s.features.chunks_exact_mut(BLOCK).zip(rows) {
                for (packed, a) in packed.iter_mut().zip(allowed) {
                    *packed = row[*a as usize];
                }
            }
            (&s.features[..], BLOCK)
        };
        let weight = &self.candidate_feature_weight.data;
        dense_feature_major(features, stride, weight, h, Start::Outputs, Finish::Relu, hidden);

        let head = &mut s.block_head[..count * g];
        let start = Start::Row(&self.head_bias.data);
        dense(plain(hidden, h), &self.head_weight.data, g, start, Finish::Relu, head);
        let advantage = &mut s.block_advantage[..count];
        let bias = base + self.advantage_bias.data[0];
        dot_rows(head, &self.advantage_weight.data, bias, advantage);
        for (a, advantage) in allowed.iter().zip(advantage) {
            q[*a as usize] = *advantage;
        }
    }
}

/// Rows of `stride` elements, all of them in order.
fn plain(data: &[f32], stride: usize) -> Rows<'_> {
    Rows { data, stride, index: None }
}
