//! Hyper-parameter search: random settings, of which successive halving lets the better ones train
//! longer.
//!
//! A trial is one drawn setting; it has an ordinary run directory for each scenario and seed. At
//! the end of a rung its runs pause, evaluated and resumable; the better trials go on from there.
//! The learning-rate and exploration schedules span the whole run from the start, so that the
//! winner is the very run that `godwit train` would have made with its settings.
//!
//! Each run notes what it came to at each rung in its own directory: after a kill, the same sweep
//! finds what is done and goes on with the rest. Results depend neither on kills nor on threads.

pub mod plan;
mod record;
pub mod results;
pub mod space;

use crate::checkpoint::{self, RunDirectory};
use crate::distributed::Group;
use crate::learn::finite::Stopped;
use crate::logging::hparams::{
    HyperDomain, HyperParameter, HyperValue, write_experiment, write_session,
};
use crate::train::assemble;
use crate::train::mixture::Mixture;
use crate::train::run::{self, RunEnd, Session};
use anyhow::{Context, anyhow, ensure};
use plan::{Plan, Run};
use record::Record;
use results::{Standing, standing};
use space::Domain;
use std::any::Any;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use tch::Device;
use toml::Value;

/// Where and how a sweep runs.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// Directory of the sweep.
    pub folder: &'a Path,
    /// Where updates are computed.
    pub device: Device,
    /// Runs side by side.
    pub jobs: usize,
    /// Threads that the runs side by side share; each has at least one.
    pub threads: usize,
    /// Processes that share out the runs; they see the same directory.
    pub group: Option<&'a dyn Group>,
    /// Asks for a tidy end.
    pub stop: &'a AtomicBool,
    /// Counts env steps, those of earlier parts of the sweep included.
    pub env_steps: &'a AtomicU64,
}

/// Runs the sweep, or what an earlier process has left of it, and tells where each trial stands.
/// `None` when it was asked to stop. `done` hears of every run that ends a rung: the run, its env
/// steps and its best mean validation return.
///
/// # Errors
/// When a run fails; the others are paused first. The same call goes on with what is left.
pub fn sweep(
    plan: &Plan,
    place: Place,
    done: &(dyn Fn(Run, u64, f64) + Sync),
) -> anyhow::Result<Option<Vec<Standing>>> {
    if place.group.is_none_or(|group| group.rank() == 0) {
        write_experiment(place.folder, &hyper_parameters(plan))?;
    }
    let mut alive: Vec<usize> = (0..plan.trials.len()).collect();
    let mut standings = Vec::new();
    for rung in 0..plan.rungs.len() {
        alive.truncate(plan.rungs[rung].trials);
        let Some(returns) = climb(plan, place, rung, &alive, done)? else { return Ok(None) };
        // The better ones of this rung stand before those that did not reach it.
        let reached = standing(plan, rung, &alive, &returns);
        alive = reached.iter().map(|standing| standing.trial).collect();
        standings.retain(|before: &Standing| !alive.contains(&before.trial));
        standings = reached.into_iter().chain(standings).collect();
    }
    Ok(Some(standings))
}

/// Brings all runs of these trials to the end of a rung: their returns, in the order of
/// [`Plan::runs`], trial by trial.
fn climb(
    plan: &Plan,
    place: Place,
    rung: usize,
    trials: &[usize],
    done: &(dyn Fn(Run, u64, f64) + Sync),
) -> anyhow::Result<Option<Vec<Vec<f64>>>> {
    let runs: Vec<Run> = trials.iter().flat_map(|&trial| plan.runs(trial)).collect();
    let found: Vec<Mutex<Option<f64>>> = runs.iter().map(|_| Mutex::new(None)).collect();
    let failure = Mutex::new(None);
    let (rank, ranks) = place.group.map_or((0, 1), |group| (group.rank(), group.size()));
    let next = AtomicUsize::new(rank);
    let jobs = place.jobs.min(runs.len().div_ceil(ranks)).max(1);
    let work = || {
        loop {
            let at = next.fetch_add(ranks, Ordering::Relaxed);
            let Some(&run) = runs.get(at).filter(|_| !place.stop.load(Ordering::Relaxed)) else {
                return Ok(());
            };
            if let Some(value) =
                advance(plan, place, rung, run).with_context(|| plan.folder(run))?
            {
                done(run, plan.rungs[rung].env_steps, value);
                *found[at].lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(value);
            }
        }
    };
    std::thread::scope(|scope| -> anyhow::Result<()> {
        for job in 0..jobs {
            // Threads are shared out to the last one.
            let threads = (place.threads * (job + 1) / jobs - place.threads * job / jobs).max(1);
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
            let (work, failure) = (&work, &failure);
            scope.spawn(move || {
                // libtorch reports a lack of memory as a panic; the other runs are to be paused.
                let work = std::panic::AssertUnwindSafe(|| pool.install(work));
                let outcome = std::panic::catch_unwind(work)
                    .unwrap_or_else(|panic| Err(anyhow!("a run panicked: {}", text_of(&*panic))));
                if let Err(error) = outcome {
                    place.stop.store(true, Ordering::Relaxed);
                    let mut first = failure.lock().unwrap_or_else(|p| p.into_inner());
                    first.get_or_insert(error);
                }
            });
        }
        Ok(())
    })?;
    let failure = failure.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    let mut found: Vec<Option<f64>> = found
        .into_iter()
        .map(|value| value.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner()))
        .collect();
    let outcome = failure.map_or(Ok(()), Err);
    match place.group {
        None => outcome?,
        Some(group) => {
            group.together(outcome)?;
            // Index and return of every run that this rank has brought to the end.
            let own =
                found.iter().enumerate().filter_map(|(at, value)| Some([at as f64, (*value)?]));
            let own: Vec<f64> = own.flatten().collect();
            for pair in group.gather(&own).iter().flat_map(|pairs| pairs.chunks_exact(2)) {
                found[pair[0] as usize] = Some(pair[1]);
            }
        }
    }
    let values: Option<Vec<f64>> = found.into_iter().collect();
    let each = plan.scenarios.len() * plan.seeds.len();
    Ok(values.map(|values| values.chunks(each).map(<[f64]>::to_vec).collect()))
}

fn text_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message")
}

/// Brings one run to the end of a rung: its best mean validation return, NaN when training met a
/// number that is not finite, or `None` when it was asked to stop before.
fn advance(plan: &Plan, place: Place, rung: usize, run: Run) -> anyhow::Result<Option<f64>> {
    let folder = place.folder.join(plan.folder(run));
    let until = plan.rungs[rung].env_steps;
    let before = if rung == 0 { 0 } else { plan.rungs[rung - 1].env_steps };
    let mut record = Record::read(&folder)?;
    let stopped_before = record.at(before).is_some_and(f64::is_nan);
    if let Some(value) = record.at(until) {
        place.env_steps.fetch_add(until - before, Ordering::Relaxed);
        return Ok(Some(value));
    }
    let mut note = |value: f64| -> anyhow::Result<Option<f64>> {
        record.add(until, value);
        record.write(&folder)?;
        Ok(Some(value))
    };
    if stopped_before {
        place.env_steps.fetch_add(until - before, Ordering::Relaxed);
        return note(f64::NAN);
    }
    let mixture = Mixture::from(plan.scenarios[run.scenario].clone());
    let config = plan.config(run);
    let (directory, mut trainer) = if ["last", "previous"].iter().any(|at| folder.join(at).is_dir())
    {
        let directory = RunDirectory::open(&folder)?;
        let resumed = checkpoint::resume(&directory, place.device)?;
        ensure!(
            resumed.config == config && resumed.mixture.same_worlds(&mixture),
            "expected a run with the scenario and the settings of this sweep, got another"
        );
        (directory, resumed.trainer)
    } else {
        if folder.exists() {
            // A kill came before the run's first checkpoint.
            std::fs::remove_dir_all(&folder).with_context(|| folder.display().to_string())?;
        }
        let trainer = assemble::begin(&mixture, &config, place.device)?;
        let directory = RunDirectory::create(&folder, &mixture, &config)?;
        let values: Vec<(String, HyperValue)> = plan.trials[run.trial]
            .iter()
            .map(|(key, value)| (key.clone(), hyper_value(value)))
            .collect();
        write_session(&folder, &format!("trial {}", run.trial), &values)?;
        (directory, trainer)
    };
    place.env_steps.fetch_add(trainer.counters.env_steps.saturating_sub(before), Ordering::Relaxed);
    let session = Session { stop: place.stop, pause_at: until, silent: Some(place.env_steps) };
    let summary = match run::train_part(&mixture, &mut trainer, &directory, session) {
        // Settings with which nothing can be learnt are an outcome, and the worst one.
        Err(error) if error.is::<Stopped>() => {
            let left = until.saturating_sub(trainer.counters.env_steps);
            place.env_steps.fetch_add(left, Ordering::Relaxed);
            return note(f64::NAN);
        }
        outcome => outcome?,
    };
    if summary.end == RunEnd::Interrupted {
        return Ok(None);
    }
    note(summary.best_return.context("expected an evaluation, got none")?)
}

fn hyper_parameters(plan: &Plan) -> Vec<HyperParameter> {
    let domain = |domain: &Domain| match domain {
        Domain::Values(values) => HyperDomain::Discrete(values.iter().map(hyper_value).collect()),
        Domain::Real { min, max, .. } => HyperDomain::Interval(*min, *max),
        Domain::Integer { min, max, .. } => HyperDomain::Interval(*min as f64, *max as f64),
    };
    let dimensions = plan.dimensions.iter();
    dimensions.map(|d| HyperParameter { key: d.key.clone(), domain: domain(&d.domain) }).collect()
}

fn hyper_value(value: &Value) -> HyperValue {
    match value {
        Value::Integer(number) => HyperValue::Number(*number as f64),
        Value::Float(number) => HyperValue::Number(*number),
        Value::Boolean(on) => HyperValue::Switch(*on),
        Value::String(text) => HyperValue::Text(text.clone()),
        other => HyperValue::Text(other.to_string()),
    }
}
