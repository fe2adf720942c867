//! Live decisions: what the scorer sees in a snapshot, and what it would do.

use crate::arrays::{self, Sizes};
use crate::errors;
use crate::policy::Policy;
use godwit_decide::decision::Decision;
use godwit_decide::engine::{Engine, PlanLimits};
use godwit_decide::safety::Safety;
use godwit_envs::snapshot::Snapshot;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What errors call a snapshot that came as a text.
const LABEL: &str = "snapshot";

/// The arrays that a policy sees of a snapshot (JSON).
#[pyfunction]
pub fn observe<'py>(
    py: Python<'py>,
    snapshot: &str,
    policy: &Policy,
) -> PyResult<Bound<'py, PyDict>> {
    let engine = Engine::new(Arc::clone(&policy.loaded));
    let snapshot = Snapshot::from_json(snapshot, LABEL).map_err(errors::snapshot)?;
    let case = engine.case(snapshot, LABEL).map_err(errors::snapshot)?;
    let (space, seen) = case.observation(policy.loaded.artifact.sections);
    arrays::dict(py, &seen, Sizes::of(&space))
}

/// The decision about a snapshot (JSON), as `godwit-scorer decide` prints it; `limits` is the TOML of
/// an operator's limits.
#[pyfunction]
#[pyo3(signature = (snapshot, policy, *, limits = None, max_moves = u32::MAX, think_ms = 5,
    best_of = 1, deadline_ms = None, stays = false))]
#[expect(clippy::too_many_arguments, reason = "keywords in Python")]
pub fn plan(
    py: Python<'_>,
    snapshot: &str,
    policy: &Policy,
    limits: Option<String>,
    max_moves: u32,
    think_ms: u64,
    best_of: u32,
    deadline_ms: Option<u64>,
    stays: bool,
) -> PyResult<String> {
    py.detach(|| {
        let safety = match limits {
            Some(text) => Safety::recalled(text, "limits").map_err(errors::snapshot)?,
            None => Safety::default(),
        };
        let mut engine = Engine::new(Arc::clone(&policy.loaded));
        let started = Instant::now();
        let snapshot = Snapshot::from_json(snapshot, LABEL).map_err(errors::snapshot)?;
        let mut case = engine.case(snapshot, LABEL).map_err(errors::snapshot)?;
        let read_us = started.elapsed().as_micros() as u64;
        let moment = safety.moment(&mut case, 0);
        let limits = PlanLimits {
            max_moves,
            think: Duration::from_millis(think_ms),
            best_of: best_of.max(1),
            list_stays: stays,
            ..PlanLimits::NONE
        };
        let limits = limits.until(started, deadline_ms.map(Duration::from_millis));
        let times = (started, read_us);
        let decision = Decision::by(&mut engine, &case, &safety, &moment, limits, times)
            .map_err(errors::snapshot)?;
        serde_json::to_string(&decision).map_err(errors::snapshot)
    })
}
