//! Weights as the kernels read them: rows padded to whole lanes.

use crate::net::kernels::LANES;
use crate::net::layout::Shape;

/// One parameter, its rows padded with zeros to a multiple of the kernels' lanes. A column
/// vector `[G, 1]` is kept as one row, which has the same order of elements.
#[derive(Debug, Clone)]
pub(super) struct Parameter {
    pub data: Vec<f32>,
    pub columns: usize,
    pub stride: usize,
}

impl Parameter {
    /// All zero.
    pub fn zeros(shape: Shape) -> Self {
        let (rows, columns) = shape.kept();
        let stride = padded(columns);
        Self { data: vec![0.0; rows * stride], columns, stride }
    }

    /// Takes this parameter's elements from the front of `rest`.
    pub fn load(&mut self, rest: &mut &[f32]) {
        for row in self.data.chunks_exact_mut(self.stride) {
            let (front, tail) = rest.split_at(self.columns);
            row[..self.columns].copy_from_slice(front);
            *rest = tail;
        }
    }

    /// Puts this parameter's elements at the end of `flat`.
    pub fn save(&self, flat: &mut Vec<f32>) {
        for row in self.data.chunks_exact(self.stride) {
            flat.extend_from_slice(&row[..self.columns]);
        }
    }
}

/// `columns` rounded up to the kernels' lanes.
pub(super) fn padded(columns: usize) -> usize {
    columns.next_multiple_of(LANES)
}
