//! Where a parameter lies in the flat vector, and its products.

use crate::net::backward::kernels::{sum_rows, transpose};
use crate::net::kernels::{Finish, Rows, Start, dense, dense_feature_major};
use crate::net::padded::padded;
use crate::net::spec::NetworkSpec;

/// One parameter of a flat vector. Where its rows are whole vectors long it is read and written in
/// place; else a padded copy stands between.
#[derive(Debug)]
pub(super) struct Slot {
    at: usize,
    rows: usize,
    columns: usize,
    /// Elements of a padded row.
    pub stride: usize,
    /// Rows padded with zeros; empty where none is needed.
    packed: Vec<f32>,
    /// `[columns, padded rows]`.
    transposed: Vec<f32>,
    /// A padded gradient on its way to the flat one; empty where none is needed.
    gradient: Vec<f32>,
}

impl Slot {
    /// A slot for each parameter, in their order.
    pub fn all(spec: &NetworkSpec) -> std::vec::IntoIter<Self> {
        let mut at = 0;
        spec.layout()
            .into_iter()
            .map(|(_, shape)| {
                let (rows, columns) = shape.kept();
                let stride = padded(columns);
                let ragged = if stride == columns { 0 } else { rows * stride };
                let slot = Self {
                    at,
                    rows,
                    columns,
                    stride,
                    packed: vec![0.0; ragged],
                    transposed: vec![0.0; columns * padded(rows)],
                    gradient: vec![0.0; ragged],
                };
                at += rows * columns;
                slot
            })
            .collect::<Vec<_>>()
            .into_iter()
    }

    /// Takes fresh weights up. Call it before anything else is asked for.
    pub fn load(&mut self, flat: &[f32]) {
        let source = flat[self.at..][..self.rows * self.columns].chunks_exact(self.columns);
        for (row, source) in self.packed.chunks_exact_mut(self.stride).zip(source) {
            row[..self.columns].copy_from_slice(source);
        }
    }

    /// The weights in padded rows.
    pub fn weight<'a>(&'a self, flat: &'a [f32]) -> &'a [f32] {
        if self.packed.is_empty() {
            &flat[self.at..][..self.rows * self.columns]
        } else {
            &self.packed
        }
    }

    /// The single number of a parameter that is one.
    pub fn scalar(&self, flat: &[f32]) -> f32 {
        flat[self.at]
    }

    /// Transposes the weights for [`Slot::apply_transposed`] and [`Slot::column`].
    pub fn transpose(&mut self, flat: &[f32]) {
        let data = &flat[self.at..][..self.rows * self.columns];
        let shape = (self.rows, self.columns, self.columns);
        transpose(data, shape, &mut self.transposed, padded(self.rows));
    }

    /// Column `c` of the weights, padded.
    pub fn column(&self, c: usize) -> &[f32] {
        let stride = padded(self.rows);
        &self.transposed[c * stride..][..stride]
    }

    /// `outputs = finish(start + inputs @ W)`.
    pub fn apply(
        &self,
        flat: &[f32],
        inputs: Rows,
        start: Start,
        finish: Finish,
        outputs: &mut [f32],
    ) {
        dense(inputs, self.weight(flat), self.stride, start, finish, outputs);
    }

    /// `out = start + delta @ W^T`, the gradient with respect to the inputs.
    pub fn apply_transposed(&self, delta: &[f32], start: Start, out: &mut [f32]) {
        let inputs = Rows::all(delta, self.stride);
        dense(inputs, &self.transposed, padded(self.rows), start, Finish::Linear, out);
    }

    /// The gradient with respect to the weights, `inputs^T @ delta`.
    pub fn gradient_of_weight(
        &mut self,
        inputs: &[f32],
        input_stride: usize,
        delta: &[f32],
        gradient: &mut [f32],
    ) {
        let rows = self.rows;
        self.gradient_of_rows(inputs, input_stride, delta, rows, gradient);
    }

    /// [`Slot::gradient_of_weight`] for the first `rows` rows of the weights.
    pub fn gradient_of_rows(
        &mut self,
        inputs: &[f32],
        input_stride: usize,
        delta: &[f32],
        rows: usize,
        gradient: &mut [f32],
    ) {
        let stride = self.stride;
        let out = &mut self.padded_gradient(gradient)[..rows * stride];
        dense_feature_major(inputs, input_stride, delta, stride, Start::Zero, Finish::Linear, out);
        self.unpack(gradient);
    }

    /// The gradient with respect to a bias, the sum of the rows of `delta`.
    pub fn gradient_of_bias(&mut self, delta: &[f32], gradient: &mut [f32]) {
        sum_rows(delta, self.padded_gradient(gradient));
        self.unpack(gradient);
    }

    /// The gradient as `write` leaves it, in padded rows.
    pub fn gradient_by(&mut self, gradient: &mut [f32], write: impl FnOnce(&mut [f32])) {
        write(self.padded_gradient(gradient));
        self.unpack(gradient);
    }

    fn padded_gradient<'a>(&'a mut self, gradient: &'a mut [f32]) -> &'a mut [f32] {
        if self.packed.is_empty() {
            &mut gradient[self.at..][..self.rows * self.columns]
        } else {
            &mut self.gradient
        }
    }

    fn unpack(&self, gradient: &mut [f32]) {
        let rows = self.gradient.chunks_exact(self.stride);
        let out = gradient[self.at..][..self.rows * self.columns].chunks_exact_mut(self.columns);
        for (row, out) in rows.zip(out) {
            out.copy_from_slice(&row[..self.columns]);
        }
    }
}
