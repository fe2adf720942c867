//! Arrays of the caller's with a row for each copy of an environment, and writing into them.

use crate::arrays::{Sizes, node_index};
use godwit_envs::env::Env as _;
use godwit_envs::env::cluster_env::ClusterEnv;
use godwit_envs::observe::{ObservationBuffer, ObservationSpace};
use multiversion::multiversion;
use numpy::{PyArrayMethods as _, PyReadwriteArray};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// A set of arrays, borrowed as long as this lives.
pub struct Arrays<'py> {
    sizes: Sizes,
    floats: [PyReadwriteArray<'py, f32, numpy::IxDyn>; 4],
    indices: [PyReadwriteArray<'py, i32, numpy::IxDyn>; 4],
    mask: PyReadwriteArray<'py, i8, numpy::IxDyn>,
}

/// Rows of the arrays that belong to one copy.
pub struct Rows<'a> {
    nodes: &'a mut [f32],
    workloads: &'a mut [f32],
    globals: &'a mut [f32],
    candidates: &'a mut [f32],
    candidate_workload: &'a mut [i32],
    candidate_source: &'a mut [i32],
    candidate_destination: &'a mut [i32],
    placement: &'a mut [i32],
    mask: &'a mut [i8],
}

/// What one thread needs to observe a copy.
pub struct Scratch {
    seen: ObservationBuffer,
    /// 1 for candidates that may be taken, 0 for the others and for staying, which has no features.
    open: Vec<f32>,
}

impl<'py> Arrays<'py> {
    /// The arrays of a dictionary.
    pub fn of(dict: &Bound<'py, PyDict>, sizes: Sizes) -> PyResult<Self> {
        Ok(Self {
            sizes,
            floats: [
                writable(dict, "nodes")?,
                writable(dict, "workloads")?,
                writable(dict, "globals")?,
                writable(dict, "candidates")?,
            ],
            indices: [
                writable(dict, "candidate_workload")?,
                writable(dict, "candidate_source")?,
                writable(dict, "candidate_destination")?,
                writable(dict, "placement")?,
            ],
            mask: writable(dict, "mask")?,
        })
    }

    /// The rows of so many copies.
    pub fn rows(&mut self, copies: usize) -> PyResult<Vec<Rows<'_>>> {
        let s = self.sizes;
        let [nodes, workloads, globals, candidates] = &mut self.floats;
        let [workload, source, destination, placement] = &mut self.indices;
        let mut nodes = nodes.as_slice_mut()?.chunks_mut(s.nodes * s.node_features);
        let mut workloads = workloads.as_slice_mut()?.chunks_mut(s.workloads * s.workload_features);
        let mut globals = globals.as_slice_mut()?.chunks_mut(s.global_features);
        let mut candidates =
            candidates.as_slice_mut()?.chunks_mut(s.actions * s.candidate_features);
        let mut workload = workload.as_slice_mut()?.chunks_mut(s.actions);
        let mut source = source.as_slice_mut()?.chunks_mut(s.actions);
        let mut destination = destination.as_slice_mut()?.chunks_mut(s.actions);
        let mut placement = placement.as_slice_mut()?.chunks_mut(s.workloads);
        let mut mask = self.mask.as_slice_mut()?.chunks_mut(s.actions);
        let mut next = || {
            Some(Rows {
                nodes: nodes.next()?,
                workloads: workloads.next()?,
                globals: globals.next()?,
                candidates: candidates.next()?,
                candidate_workload: workload.next()?,
                candidate_source: source.next()?,
                candidate_destination: destination.next()?,
                placement: placement.next()?,
                mask: mask.next()?,
            })
        };
        let expected =
            || PyValueError::new_err(format!("arrays: expected a row for each of {copies} copies"));
        (0..copies).map(|_| next().ok_or_else(expected)).collect()
    }
}

impl Rows<'_> {
    /// Observes a copy. Features of masked candidates, which mean nothing, are 0.
    pub fn show(&mut self, env: &ClusterEnv, scratch: &mut Scratch) {
        let Scratch { seen, open } = scratch;
        env.observe(seen);
        self.nodes.copy_from_slice(&seen.nodes);
        self.workloads.copy_from_slice(&seen.workloads);
        self.globals.copy_from_slice(&seen.globals);
        for ((out, share), &mask) in self.mask.iter_mut().zip(&mut *open).zip(&seen.mask) {
            *out = i8::from(mask);
            *share = f32::from(u8::from(mask));
        }
        open[0] = 0.0;
        copy_open(&seen.candidates, seen.candidate_stride, open, self.candidates);
        let nodes = env.observation_space().nodes;
        for (out, &node) in self.placement.iter_mut().zip(&seen.placement) {
            *out = node_index(node, nodes);
        }
        for (out, values) in [
            (&mut self.candidate_workload, &seen.candidate_workload),
            (&mut self.candidate_source, &seen.candidate_source),
            (&mut self.candidate_destination, &seen.candidate_destination),
        ] {
            for (out, &value) in out.iter_mut().zip(values) {
                *out = value as i32;
            }
        }
    }
}

impl Scratch {
    /// For observations of this space.
    pub fn new(space: &ObservationSpace) -> Self {
        Self { seen: ObservationBuffer::new(space), open: vec![0.0; space.actions] }
    }
}

/// Copies the features of candidates, and 0 for those that are not open.
#[multiversion(targets("x86_64+avx512f", "x86_64+avx2"))]
fn copy_open(features: &[f32], stride: usize, open: &[f32], out: &mut [f32]) {
    for (out, row) in out.chunks_exact_mut(open.len()).zip(features.chunks_exact(stride)) {
        for ((out, &value), &open) in out.iter_mut().zip(row).zip(open) {
            *out = value * open;
        }
    }
}

/// An array of the caller's, to be written to.
pub fn writable<'py, T: numpy::Element>(
    arrays: &Bound<'py, PyDict>,
    name: &str,
) -> PyResult<PyReadwriteArray<'py, T, numpy::IxDyn>> {
    let refused = |got: String| PyValueError::new_err(format!("arrays[{name:?}]: {got}"));
    let Some(value) = arrays.get_item(name)? else { return Err(refused("missing".to_owned())) };
    let array = value.cast_into::<numpy::PyArray<T, numpy::IxDyn>>();
    let array = array.map_err(|error| refused(error.to_string()))?;
    array.try_readwrite().map_err(|error| refused(error.to_string()))
}
