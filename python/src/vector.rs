//! Many environments at once, stepped by threads of their own into arrays that the caller owns.

use crate::arrays::Sizes;
use crate::errors;
use crate::rows::{Arrays, Rows, Scratch, writable};
use crate::scenario::Scenario;
use crate::world::{cluster, features, refusal};
use godwit_envs::env::cluster_env::ClusterEnv;
use godwit_envs::env::{ActionError, Env as _, EpisodeEnd, ResetError};
use godwit_envs::rng::child_seed;
use numpy::PyReadonlyArray1;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::sync::{Mutex, PoisonError};

/// Copies of an environment: what `godwit.VectorEnv` stands on.
#[pyclass(module = "godwit._native")]
pub struct Vector {
    slots: Vec<Slot>,
    sizes: Sizes,
    seed: u64,
    threads: usize,
    pool: Option<Pool>,
    /// One for each thread: a copy's own would not stay in the cache.
    scratch: Vec<Mutex<Scratch>>,
}

struct Slot {
    env: ClusterEnv,
    episodes: u64,
    reward: f32,
    end: Option<EpisodeEnd>,
    elapsed_ticks: u32,
}

/// Threads, which a forked process does not have.
struct Pool {
    process: u32,
    threads: ThreadPool,
}

/// A failure of one copy.
enum Failure {
    Action(ActionError),
    Start(ResetError),
}

impl Slot {
    fn start(&mut self, seed: u64) -> Result<(), Failure> {
        self.env.reset(seed).map_err(Failure::Start)?;
        self.episodes += 1;
        Ok(())
    }

    fn step(&mut self, action: i64) -> Result<(), Failure> {
        let index = usize::try_from(action).unwrap_or(usize::MAX);
        let step = self.env.step(index).map_err(Failure::Action)?;
        (self.reward, self.end, self.elapsed_ticks) = (step.reward, step.end, step.elapsed_ticks);
        Ok(())
    }
}

#[pymethods]
impl Vector {
    #[new]
    fn new(
        py: Python<'_>,
        scenario: &Scenario,
        phase: &str,
        copies: usize,
        threads: usize,
    ) -> PyResult<Self> {
        if copies == 0 {
            return Err(PyValueError::new_err("num_envs: expected at least 1, got 0"));
        }
        let env = py.detach(|| cluster(scenario, phase))?;
        let sizes = Sizes::of(env.observation_space());
        let slot =
            || Slot { env: env.clone(), episodes: 0, reward: 0.0, end: None, elapsed_ticks: 0 };
        let slots = (0..copies).map(|_| slot()).collect();
        Ok(Self { slots, sizes, seed: 0, threads, pool: None, scratch: Vec::new() })
    }

    /// N, K, A, and the numbers of features of a node, a workload, the cluster and a candidate.
    #[getter]
    fn sizes(&self) -> (usize, usize, usize, usize, usize, usize, usize) {
        self.sizes.tuple()
    }

    /// Names of the features of nodes, workloads, the cluster and candidates.
    #[getter]
    fn features<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        features(py, &self.slots[0].env.observation_space().schema)
    }

    /// Starts every copy's first episode of this seed, or of a seed each, and writes what is seen.
    #[pyo3(signature = (seed, seeds, arrays))]
    fn reset(
        &mut self,
        py: Python<'_>,
        seed: u64,
        seeds: Option<Vec<u64>>,
        arrays: &Bound<'_, PyDict>,
    ) -> PyResult<()> {
        let copies = self.slots.len();
        self.seed = seed;
        let first = |copy: u64| child_seed(seed, copy);
        let seeds = seeds.unwrap_or_else(|| (0..copies as u64).map(first).collect());
        let mut arrays = Arrays::of(arrays, self.sizes)?;
        let mut rows = arrays.rows(copies)?;
        self.play(py, &mut rows, |copy, slot, rows, scratch| {
            slot.episodes = 0;
            slot.start(seeds[copy])?;
            rows.show(&slot.env, scratch);
            Ok(())
        })
    }

    /// Takes an action in every copy and writes what is seen then: of an episode that ended, the start
    /// of the next one, and its last observation into the same row of `finals`. Rewards, ends (bit 0:
    /// terminated, bit 1: truncated) and elapsed ticks go into three more of the arrays.
    fn step(
        &mut self,
        py: Python<'_>,
        actions: PyReadonlyArray1<'_, i64>,
        arrays: &Bound<'_, PyDict>,
        finals: &Bound<'_, PyDict>,
    ) -> PyResult<()> {
        let (actions, copies) = (actions.as_slice()?, self.slots.len());
        if actions.len() != copies {
            return Err(errors::ActionError::new_err(format!(
                "actions: expected {copies}, one for each environment, got {}",
                actions.len()
            )));
        }
        // Before any copy has done anything: a refusal changes nothing.
        for (copy, (slot, &action)) in self.slots.iter().zip(actions).enumerate() {
            if let Some(why) = refusal(&slot.env, action) {
                return Err(errors::ActionError::new_err(format!("environment {copy}: {why}")));
            }
        }
        let mut rewards = writable::<f32>(arrays, "reward")?;
        let mut ends = writable::<i8>(arrays, "end")?;
        let mut ticks = writable::<i32>(arrays, "elapsed_ticks")?;
        let (mut now, mut last) =
            (Arrays::of(arrays, self.sizes)?, Arrays::of(finals, self.sizes)?);
        let (now, last) = (now.rows(copies)?, last.rows(copies)?);
        let mut rows: Vec<(Rows<'_>, Rows<'_>)> = now.into_iter().zip(last).collect();
        let seed = self.seed;
        self.play(py, &mut rows, |copy, slot, (now, last), scratch| {
            slot.step(actions[copy])?;
            if slot.end.is_some() {
                last.show(&slot.env, scratch);
                slot.start(child_seed(seed, slot.episodes * copies as u64 + copy as u64))?;
            }
            now.show(&slot.env, scratch);
            Ok(())
        })?;
        let (rewards, ends, ticks) =
            (rewards.as_slice_mut()?, ends.as_slice_mut()?, ticks.as_slice_mut()?);
        let out = rewards.iter_mut().zip(ends).zip(ticks);
        for (slot, ((reward, end), ticks)) in self.slots.iter().zip(out) {
            *reward = slot.reward;
            *end = match slot.end {
                None => 0,
                Some(EpisodeEnd::Terminated) => 1,
                Some(EpisodeEnd::Truncated) => 2,
            };
            *ticks = slot.elapsed_ticks as i32;
        }
        Ok(())
    }
}

impl Vector {
    /// Lets each copy do something with its rows, on all threads and without the interpreter's lock.
    fn play<R: Send>(
        &mut self,
        py: Python<'_>,
        rows: &mut [R],
        act: impl Fn(usize, &mut Slot, &mut R, &mut Scratch) -> Result<(), Failure> + Sync + Send,
    ) -> PyResult<()> {
        self.provide_threads()?;
        let (slots, pool, scratch) = (&mut self.slots, &self.pool, &self.scratch);
        let done = py.detach(|| {
            let work = |(copy, (slot, rows)): (usize, (&mut Slot, &mut R))| {
                let thread = rayon::current_thread_index().unwrap_or(0);
                // Nobody else has this thread's; a panic leaves nothing in it that is read again.
                let mut scratch = scratch[thread].lock().unwrap_or_else(PoisonError::into_inner);
                act(copy, slot, rows, &mut scratch).map_err(|failure| (copy, failure))
            };
            match pool {
                Some(pool) => pool.threads.install(|| {
                    slots.par_iter_mut().zip(rows.par_iter_mut()).enumerate().try_for_each(work)
                }),
                None => slots.iter_mut().zip(rows.iter_mut()).enumerate().try_for_each(work),
            }
        });
        done.map_err(|(copy, failure)| match failure {
            Failure::Action(error) => {
                let why = format!("environment {copy}: {error}");
                errors::action(error, Some(why))
            }
            Failure::Start(error) => errors::start(error),
        })
    }

    /// Sees to it that there are threads in this process, and what each of them needs.
    fn provide_threads(&mut self) -> PyResult<()> {
        let process = std::process::id();
        let there = self.pool.as_ref().is_some_and(|pool| pool.process == process);
        if self.threads != 1 && !there {
            let threads = ThreadPoolBuilder::new()
                .num_threads(self.threads)
                .build()
                .map_err(|error| PyRuntimeError::new_err(error.to_string()))?;
            // Of a pool that stayed behind in another process nothing can be waited for.
            if let Some(pool) = self.pool.replace(Pool { process, threads }) {
                std::mem::forget(pool);
            }
        }
        let threads = self.pool.as_ref().map_or(1, |pool| pool.threads.current_num_threads());
        let space = self.slots[0].env.observation_space();
        self.scratch.resize_with(threads, || Mutex::new(Scratch::new(space)));
        Ok(())
    }
}
