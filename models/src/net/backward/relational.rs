//! The size-free network, backwards.
//!
//! Workloads that look alike are encoded once where that spares rows: in a cluster of a few
//! thousand machines of seven sizes a state has a dozen rows instead of thousands.

use crate::net::backward::distinct::Distinct;
use crate::net::backward::heads::{Heads, gather, scatter_add};
use crate::net::backward::kernels::{add_scaled, gate};
use crate::net::backward::slot::Slot;
use crate::net::kernels::{Finish, Rows, Start, add, scale};
use crate::net::layout::{HeadWeights, POOL_SCALE, RelationalWeights};
use crate::net::spec::NetworkSpec;
use godwit_envs::observe::ObservationBuffer;

/// The relational network's backward pass.
#[derive(Debug)]
pub(super) struct Relational {
    weights: RelationalWeights<Slot>,
    heads: Heads,
    widths: Widths,
    batch: Batch,
    work: Work,
}

#[derive(Debug)]
struct Widths {
    node: usize,
    workload: usize,
    global: usize,
}

/// The states as they were added.
#[derive(Debug, Default)]
struct Batch {
    workloads: Distinct,
    /// `[B N, F_n]`.
    nodes: Vec<f32>,
    /// `[B, F_g]`.
    globals: Vec<f32>,
    /// Row of the workloads and row of the nodes of each workload that is on a node.
    placed: Vec<(u32, u32)>,
    /// Row of each workload of the batch, `[B K]`.
    workload_rows: Vec<u32>,
    /// Rows of the workload, source and destination of each candidate, `[R]`.
    picks: [Vec<u32>; 3],
    nodes_per_state: usize,
    workloads_per_state: usize,
}

/// Activations, and gradients with respect to them.
#[derive(Debug, Default)]
struct Work {
    /// h_w, `[D, H]`.
    workloads: Vec<f32>,
    /// h_n, `[B N, H]`.
    nodes: Vec<f32>,
    /// Sums of h_w by node, `[B N, H]`, or products with h_w, `[D, H]`; see [`pools_first`].
    pooled: Vec<f32>,
    mean_workload: Vec<f32>,
    mean_node: Vec<f32>,
    global: Vec<f32>,
    delta_workloads: Vec<f32>,
    delta_nodes: Vec<f32>,
    delta_pooled: Vec<f32>,
    delta_global: Vec<f32>,
    delta_mean: Vec<f32>,
    rows: Vec<f32>,
    delta_rows: Vec<f32>,
}

/// Whether to add workloads up and project the sums, or the other way round: whichever has fewer
/// rows.
fn pools_first(workload_rows: usize, node_rows: usize) -> bool {
    node_rows <= workload_rows
}

impl Relational {
    pub fn new(spec: &NetworkSpec) -> Self {
        let mut slots = Slot::all(spec);
        Self {
            weights: RelationalWeights::take(&mut slots),
            heads: Heads::new(spec, HeadWeights::take(&mut slots)),
            widths: Widths {
                node: spec.node_features,
                workload: spec.workload_features,
                global: spec.global_features,
            },
            batch: Batch::default(),
            work: Work::default(),
        }
    }

    pub fn clear(&mut self) {
        let batch = &mut self.batch;
        batch.workloads.clear();
        batch.nodes.clear();
        batch.globals.clear();
        batch.placed.clear();
        batch.workload_rows.clear();
        batch.picks.iter_mut().for_each(Vec::clear);
        self.heads.clear();
    }

    /// All states of a batch have as many nodes and as many workloads.
    pub fn add_state(&mut self, observation: &ObservationBuffer) {
        let batch = &mut self.batch;
        let first_node = (batch.nodes.len() / self.widths.node) as u32;
        let first_workload = batch.workload_rows.len();
        let nodes = observation.nodes.len() / self.widths.node;
        if first_node == 0 {
            batch.nodes_per_state = nodes;
            batch.workloads_per_state = observation.placement.len();
        }
        assert_eq!(
            (nodes, observation.placement.len()),
            (batch.nodes_per_state, batch.workloads_per_state),
            "states of one cluster size"
        );
        batch.nodes.extend_from_slice(&observation.nodes);
        batch.globals.extend_from_slice(&observation.globals);
        let rows = &mut batch.workload_rows;
        batch.workloads.add(&observation.workloads, self.widths.workload, rows);
        for (&row, &node) in rows[first_workload..].iter().zip(&observation.placement) {
            if (node as usize) < nodes {
                batch.placed.push((row, first_node + node));
            }
        }
        self.heads.add_state();
    }

    pub fn add_action(&mut self, observation: &ObservationBuffer, action: usize) {
        if action > 0 {
            let batch = &mut self.batch;
            let first_node = ((self.heads.states - 1) * batch.nodes_per_state) as u32;
            let first_workload = batch.workload_rows.len() - batch.workloads_per_state;
            let workload = observation.candidate_workload[action] as usize;
            let [workloads, sources, destinations] = &mut batch.picks;
            workloads.push(batch.workload_rows[first_workload + workload]);
            sources.push(first_node + observation.candidate_source[action]);
            destinations.push(first_node + observation.candidate_destination[action]);
        }
        self.heads.add_action(observation, action);
    }

    pub fn forward(&mut self, flat: &[f32], q: &mut [f32]) {
        self.weights.each_mut().for_each(|slot| slot.load(flat));
        let (batch, work, widths) = (&self.batch, &mut self.work, &self.widths);
        let h = self.weights.node_encoder_bias.stride;
        let states = self.heads.states;
        let rows = batch.workloads.features.len() / widths.workload;

        work.workloads.resize(rows * h, 0.0);
        let inputs = Rows::all(&batch.workloads.features, widths.workload);
        let start = Start::Row(self.weights.workload_encoder_bias.weight(flat));
        let weight = &self.weights.workload_encoder_weight;
        weight.apply(flat, inputs, start, Finish::Relu, &mut work.workloads);

        let nodes = states * batch.nodes_per_state;
        work.nodes.resize(nodes * h, 0.0);
        let inputs = Rows::all(&batch.nodes, widths.node);
        let start = Start::Row(self.weights.node_encoder_bias.weight(flat));
        let weight = &self.weights.node_encoder_weight;
        let pool = &self.weights.node_pool_weight;
        work.pooled.clear();
        if pools_first(rows, nodes) {
            work.pooled.resize(nodes * h, 0.0);
            for &(workload, node) in &batch.placed {
                let row = &work.workloads[workload as usize * h..][..h];
                add(&mut work.pooled[node as usize * h..][..h], row);
            }
            scale(&mut work.pooled, POOL_SCALE);
            weight.apply(flat, inputs, start, Finish::Linear, &mut work.nodes);
            let pooled = Rows::all(&work.pooled, h);
            pool.apply(flat, pooled, Start::Outputs, Finish::Relu, &mut work.nodes);
        } else {
            work.pooled.resize(rows * h, 0.0);
            let workloads = Rows::all(&work.workloads, h);
            pool.apply(flat, workloads, Start::Zero, Finish::Linear, &mut work.pooled);
            scale(&mut work.pooled, POOL_SCALE);
            work.nodes.fill(0.0);
            for &(workload, node) in &batch.placed {
                let row = &work.pooled[workload as usize * h..][..h];
                add(&mut work.nodes[node as usize * h..][..h], row);
            }
            for row in work.nodes.chunks_exact_mut(h) {
                add(row, self.weights.node_encoder_bias.weight(flat));
            }
            weight.apply(flat, inputs, Start::Outputs, Finish::Relu, &mut work.nodes);
        }

        mean_rows(&work.nodes, h, batch.nodes_per_state, states, None, &mut work.mean_node);
        let index = Some(&batch.workload_rows[..]);
        let per_state = batch.workloads_per_state;
        mean_rows(&work.workloads, h, per_state, states, index, &mut work.mean_workload);
        work.global.resize(states * h, 0.0);
        let global = &mut work.global;
        let inputs = Rows::all(&batch.globals, widths.global);
        let start = Start::Row(self.weights.global_encoder_bias.weight(flat));
        self.weights.global_encoder_weight.apply(flat, inputs, start, Finish::Linear, global);
        let inputs = Rows::all(&work.mean_node, h);
        self.weights.global_nodes_weight.apply(
            flat,
            inputs,
            Start::Outputs,
            Finish::Linear,
            global,
        );
        let inputs = Rows::all(&work.mean_workload, h);
        self.weights.global_workloads_weight.apply(
            flat,
            inputs,
            Start::Outputs,
            Finish::Relu,
            global,
        );

        self.heads.start(flat, global);
        let entities = [&work.workloads, &work.nodes, &work.nodes];
        let RelationalWeights {
            candidate_workload_weight,
            candidate_source_weight,
            candidate_destination_weight,
            ..
        } = &self.weights;
        let by_entity =
            [candidate_workload_weight, candidate_source_weight, candidate_destination_weight];
        for ((weight, entities), picks) in by_entity.into_iter().zip(entities).zip(&batch.picks) {
            let inputs = Rows { data: entities, stride: h, index: Some(picks) };
            let hidden = &mut self.heads.hidden;
            weight.apply(flat, inputs, Start::Outputs, Finish::Linear, hidden);
        }
        self.heads.finish(flat, global, q);
    }

    pub fn backward(&mut self, flat: &[f32], slope: &[f32], gradient: &mut [f32]) {
        let (batch, work, widths) = (&self.batch, &mut self.work, &self.widths);
        let h = self.weights.node_encoder_bias.stride;
        let zeroed = |delta: &mut Vec<f32>, length: usize| {
            delta.clear();
            delta.resize(length, 0.0);
        };
        zeroed(&mut work.delta_global, work.global.len());
        zeroed(&mut work.delta_nodes, work.nodes.len());
        zeroed(&mut work.delta_workloads, work.workloads.len());
        self.heads.backward(flat, slope, &work.global, &mut work.delta_global, gradient);

        let RelationalWeights {
            candidate_workload_weight,
            candidate_source_weight,
            candidate_destination_weight,
            ..
        } = &mut self.weights;
        let by_entity =
            [candidate_workload_weight, candidate_source_weight, candidate_destination_weight];
        for (which, weight) in by_entity.into_iter().enumerate() {
            let (entities, delta) = match which {
                0 => (&work.workloads, &mut work.delta_workloads),
                _ => (&work.nodes, &mut work.delta_nodes),
            };
            let picks = &batch.picks[which];
            gather(entities, h, picks, &mut work.rows);
            weight.gradient_of_weight(&work.rows, h, &self.heads.delta, gradient);
            weight.transpose(flat);
            work.delta_rows.resize(work.rows.len(), 0.0);
            weight.apply_transposed(&self.heads.delta, Start::Zero, &mut work.delta_rows);
            scatter_add(&work.delta_rows, h, picks, delta);
        }

        let delta = &mut work.delta_global;
        gate(delta, &work.global);
        self.weights.global_encoder_bias.gradient_of_bias(delta, gradient);
        let globals = &batch.globals;
        self.weights.global_encoder_weight.gradient_of_weight(
            globals,
            widths.global,
            delta,
            gradient,
        );
        self.weights.global_nodes_weight.gradient_of_weight(&work.mean_node, h, delta, gradient);
        self.weights.global_workloads_weight.gradient_of_weight(
            &work.mean_workload,
            h,
            delta,
            gradient,
        );
        work.delta_mean.resize(delta.len(), 0.0);
        self.weights.global_nodes_weight.transpose(flat);
        self.weights.global_nodes_weight.apply_transposed(delta, Start::Zero, &mut work.delta_mean);
        let per_state = batch.nodes_per_state;
        let means = work.delta_mean.chunks_exact(h);
        for (mean, rows) in means.zip(work.delta_nodes.chunks_exact_mut(per_state * h)) {
            for row in rows.chunks_exact_mut(h) {
                add_scaled(row, 1.0 / per_state as f32, mean);
            }
        }
        self.weights.global_workloads_weight.transpose(flat);
        self.weights.global_workloads_weight.apply_transposed(
            delta,
            Start::Zero,
            &mut work.delta_mean,
        );
        let per_state = batch.workloads_per_state;
        let means = work.delta_mean.chunks_exact(h);
        for (mean, rows) in means.zip(batch.workload_rows.chunks_exact(per_state)) {
            for &row in rows {
                let out = &mut work.delta_workloads[row as usize * h..][..h];
                add_scaled(out, 1.0 / per_state as f32, mean);
            }
        }

        let delta = &mut work.delta_nodes;
        gate(delta, &work.nodes);
        self.weights.node_encoder_bias.gradient_of_bias(delta, gradient);
        self.weights.node_encoder_weight.gradient_of_weight(
            &batch.nodes,
            widths.node,
            delta,
            gradient,
        );
        let pool = &mut self.weights.node_pool_weight;
        pool.transpose(flat);
        if pools_first(work.workloads.len(), work.nodes.len()) {
            pool.gradient_of_weight(&work.pooled, h, delta, gradient);
            work.delta_pooled.resize(work.nodes.len(), 0.0);
            pool.apply_transposed(delta, Start::Zero, &mut work.delta_pooled);
            scale(&mut work.delta_pooled, POOL_SCALE);
            for &(workload, node) in &batch.placed {
                let row = &work.delta_pooled[node as usize * h..][..h];
                add(&mut work.delta_workloads[workload as usize * h..][..h], row);
            }
        } else {
            zeroed(&mut work.delta_pooled, work.workloads.len());
            for &(workload, node) in &batch.placed {
                let row = &delta[node as usize * h..][..h];
                add(&mut work.delta_pooled[workload as usize * h..][..h], row);
            }
            scale(&mut work.delta_pooled, POOL_SCALE);
            pool.gradient_of_weight(&work.workloads, h, &work.delta_pooled, gradient);
            let delta_workloads = &mut work.delta_workloads;
            pool.apply_transposed(&work.delta_pooled, Start::Outputs, delta_workloads);
        }

        let delta = &mut work.delta_workloads;
        gate(delta, &work.workloads);
        self.weights.workload_encoder_bias.gradient_of_bias(delta, gradient);
        let (features, width) = (&batch.workloads.features, widths.workload);
        self.weights.workload_encoder_weight.gradient_of_weight(features, width, delta, gradient);
    }
}

/// The mean over each state's rows, `[B, H]`: `index[i]`, or i without one, is the i-th row.
fn mean_rows(
    rows: &[f32],
    h: usize,
    per_state: usize,
    states: usize,
    index: Option<&[u32]>,
    out: &mut Vec<f32>,
) {
    out.clear();
    out.resize(states * h, 0.0);
    for (b, mean) in out.chunks_exact_mut(h).enumerate() {
        for i in b * per_state..(b + 1) * per_state {
            let row = index.map_or(i, |index| index[i] as usize);
            add(mean, &rows[row * h..][..h]);
        }
    }
    scale(out, 1.0 / per_state.max(1) as f32);
}
