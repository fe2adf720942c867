//! A utilisation trace (time, id, value) laid over the requests of a scenario:
//! `demand(t) = request * factor(t)`, where the factor rises with the recorded value.
//!
//! Values are averaged over the scenario's ticks; a tick without values keeps the one before. Each
//! id becomes a series, and the workloads follow them in turn. Training plays the first part of the
//! trace, evaluation the rest.

use super::imported::ImportedOnline;
use super::table::Table;
use crate::episode::history::filled;
use crate::input::InputError;
use crate::scenario::{DemandProcess, Mode, Scenario, ScenarioError, Windows};
use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::path::Path;

/// Times beyond these are damage: they hold every date in seconds and milliseconds.
const TIMES_S: [f64; 2] = [0.0, 1e13];
const VALUES: [f64; 2] = [0.0, 1e12];
/// Below 0 by at most this share of the highest value, a value counts as 0: averages of counters come
/// out like that.
const ROUNDING: f64 = 1e-6;
/// Most bad rows that a report names.
const MOST_NAMED: usize = 3;
/// Most ticks of a trace: a million hold 19 years of ten minutes.
const MOST_TICKS: f64 = 1e6;
/// Most ids x ticks: the table of all values takes 16 bytes for each.
const MOST_CELLS: usize = 50_000_000;

/// What the user may choose about an imported trace.
#[derive(Debug, Clone, PartialEq)]
pub struct TraceOptions {
    /// Columns of the time in seconds, the id and the value.
    pub columns: [String; 3],
    /// Factor on the request where the value is 0, and where it is the highest of the training part
    /// (higher ones count as that); 0 to 100, ascending.
    pub factors: [f32; 2],
    /// Share of the trace's ticks in which an id must have a value, or it is left out.
    pub coverage: f64,
    /// Share of the trace that training plays.
    pub split: f64,
    /// Ticks of an episode; if left out, as the scenario has them, but at most half of the shorter
    /// part.
    pub ticks: Option<u32>,
    /// Resources that follow the trace; empty for all.
    pub resources: Vec<String>,
    /// Whether the first bad row is an error. Else bad rows are left out, as long as there are more
    /// good ones.
    pub strict: bool,
}

impl Default for TraceOptions {
    fn default() -> Self {
        Self {
            columns: ["time", "id", "value"].map(str::to_owned),
            factors: [0.5, 2.0],
            coverage: 0.9,
            split: 0.6,
            ticks: None,
            resources: Vec::new(),
            strict: false,
        }
    }
}

/// Rows that were left out.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BadRows {
    /// How many.
    pub count: usize,
    /// What was wrong with the first few.
    pub first: Vec<String>,
}

impl BadRows {
    /// Counts a bad row, or returns what is wrong with it where none is allowed.
    fn add(&mut self, why: InputError, file: &str, strict: bool) -> Result<(), InputError> {
        if strict {
            return Err(why);
        }
        self.count += 1;
        if self.first.len() < MOST_NAMED {
            let why = why.to_string();
            // The report has named the file already.
            let why =
                why.strip_prefix(file).map_or(why.as_str(), |why| why.trim_start_matches(": "));
            self.first.push(why.to_owned());
        }
        Ok(())
    }
}

/// What an import of a trace kept and what it left out.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TraceReport {
    /// Importer and files.
    pub source: String,
    /// Rows that were read.
    pub rows: usize,
    /// Rows that were left out.
    pub bad: BadRows,
    /// Ids that became series, of how many.
    pub ids: (usize, usize),
    /// Workloads that follow them.
    pub workloads: usize,
    /// Ticks that the trace covers, of how many seconds.
    pub ticks: (u32, f32),
    /// Mean value of the kept ids, the highest of the training part, and the mean factor.
    pub values: (f64, f64, f64),
    /// Ticks that training and evaluation play, `[from, to)`, and those of an episode.
    pub windows: ([u32; 2], [u32; 2], u32),
}

impl fmt::Display for TraceReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rows, bad, ids, workloads, ticks, values: (mean, top, factor), .. } = self;
        writeln!(f, "{}", self.source)?;
        writeln!(f, "{rows} rows; {} ticks of {} s", ticks.0, ticks.1)?;
        if bad.count > 0 {
            let more = if bad.count > bad.first.len() { "; ..." } else { "" };
            writeln!(f, "bad rows left out: {} ({}{more})", bad.count, bad.first.join("; "))?;
        }
        writeln!(
            f,
            "{} series for {workloads} workloads; left out, too few values: {} ids",
            ids.0,
            ids.1 - ids.0
        )?;
        writeln!(
            f,
            "values: mean {mean:.2}, highest in training {top:.2}; mean factor on the requests {factor:.3}"
        )?;
        let ([a, b], [c, d], episode) = self.windows;
        writeln!(
            f,
            "training plays ticks {a} to {b}, evaluation {c} to {d}; episodes have {episode}"
        )
    }
}

/// Lays a trace over a scenario.
///
/// # Errors
/// When an option is out of its range, the file cannot be read, a row is not what its header says,
/// or the trace is too short.
pub fn trace(
    file: &Path,
    base: &Scenario,
    options: &TraceOptions,
) -> Result<ImportedOnline<TraceReport>, ScenarioError> {
    check(base, options)?;
    let label = file.display().to_string();
    let (rows, bad) = read(file, options)?;
    let tick_s = f64::from(base.rules.episode.tick_s);
    let begin = rows.iter().map(|row| row.0).fold(f64::INFINITY, f64::min);
    let end = rows.iter().map(|row| row.0).fold(begin, f64::max);
    let ticks = ((end - begin) / tick_s).floor() + 1.0;
    if ticks > MOST_TICKS {
        let expected = format!("times that span at most {MOST_TICKS} ticks of {tick_s} s");
        return Err(InputError::field(
            label,
            &options.columns[0],
            expected,
            format!("{ticks} ticks"),
        )
        .into());
    }
    let ticks = ticks as usize;
    let ids = rows.iter().map(|row| row.1.as_str()).collect::<HashSet<_>>().len();
    if ids.saturating_mul(ticks) > MOST_CELLS {
        let expected = format!("at most {MOST_CELLS} ids x ticks (are the times in seconds?)");
        let got = format!("{ids} ids x {ticks} ticks");
        return Err(InputError::field(label, &options.columns[0], expected, got).into());
    }
    let all = by_tick(&rows, begin, tick_s, ticks);
    let enough = |values: &&Vec<Option<f64>>| {
        values.iter().flatten().count() as f64 >= options.coverage * ticks as f64
    };
    let kept: Vec<Vec<f64>> = all.values().filter(enough).map(|values| filled(values)).collect();
    if kept.is_empty() {
        let expected =
            format!("ids with values in a share of {} of the {ticks} ticks", options.coverage);
        return Err(InputError::field(
            label,
            &options.columns[1],
            expected,
            format!("none of {}", all.len()),
        )
        .into());
    }
    let longest = base.rules.episode.ticks;
    let (windows, episode) = windows(&label, ticks as u32, options.split, longest, options.ticks)?;

    // Of the part that training plays: how high the rest will go is not known then.
    let known = windows.train[1] as usize;
    let top = kept.iter().flat_map(|v| &v[..known]).copied().fold(0.0, f64::max);
    let [low, high] = options.factors;
    // Four decimals, and where nothing ever happened the least factor.
    let factor = |value: f64| {
        let share = if top > 0.0 { (value / top).min(1.0) as f32 } else { 0.0 };
        ((low + (high - low) * share) * 1e4).round() / 1e4
    };
    let series: Vec<Vec<f32>> =
        kept.iter().map(|values| values.iter().map(|&value| factor(value)).collect()).collect();
    let count = (kept.len() * ticks) as f64;
    let mut report = TraceReport {
        source: format!("trace from {} on {}", super::openb::file_name(file), base.name),
        rows: rows.len(),
        bad,
        ids: (kept.len(), all.len()),
        workloads: 0,
        ticks: (ticks as u32, base.rules.episode.tick_s),
        values: (
            kept.iter().flatten().sum::<f64>() / count,
            top,
            series.iter().flatten().map(|&factor| f64::from(factor)).sum::<f64>() / count,
        ),
        windows: (windows.train, windows.evaluate, episode),
    };
    let mut scenario = base.clone();
    scenario.rules.episode.ticks = episode;
    scenario.start.windows = Some(windows);
    for group in &mut scenario.workloads {
        // The next group goes on where this one ends.
        let followed = (group.count as usize).min(series.len());
        let first = report.workloads;
        let own = (first..first + followed).map(|at| series[at % series.len()].clone()).collect();
        group.process = DemandProcess::Trace { series: own, resources: options.resources.clone() };
        report.workloads += group.count as usize;
    }
    scenario.description = format!(
        "{} Demand follows a recorded trace; training and evaluation play different parts of it.",
        base.description
    );
    scenario.validate(&format!("{} (imported)", base.name))?;
    Ok(ImportedOnline { scenario, report })
}

fn check(base: &Scenario, options: &TraceOptions) -> Result<(), InputError> {
    let refuse = |field: &str, expected: &str, got: String| {
        Err(InputError::field("import", field, expected, got))
    };
    if base.rules.episode.mode != Mode::Online || base.snapshot.is_some() {
        let expected = "an online scenario with workload groups";
        return refuse("scenario", expected, base.name.clone());
    }
    let [low, high] = options.factors;
    if !(0.0 <= low && low <= high && high <= 100.0) {
        let expected = "two factors from 0 to 100, the first at most the second";
        return refuse("factors", expected, format!("{low} and {high}"));
    }
    for (field, share) in [("coverage", options.coverage), ("split", options.split)] {
        if !(share > 0.0 && share <= 1.0) {
            return refuse(field, "a share above 0, up to 1", share.to_string());
        }
    }
    Ok(())
}

/// Time, id and value.
type Row = (f64, String, f64);

/// The good rows, and what was wrong with others.
fn read(file: &Path, options: &TraceOptions) -> Result<(Vec<Row>, BadRows), InputError> {
    let [time, id, value] = options.columns.each_ref().map(String::as_str);
    let (table, damaged) = Table::read_rows(file, &[time, id, value])?;
    let (label, mut bad) = (file.display().to_string(), BadRows::default());
    for why in damaged {
        bad.add(why, &label, options.strict)?;
    }
    let number = |row| table.text(row, value).parse().ok().filter(|x| *x <= VALUES[1]);
    let highest = table.rows.iter().filter_map(number).fold(0.0, f64::max);
    let read = |row| {
        let name = table.text(row, id);
        if name.is_empty() {
            return table.fail(row, id, "an id", name);
        }
        let at = table.real(row, time, TIMES_S)?;
        let is_rounding = |x: &f64| (-ROUNDING * highest..0.0).contains(x);
        if number(row).is_some_and(|x| is_rounding(&x)) {
            return Ok((at, name.to_owned(), 0.0));
        }
        Ok((at, name.to_owned(), table.real(row, value, VALUES)?))
    };
    let mut rows = Vec::with_capacity(table.rows.len());
    for row in &table.rows {
        match read(row) {
            Ok(row) => rows.push(row),
            Err(why) => bad.add(why, &label, options.strict)?,
        }
    }
    if bad.count > rows.len() {
        let got =
            format!("{} bad of {}, first {}", bad.count, bad.count + rows.len(), bad.first[0]);
        return Err(InputError::field(label, "rows", "more good ones than bad ones", got));
    }
    Ok((rows, bad))
}

/// Each id's mean value in each tick, in the order of the ids.
pub(super) fn by_tick(
    rows: &[(f64, String, f64)],
    begin: f64,
    tick_s: f64,
    ticks: usize,
) -> BTreeMap<&str, Vec<Option<f64>>> {
    let mut sums: BTreeMap<&str, Vec<(f64, u32)>> = BTreeMap::new();
    for (time, id, value) in rows {
        let sums = sums.entry(id).or_insert_with(|| vec![(0.0, 0); ticks]);
        let (sum, count) = &mut sums[(((time - begin) / tick_s) as usize).min(ticks - 1)];
        *sum += value;
        *count += 1;
    }
    let mean = |&(sum, count): &(f64, u32)| (count > 0).then(|| sum / f64::from(count));
    sums.into_iter().map(|(id, sums)| (id, sums.iter().map(mean).collect())).collect()
}

/// The parts of a trace of so many ticks, of which training plays a share, and the ticks of an
/// episode: as asked for, or `longest`, but at most half of the shorter part.
pub(super) fn windows(
    file: &str,
    ticks: u32,
    train: f64,
    longest: u32,
    asked: Option<u32>,
) -> Result<(Windows, u32), InputError> {
    let split = (f64::from(ticks) * train).round() as u32;
    let shorter = split.min(ticks.saturating_sub(split));
    let episode = asked.unwrap_or(longest.min(shorter / 2));
    if episode == 0 || episode >= shorter {
        let expected = format!("parts longer than an episode ({} ticks)", episode.max(1));
        let got = format!("{split} and {} ticks", ticks.saturating_sub(split));
        return Err(InputError::field(file, "split", expected, got));
    }
    Ok((Windows { train: [0, split], evaluate: [split, ticks] }, episode))
}
