//! The loops that the forward passes spend their time in, compiled for AVX-512 (with the
//! extensions of Ice Lake and Zen 4 or later: earlier ones clock down), for AVX2 with FMA and for
//! the baseline, and picked at run time.
//!
//! All matrices are row-major `f32` and their rows are padded with zeros to a multiple of
//! [`LANES`], so that no loop over outputs has a remainder. The products hold a tile of outputs
//! in registers and pass once over the inputs; the accumulators are plain arrays, which LLVM
//! turns into whole vectors because every bound is a constant. Rounding differs between targets
//! (fused or separate multiply and add), not between calls on one machine.
//!
//! Tile sizes were measured on a Zen 5 core: 6 rows x 32 columns with AVX-512 (245 GFLOP/s on
//! 48 x 64 x 64), 6 x 16 with AVX2 (128), 2 x 16 with SSE2 (49). Larger tiles spill and fall to
//! a third, 12 rows x 1 column is slower than 6 x 2.

use multiversion::multiversion;
use multiversion::target::target_cfg_f;

/// Outputs that one accumulator holds; every row of outputs is a multiple of this long.
pub const LANES: usize = 16;

/// What a product is added to.
#[derive(Debug, Clone, Copy)]
pub enum Start<'a> {
    /// Nothing: the outputs are overwritten.
    Zero,
    /// This row, the same for every row of outputs (a bias).
    Row(&'a [f32]),
    /// What the outputs hold already.
    Outputs,
}

/// What happens to a sum before it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// Stored as it is.
    Linear,
    /// Negative sums become 0.
    Relu,
}

/// Input rows of a product: `index[r]`, or `r` without an index, is the row of `data` that
/// belongs to output row `r`.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    /// Rows of `stride` elements.
    pub data: &'a [f32],
    /// Elements between two rows.
    pub stride: usize,
    /// Which rows are used, in the order of the outputs.
    pub index: Option<&'a [u32]>,
}

impl<'a> Rows<'a> {
    /// Rows of `stride` elements, all of them in order.
    pub fn all(data: &'a [f32], stride: usize) -> Self {
        Self { data, stride, index: None }
    }

    #[inline(always)]
    fn row(&self, r: usize, len: usize) -> &'a [f32] {
        let r = self.index.map_or(r, |index| index[r] as usize);
        &self.data[r * self.stride..][..len]
    }
}

/// `a * b + c`, in one rounding where the target has the instruction: elsewhere `mul_add` is a
/// slow library call.
#[inline(always)]
fn multiply_add<const FMA: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

/// The larger of a number and 0. `f32::max` would turn what is no number into 0, and hide it from
/// whoever looks at the outputs.
#[inline(always)]
pub fn relu(value: f32) -> f32 {
    if value < 0.0 { 0.0 } else { value }
}

/// One tile of `R` rows and `C * LANES` columns of outputs; `input(k)` is column k of the inputs
/// of these rows, `outputs` starts with the first of these rows.
#[expect(clippy::needless_range_loop, reason = "constant bounds are what LLVM vectorises")]
#[inline(always)]
fn tile<const R: usize, const C: usize, const FMA: bool>(
    input: impl Fn(usize) -> [f32; R],
    weight: &[f32],
    stride: usize,
    column: usize,
    start: Start,
    finish: Finish,
    outputs: &mut [f32],
) {
    let mut sum = [[[0.0f32; LANES]; C]; R];
    for r in 0..R {
        for c in 0..C {
            let at = column + c * LANES;
            match start {
                Start::Zero => {}
                Start::Row(row) => sum[r][c].copy_from_slice(&row[at..][..LANES]),
                Start::Outputs => {
                    sum[r][c].copy_from_slice(&outputs[r * stride + at..][..LANES]);
                }
            }
        }
    }
    for (k, row) in weight.chunks_exact(stride).enumerate() {
        let row = &row[column..column + C * LANES];
        let x = input(k);
        for r in 0..R {
            for c in 0..C {
                for lane in 0..LANES {
                    sum[r][c][lane] =
                        multiply_add::<FMA>(x[r], row[c * LANES + lane], sum[r][c][lane]);
                }
            }
        }
    }
    for r in 0..R {
        for c in 0..C {
            let out = &mut outputs[r * stride + column + c * LANES..][..LANES];
            for lane in 0..LANES {
                let value = sum[r][c][lane];
                out[lane] = if finish == Finish::Relu { relu(value) } else { value };
            }
        }
    }
}

/// All columns of `R` rows, `C` accumulators wide and then one accumulator wide.
#[inline(always)]
fn band<const R: usize, const C: usize, const FMA: bool>(
    input: impl Fn(usize) -> [f32; R],
    weight: &[f32],
    stride: usize,
    start: Start,
    finish: Finish,
    outputs: &mut [f32],
) {
    let mut column = 0;
    while column + C * LANES <= stride {
        tile::<R, C, FMA>(&input, weight, stride, column, start, finish, outputs);
        column += C * LANES;
    }
    while column < stride {
        tile::<R, 1, FMA>(&input, weight, stride, column, start, finish, outputs);
        column += LANES;
    }
}

/// [`dense`] in bands of `R` rows, then row by row.
#[inline(always)]
fn dense_bands<const R: usize, const C: usize, const FMA: bool>(
    inputs: Rows,
    weight: &[f32],
    stride: usize,
    start: Start,
    finish: Finish,
    outputs: &mut [f32],
) {
    let inner = weight.len() / stride;
    let mut bands = outputs.chunks_exact_mut(R * stride);
    let mut r = 0;
    for band_outputs in &mut bands {
        let rows: [&[f32]; R] = std::array::from_fn(|i| inputs.row(r + i, inner));
        let input = |k: usize| std::array::from_fn(|i| rows[i][k]);
        band::<R, C, FMA>(input, weight, stride, start, finish, band_outputs);
        r += R;
    }
    for row_outputs in bands.into_remainder().chunks_exact_mut(stride) {
        let row = inputs.row(r, inner);
        // One row has few sums in flight: wide, to hide the latency of the additions.
        band::<1, 4, FMA>(|k| [row[k]], weight, stride, start, finish, row_outputs);
        r += 1;
    }
}

/// [`dense_feature_major`] in bands of `R` rows, then row by row.
#[inline(always)]
fn feature_major_bands<const R: usize, const C: usize, const FMA: bool>(
    inputs: &[f32],
    input_stride: usize,
    weight: &[f32],
    stride: usize,
    start: Start,
    finish: Finish,
    outputs: &mut [f32],
) {
    let mut bands = outputs.chunks_exact_mut(R * stride);
    let mut r = 0;
    for band_outputs in &mut bands {
        let input = |k: usize| {
            let column = &inputs[k * input_stride + r..][..R];
            std::array::from_fn(|i| column[i])
        };
        band::<R, C, FMA>(input, weight, stride, start, finish, band_outputs);
        r += R;
    }
    for row_outputs in bands.into_remainder().chunks_exact_mut(stride) {
        let input = |k: usize| [inputs[k * input_stride + r]];
        band::<1, 4, FMA>(input, weight, stride, start, finish, row_outputs);
        r += 1;
    }
}

/// Picks the tile for the target that the calling function is compiled for.
macro_rules! by_target {
    ($bands:ident($($argument:expr),*)) => {
        if target_cfg_f!(target_feature = "avx512f") {
            $bands::<6, 2, true>($($argument),*)
        } else if target_cfg_f!(any(target_feature = "fma", target_arch = "aarch64")) {
            $bands::<6, 1, true>($($argument),*)
        } else {
            $bands::<2, 1, false>($($argument),*)
        }
    };
}

/// `outputs[r] = finish(start + inputs[r] @ weight)` for every row of `outputs`.
///
/// `weight` is `[inner, stride]`, `outputs` `[rows, stride]`, an input row has at least `inner`
/// elements; `stride` is a multiple of [`LANES`].
#[multiversion(targets("x86_64+avx512f+fma", "x86_64+avx2+fma"))]
pub fn dense(
    inputs: Rows,
    weight: &[f32],
    stride: usize,
    start: Start,
    finish: Finish,
    outputs: &mut [f32],
) {
    by_target!(dense_bands(inputs, weight, stride, start, finish, outputs));
}

/// [`dense`] for inputs that lie feature by feature: element k of input row r is at
/// `inputs[k * input_stride + r]`.
#[multiversion(targets("x86_64+avx512f+fma", "x86_64+avx2+fma"))]
pub fn dense_feature_major(
    inputs: &[f32],
    input_stride: usize,
    weight: &[f32],
    stride: usize,
    start: Start,
    finish: Finish,
    outputs: &mut [f32],
) {
    by_target!(feature_major_bands(inputs, input_stride, weight, stride, start, finish, outputs));
}

/// Copies runs of columns: for each `[to, from]` of `runs`, the [`LANES`] columns from `from` on of
/// every row of `inputs` to the columns from `to` on of the same row of `outputs`. Of a run that is
/// shorter, the next one overwrites the rest: `to` ascends.
#[multiversion(targets("x86_64+avx512f", "x86_64+avx2"))]
pub fn pack(
    inputs: &[f32],
    input_stride: usize,
    runs: &[[u32; 2]],
    stride: usize,
    outputs: &mut [f32],
) {
    let rows = inputs.chunks_exact(input_stride);
    for (out, row) in outputs.chunks_exact_mut(stride).zip(rows) {
        for [to, from] in runs.iter().map(|run| run.map(|at| at as usize)) {
            out[to..to + LANES].copy_from_slice(&row[from..from + LANES]);
        }
    }
}

/// `outputs[r] = a[picks[r][0]] + b[picks[r][1]] + c[picks[r][2]]`, all rows `stride` long.
#[multiversion(targets("x86_64+avx512f", "x86_64+avx2"))]
pub fn gather_sum(tables: [&[f32]; 3], picks: &[[u32; 3]], stride: usize, outputs: &mut [f32]) {
    for (out, pick) in outputs.chunks_exact_mut(stride).zip(picks) {
        // Spelt out: a closure is compiled for the baseline, and called.
        let a = &tables[0][pick[0] as usize * stride..][..stride];
        let b = &tables[1][pick[1] as usize * stride..][..stride];
        let c = &tables[2][pick[2] as usize * stride..][..stride];
        for (((out, a), b), c) in out.iter_mut().zip(a).zip(b).zip(c) {
            *out = a + b + c;
        }
    }
}

/// `outputs[r] = bias + rows[r] . weight`; a row of `rows` is as long as `weight`, a multiple of
/// [`LANES`].
#[multiversion(targets("x86_64+avx512f", "x86_64+avx2"))]
pub fn dot_rows(rows: &[f32], weight: &[f32], bias: f32, outputs: &mut [f32]) {
    for (out, row) in outputs.iter_mut().zip(rows.chunks_exact(weight.len())) {
        let mut sum = [0.0f32; LANES];
        for (row, weight) in row.chunks_exact(LANES).zip(weight.chunks_exact(LANES)) {
            for lane in 0..LANES {
                sum[lane] += row[lane] * weight[lane];
            }
        }
        // Pairwise, as a tree of vectors rather than a chain of 16 additions.
        for width in [8, 4, 2, 1] {
            for lane in 0..width {
                sum[lane] += sum[lane + width];
            }
        }
        *out = bias + sum[0];
    }
}

/// `sum[i] += row[i]`.
pub fn add(sum: &mut [f32], row: &[f32]) {
    for (sum, row) in sum.iter_mut().zip(row) {
        *sum += row;
    }
}

/// `row[i] *= factor`.
pub fn scale(row: &mut [f32], factor: f32) {
    for value in row {
        *value *= factor;
    }
}
