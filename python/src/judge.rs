//! The comparison: trained policies, heuristics and Python callables in the same episodes.

use crate::baselines::Baseline;
use crate::errors;
use crate::policy::Policy as Artifact;
use crate::scenario::Scenario;
use crate::state::State;
use crate::world::phase;
use godwit_envs::state::{Action, ClusterState};
use godwit_evaluate::tuned_file::{Setting, TunedFile};
use godwit_evaluate::{Contender, Factory, Settings, evaluate_until, limits, oscillation};
use godwit_models::baselines::find;
use godwit_models::policy::Policy;
use godwit_models::shell::ShellRules;
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::prelude::*;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How often signals are looked for and progress is told.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Tuned parameters of the scenarios that come with the package.
const TUNED: [(&str, &str); 9] = [
    ("bursty", include_str!("../../baselines/bursty.toml")),
    ("churn", include_str!("../../baselines/churn.toml")),
    ("diurnal", include_str!("../../baselines/diurnal.toml")),
    ("faults", include_str!("../../baselines/faults.toml")),
    ("founding-10x50", include_str!("../../baselines/founding-10x50.toml")),
    ("founding-3x3", include_str!("../../baselines/founding-3x3.toml")),
    ("gpu-defrag", include_str!("../../baselines/gpu-defrag.toml")),
    ("hetero", include_str!("../../baselines/hetero.toml")),
    ("quickstart", include_str!("../../baselines/quickstart.toml")),
];

/// What all contenders of one comparison share.
#[derive(Default)]
struct Shared {
    /// Episodes that were begun.
    begun: AtomicUsize,
    /// Not 0 once no more episodes are to be played.
    stop: AtomicUsize,
    /// What a callable raised.
    raised: Mutex<Option<PyErr>>,
}

impl Shared {
    /// Ends the comparison; the first error is the one that is raised.
    fn give_up(&self, error: PyErr) {
        let mut raised = self.raised.lock().unwrap_or_else(PoisonError::into_inner);
        raised.get_or_insert(error);
        self.stop.store(usize::MAX, Ordering::Relaxed);
    }
}

/// A policy whose episodes are counted.
struct Counted {
    inner: Box<dyn Policy>,
    shared: Arc<Shared>,
}

impl Policy for Counted {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn reset(&mut self, seed: u64) {
        self.shared.begun.fetch_add(1, Ordering::Relaxed);
        self.inner.reset(seed);
    }

    fn act(&mut self, state: &ClusterState) -> Action {
        if self.shared.stop.load(Ordering::Relaxed) != 0 {
            return Action::Stay;
        }
        self.inner.act(state)
    }
}

/// A Python callable as a policy.
struct Called {
    name: String,
    callable: Py<PyAny>,
    /// Its method `reset`, if it has one.
    resets: bool,
    shared: Arc<Shared>,
}

impl Called {
    fn ask(&self, state: &ClusterState) -> PyResult<Action> {
        Python::attach(|py| {
            let state = Bound::new(py, State::new(state.clone()))?;
            let answer = self.callable.call1(py, (state.clone(),))?;
            state.get().action(answer.bind(py))
        })
    }
}

impl Policy for Called {
    fn name(&self) -> &str {
        &self.name
    }

    fn reset(&mut self, seed: u64) {
        if self.resets && self.shared.stop.load(Ordering::Relaxed) == 0 {
            let done = Python::attach(|py| self.callable.call_method1(py, "reset", (seed,)));
            if let Err(error) = done {
                self.shared.give_up(error);
            }
        }
    }

    fn act(&mut self, state: &ClusterState) -> Action {
        match self.ask(state) {
            Ok(action) => action,
            Err(error) => {
                self.shared.give_up(error);
                Action::Stay
            }
        }
    }
}

/// Plays all policies through the same episodes; what came of it as JSON.
#[pyfunction]
#[expect(clippy::too_many_arguments, reason = "keywords in Python")]
pub fn evaluate(
    py: Python<'_>,
    scenario: &Scenario,
    policies: Vec<(String, Bound<'_, PyAny>)>,
    baselines: Vec<String>,
    tuned: Option<PathBuf>,
    tuned_text: Option<String>,
    episodes: usize,
    seed: u64,
    phase_name: &str,
    threads: usize,
    unruled: bool,
    limits_text: Option<String>,
    time_limit_s: Option<f64>,
    progress: Option<Py<PyAny>>,
) -> PyResult<(String, String)> {
    let world = &scenario.inner;
    let mut settings: BTreeMap<String, Setting> = match (tuned, tuned_text) {
        (Some(path), _) => TunedFile::read(&path, world).map_err(errors::scenario)?,
        (None, Some(text)) => TunedFile::parse(&text, "tuned", world).map_err(errors::scenario)?,
        (None, None) => BTreeMap::new(),
    };
    let shared = Arc::new(Shared::default());
    let mut contenders = Vec::new();
    for (name, policy) in policies {
        contenders.push(contender(name, &policy, &shared)?);
    }
    for name in baselines {
        let Some(row) = find(&name) else {
            return Err(errors::policy(format!(
                "baselines: expected names of {:?}, got {name:?}",
                godwit_models::baselines::NAMES
            )));
        };
        contenders.push(Contender::baseline(row.name, settings.remove(row.name)));
    }
    if contenders.is_empty() {
        return Err(errors::policy("policies: expected at least one policy or baseline, got none"));
    }
    let rules = match limits_text {
        Some(text) => ShellRules::from_toml(&text, "limits").map_err(errors::snapshot)?,
        None => ShellRules::default(),
    };
    let rules = Arc::new(rules);
    let contenders: Vec<Contender> = contenders
        .into_iter()
        .map(|one| match time_limit_s {
            Some(seconds) => one.hurried(Duration::from_secs_f64(seconds)),
            None => one,
        })
        .map(|one| if unruled { one } else { limits::within(one, &rules, world) })
        .map(|one| counted(one, &shared))
        .collect();
    let settings = Settings {
        episodes,
        first_seed: seed,
        phase: phase(phase_name)?,
        oscillation_window: oscillation::DEFAULT_WINDOW,
        progress: false,
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    let pool = pool.map_err(|error| PyRuntimeError::new_err(error.to_string()))?;
    let (world, asked, contenders) = (world.clone(), Arc::clone(&shared), Arc::new(contenders));
    let (sender, mut receiver) = channel();
    std::thread::spawn(move || {
        let played = pool.install(|| evaluate_until(&world, &contenders, &settings, &asked.stop));
        // Whoever asked may have gone.
        let _ = sender.send(played);
    });
    let outcome = loop {
        let receiver = &mut receiver;
        match py.detach(move || receiver.recv_timeout(LOOK_EVERY)) {
            Ok(played) => break played,
            Err(RecvTimeoutError::Disconnected) => {
                return Err(PyRuntimeError::new_err("a policy panicked"));
            }
            Err(RecvTimeoutError::Timeout) => {
                let told = py.check_signals().and_then(|()| match &progress {
                    Some(progress) => {
                        progress.call1(py, (shared.begun.load(Ordering::Relaxed),)).map(drop)
                    }
                    None => Ok(()),
                });
                if let Err(error) = told {
                    shared.stop.store(usize::MAX, Ordering::Relaxed);
                    return Err(error);
                }
            }
        }
    };
    if let Some(error) = shared.raised.lock().unwrap_or_else(PoisonError::into_inner).take() {
        return Err(error);
    }
    let evaluation = outcome.map_err(|error| errors::evaluation(&error))?;
    let table = format!(
        "{}\n\n{}",
        godwit_evaluate::narrow::heading(&evaluation),
        godwit_evaluate::narrow::table(&evaluation)
    );
    let json =
        serde_json::to_string(&evaluation).map_err(|error| errors::evaluation(&error.into()))?;
    Ok((json, table))
}

fn counted(contender: Contender, shared: &Arc<Shared>) -> Contender {
    let (free, shared) = (contender.factory, Arc::clone(shared));
    let factory = move || -> Box<dyn Policy> {
        Box::new(Counted { inner: free(), shared: Arc::clone(&shared) })
    };
    Contender { factory: Box::new(factory), ..contender }
}

/// A trained policy, a heuristic with parameters, or a callable.
fn contender(name: String, policy: &Bound<'_, PyAny>, shared: &Arc<Shared>) -> PyResult<Contender> {
    if let Ok(artifact) = policy.cast::<Artifact>() {
        return Ok(Contender::trained(&artifact.get().playing(&name)));
    }
    if let Ok(baseline) = policy.cast::<Baseline>() {
        let (row, values) = (baseline.get().row, baseline.get().values.clone());
        let setting = Setting { tuned: !values.is_empty(), parameters: values };
        return Ok(Contender { name, ..Contender::baseline(row.name, Some(setting)) });
    }
    if !policy.is_callable() {
        let kind = policy.get_type().name()?;
        return Err(PyTypeError::new_err(format!(
            "policies[{name:?}]: expected a godwit.Policy, a baseline or a callable, got {kind}"
        )));
    }
    let resets = policy.hasattr("reset")?;
    let (callable, shared) = (policy.clone().unbind(), Arc::clone(shared));
    let of = name.clone();
    // Each thread has its own copy of what remembers something.
    let factory: Factory = Box::new(move || {
        let callable = Python::attach(|py| {
            if !resets {
                return callable.clone_ref(py);
            }
            let copied = py
                .import("copy")
                .and_then(|copy| copy.call_method1("deepcopy", (callable.bind(py),)));
            match copied {
                Ok(copied) => copied.unbind(),
                Err(error) => {
                    shared.give_up(error);
                    callable.clone_ref(py)
                }
            }
        });
        Box::new(Called { name: of.clone(), callable, resets, shared: Arc::clone(&shared) })
    });
    Ok(Contender::of(name, factory))
}

/// Parameters that were tuned for a scenario that comes with the package.
#[pyfunction]
pub fn tuned_file(scenario: &str) -> PyResult<&'static str> {
    TUNED.iter().find(|(name, _)| *name == scenario).map(|(_, text)| *text).ok_or_else(|| {
        errors::scenario(format!(
            "tuned: expected a path, as only scenarios that come with the package have tuned \
             parameters here, got scenario {scenario:?}"
        ))
    })
}
