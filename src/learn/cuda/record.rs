//! What the device reads of a transition: one record of 32-bit words, filled on the host.
//!
//! All records of a batch have the same shape, whatever the states look like, so that the update
//! can be recorded as a graph and a batch goes to the device in one copy: a state always has one
//! candidate row (for `Stay` a row of zeros that nothing reads), a next state always has a row for
//! every candidate but `Stay` (masked ones are ruled out by the mask), and workloads that look
//! alike are merged into a fixed number of distinct rows. Where a state has more, the layout grows.

use godwit_envs::observe::{ObservationBuffer, ObservationSpace};
use godwit_models::net::{AlikeRows, Architecture};
use std::ops::Range;

/// Distinct workload rows to start with, at most.
const FIRST_DISTINCT: usize = 16;

/// Where the fields of a record are, in words.
#[derive(Debug, Clone, PartialEq)]
pub struct Layout {
    /// The network that reads it.
    pub architecture: Architecture,
    /// N.
    pub nodes: usize,
    /// K.
    pub workloads: usize,
    /// A.
    pub actions: usize,
    /// F_n, F_w, F_g and F_c.
    pub features: [usize; 4],
    /// Rows of workloads: D, or K where each stays in its place.
    pub rows: usize,
    /// The n-step reward, one word.
    pub reward: usize,
    /// The discount of the next state, one word.
    pub discount: usize,
    /// Index of the taken action's value in `[Stay values of B states, B row values]`, one word.
    pub taken: usize,
    /// Whether each action of the next state may be taken, 1 or 0, A words.
    pub mask: Range<usize>,
    /// The state, with one candidate row.
    pub state: Fields,
    /// The next state, with A - 1 candidate rows.
    pub next: Fields,
    /// Words of a record.
    pub words: usize,
}

/// Where the fields of a state with R candidate rows are. Empty where the network does not read
/// them.
#[derive(Debug, Clone, PartialEq)]
pub struct Fields {
    /// R.
    pub rows: usize,
    /// `[F_g]`.
    pub globals: Range<usize>,
    /// `[N, F_n]`.
    pub nodes: Range<usize>,
    /// `[D, F_w]`.
    pub workloads: Range<usize>,
    /// How many workloads of each row are on each node, `[N + 1, D]`; for an mlp the node of each
    /// workload, `[K]` integers.
    pub places: Range<usize>,
    /// Feature-major, `[F_c, R]`.
    pub candidates: Range<usize>,
    /// Row of the batch's workloads, `[R]` integers.
    pub workload: Range<usize>,
    /// Row of the batch's nodes, `[R]` integers.
    pub source: Range<usize>,
    /// Row of the batch's nodes, `[R]` integers.
    pub destination: Range<usize>,
    /// `b A + a`, `[R]` integers; for next states it is known beforehand.
    pub action: Range<usize>,
}

/// Host memory for merging workloads that look alike.
#[derive(Debug, Default)]
pub struct Scratch {
    alike: AlikeRows,
    row_of: Vec<usize>,
}

impl Layout {
    /// The layout for this space and network.
    pub fn new(space: &ObservationSpace, architecture: Architecture) -> Self {
        let rows = match architecture {
            Architecture::Relational => space.workloads.min(FIRST_DISTINCT),
            Architecture::Mlp | Architecture::Candidate => space.workloads,
        };
        let schema = &space.schema;
        let features =
            [schema.node.len(), schema.workload.len(), schema.global.len(), schema.candidate.len()];
        let nothing = Fields::nothing();
        let mut layout = Self {
            architecture,
            nodes: space.nodes,
            workloads: space.workloads,
            actions: space.actions,
            features,
            rows,
            reward: 0,
            discount: 1,
            taken: 2,
            mask: 3..3,
            state: nothing.clone(),
            next: nothing,
            words: 0,
        };
        layout.place();
        layout
    }

    /// Makes room for `needed` distinct workload rows and some more.
    pub fn grow(&mut self, needed: usize) {
        self.rows = (needed + needed / 4).next_multiple_of(16).clamp(needed, self.workloads);
        self.place();
    }

    fn place(&mut self) {
        let mut at = 3;
        self.mask = take(&mut at, self.actions);
        self.state = self.fields(1, &mut at);
        self.next = self.fields(self.actions - 1, &mut at);
        // So that all records start equally aligned.
        self.words = at.next_multiple_of(16);
    }

    fn fields(&self, rows: usize, at: &mut usize) -> Fields {
        let [node, workload, global, candidate] = self.features;
        let is = |one: Architecture| usize::from(self.architecture == one);
        let relational = is(Architecture::Relational);
        let mlp = is(Architecture::Mlp);
        let entities = relational + mlp;
        let places = relational * (self.nodes + 1) * self.rows + mlp * self.workloads;
        Fields {
            rows,
            globals: take(at, global),
            nodes: take(at, entities * self.nodes * node),
            workloads: take(at, entities * self.rows * workload),
            places: take(at, places),
            candidates: take(at, (1 - mlp) * candidate * rows),
            workload: take(at, relational * rows),
            source: take(at, relational * rows),
            destination: take(at, relational * rows),
            action: take(at, if rows == 1 { mlp } else { 0 }),
        }
    }

    /// Writes state `b` of the batch with the action that was taken. Gives the number of workload
    /// rows that it needs: the record is complete unless there are fewer.
    pub fn write_state(
        &self,
        record: &mut [f32],
        b: usize,
        batch: usize,
        observation: &ObservationBuffer,
        action: usize,
        scratch: &mut Scratch,
    ) -> usize {
        let fields = &self.state;
        record[self.taken] = integer(if action == 0 { b } else { batch + b });
        let needed = self.write_entities(fields, record, observation, scratch);
        // A row of zeros that refers to the state's first entities stands for `Stay`.
        let stride = observation.candidate_stride;
        for (f, value) in record[fields.candidates.clone()].iter_mut().enumerate() {
            *value = if action == 0 { 0.0 } else { observation.candidates[f * stride + action] };
        }
        if needed <= self.rows {
            self.write_row(fields, record, 0, b, observation, action, scratch);
        }
        if let Some(index) = record[fields.action.clone()].first_mut() {
            *index = integer(b * self.actions + action);
        }
        needed
    }

    /// Writes next state `b` of the batch with its mask; the rest as for
    /// [`write_state`](Self::write_state).
    pub fn write_next(
        &self,
        record: &mut [f32],
        b: usize,
        observation: &ObservationBuffer,
        scratch: &mut Scratch,
    ) -> usize {
        let fields = &self.next;
        for (word, &open) in record[self.mask.clone()].iter_mut().zip(&observation.mask) {
            *word = f32::from(u8::from(open));
        }
        let needed = self.write_entities(fields, record, observation, scratch);
        for (to, from) in record[fields.candidates.clone()]
            .chunks_exact_mut(fields.rows.max(1))
            .zip(observation.candidates.chunks_exact(observation.candidate_stride))
        {
            to.copy_from_slice(&from[1..=fields.rows]);
        }
        if needed <= self.rows && !fields.workload.is_empty() {
            for action in 1..self.actions {
                // What is masked may refer to anything: to the first entities, then.
                let action_or_stay = if observation.mask[action] { action } else { 0 };
                let row = action - 1;
                self.write_row(fields, record, row, b, observation, action_or_stay, scratch);
            }
        }
        needed
    }

    fn write_entities(
        &self,
        fields: &Fields,
        record: &mut [f32],
        observation: &ObservationBuffer,
        scratch: &mut Scratch,
    ) -> usize {
        record[fields.globals.clone()].copy_from_slice(&observation.globals);
        if self.architecture == Architecture::Candidate {
            return self.rows;
        }
        record[fields.nodes.clone()].copy_from_slice(&observation.nodes);
        if self.architecture == Architecture::Mlp {
            record[fields.workloads.clone()].copy_from_slice(&observation.workloads);
            for (word, &node) in
                record[fields.places.clone()].iter_mut().zip(&observation.placement)
            {
                *word = integer(node as usize);
            }
            return self.rows;
        }
        let width = self.features[1];
        let needed = scratch.merge(&observation.workloads, width);
        if needed > self.rows {
            return needed;
        }
        let (kept, unused) = record[fields.workloads.clone()].split_at_mut(needed * width);
        kept.copy_from_slice(scratch.alike.kept());
        unused.fill(0.0);
        let counts = &mut record[fields.places.clone()];
        counts.fill(0.0);
        for (&row, &node) in scratch.row_of.iter().zip(&observation.placement) {
            counts[node as usize * self.rows + row] += 1.0;
        }
        needed
    }

    #[expect(clippy::too_many_arguments)]
    fn write_row(
        &self,
        fields: &Fields,
        record: &mut [f32],
        row: usize,
        b: usize,
        observation: &ObservationBuffer,
        action: usize,
        scratch: &Scratch,
    ) {
        if fields.workload.is_empty() {
            return;
        }
        let (workload, source, destination) = if action == 0 {
            (0, 0, 0)
        } else {
            (
                scratch.row_of[observation.candidate_workload[action] as usize],
                observation.candidate_source[action] as usize,
                observation.candidate_destination[action] as usize,
            )
        };
        record[fields.workload.start + row] = integer(b * self.rows + workload);
        record[fields.source.start + row] = integer(b * self.nodes + source);
        record[fields.destination.start + row] = integer(b * self.nodes + destination);
    }
}

impl Fields {
    fn nothing() -> Self {
        let none = || 0..0;
        Self {
            rows: 0,
            globals: none(),
            nodes: none(),
            workloads: none(),
            places: none(),
            candidates: none(),
            workload: none(),
            source: none(),
            destination: none(),
            action: none(),
        }
    }
}

impl Scratch {
    /// Distinct rows; `row_of` tells which one each workload has.
    fn merge(&mut self, workloads: &[f32], width: usize) -> usize {
        self.alike.start(workloads.len() / width);
        self.row_of.clear();
        let alike = &mut self.alike;
        self.row_of.extend(workloads.chunks_exact(width).map(|features| alike.row(features)));
        self.alike.distinct()
    }
}

/// The next so many words.
fn take(at: &mut usize, words: usize) -> Range<usize> {
    let start = *at;
    *at += words;
    start..*at
}

/// An integer as the word of a record.
fn integer(value: usize) -> f32 {
    f32::from_bits(value as u32)
}
