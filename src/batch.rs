//! Lays observations out as the tensors that the networks read.
//!
//! Candidates are ragged: only the rows that matter are laid out (the action taken in a state, or
//! all that it allows), one after the other, with the index of what each row refers to.

use godwit_envs::observation::{ObservationBuffer, ObservationSpace};
use tch::{Device, Kind, Tensor};

/// B states and R candidate rows as tensors.
#[derive(Debug)]
pub struct StateBatch {
    /// Number of states, B.
    pub states: i64,
    /// N.
    pub nodes_per_state: i64,
    /// K.
    pub workloads_per_state: i64,
    /// `[B N, F_n]`.
    pub nodes: Tensor,
    /// `[B K, F_w]`.
    pub workloads: Tensor,
    /// `[B, F_g]`.
    pub globals: Tensor,
    /// Row of `nodes` that each workload is on, `[B K]`.
    pub placement: Tensor,
    /// `[R, F_c]`.
    pub candidates: Tensor,
    /// State of each row, `[R]`.
    pub row_state: Tensor,
    /// Row of `workloads`, `[R]`.
    pub row_workload: Tensor,
    /// Row of `nodes`, `[R]`.
    pub row_source: Tensor,
    /// Row of `nodes`, `[R]`.
    pub row_destination: Tensor,
    /// `b A + a` of each row, `[R]`.
    pub row_action: Tensor,
}

/// Host memory in which a batch is laid out, reused from batch to batch.
#[derive(Debug)]
pub struct BatchBuilder {
    space: ObservationSpace,
    nodes: Vec<f32>,
    workloads: Vec<f32>,
    globals: Vec<f32>,
    placement: Vec<i64>,
    candidates: Vec<f32>,
    // state, workload, source, destination, action
    index: [Vec<i64>; 5],
    states: i64,
}

impl BatchBuilder {
    /// An empty batch for this space.
    pub fn new(space: &ObservationSpace) -> Self {
        Self {
            space: space.clone(),
            nodes: Vec::new(),
            workloads: Vec::new(),
            globals: Vec::new(),
            placement: Vec::new(),
            candidates: Vec::new(),
            index: Default::default(),
            states: 0,
        }
    }

    /// Forgets the states added so far.
    pub fn clear(&mut self) {
        self.nodes.clear();
        self.workloads.clear();
        self.globals.clear();
        self.placement.clear();
        self.candidates.clear();
        self.index.iter_mut().for_each(Vec::clear);
        self.states = 0;
    }

    /// Adds a state with one candidate row, that of `action` (none for `Stay`).
    pub fn add_with_action(&mut self, observation: &ObservationBuffer, action: usize) {
        let first = self.add_entities(observation);
        if action > 0 {
            self.add_row(observation, action, first);
        }
    }

    /// Adds a state with a row for each unmasked candidate but `Stay`.
    pub fn add_with_all(&mut self, observation: &ObservationBuffer) {
        let first = self.add_entities(observation);
        for action in 1..observation.actions() {
            if observation.mask[action] {
                self.add_row(observation, action, first);
            }
        }
    }

    /// Rows added so far.
    pub fn rows(&self) -> usize {
        self.index[0].len()
    }

    fn add_entities(&mut self, observation: &ObservationBuffer) -> [i64; 3] {
        let b = self.states;
        let first_node = b * self.space.nodes as i64;
        self.nodes.extend_from_slice(&observation.nodes);
        self.workloads.extend_from_slice(&observation.workloads);
        self.globals.extend_from_slice(&observation.globals);
        self.placement.extend(observation.placement.iter().map(|&node| first_node + i64::from(node)));
        self.states += 1;
        [b, first_node, b * self.space.workloads as i64]
    }

    fn add_row(
        &mut self,
        observation: &ObservationBuffer,
        action: usize,
        [b, first_node, first_workload]: [i64; 3],
    ) {
        let stride = observation.candidate_stride;
        let features = self.space.schema.candidate.len();
        self.candidates.extend((0..features).map(|f| observation.candidates[f * stride + action]));
        let row = [
            b,
            first_workload + i64::from(observation.candidate_workload[action]),
            first_node + i64::from(observation.candidate_source[action]),
            first_node + i64::from(observation.candidate_destination[action]),
            b * self.space.actions as i64 + action as i64,
        ];
        for (list, value) in self.index.iter_mut().zip(row) {
            list.push(value);
        }
    }

    /// Copies the batch to a device.
    pub fn build(&self, device: Device) -> StateBatch {
        let schema = &self.space.schema;
        let matrix = |values: &[f32], width: usize| {
            Tensor::from_slice(values).view([-1, width as i64]).to_device(device)
        };
        let list = |values: &[i64]| Tensor::from_slice(values).to_device(device);
        let [state, workload, source, destination, action] = &self.index;
        StateBatch {
            states: self.states,
            nodes_per_state: self.space.nodes as i64,
            workloads_per_state: self.space.workloads as i64,
            nodes: matrix(&self.nodes, schema.node.len()),
            workloads: matrix(&self.workloads, schema.workload.len()),
            globals: matrix(&self.globals, schema.global.len()),
            placement: list(&self.placement),
            candidates: if state.is_empty() {
                Tensor::zeros([0, schema.candidate.len() as i64], (Kind::Float, device))
            } else {
                matrix(&self.candidates, schema.candidate.len())
            },
            row_state: list(state),
            row_workload: list(workload),
            row_source: list(source),
            row_destination: list(destination),
            row_action: list(action),
        }
    }
}
