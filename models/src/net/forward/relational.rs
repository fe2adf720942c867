//! The size-free network: shared encoders for nodes and workloads, one score per candidate.

use crate::net::forward::heads::{Entities, Heads};
use crate::net::kernels::{Finish, Rows, Start, add, dense, scale};
use crate::net::layout::{POOL_SCALE, RelationalWeights};
use crate::net::padded::{Parameter, padded};
use crate::net::spec::NetworkSpec;
use godwit_envs::observe::ObservationBuffer;

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
/// adv[a] = relu(z[a] @ W + b) @ W + b + candidates[a] @ W
/// value = relu(g @ W + b) @ W + b
/// Q[0] = value                               Q[a] = adv[a], plus value where dueling
/// ```
///
/// each `W` and `b` its own parameter, in the order of [`NetworkSpec::parameters`]. `Stay` is the
/// reference that the others are compared with, so value and advantages are identified without a
/// mean over candidates. A placement of N or more means that the workload is on no node.
#[derive(Debug, Clone)]
pub struct Relational {
    spec: NetworkSpec,
    weights: RelationalWeights<Parameter>,
    heads: Heads,
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
    /// Workload, source and destination of each allowed candidate, as rows of the projections.
    picks: Vec<[u32; 3]>,
    /// Projections of the workloads, sources and destinations that occur in candidates.
    projections: [Projection; 3],
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
        let h = spec.hidden;
        Self {
            spec: spec.clone(),
            weights: RelationalWeights::of(spec).map(Parameter::zeros),
            heads: Heads::new(spec),
            scratch: Scratch {
                mean_workload: vec![0.0; padded(h)],
                mean_node: vec![0.0; padded(h)],
                ..Scratch::default()
            },
        }
    }

    pub(super) fn spec(&self) -> &NetworkSpec {
        &self.spec
    }

    /// In the order of [`NetworkSpec::parameters`].
    pub(in crate::net) fn parameters_mut(&mut self) -> impl Iterator<Item = &mut Parameter> {
        self.weights.each_mut().chain(self.heads.weights.each_mut())
    }

    pub(super) fn q_values(&mut self, observation: &ObservationBuffer, q: &mut [f32]) {
        self.encode(observation);
        self.heads.prepare(observation);
        self.project(observation);
        let s = &self.scratch;
        let tables = [&s.projections[0].rows[..], &s.projections[1].rows, &s.projections[2].rows];
        self.heads.score(observation, Some(&Entities { tables, picks: &s.picks }), q);
    }

    /// Fills h_w, h_n and g.
    fn encode(&mut self, observation: &ObservationBuffer) {
        let h = self.weights.node_encoder_bias.stride;
        let (workloads, nodes) =
            (observation.placement.len(), observation.nodes.len() / self.spec.node_features);
        let s = &mut self.scratch;

        s.workloads.resize(workloads * h, 0.0);
        let inputs = Rows::all(&observation.workloads, self.spec.workload_features);
        let start = Start::Row(&self.weights.workload_encoder_bias.data);
        dense(
            inputs,
            &self.weights.workload_encoder_weight.data,
            h,
            start,
            Finish::Relu,
            &mut s.workloads,
        );

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
        let inputs = Rows::all(&observation.nodes, self.spec.node_features);
        let start = Start::Row(&self.weights.node_encoder_bias.data);
        dense(
            inputs,
            &self.weights.node_encoder_weight.data,
            h,
            start,
            Finish::Linear,
            &mut s.nodes,
        );
        let weight = &self.weights.node_pool_weight.data;
        dense(Rows::all(&s.pooled, h), weight, h, Start::Outputs, Finish::Relu, &mut s.nodes);
        s.mean_node.fill(0.0);
        for row in s.nodes.chunks_exact(h) {
            add(&mut s.mean_node, row);
        }
        scale(&mut s.mean_node, 1.0 / nodes.max(1) as f32);

        let global = &mut self.heads.global[..];
        let inputs = Rows::all(&observation.globals, self.spec.global_features);
        let start = Start::Row(&self.weights.global_encoder_bias.data);
        dense(inputs, &self.weights.global_encoder_weight.data, h, start, Finish::Linear, global);
        let weight = &self.weights.global_nodes_weight.data;
        dense(Rows::all(&s.mean_node, h), weight, h, Start::Outputs, Finish::Linear, global);
        let weight = &self.weights.global_workloads_weight.data;
        dense(Rows::all(&s.mean_workload, h), weight, h, Start::Outputs, Finish::Relu, global);
    }

    /// Projects the entities that occur in allowed candidates.
    fn project(&mut self, observation: &ObservationBuffer) {
        let h = self.weights.node_encoder_bias.stride;
        let s = &mut self.scratch;
        let (workloads, nodes) = (s.workloads.len() / h, s.nodes.len() / h);
        let [by_workload, by_source, by_destination] = &mut s.projections;
        by_workload.clear(workloads);
        by_source.clear(nodes);
        by_destination.clear(nodes);
        s.picks.clear();
        s.picks.extend(self.heads.allowed.iter().map(|&a| {
            let a = a as usize;
            [
                by_workload.slot(observation.candidate_workload[a]),
                by_source.slot(observation.candidate_source[a]),
                by_destination.slot(observation.candidate_destination[a]),
            ]
        }));
        // The shared part rides along with the sources, so that no candidate adds it again.
        let shared = Start::Row(&self.heads.shared);
        by_workload.compute(
            &s.workloads,
            &self.weights.candidate_workload_weight.data,
            h,
            Start::Zero,
        );
        by_source.compute(&s.nodes, &self.weights.candidate_source_weight.data, h, shared);
        by_destination.compute(
            &s.nodes,
            &self.weights.candidate_destination_weight.data,
            h,
            Start::Zero,
        );
    }
}
