//! A cluster as heuristics of one's own see it.

use crate::arrays::{self, Sizes};
use crate::errors::ActionError;
use godwit_envs::observe::candidates::CandidateList;
use godwit_envs::observe::encoder::observation;
use godwit_envs::observe::{ObservationBuffer, ObservationSpace};
use godwit_envs::state::{Action, ClusterState};
use numpy::ndarray::{Array1, Array2};
use numpy::{IntoPyArray as _, PyArray1, PyArray2};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::sync::OnceLock;

/// Load of each node: the sum of its utilisations.
pub fn loads(state: &ClusterState) -> Array1<f32> {
    state.now.load[..state.spec.nodes()].iter().copied().collect()
}

/// Demand that each node holds, transfers included, over its supply, `[N, m]`.
fn utilisation(state: &ClusterState) -> Array2<f32> {
    let (spec, m) = (&state.spec, state.spec.resources);
    let padded = spec.padded_nodes();
    Array2::from_shape_fn((spec.nodes(), m), |(i, j)| {
        let at = j * padded + i;
        state.now.held[at] * spec.inverse_supply[at]
    })
}

/// The candidates of a state with what is seen of them.
struct Seen {
    space: ObservationSpace,
    list: CandidateList,
    buffer: ObservationBuffer,
}

/// A cluster at the moment of a decision. Callables get one and return a move.
#[pyclass(frozen, module = "godwit._native")]
pub struct State {
    pub state: ClusterState,
    seen: OnceLock<Seen>,
}

impl State {
    /// Of this cluster.
    pub fn new(state: ClusterState) -> Self {
        Self { state, seen: OnceLock::new() }
    }

    fn seen(&self) -> &Seen {
        self.seen.get_or_init(|| {
            let (space, list, buffer) = observation(&self.state, self.state.rules.sections());
            Seen { space, list, buffer }
        })
    }

    /// The action that a callable's answer stands for.
    ///
    /// # Errors
    /// When it is none, or one that is not allowed.
    pub fn action(&self, answer: &Bound<'_, PyAny>) -> PyResult<Action> {
        if answer.is_none() {
            return Ok(Action::Stay);
        }
        let expected = || {
            let got = answer.repr().map_or_else(|_| "something else".to_owned(), |r| r.to_string());
            ActionError::new_err(format!(
                "expected None, the index of a candidate or (workload, destination), got {got}"
            ))
        };
        let action = if let Ok((workload, destination)) = answer.extract::<(usize, usize)>() {
            Action::Migrate { workload, destination }
        } else if let Ok(index) = answer.extract::<usize>() {
            let Seen { space, list, .. } = self.seen();
            list.action_at(space, index).ok_or_else(|| {
                let last = space.actions - 1;
                ActionError::new_err(format!(
                    "action index: expected a candidate of 0 to {last}, got {index}"
                ))
            })?
        } else {
            return Err(expected());
        };
        if let Action::Migrate { workload, destination } = action {
            self.state.check(workload, destination).map_err(|reason| {
                ActionError::new_err(format!(
                    "expected a move that is allowed, got workload {workload} to node \
                     {destination}: {reason}"
                ))
            })?;
        }
        Ok(action)
    }
}

#[pymethods]
impl State {
    /// Number of nodes.
    #[getter]
    fn nodes(&self) -> usize {
        self.state.spec.nodes()
    }

    /// Number of workload slots.
    #[getter]
    fn workloads(&self) -> usize {
        self.state.spec.workloads()
    }

    /// Current tick.
    #[getter]
    fn tick(&self) -> u32 {
        self.state.tick
    }

    /// Moves that are left: of the episode, or of this tick where the clock runs.
    #[getter]
    fn moves_left(&self) -> u32 {
        self.state.moves_left
    }

    /// Names of the nodes.
    #[getter]
    fn node_names(&self) -> Vec<String> {
        self.state.spec.node_names.clone()
    }

    /// Names of the workloads.
    #[getter]
    fn workload_names(&self) -> Vec<String> {
        self.state.spec.workload_names.clone()
    }

    /// Names of the resources, in the order of the columns of `supply` and `demand`.
    #[getter]
    fn resources(&self) -> Vec<String> {
        self.state.rules.resources.iter().map(|kind| kind.name.clone()).collect()
    }

    /// Supply of each node, `[N, m]`.
    #[getter]
    fn supply<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray2<f32>> {
        let spec = &self.state.spec;
        let padded = spec.padded_nodes();
        let of = |(i, j): (usize, usize)| spec.supply[j * padded + i];
        Array2::from_shape_fn((spec.nodes(), spec.resources), of).into_pyarray(py)
    }

    /// Demand of each workload now, `[K, m]`.
    #[getter]
    fn demand<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray2<f32>> {
        let (spec, m) = (&self.state.spec, self.state.spec.resources);
        let of = |(k, j): (usize, usize)| self.state.demand[k * m + j];
        Array2::from_shape_fn((spec.workloads(), m), of).into_pyarray(py)
    }

    /// Demand that each node holds over its supply, `[N, m]`.
    #[getter]
    fn utilisation<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray2<f32>> {
        utilisation(&self.state).into_pyarray(py)
    }

    /// Load of each node, `[N]`: the sum of its utilisations.
    #[getter]
    fn loads<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<f32>> {
        loads(&self.state).into_pyarray(py)
    }

    /// Node of each workload, `[K]`; -1 for none.
    #[getter]
    fn placement<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<i32>> {
        let nodes: Array1<i32> = self.state.placement.iter().map(|&node| node as i32).collect();
        nodes.into_pyarray(py)
    }

    /// Weighted level of the objective now; less is better.
    #[getter]
    fn level(&self) -> f32 {
        self.state.level()
    }

    /// Whether a workload may move to a node now.
    fn allows(&self, workload: usize, destination: usize) -> bool {
        self.state.check(workload, destination).is_ok()
    }

    /// Why a workload may not move to a node now; none where it may.
    fn refusal(&self, workload: usize, destination: usize) -> Option<String> {
        self.state.check(workload, destination).err().map(|reason| reason.to_string())
    }

    /// What environments show of this state: the same dictionary.
    fn observation<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let seen = self.seen();
        arrays::dict(py, &seen.buffer, Sizes::of(&seen.space))
    }

    /// Whether each candidate may be taken, `[A]` of 0 and 1.
    fn action_masks<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<i8>> {
        let seen = self.seen();
        arrays::mask(&seen.buffer, seen.space.actions).into_pyarray(py)
    }

    /// Index of the candidate that moves a workload to a node; none where that is not offered.
    fn index_of(&self, workload: usize, destination: usize) -> Option<usize> {
        let Seen { space, list, .. } = self.seen();
        list.index_of(space, Action::Migrate { workload, destination })
    }

    fn __repr__(&self) -> String {
        let (n, k) = (self.state.spec.nodes(), self.state.spec.workloads());
        format!(
            "State(tick={}, {n} nodes, {k} workloads, level={:.4})",
            self.state.tick,
            self.state.level()
        )
    }
}
