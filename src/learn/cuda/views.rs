//! The tensors of a batch as views of the one block that was uploaded.

use super::record::{Fields, Layout};
use crate::networks::state_batch::{Placement, StateBatch};
use godwit_models::net::Architecture;
use std::ops::Range;
use tch::{Device, Kind, Tensor};

/// Words before the first record: number of the update, learning rate, share of the online network
/// that the target network takes over.
pub const HEADER: usize = 16;

/// A block of B records on the device, and what never changes beside it.
#[derive(Debug)]
pub struct Block {
    /// `[HEADER + B words]`.
    pub flat: Tensor,
    layout: Layout,
    batch: i64,
    /// 0 to B - 1, `[B]`.
    each: Tensor,
    /// First row of each next state, `[B]`.
    first_row: Tensor,
    /// State of each row of the next states, `[B (A - 1)]`.
    next_state: Tensor,
    /// `b A + a` of each row of the next states, `[B (A - 1)]`.
    next_action: Tensor,
}

impl Block {
    /// Zeros for `batch` records.
    pub fn new(layout: &Layout, batch: usize, device: Device) -> Self {
        let (b, rows, actions) = (batch as i64, layout.next.rows as i64, layout.actions as i64);
        let count = |end: i64| Tensor::arange(end, (Kind::Int64, device));
        let states = count(b).unsqueeze(1).expand([b, rows], false);
        Self {
            flat: Tensor::zeros([(HEADER + batch * layout.words) as i64], (Kind::Float, device)),
            layout: layout.clone(),
            batch: b,
            each: count(b),
            first_row: count(b) * rows,
            next_action: (&states * actions + count(rows) + 1).reshape([-1]),
            next_state: states.reshape([-1]),
        }
    }

    /// Number of this update, from 1, `[]`.
    pub fn step(&self) -> Tensor {
        self.flat.get(0)
    }

    /// Learning rate, `[]`.
    pub fn learning_rate(&self) -> Tensor {
        self.flat.get(1)
    }

    /// Share of the online network that the target network takes over, `[]`.
    pub fn mix(&self) -> Tensor {
        self.flat.get(2)
    }

    /// n-step rewards, `[B]`.
    pub fn reward(&self) -> Tensor {
        self.floats(self.layout.reward..self.layout.reward + 1).reshape([-1])
    }

    /// Discounts of the next states, `[B]`.
    pub fn discount(&self) -> Tensor {
        self.floats(self.layout.discount..self.layout.discount + 1).reshape([-1])
    }

    /// Index of the taken action's value in `[Stay values, row values]`, `[B]`.
    pub fn taken(&self) -> Tensor {
        self.integers(self.layout.taken..self.layout.taken + 1).reshape([-1])
    }

    /// Whether an action of a next state is ruled out, `[B, A]`.
    pub fn closed(&self) -> Tensor {
        self.floats(self.layout.mask.clone()).eq(0.0)
    }

    /// The states, each with one row.
    pub fn states(&self) -> StateBatch {
        let fields = &self.layout.state;
        let action = self.integers(fields.action.clone()).reshape([-1]);
        self.state_batch(fields, self.each.shallow_clone(), action)
    }

    /// The next states, each with a row for every action but `Stay`.
    pub fn next(&self) -> StateBatch {
        let (state, action) = (self.next_state.shallow_clone(), self.next_action.shallow_clone());
        self.state_batch(&self.layout.next, state, action)
    }

    /// `next` with one row for each state: that of `action` (`[B]`), or the first for `Stay`.
    pub fn pick(&self, next: &StateBatch, action: &Tensor) -> StateBatch {
        let row = (action - 1).clamp_min(0) + &self.first_row;
        let select = |of: &Tensor| match of.size()[0] {
            0 => of.shallow_clone(),
            _ => of.index_select(0, &row),
        };
        let same = Tensor::shallow_clone;
        StateBatch {
            states: next.states,
            nodes_per_state: next.nodes_per_state,
            workloads_per_state: next.workloads_per_state,
            nodes: same(&next.nodes),
            workloads: same(&next.workloads),
            globals: same(&next.globals),
            placement: match &next.placement {
                Placement::Nodes(nodes) => Placement::Nodes(same(nodes)),
                Placement::Counts(counts) => Placement::Counts(same(counts)),
                Placement::Omitted => Placement::Omitted,
            },
            candidates: select(&next.candidates),
            row_state: same(&self.each),
            row_workload: select(&next.row_workload),
            row_source: select(&next.row_source),
            row_destination: select(&next.row_destination),
            row_action: select(&next.row_action),
        }
    }

    fn state_batch(&self, fields: &Fields, row_state: Tensor, row_action: Tensor) -> StateBatch {
        let layout = &self.layout;
        let [node, workload, _, candidate] = layout.features.map(|width| width as i64);
        let (n, rows) = (layout.nodes as i64, layout.rows as i64);
        let matrix = |range: &Range<usize>, width: i64| {
            // Not -1: nothing may be left out, and then a size cannot be inferred.
            self.floats(range.clone())
                .reshape([self.batch * range.len() as i64 / width.max(1), width])
        };
        let list = |range: &Range<usize>| self.integers(range.clone()).reshape([-1]);
        StateBatch {
            states: self.batch,
            nodes_per_state: n,
            workloads_per_state: rows,
            nodes: matrix(&fields.nodes, node),
            workloads: matrix(&fields.workloads, workload),
            globals: self.floats(fields.globals.clone()),
            placement: match layout.architecture {
                Architecture::Relational => {
                    Placement::Counts(self.floats(fields.places.clone()).view([
                        self.batch,
                        n + 1,
                        rows,
                    ]))
                }
                Architecture::Mlp => {
                    Placement::Nodes(self.integers(fields.places.clone()).to_kind(Kind::Int64))
                }
                Architecture::Candidate => Placement::Omitted,
            },
            candidates: if fields.candidates.is_empty() {
                Tensor::zeros([0, candidate], (Kind::Float, self.flat.device()))
            } else {
                // [B, F_c, R] -> [B R, F_c]
                self.floats(fields.candidates.clone())
                    .view([self.batch, candidate, fields.rows as i64])
                    .transpose(1, 2)
                    .reshape([-1, candidate])
            },
            row_state,
            row_workload: list(&fields.workload),
            row_source: list(&fields.source),
            row_destination: list(&fields.destination),
            row_action,
        }
    }

    /// `[B, words]` of the records.
    fn floats(&self, range: Range<usize>) -> Tensor {
        let words = self.layout.words as i64;
        self.flat.narrow(0, HEADER as i64, self.batch * words).view([self.batch, words]).narrow(
            1,
            range.start as i64,
            range.len() as i64,
        )
    }

    fn integers(&self, range: Range<usize>) -> Tensor {
        self.floats(range).view_dtype(Kind::Int)
    }
}
