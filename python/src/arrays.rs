//! Observations as numpy arrays.

use godwit_envs::observe::{ObservationBuffer, ObservationSpace};
use numpy::ndarray::{Array1, Array2};
use numpy::{IntoPyArray as _, PyArray1};
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// Sizes of an observation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    pub nodes: usize,
    pub workloads: usize,
    pub actions: usize,
    pub node_features: usize,
    pub workload_features: usize,
    pub global_features: usize,
    pub candidate_features: usize,
}

impl Sizes {
    /// Those of a space.
    pub fn of(space: &ObservationSpace) -> Self {
        Self {
            nodes: space.nodes,
            workloads: space.workloads,
            actions: space.actions,
            node_features: space.schema.node.len(),
            workload_features: space.schema.workload.len(),
            global_features: space.schema.global.len(),
            candidate_features: space.schema.candidate.len(),
        }
    }

    /// N, K, A, and the numbers of features of a node, a workload, the cluster and a candidate.
    pub fn tuple(self) -> (usize, usize, usize, usize, usize, usize, usize) {
        let Self { nodes, workloads, actions, .. } = self;
        let Self { node_features, workload_features, global_features, candidate_features, .. } =
            self;
        (
            nodes,
            workloads,
            actions,
            node_features,
            workload_features,
            global_features,
            candidate_features,
        )
    }
}

/// An observation in arrays of its own. Features of masked candidates, which mean nothing, are 0.
pub fn dict<'py>(
    py: Python<'py>,
    seen: &ObservationBuffer,
    sizes: Sizes,
) -> PyResult<Bound<'py, PyDict>> {
    let Sizes { nodes, workloads, actions, node_features, workload_features, .. } = sizes;
    let table = |values: &[f32], rows: usize, columns: usize| {
        Array2::from_shape_fn((rows, columns), |(row, column)| values[row * columns + column])
    };
    let candidates = Array2::from_shape_fn((actions, sizes.candidate_features), |(a, f)| {
        if seen.mask[a] && a > 0 { seen.candidate(a, f) } else { 0.0 }
    });
    let out = PyDict::new(py);
    out.set_item("nodes", table(&seen.nodes, nodes, node_features).into_pyarray(py))?;
    out.set_item(
        "workloads",
        table(&seen.workloads, workloads, workload_features).into_pyarray(py),
    )?;
    out.set_item("globals", PyArray1::from_slice(py, &seen.globals))?;
    out.set_item("candidates", candidates.into_pyarray(py))?;
    for (name, values) in [
        ("candidate_workload", &seen.candidate_workload),
        ("candidate_source", &seen.candidate_source),
        ("candidate_destination", &seen.candidate_destination),
    ] {
        let values: Array1<i32> = values.iter().map(|&value| value as i32).collect();
        out.set_item(name, values.into_pyarray(py))?;
    }
    let placement: Array1<i32> =
        seen.placement.iter().map(|&node| node_index(node, nodes)).collect();
    out.set_item("placement", placement.into_pyarray(py))?;
    out.set_item("mask", mask(seen, actions).into_pyarray(py))?;
    Ok(out)
}

/// Whether each candidate may be taken, as 0 and 1.
pub fn mask(seen: &ObservationBuffer, actions: usize) -> Array1<i8> {
    seen.mask[..actions].iter().map(|&open| i8::from(open)).collect()
}

/// Index of a node; -1 for a workload that is on none, which observations place beyond the last.
pub fn node_index(node: u32, nodes: usize) -> i32 {
    if (node as usize) < nodes { node as i32 } else { -1 }
}
