//! From what a cluster says and what Prometheus found to a snapshot with measured use and forecasts.

use std::collections::HashMap;

use godwit_envs::episode::history::{filled, forecast};
use godwit_envs::importers::{Series, ticks_of};
use godwit_envs::scenario::ForecastRules;
use godwit_envs::snapshot::{Snapshot, SnapshotWorkload};

use super::ask::{All, Found};
use super::settings::Settings;
use crate::cluster::{CallError, Seen};

/// Least time that is looked back for a workload that has no value now, seconds.
const LOOK_BACK_S: f64 = 3600.0;
/// Workloads that a note names.
const NAMED: usize = 3;

/// Ticks before now that are asked for.
pub(super) fn ticks(rules: &ForecastRules, tick_s: f64) -> usize {
    let season = if rules.horizons.is_empty() { 0 } else { rules.period_ticks as usize };
    season.max((LOOK_BACK_S / tick_s).ceil() as usize)
}

/// What is known of the use of one resource by one workload.
struct Known {
    /// In the snapshot's unit.
    now: f64,
    /// Seconds.
    age: f64,
    /// The same at each tick up to now.
    history: Vec<f32>,
}

/// The cluster with measured use. What nothing was ever measured of keeps what the cluster says, and
/// its node is as stale as anything asked for.
pub(super) fn replace(
    mut seen: Seen,
    all: &All,
    settings: &Settings,
    rules: &ForecastRules,
) -> Result<Seen, CallError> {
    let snapshot = &mut seen.snapshot;
    let mut ages: HashMap<String, f64> = HashMap::new();
    let mut known: Vec<Vec<Option<Known>>> = Vec::new();
    let kinds: Vec<usize> =
        all.resources.iter().map(|found| kind(snapshot, &found.name)).collect::<Result<_, _>>()?;
    for found in &all.resources {
        let factor = settings.resources.get(&found.name).map_or(1.0, |query| query.factor);
        let of_all = of_workloads(&snapshot.workloads, found, all, settings, factor)?;
        let missing: Vec<&str> = snapshot
            .workloads
            .iter()
            .zip(&of_all)
            .filter(|(_, known)| known.is_none())
            .map(|(workload, _)| workload.name.as_str())
            .collect();
        if !missing.is_empty() {
            let names = missing.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
            let more = if missing.len() > NAMED { ", ..." } else { "" };
            let of = snapshot.workloads.len();
            let name = &found.name;
            seen.notes.push(format!(
                "{name} of {} of {of} workloads was never measured ({names}{more})",
                missing.len()
            ));
        }
        known.push(of_all);
    }
    for (&j, of_all) in kinds.iter().zip(&known) {
        for (workload, known) in snapshot.workloads.iter_mut().zip(of_all) {
            let age = known.as_ref().map_or(all.ticks as f64 * all.tick_s, |known| known.age);
            if let Some(node) = &workload.node {
                let oldest = ages.entry(node.clone()).or_default();
                *oldest = oldest.max(age);
            }
            if let Some(known) = known {
                workload.demand[j] = known.now as f32;
            }
        }
    }
    for node in &mut snapshot.nodes {
        let age = ages.get(&node.name).copied().unwrap_or(0.0) as f32;
        node.metrics_age_s = node.metrics_age_s.max(age);
    }
    expect(snapshot, &kinds, &known, rules);
    snapshot
        .validate("the cluster with what Prometheus says")
        .map_err(|error| CallError::Refused(error.to_string()))?;
    Ok(seen)
}

fn kind(snapshot: &Snapshot, name: &str) -> Result<usize, CallError> {
    snapshot.resources.iter().position(|resource| resource == name).ok_or_else(|| {
        let have = snapshot.resources.join(", ");
        CallError::Refused(format!("resources: expected some of {have}, got {name:?}"))
    })
}

/// Gives workloads forecasts at each horizon; what was never measured stays as it is.
fn expect(
    snapshot: &mut Snapshot,
    kinds: &[usize],
    known: &[Vec<Option<Known>>],
    rules: &ForecastRules,
) {
    for workload in &mut snapshot.workloads {
        workload.forecast = vec![workload.demand.clone(); rules.horizons.len()];
    }
    for (&j, of_all) in kinds.iter().zip(known) {
        let history: Vec<Vec<f32>> = of_all
            .iter()
            .zip(&snapshot.workloads)
            .map(|(known, workload)| match known {
                Some(known) => known.history.clone(),
                None => vec![workload.demand[j]],
            })
            .collect();
        for (h, row) in forecast(&history, rules).iter().enumerate() {
            for (workload, amount) in snapshot.workloads.iter_mut().zip(row) {
                workload.forecast[h][j] = *amount;
            }
        }
    }
}

fn of_workloads(
    workloads: &[SnapshotWorkload],
    found: &Found,
    all: &All,
    settings: &Settings,
    factor: f64,
) -> Result<Vec<Option<Known>>, CallError> {
    // A tick's value stands in its middle, so that rounding of times cannot put it into another.
    let begin = all.now_s - (all.ticks as f64 + 0.5) * all.tick_s;
    let mut before =
        ticks_of(&found.before, &settings.workload_label, begin, all.tick_s, all.ticks);
    let now = by_workload(&found.now, settings);
    let sampled = by_workload(&found.sampled, settings);
    let known = |workload: &SnapshotWorkload| {
        let value = here(&now, workload, &found.name)?;
        let mut history = before.remove(&workload.name).unwrap_or_else(|| vec![None; all.ticks]);
        history.push(value);
        let Some(last) = history.iter().rposition(Option::is_some) else { return Ok(None) };
        let age = match value {
            Some(_) => {
                here(&sampled, workload, &found.name)?.map_or(0.0, |at| (all.now_s - at).max(0.0))
            }
            None => (all.ticks - last) as f64 * all.tick_s,
        };
        let amounts: Vec<f64> =
            filled(&history).iter().map(|value| (value * factor).max(0.0)).collect();
        Ok(Some(Known {
            now: amounts[all.ticks],
            age,
            history: amounts.iter().map(|amount| *amount as f32).collect(),
        }))
    };
    workloads.iter().map(known).collect()
}

/// The one value of a workload on its node.
fn here(
    of: &HashMap<&str, Vec<(Option<&str>, f64)>>,
    workload: &SnapshotWorkload,
    resource: &str,
) -> Result<Option<f64>, CallError> {
    let all = of.get(workload.name.as_str()).into_iter().flatten();
    let on_its_node =
        all.filter(|(node, _)| node.is_none_or(|node| Some(node) == workload.node.as_deref()));
    let values: Vec<f64> = on_its_node.map(|(_, value)| *value).collect();
    match values.as_slice() {
        [] => Ok(None),
        [value] => Ok(Some(*value)),
        several => Err(CallError::Refused(format!(
            "resources.{resource}.query: expected one result for each workload, got {} for {:?} (add \
             them up: sum by (LABEL) (...))",
            several.len(),
            workload.name
        ))),
    }
}

/// Values of an instant query by workload, with the node that each is of, where a label says it.
fn by_workload<'a>(
    series: &'a [Series],
    settings: &Settings,
) -> HashMap<&'a str, Vec<(Option<&'a str>, f64)>> {
    let mut all: HashMap<&str, Vec<(Option<&str>, f64)>> = HashMap::new();
    for series in series {
        let Some(workload) = series.labels.get(&settings.workload_label) else { continue };
        let node = settings.node_label.as_ref().and_then(|label| series.labels.get(label));
        if let Some((_, value)) = series.points.last() {
            all.entry(workload).or_default().push((node.map(String::as_str), *value));
        }
    }
    all
}
