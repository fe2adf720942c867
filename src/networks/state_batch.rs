//! Lays observations out as the tensors that the networks read.
//!
//! Candidates are ragged: only the rows that matter are laid out (the action taken in a state, or
//! all that it allows), one after the other, with the index of what each row refers to.
//!
//! Workloads that look alike are laid out once: the encoder of the relational network sees D
//! distinct feature rows per state, and a table counts how many of each kind a node holds. In a
//! cluster of a few thousand machines of seven sizes that is a dozen rows instead of thousands.
//! For the candidate network, which reads neither nodes nor workloads, none are laid out.

use godwit_envs::observe::{ObservationBuffer, ObservationSpace};
use godwit_models::net::{AlikeRows, Architecture};
use std::borrow::Cow;
use tch::{Device, Kind, Tensor};

/// B states and R candidate rows as tensors.
#[derive(Debug)]
pub struct StateBatch {
    /// Number of states, B.
    pub states: i64,
    /// N.
    pub nodes_per_state: i64,
    /// Rows of `workloads` per state: K, or the most distinct ones of a state, D.
    pub workloads_per_state: i64,
    /// `[B N, F_n]`.
    pub nodes: Tensor,
    /// `[B K, F_w]`, or `[B D, F_w]` with zero rows for states that have fewer distinct ones.
    pub workloads: Tensor,
    /// `[B, F_g]`.
    pub globals: Tensor,
    /// Where the workloads are.
    pub placement: Placement,
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

/// Where the workloads of a batch are.
#[derive(Debug)]
pub enum Placement {
    /// Node of each workload within its state, `[B, K]`.
    Nodes(Tensor),
    /// How many workloads of each distinct row are on each node, `[B, N, D]`.
    Counts(Tensor),
    /// Not laid out, and `nodes` and `workloads` are empty.
    Omitted,
}

/// Host memory in which a batch is laid out, reused from batch to batch.
#[derive(Debug)]
pub struct BatchBuilder {
    space: ObservationSpace,
    layout: Layout,
    nodes: Vec<f32>,
    workloads: Vec<f32>,
    globals: Vec<f32>,
    placement: Vec<i64>,
    candidates: Vec<f32>,
    // state, workload, source, destination, action
    index: [Vec<i64>; 5],
    states: i64,
}

/// How nodes and workloads are laid out.
#[derive(Debug)]
enum Layout {
    /// Every workload in its place.
    Plain,
    /// Workloads that look alike once.
    Merged(Distinct),
    /// Not at all.
    Omitted,
}

#[derive(Debug, Default)]
struct Distinct {
    /// Those of the state that was added last.
    alike: AlikeRows,
    /// First row in `workloads` of each state.
    first: Vec<usize>,
    /// Row within the state of each workload, `[B][K]`.
    row_of: Vec<i64>,
}

impl BatchBuilder {
    /// An empty batch for this space, laid out for this network.
    pub fn new(space: &ObservationSpace, architecture: Architecture) -> Self {
        let layout = match architecture {
            Architecture::Mlp => Layout::Plain,
            Architecture::Relational => Layout::Merged(Distinct::default()),
            Architecture::Candidate => Layout::Omitted,
        };
        Self {
            layout,
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

    /// Whether neither nodes nor workloads are laid out, so that states of clusters of any size may
    /// be added.
    pub fn omits_entities(&self) -> bool {
        matches!(self.layout, Layout::Omitted)
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
        if let Layout::Merged(distinct) = &mut self.layout {
            distinct.first.clear();
            distinct.row_of.clear();
        }
    }

    /// Adds a state with one candidate row, that of `action` (none for `Stay`).
    pub fn add_with_action(&mut self, observation: &ObservationBuffer, action: usize) {
        let first = self.add_entities(observation);
        if action > 0 {
            self.add_row(observation, action, first);
        }
    }

    /// Adds a candidate row to the state that was added last (none for `Stay`).
    pub fn add_action(&mut self, observation: &ObservationBuffer, action: usize) {
        if action > 0 {
            self.add_row(observation, action, self.states - 1);
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

    /// Index of the state.
    fn add_entities(&mut self, observation: &ObservationBuffer) -> i64 {
        self.globals.extend_from_slice(&observation.globals);
        if !matches!(self.layout, Layout::Omitted) {
            self.nodes.extend_from_slice(&observation.nodes);
            self.placement.extend(observation.placement.iter().map(|&node| i64::from(node)));
        }
        let width = self.space.schema.workload.len();
        match &mut self.layout {
            Layout::Omitted => {}
            Layout::Plain => self.workloads.extend_from_slice(&observation.workloads),
            Layout::Merged(distinct) => {
                distinct.alike.start(self.space.workloads);
                distinct.first.push(self.workloads.len() / width);
                for features in observation.workloads.chunks_exact(width) {
                    distinct.row_of.push(distinct.alike.row(features) as i64);
                }
                self.workloads.extend_from_slice(distinct.alike.kept());
            }
        }
        self.states += 1;
        self.states - 1
    }

    fn add_row(&mut self, observation: &ObservationBuffer, action: usize, b: i64) {
        let stride = observation.candidate_stride;
        let features = self.space.schema.candidate.len();
        self.candidates.extend((0..features).map(|f| observation.candidates[f * stride + action]));
        let workload = observation.candidate_workload[action] as usize;
        let first_node = b * self.space.nodes as i64;
        let row = [
            b,
            // Within the state; `build` adds the state's offset, which may not be known yet.
            match &self.layout {
                Layout::Plain | Layout::Omitted => workload as i64,
                Layout::Merged(distinct) => {
                    distinct.row_of[b as usize * self.space.workloads + workload]
                }
            },
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
        let (workloads, workloads_per_state, placement) = self.build_workloads();
        let workload: Vec<i64> = workload
            .iter()
            .zip(state)
            .map(|(row, b)| b * workloads_per_state as i64 + row)
            .collect();
        StateBatch {
            states: self.states,
            nodes_per_state: self.space.nodes as i64,
            workloads_per_state: workloads_per_state as i64,
            nodes: matrix(&self.nodes, schema.node.len()),
            workloads: matrix(&workloads, schema.workload.len()),
            globals: matrix(&self.globals, schema.global.len()),
            placement: match placement {
                Placement::Nodes(tensor) => Placement::Nodes(tensor.to_device(device)),
                Placement::Counts(tensor) => Placement::Counts(tensor.to_device(device)),
                Placement::Omitted => Placement::Omitted,
            },
            candidates: if state.is_empty() {
                Tensor::zeros([0, schema.candidate.len() as i64], (Kind::Float, device))
            } else {
                matrix(&self.candidates, schema.candidate.len())
            },
            row_state: list(state),
            row_workload: list(&workload),
            row_source: list(source),
            row_destination: list(destination),
            row_action: list(action),
        }
    }

    /// Workload rows, rows per state, and where they are.
    fn build_workloads(&self) -> (Cow<'_, [f32]>, usize, Placement) {
        let (b, k, n) = (self.states as usize, self.space.workloads, self.space.nodes);
        let distinct = match &self.layout {
            Layout::Omitted => return (Cow::Borrowed(&[]), k, Placement::Omitted),
            Layout::Plain => {
                let nodes = Tensor::from_slice(&self.placement).view([b as i64, k as i64]);
                return (Cow::Borrowed(&self.workloads), k, Placement::Nodes(nodes));
            }
            Layout::Merged(distinct) => distinct,
        };
        let width = self.space.schema.workload.len();
        let all = self.workloads.len() / width;
        let ends = distinct.first.iter().skip(1).copied().chain([all]);
        let most = distinct
            .first
            .iter()
            .zip(ends.clone())
            .map(|(first, end)| end - first)
            .max()
            .unwrap_or(1);
        let mut rows = vec![0.0; b * most * width];
        let mut counts = vec![0.0_f32; b * (n + 1) * most];
        for (state, (&first, end)) in distinct.first.iter().zip(ends).enumerate() {
            let from = &self.workloads[first * width..end * width];
            rows[state * most * width..][..from.len()].copy_from_slice(from);
            for at in state * k..(state + 1) * k {
                let node = self.placement[at] as usize;
                counts[(state * (n + 1) + node) * most + distinct.row_of[at] as usize] += 1.0;
            }
        }
        let counts = Tensor::from_slice(&counts).view([b as i64, n as i64 + 1, most as i64]);
        (Cow::Owned(rows), most, Placement::Counts(counts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::networks::Parameters;
    use godwit_envs::env::Env;
    use godwit_envs::env::cluster_env::ClusterEnv;
    use godwit_envs::scenario::{Phase, Scenario, WorldTemplate};
    use godwit_models::net::NetworkSpec;
    use std::sync::Arc;

    #[test]
    fn merging_alike_workloads_changes_no_value() {
        let scenario = Scenario::resolve("quickstart").expect("an embedded scenario");
        let template = Arc::new(WorldTemplate::new(&scenario));
        let mut env = ClusterEnv::new(template, Phase::Train).expect("a start");
        let space = env.observation_space().clone();
        let spec = NetworkSpec::new(Architecture::Relational, &space.schema, None);
        let mut rng = godwit_envs::rng::stream(3, "weights");
        let parameters = Parameters::fresh(&spec, Device::Cpu, &mut rng);
        let mut observation = ObservationBuffer::new(&space);
        let mut plain = BatchBuilder::new(&space, Architecture::Mlp);
        let mut merged = BatchBuilder::new(&space, Architecture::Relational);
        for seed in 0..3 {
            env.reset(seed).expect("a start");
            env.observe(&mut observation);
            // Two workloads that look alike but stand on different nodes.
            let width = space.schema.workload.len();
            let (first, rest) = observation.workloads.split_at_mut(width);
            rest[..width].copy_from_slice(first);
            plain.add_with_all(&observation);
            merged.add_with_all(&observation);
        }
        let (stay, rows) = parameters.forward(&plain.build(Device::Cpu));
        let (merged_stay, merged_rows) = parameters.forward(&merged.build(Device::Cpu));
        assert!(merged.build(Device::Cpu).workloads_per_state < space.workloads as i64);
        assert!((stay - merged_stay).abs().max().double_value(&[]) < 1e-5);
        assert!((rows - merged_rows).abs().max().double_value(&[]) < 1e-5);
    }
}
