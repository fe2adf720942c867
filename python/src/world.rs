//! One environment.

use crate::arrays::{self, Sizes};
use crate::errors;
use crate::scenario::Scenario;
use crate::state::State;
use godwit_envs::Action;
use godwit_envs::env::Env as _;
use godwit_envs::env::cluster_env::ClusterEnv;
use godwit_envs::env::{EpisodeEnd, Step};
use godwit_envs::observe::ObservationBuffer;
use godwit_envs::scenario::{Phase, WorldTemplate};
use godwit_envs::state::term::Term;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::sync::Arc;

/// The phase of a name.
pub fn phase(name: &str) -> PyResult<Phase> {
    match name {
        "train" => Ok(Phase::Train),
        "validate" => Ok(Phase::Validate),
        "evaluate" => Ok(Phase::Evaluate),
        _ => Err(PyValueError::new_err(format!(
            "phase: expected \"train\", \"validate\" or \"evaluate\", got {name:?}"
        ))),
    }
}

/// An environment over the episodes of a scenario's phase.
pub fn cluster(scenario: &Scenario, name: &str) -> PyResult<ClusterEnv> {
    let template = Arc::new(WorldTemplate::new(&scenario.inner));
    ClusterEnv::new(template, phase(name)?).map_err(errors::start)
}

/// One environment: what `godwit.ClusterEnv` stands on.
#[pyclass(module = "godwit._native")]
pub struct World {
    env: ClusterEnv,
    seen: ObservationBuffer,
    sizes: Sizes,
}

#[pymethods]
impl World {
    #[new]
    fn new(py: Python<'_>, scenario: &Scenario, phase: &str) -> PyResult<Self> {
        let env = py.detach(|| cluster(scenario, phase))?;
        let space = env.observation_space();
        let (seen, sizes) = (ObservationBuffer::new(space), Sizes::of(space));
        Ok(Self { env, seen, sizes })
    }

    /// N, K, A, and the numbers of features of a node, a workload, the cluster and a candidate.
    #[getter]
    fn sizes(&self) -> (usize, usize, usize, usize, usize, usize, usize) {
        self.sizes.tuple()
    }

    /// Names of the features of nodes, workloads, the cluster and candidates.
    #[getter]
    fn features<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        features(py, &self.env.observation_space().schema)
    }

    /// Starts the episode of this seed.
    fn reset(&mut self, py: Python<'_>, seed: u64) -> PyResult<()> {
        py.detach(|| self.env.reset(seed)).map_err(errors::start)
    }

    /// Takes an action: reward, whether the episode terminated, whether it was truncated, and the
    /// ticks that passed.
    fn step(&mut self, py: Python<'_>, action: i64) -> PyResult<(f32, bool, bool, u32)> {
        let index = usize::try_from(action).unwrap_or(usize::MAX);
        let step: Step = py
            .detach(|| self.env.step(index))
            .map_err(|error| errors::action(error, refusal(&self.env, action)))?;
        let terminated = step.end == Some(EpisodeEnd::Terminated);
        let truncated = step.end == Some(EpisodeEnd::Truncated);
        Ok((step.reward, terminated, truncated, step.elapsed_ticks))
    }

    /// What a policy sees now, in arrays of its own.
    fn observe<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        py.detach(|| self.env.observe(&mut self.seen));
        arrays::dict(py, &self.seen, self.sizes)
    }

    /// The level terms of the objective now, by the names that have a weight in the scenario.
    fn terms<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let out = PyDict::new(py);
        let state = self.env.state();
        for (term, value) in Term::ALL.iter().zip(state.level_terms()) {
            if state.objective.uses(*term) && *term != Term::Own {
                out.set_item(term.name(), value)?;
            }
        }
        for (term, value) in state.now.own_terms(&state.objective) {
            if term.weight > 0.0 {
                out.set_item(&term.name, value)?;
            }
        }
        Ok(out)
    }

    /// Weighted level of the objective now; less is better.
    #[getter]
    fn level(&self) -> f32 {
        self.env.state().level()
    }

    /// Workload and destination of an action; none for staying, and for an index that offers nothing.
    fn action(&self, index: usize) -> Option<(usize, usize)> {
        match self.env.action(index) {
            Some(Action::Migrate { workload, destination }) => Some((workload, destination)),
            _ => None,
        }
    }

    /// Whether the action of an index may be taken now.
    fn allows(&self, index: i64) -> bool {
        refusal(&self.env, index).is_none()
    }

    /// Index of moving a workload to a node; none where that is not offered.
    fn index_of(&self, workload: usize, destination: usize) -> Option<usize> {
        self.env.index_of(Action::Migrate { workload, destination })
    }

    /// The cluster as it is now, for callables that choose moves.
    fn state(&self) -> State {
        State::new(self.env.state().clone())
    }
}

/// Why the action of an index may not be taken now; none where it may.
pub fn refusal(env: &ClusterEnv, index: i64) -> Option<String> {
    let size = env.action_space();
    let Some(at) = usize::try_from(index).ok().filter(|&at| at < size) else {
        return Some(format!("action index: expected 0 to {}, got {index}", size - 1));
    };
    let reason = match env.action(at) {
        Some(Action::Stay) => return None,
        Some(Action::Migrate { workload, destination }) => {
            env.state().check(workload, destination).err()?.to_string()
        }
        None => "this slot offers no action".to_owned(),
    };
    Some(format!("action index {at}: expected a feasible action, got one that is masked: {reason}"))
}

/// Names of features by group.
pub fn features<'py>(
    py: Python<'py>,
    schema: &godwit_envs::observe::schema::ObservationSchema,
) -> PyResult<Bound<'py, PyDict>> {
    let out = PyDict::new(py);
    for (group, features) in [
        ("nodes", &schema.node),
        ("workloads", &schema.workload),
        ("globals", &schema.global),
        ("candidates", &schema.candidate),
    ] {
        let names: Vec<&str> = features.iter().map(|feature| feature.name.as_str()).collect();
        out.set_item(group, names)?;
    }
    Ok(out)
}
