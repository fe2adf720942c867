//! What Prometheus recorded of a cluster, as a scenario: the cluster of a snapshot, with the demand
//! that its workloads had. Reads the text of its answers; asking for them is up to others.

use super::decision_log::{LogOptions, Recording, Stay};
use super::imported::ImportedOnline;
use super::report::names;
use super::trace::by_tick;
use crate::episode::history::filled;
use crate::input::{InputError, parse_json, read_text};
use crate::scenario::ScenarioError;
use crate::snapshot::Snapshot;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::Path;

/// Most ticks x workloads: the scenario file holds a number for each.
const MOST_FACTORS: usize = 10_000_000;

/// A series of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Times, in seconds since 1970, and values; all finite.
    pub points: Vec<(f64, f64)>,
}

/// An answer of the interface `/api/v1`, as it is written.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "lowercase")]
enum Answer {
    Success { data: Data },
    Error { error: String },
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
enum Data {
    Vector(Vec<Instant>),
    Matrix(Vec<Range>),
    Scalar(Point),
    String(Point),
}

/// Numbers are written as text, as JSON has no NaN.
type Point = (f64, String);

#[derive(Debug, Serialize, Deserialize)]
struct Instant {
    metric: BTreeMap<String, String>,
    value: Point,
}

#[derive(Debug, Serialize, Deserialize)]
struct Range {
    metric: BTreeMap<String, String>,
    #[serde(default)]
    values: Vec<Point>,
}

impl Series {
    /// Reads an answer; `label` is what errors call it. Values that are not finite are left out. A
    /// scalar is a series without labels.
    ///
    /// # Errors
    /// When the text is no answer, or one that says what went wrong.
    pub fn read(text: &str, label: &str) -> Result<Vec<Self>, InputError> {
        let number = |(time, value): Point| {
            let value: Option<f64> = value.parse().ok();
            value.filter(|value| value.is_finite() && time.is_finite()).map(|value| (time, value))
        };
        let one = |labels, point| Self { labels, points: number(point).into_iter().collect() };
        match parse_json(text, label)? {
            Answer::Error { error } => {
                Err(InputError::field(label, "status", "success", format!("error: {error}")))
            }
            Answer::Success { data } => Ok(match data {
                Data::Vector(all) => all.into_iter().map(|s| one(s.metric, s.value)).collect(),
                Data::Scalar(point) | Data::String(point) => vec![one(BTreeMap::new(), point)],
                Data::Matrix(all) => all
                    .into_iter()
                    .map(|s| Self {
                        labels: s.metric,
                        points: s.values.into_iter().filter_map(number).collect(),
                    })
                    .collect(),
            }),
        }
    }

    /// These series as the answer to a range query: what [`Series::read`] reads.
    pub fn write(series: &[Self]) -> String {
        let range = |series: &Self| Range {
            metric: series.labels.clone(),
            values: series.points.iter().map(|(time, value)| (*time, value.to_string())).collect(),
        };
        let data = Data::Matrix(series.iter().map(range).collect());
        // Serialising fails only for maps with keys that are not strings: there is none.
        serde_json::to_string(&Answer::Success { data }).expect("series can be written as JSON")
    }
}

/// Each workload's mean value in each of `ticks` ticks of `tick_s` seconds from `begin` on; points
/// before and after are left out. Workloads are told apart by this label; series without it are left
/// out.
pub fn ticks_of(
    series: &[Series],
    workload_label: &str,
    begin: f64,
    tick_s: f64,
    ticks: usize,
) -> HashMap<String, Vec<Option<f64>>> {
    let end = begin + ticks as f64 * tick_s;
    let of_workloads = series.iter().filter_map(|series| {
        let workload = series.labels.get(workload_label)?;
        Some(series.points.iter().map(|&(time, value)| (time, workload.clone(), value)))
    });
    let rows: Vec<(f64, String, f64)> =
        of_workloads.flatten().filter(|(time, ..)| (begin..end).contains(time)).collect();
    let by_tick = by_tick(&rows, begin, tick_s, ticks);
    by_tick.into_iter().map(|(workload, values)| (workload.to_owned(), values)).collect()
}

/// The value of a history's `format`.
pub const HISTORY_FORMAT: &str = "godwit-history/1";

/// A live cluster and what was recorded of it: one file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct History {
    /// Always `godwit-history/1`.
    pub format: String,
    /// The cluster when it was asked for.
    pub snapshot: Snapshot,
    /// Label of the series that holds the workload's name.
    pub workload_label: String,
    /// What was recorded.
    pub recorded: Vec<RecordedUse>,
}

impl History {
    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read, or is no history.
    pub fn load(path: &Path) -> Result<Self, InputError> {
        let label = path.display().to_string();
        let history: Self = parse_json(&read_text(path)?, &label)?;
        if history.format != HISTORY_FORMAT {
            let got = format!("{:?}", history.format);
            return Err(InputError::field(label, "format", HISTORY_FORMAT, got));
        }
        Ok(history)
    }

    /// [`prometheus`] of it.
    ///
    /// # Errors
    /// As for [`prometheus`].
    pub fn import(
        &self,
        options: &LogOptions,
    ) -> Result<ImportedOnline<PrometheusReport>, ScenarioError> {
        prometheus(&self.snapshot, &self.recorded, &self.workload_label, options)
    }
}

/// The recorded use of one resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedUse {
    /// Name of the resource, as in the snapshot.
    pub resource: String,
    /// Answer to a range query.
    pub text: String,
    /// What errors call that text.
    pub label: String,
    /// What the values are multiplied by to be in the snapshot's unit.
    pub factor: f64,
}

/// What an import of recorded use kept and what it left out.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PrometheusReport {
    /// Importer and snapshot.
    pub source: String,
    /// Series that were read.
    pub series: usize,
    /// Ticks, and their length in seconds.
    pub ticks: (u32, f32),
    /// Nodes and workloads.
    pub size: (usize, usize),
    /// Workloads and resources that keep the snapshot's demand, as nothing was recorded of them.
    pub unrecorded: Vec<String>,
    /// What else the user should know.
    pub notes: Vec<String>,
}

impl fmt::Display for PrometheusReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { source, series, ticks: (ticks, tick_s), size: (nodes, workloads), .. } = self;
        writeln!(f, "{source}")?;
        writeln!(f, "{series} series; {ticks} ticks of {tick_s} s")?;
        writeln!(f, "{nodes} nodes, {workloads} workloads")?;
        if !self.unrecorded.is_empty() {
            let count = self.unrecorded.len();
            writeln!(f, "as in the snapshot all the time: {count} ({})", names(&self.unrecorded))?;
        }
        for note in &self.notes {
            writeln!(f, "note: {note}")?;
        }
        Ok(())
    }
}

/// Turns a snapshot and what was recorded of its workloads into an online scenario. Ticks are those of
/// `options.rules`, or minutes without. Gaps keep the value before them.
///
/// # Errors
/// When an answer cannot be read, is about a resource that the snapshot lacks, or all of them span less
/// than two ticks or too many; or when what they show cannot be played.
pub fn prometheus(
    snapshot: &Snapshot,
    recorded: &[RecordedUse],
    workload_label: &str,
    options: &LogOptions,
) -> Result<ImportedOnline<PrometheusReport>, ScenarioError> {
    let label = "prometheus";
    snapshot.validate(label)?;
    let tick_s = options.rules.as_ref().map_or(60.0, |rules| rules.episode.tick_s);
    let mut read = Vec::with_capacity(recorded.len());
    for using in recorded {
        let at = snapshot.resources.iter().position(|name| *name == using.resource);
        let at = at.ok_or_else(|| {
            let expected =
                format!("a resource of the snapshot ({})", snapshot.resources.join(", "));
            InputError::field(label, "resource", expected, format!("{:?}", using.resource))
        })?;
        read.push((at, using.factor, Series::read(&using.text, &using.label)?));
    }
    let (begin, ticks) = span(&read, tick_s, snapshot.workloads.len())?;
    let mut report = PrometheusReport {
        source: "use recorded by Prometheus".to_owned(),
        series: read.iter().map(|(.., series)| series.len()).sum(),
        ticks: (ticks, tick_s),
        ..PrometheusReport::default()
    };

    let m = snapshot.resources.len();
    let flat = |demand: &[f32]| demand.repeat(ticks as usize);
    let mut demand: Vec<Vec<f32>> = snapshot.workloads.iter().map(|w| flat(&w.demand)).collect();
    for (at, factor, series) in &read {
        let known = ticks_of(series, workload_label, begin, f64::from(tick_s), ticks as usize);
        for (workload, demand) in snapshot.workloads.iter().zip(&mut demand) {
            let Some(values) = known.get(&workload.name) else {
                report.unrecorded.push(format!("{} {}", workload.name, snapshot.resources[*at]));
                continue;
            };
            for (tick, value) in filled(values).into_iter().enumerate() {
                demand[tick * m + at] = (value * factor).max(0.0) as f32;
            }
        }
    }
    // Who waits for a node has not come yet.
    let placed =
        snapshot.workloads.iter().zip(demand).filter(|(workload, _)| workload.node.is_some());
    let stays = placed.map(|(workload, demand)| Stay::throughout(workload.clone(), ticks, demand));
    let recording = Recording::of(snapshot, stays.collect(), ticks);
    report.size = recording.size();
    let description = "A live cluster, with the demand that Prometheus recorded of its workloads.";
    let names = (label, description, label);
    let scenario =
        recording.scenario(names, &snapshot.resources, tick_s, options, &mut report.notes)?;
    Ok(ImportedOnline { scenario, report })
}

/// When the first point is, and how many ticks there are to the last.
fn span(
    read: &[(usize, f64, Vec<Series>)],
    tick_s: f32,
    workloads: usize,
) -> Result<(f64, u32), InputError> {
    let series = read.iter().flat_map(|(.., series)| series);
    let times = || series.clone().flat_map(|series| series.points.iter().map(|point| point.0));
    let begin = times().fold(f64::INFINITY, f64::min);
    let end = times().fold(f64::NEG_INFINITY, f64::max);
    let ticks = if begin <= end { ((end - begin) / f64::from(tick_s)).floor() + 1.0 } else { 0.0 };
    let most = MOST_FACTORS / workloads.max(1);
    if !(2.0..=most as f64).contains(&ticks) {
        let expected = format!("values of 2 to {most} ticks of {tick_s} s");
        return Err(InputError::field("prometheus", "values", expected, format!("{ticks} ticks")));
    }
    Ok((begin, ticks as u32))
}
