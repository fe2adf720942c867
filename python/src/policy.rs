//! Artifacts: the native forward pass, and what they say of themselves.

use crate::errors;
use godwit_decide::loaded::Loaded;
use godwit_envs::observe::features::schema;
use godwit_envs::observe::{ObservationBuffer, ObservationSpace};
use godwit_models::net::{Architecture, Network, first_best};
use godwit_models::network_policy::NetworkPolicy;
use numpy::{
    IntoPyArray as _, PyArray1, PyArrayMethods as _, PyReadonlyArray1, PyReadonlyArray2,
    PyUntypedArrayMethods as _,
};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// A trained policy.
#[pyclass(frozen, module = "godwit._native")]
pub struct Policy {
    pub loaded: Arc<Loaded>,
    path: String,
    network: Mutex<Network>,
}

impl Policy {
    /// As it plays: with its base, if it has one.
    pub fn playing(&self, name: &str) -> NetworkPolicy {
        self.loaded.artifact.policy(name)
    }

    /// Values an observation.
    fn values(&self, py: Python<'_>, observation: &Bound<'_, PyDict>) -> PyResult<Vec<f32>> {
        let seen = self.read(observation)?;
        py.detach(|| {
            let mut q = vec![f32::NEG_INFINITY; seen.actions()];
            let mut network = self.network.lock().unwrap_or_else(PoisonError::into_inner);
            network.q_values(&seen, &mut q);
            Ok(q)
        })
    }

    /// An observation from arrays, whose shapes and dtypes are checked.
    fn read(&self, observation: &Bound<'_, PyDict>) -> PyResult<ObservationBuffer> {
        let sections = self.loaded.artifact.sections;
        let schema = schema(sections);
        let nodes = table(observation, "nodes", schema.node.len())?;
        let workloads = table(observation, "workloads", schema.workload.len())?;
        let globals: PyReadonlyArray1<'_, f32> = array(observation, "globals", "float32 [F_g]")?;
        let candidates = table(observation, "candidates", schema.candidate.len())?;
        let mask: PyReadonlyArray1<'_, i8> = array(observation, "mask", "int8 [A]")?;
        let (n, k, actions) = (nodes.shape()[0], workloads.shape()[0], candidates.shape()[0]);
        let spec = self.network().spec().clone();
        let space = ObservationSpace {
            nodes: n,
            workloads: k,
            actions,
            fixed_pairs: spec.architecture == Architecture::Mlp,
            sections,
            schema,
            normalisation: None,
        };
        if let Some(fixed) = spec.fixed
            && (fixed.nodes, fixed.workloads) != (n, k)
        {
            return Err(errors::policy(format!(
                "observation: expected {} nodes and {} workloads, which is all that this network \
                 serves, got {n} and {k}",
                fixed.nodes, fixed.workloads
            )));
        }
        length("globals", globals.len(), space.schema.global.len())?;
        length("mask", mask.len(), actions)?;
        let mut seen = ObservationBuffer::new(&space);
        fill(&mut seen.nodes, nodes.as_array().iter());
        fill(&mut seen.workloads, workloads.as_array().iter());
        fill(&mut seen.globals, globals.as_array().iter());
        for ((a, f), &value) in candidates.as_array().indexed_iter() {
            seen.candidates[f * seen.candidate_stride + a] = value;
        }
        for (open, &value) in seen.mask.iter_mut().zip(mask.as_array()) {
            *open = value != 0;
        }
        for (name, out, count, most) in [
            ("candidate_workload", &mut seen.candidate_workload, actions, k),
            ("candidate_source", &mut seen.candidate_source, actions, n),
            ("candidate_destination", &mut seen.candidate_destination, actions, n),
            ("placement", &mut seen.placement, k, n),
        ] {
            let values: PyReadonlyArray1<'_, i32> = array(observation, name, "int32 [A] or [K]")?;
            length(name, values.len(), count)?;
            for (out, &value) in out.iter_mut().zip(values.as_array()) {
                // -1 becomes the largest number, which stands for nowhere.
                *out = value as u32;
                let nowhere = value == -1 && name != "candidate_workload";
                if !nowhere && !usize::try_from(value).is_ok_and(|value| value < most) {
                    return Err(errors::policy(format!(
                        "observation[{name:?}]: expected indices below {most}, got {value}"
                    )));
                }
            }
        }
        if seen.mask.first() != Some(&true) {
            let error =
                "observation[\"mask\"]: expected 1 at index 0, as staying is always allowed";
            return Err(errors::policy(error));
        }
        Ok(seen)
    }

    fn network(&self) -> std::sync::MutexGuard<'_, Network> {
        self.network.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl Policy {
    /// The policy of an artifact or, by its name, one that comes with the package.
    #[staticmethod]
    fn load(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        let loaded = py.detach(|| Loaded::open(&path)).map_err(errors::policy)?;
        let network = Mutex::new(loaded.artifact.network.clone());
        Ok(Self { loaded: Arc::new(loaded), path: path.display().to_string(), network })
    }

    /// Value of each candidate, `[A]`; minus infinity for those that are masked.
    fn q<'py>(
        &self,
        py: Python<'py>,
        observation: &Bound<'py, PyDict>,
    ) -> PyResult<Bound<'py, PyArray1<f32>>> {
        Ok(self.values(py, observation)?.into_pyarray(py))
    }

    /// Index of the candidate of the highest value.
    fn act(&self, py: Python<'_>, observation: &Bound<'_, PyDict>) -> PyResult<usize> {
        Ok(first_best(&self.values(py, observation)?))
    }

    /// The network as ONNX.
    fn to_onnx<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.loaded.artifact.to_onnx())
    }

    /// What the artifact says of itself, as JSON.
    fn manifest_json(&self) -> PyResult<String> {
        serde_json::to_string(&self.loaded.artifact.manifest).map_err(errors::policy)
    }

    /// Names of the features that it reads, by group.
    #[getter]
    fn features<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        crate::world::features(py, &schema(self.loaded.artifact.sections))
    }

    /// The heuristic that it improves on, with the margin by which the network must be ahead (none
    /// where the heuristic plays alone); none where the network decides alone.
    #[getter]
    fn base(&self) -> Option<(String, Option<f32>)> {
        let base = self.loaded.artifact.manifest.base.as_ref()?;
        Some((base.baseline.clone(), base.margin))
    }

    /// SHA-256 of the file.
    #[getter]
    fn sha256(&self) -> &str {
        &self.loaded.name.sha256
    }

    /// Scenario that it was trained on.
    #[getter]
    fn scenario(&self) -> &str {
        &self.loaded.name.scenario
    }

    fn __repr__(&self) -> String {
        let spec = self.network().spec().clone();
        let architecture = format!("{:?}", spec.architecture).to_lowercase();
        format!(
            "Policy({:?}: {architecture} network of {} weights, trained on {})",
            self.path,
            spec.parameter_count(),
            self.loaded.name.scenario
        )
    }
}

/// An array of an observation.
fn array<'py, T: numpy::Element, D: numpy::ndarray::Dimension>(
    observation: &Bound<'py, PyDict>,
    name: &str,
    expected: &str,
) -> PyResult<numpy::PyReadonlyArray<'py, T, D>> {
    let refused = |got: String| {
        errors::policy(format!("observation[{name:?}]: expected {expected}, got {got}"))
    };
    let Some(value) = observation.get_item(name)? else {
        return Err(refused("nothing".to_owned()));
    };
    let Ok(array) = value.cast::<numpy::PyArray<T, D>>() else {
        let got = match value.cast::<numpy::PyUntypedArray>() {
            Ok(array) => format!("{} {:?}", array.dtype(), array.shape()),
            Err(_) => value.get_type().name()?.to_string(),
        };
        return Err(refused(got));
    };
    array.try_readonly().map_err(|error| refused(error.to_string()))
}

/// A table of an observation with so many columns.
fn table<'py>(
    observation: &Bound<'py, PyDict>,
    name: &str,
    columns: usize,
) -> PyResult<PyReadonlyArray2<'py, f32>> {
    let expected = format!("float32 [rows, {columns}]");
    let table: PyReadonlyArray2<'py, f32> = array(observation, name, &expected)?;
    let got = table.shape()[1];
    if got == columns {
        return Ok(table);
    }
    Err(errors::policy(format!(
        "observation[{name:?}]: expected {columns} features in each row, got {got}: the policy was \
         trained on a scenario that shows others"
    )))
}

fn length(name: &str, got: usize, expected: usize) -> PyResult<()> {
    if got == expected {
        return Ok(());
    }
    Err(errors::policy(format!("observation[{name:?}]: expected {expected} values, got {got}")))
}

fn fill<'a>(out: &mut [f32], values: impl Iterator<Item = &'a f32>) {
    for (out, value) in out.iter_mut().zip(values) {
        *out = *value;
    }
}
