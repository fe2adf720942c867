//! The loops of the backward pass and of the optimiser that are no matrix products.

use crate::net::kernels::LANES;
use multiversion::multiversion;

/// Side of the squares in which a matrix is transposed: two of them fit the first-level cache.
const SQUARE: usize = 16;

/// `out[c * out_stride + r] = data[r * stride + c]` for `rows` rows of `columns` elements; what
/// lies between `rows` and `out_stride` is left as it is.
#[multiversion(targets("x86_64+avx512f", "x86_64+avx2"))]
pub fn transpose(
    data: &[f32],
    (rows, columns, stride): (usize, usize, usize),
    out: &mut [f32],
    out_stride: usize,
) {
    for top in (0..rows).step_by(SQUARE) {
        let bottom = (top + SQUARE).min(rows);
        for left in (0..columns).step_by(SQUARE) {
            let right = (left + SQUARE).min(columns);
            for c in left..right {
                let column = &mut out[c * out_stride + top..c * out_stride + bottom];
                for (value, r) in column.iter_mut().zip(top..bottom) {
                    *value = data[r * stride + c];
                }
            }
        }
    }
}

/// The slope of `relu`: `delta[i] = 0` where `activation[i]` is 0.
#[multiversion(targets("x86_64+avx512f", "x86_64+avx2"))]
pub fn gate(delta: &mut [f32], activation: &[f32]) {
    for (delta, activation) in delta.iter_mut().zip(activation) {
        *delta = if *activation > 0.0 { *delta } else { 0.0 };
    }
}

/// `sum[i] += factor * row[i]`.
#[multiversion(targets("x86_64+avx512f+fma", "x86_64+avx2+fma"))]
pub fn add_scaled(sum: &mut [f32], factor: f32, row: &[f32]) {
    for (sum, row) in sum.iter_mut().zip(row) {
        *sum += factor * row;
    }
}

/// `sum = ` the sum of the rows of `data`, each as long as `sum`.
#[multiversion(targets("x86_64+avx512f", "x86_64+avx2"))]
pub fn sum_rows(data: &[f32], sum: &mut [f32]) {
    sum.fill(0.0);
    for row in data.chunks_exact(sum.len()) {
        for (sum, row) in sum.iter_mut().zip(row) {
            *sum += row;
        }
    }
}

/// Sum of the squares, in lanes of their own so that it is as exact as it is fast.
#[multiversion(targets("x86_64+avx512f", "x86_64+avx2"))]
pub fn sum_of_squares(values: &[f32]) -> f64 {
    let (chunks, rest) = values.as_chunks::<{ 4 * LANES }>();
    let mut sum = [0.0f32; 4 * LANES];
    for chunk in chunks {
        for (sum, value) in sum.iter_mut().zip(chunk) {
            *sum += value * value;
        }
    }
    let tail: f32 = rest.iter().map(|value| value * value).sum();
    sum.iter().map(|&lane| f64::from(lane)).sum::<f64>() + f64::from(tail)
}

/// The factors of one Adam update, as [`adam`] uses them.
#[derive(Debug, Clone, Copy)]
pub struct AdamFactors {
    /// The gradient is multiplied by this first (clipping).
    pub gradient: f32,
    /// `1 - beta_1`.
    pub mean: f32,
    /// `beta_2`.
    pub square: f32,
    /// `learning rate / (1 - beta_1^t)`.
    pub rate: f32,
    /// `1 / sqrt(1 - beta_2^t)`.
    pub correction: f32,
    /// Added to the denominator.
    pub epsilon: f32,
    /// `1 - learning rate * weight decay`.
    pub keep: f32,
    /// Share of the new parameters that the target takes over; 0 leaves it alone.
    pub tau: f32,
}

/// One Adam update of `parameters` and the soft update of `target`, in one pass over memory.
#[multiversion(targets("x86_64+avx512f+fma", "x86_64+avx2+fma"))]
pub fn adam(
    factors: AdamFactors,
    gradient: &[f32],
    parameters: &mut [f32],
    mean: &mut [f32],
    square: &mut [f32],
    target: &mut [f32],
) {
    let f = factors;
    let moments = mean.iter_mut().zip(square);
    for (((p, g), (m, v)), t) in parameters.iter_mut().zip(gradient).zip(moments).zip(target) {
        let g = g * f.gradient;
        *m += f.mean * (g - *m);
        *v = f.square * *v + (1.0 - f.square) * g * g;
        *p = *p * f.keep - f.rate * *m / (v.sqrt() * f.correction + f.epsilon);
        *t += f.tau * (*p - *t);
    }
}
