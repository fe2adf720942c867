//! Heuristics by name.

use crate::errors;
use crate::state::State;
use godwit_models::baselines::{Assignment, BASELINES, Baseline as Row, baseline_with};
use godwit_models::policy::Policy;
use pyo3::prelude::*;
use std::sync::{Mutex, PoisonError};

/// A heuristic that comes with the package: called with a state, it returns a move.
#[pyclass(frozen, module = "godwit._native")]
pub struct Baseline {
    pub row: &'static Row,
    pub values: Assignment,
    policy: Mutex<Box<dyn Policy>>,
}

impl Baseline {
    fn new(row: &'static Row, values: Assignment) -> PyResult<Self> {
        let policy = Mutex::new(baseline_with(row.name, &values).map_err(errors::policy)?);
        Ok(Self { row, values, policy })
    }
}

#[pymethods]
impl Baseline {
    /// Its name.
    #[getter]
    fn name(&self) -> &str {
        self.row.name
    }

    /// What it does, in a line.
    #[getter]
    fn description(&self) -> &str {
        self.row.description
    }

    /// Where it comes from, if it was published.
    #[getter]
    fn source(&self) -> Option<&str> {
        self.row.source
    }

    /// Its parameters: name, meaning, range in words, and value.
    #[getter]
    fn parameters(&self) -> Vec<(String, String, String, f64)> {
        let Some(declaration) = self.row.declaration() else { return Vec::new() };
        let parameters = declaration.parameters();
        let of = |p: &godwit_models::baselines::parameters::Parameter| {
            let value = self.values.get(p.name).copied().unwrap_or(p.default);
            (p.name.to_owned(), p.meaning.to_owned(), p.range(), value)
        };
        parameters.iter().map(of).collect()
    }

    /// The same with other parameters; those that are not named keep their defaults.
    fn with_parameters(&self, values: Assignment) -> PyResult<Self> {
        Self::new(self.row, values)
    }

    /// Forgets the last episode.
    #[pyo3(signature = (seed = 0))]
    fn reset(&self, seed: u64) {
        self.policy.lock().unwrap_or_else(PoisonError::into_inner).reset(seed);
    }

    /// The move that it makes: workload and destination, or none to stay.
    fn __call__(&self, py: Python<'_>, state: &State) -> Option<(usize, usize)> {
        let action = py.detach(|| {
            self.policy.lock().unwrap_or_else(PoisonError::into_inner).act(&state.state)
        });
        match action {
            godwit_envs::Action::Stay => None,
            godwit_envs::Action::Migrate { workload, destination } => Some((workload, destination)),
        }
    }

    fn __repr__(&self) -> String {
        format!("<baseline {}: {}>", self.row.name, self.row.description)
    }
}

/// All heuristics, the simplest first.
#[pyfunction]
pub fn baselines() -> PyResult<Vec<Baseline>> {
    BASELINES.iter().map(|row| Baseline::new(row, Assignment::new())).collect()
}
