//! The package's exceptions, which `godwit/errors.py` defines, and what becomes which of them.

use godwit_envs::env::{ActionError as Refused, ResetError};
use pyo3::PyErr;
use std::fmt::Display;

pyo3::import_exception!(godwit.errors, ActionError);
pyo3::import_exception!(godwit.errors, EpisodeEnded);
pyo3::import_exception!(godwit.errors, EvaluationError);
pyo3::import_exception!(godwit.errors, PolicyError);
pyo3::import_exception!(godwit.errors, ScenarioError);
pyo3::import_exception!(godwit.errors, SnapshotError);
pyo3::import_exception!(godwit.errors, StartError);

/// A scenario that is refused.
pub fn scenario(error: impl Display) -> PyErr {
    ScenarioError::new_err(error.to_string())
}

/// A snapshot, or limits, that are refused.
pub fn snapshot(error: impl Display) -> PyErr {
    SnapshotError::new_err(error.to_string())
}

/// A policy that cannot be used.
pub fn policy(error: impl Display) -> PyErr {
    PolicyError::new_err(error.to_string())
}

/// An episode without a start.
pub fn start(error: ResetError) -> PyErr {
    StartError::new_err(error.to_string())
}

/// An action that an environment refused, and why, where that is known.
pub fn action(error: Refused, why: Option<String>) -> PyErr {
    match error {
        Refused::Ended => EpisodeEnded::new_err(error.to_string()),
        _ => ActionError::new_err(why.unwrap_or_else(|| error.to_string())),
    }
}

/// An error of the comparison.
pub fn evaluation(error: &anyhow::Error) -> PyErr {
    EvaluationError::new_err(format!("{error:#}"))
}
