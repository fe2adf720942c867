//! Reads the snapshots that a decision log holds.
//!
//! The format is `godwit-decision-log/1`, JSON lines in files `decisions-N.jsonl`:
//! `docs/src/scorer.md` describes it, and `scorer/src/decision_log/record.rs` writes it. That crate
//! builds on this one, so that the few fields that matter here are stated again. Only lines of kind
//! `decision` are looked at, and of them only the snapshot: who decided what is another policy's
//! business.

use crate::input::InputError;
use crate::scenario::Rules;
use crate::snapshot::Snapshot;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const FORMAT: &str = "godwit-decision-log/1";
/// Most ticks that a log may span.
const MOST_TICKS: u64 = 1_000_000;
/// Most ticks x workloads: the scenario file holds a number for each.
const MOST_FACTORS: usize = 10_000_000;

#[derive(Deserialize)]
struct Line {
    format: String,
    kind: String,
    snapshot: Option<Snapshot>,
}

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// Files of the log.
    pub(super) files: usize,
    /// Decisions that could be read.
    pub(super) decisions: usize,
    /// Files that end in the middle of a line, as one does whose process was killed.
    pub(super) torn: usize,
    /// Why lines or their snapshots are left out.
    pub(super) skipped: Vec<String>,
    /// The latest snapshot of each tick that has one.
    pub(super) ticks: BTreeMap<u64, Snapshot>,
    /// Length of a tick in seconds, where the snapshots tell.
    pub(super) tick_s: Option<f64>,
}

impl Log {
    /// Reads all files of a log, the oldest first.
    ///
    /// # Errors
    /// When the folder or a file cannot be read, or there is no snapshot at all.
    pub(super) fn read(folder: &Path, tick_s: f64) -> Result<Self, InputError> {
        let mut log = Self::default();
        let mut snapshots = Vec::new();
        for path in files(folder)? {
            let bytes = std::fs::read(&path).map_err(|error| unreadable(&path, error))?;
            log.files += 1;
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            log.lines(&bytes, &name, &mut snapshots);
        }
        log.decisions = snapshots.len();
        log.by_tick(snapshots, tick_s);
        if log.ticks.is_empty() {
            let expected = format!("decisions-N.jsonl with decisions of {FORMAT}");
            let got = match log.skipped.first() {
                Some(first) => format!("none; {} lines skipped, first {first}", log.skipped.len()),
                None => format!("{} files without any", log.files),
            };
            return Err(InputError::field(folder.display().to_string(), "log", expected, got));
        }
        Ok(log)
    }

    fn lines(&mut self, bytes: &[u8], file: &str, snapshots: &mut Vec<(String, Snapshot)>) {
        for (at, line) in (1..).zip(bytes.split_inclusive(|&byte| byte == b'\n')) {
            let Some(line) = line.strip_suffix(b"\n") else {
                self.torn += 1;
                continue;
            };
            let label = format!("{file} line {at}");
            match snapshot(line, &label) {
                Ok(Some(snapshot)) => snapshots.push((label, snapshot)),
                Ok(None) => {}
                Err(why) => self.skipped.push(why),
            }
        }
    }

    /// Finds each snapshot's tick: as stated, else by its time, else one after the other. Of several
    /// in a tick the last is kept.
    fn by_tick(&mut self, snapshots: Vec<(String, Snapshot)>, tick_s: f64) {
        let states_tick = snapshots.iter().any(|(_, snapshot)| snapshot.tick.is_some());
        let times = snapshots.iter().filter_map(|(_, snapshot)| snapshot.taken_at_s);
        let begin = times.fold(f64::INFINITY, f64::min);
        for (at, (label, snapshot)) in (0..).zip(snapshots) {
            let tick = if states_tick {
                snapshot.tick.ok_or("tick")
            } else if begin.is_finite() {
                let since = snapshot.taken_at_s.map(|taken| ((taken - begin) / tick_s).round());
                since.map(|ticks| ticks as u64).ok_or("taken_at_s")
            } else {
                Ok(at)
            };
            match tick {
                Ok(tick) => drop(self.ticks.insert(tick, snapshot)),
                Err(field) => self.skipped.push(format!(
                    "{label}: {field}: expected a value, as other snapshots have one, got none"
                )),
            }
        }
        let mut timed = self.ticks.iter().filter(|(_, snapshot)| snapshot.taken_at_s.is_some());
        if let (true, Some(first), Some(last)) = (states_tick, timed.next(), timed.next_back()) {
            let taken = |(_, snapshot): (&u64, &Snapshot)| snapshot.taken_at_s.unwrap_or_default();
            let seconds = (taken(last) - taken(first)) / (last.0 - first.0) as f64;
            self.tick_s = (seconds > 0.0).then_some(seconds);
        }
    }

    /// Brings the snapshots' resources into one order, that of the rules or of the first snapshot, and
    /// leaves out those with other kinds.
    pub(super) fn one_order(
        &mut self,
        rules: Option<&Rules>,
        label: &str,
    ) -> Result<Vec<String>, InputError> {
        let first = self.ticks.values().next().map(|snapshot| snapshot.resources.clone());
        let of_rules = rules
            .map(|rules| rules.resources.iter().map(|kind| kind.name.clone()).collect::<Vec<_>>());
        let wanted = of_rules.or(first).unwrap_or_default();
        let mut skipped = Vec::new();
        self.ticks.retain(|tick, snapshot| {
            let place = |name: &String| snapshot.resources.iter().position(|other| other == name);
            let order: Vec<usize> = wanted.iter().filter_map(place).collect();
            let fits = order.len() == wanted.len() && snapshot.resources.len() == wanted.len();
            if !fits {
                skipped.push(format!(
                    "tick {tick}: resources: expected {wanted:?}, got {:?}",
                    snapshot.resources
                ));
                return false;
            }
            let pick = |values: &mut Vec<f32>| *values = order.iter().map(|&j| values[j]).collect();
            snapshot.nodes.iter_mut().for_each(|node| pick(&mut node.supply));
            snapshot.workloads.iter_mut().for_each(|workload| pick(&mut workload.demand));
            snapshot.resources.clone_from(&wanted);
            true
        });
        self.skipped.extend(skipped);
        if self.ticks.is_empty() {
            let expected = format!("snapshots with the resources {wanted:?}");
            return Err(InputError::field(label, "log", expected, "none"));
        }
        Ok(wanted)
    }

    /// The first tick, and how many there are to the last.
    pub(super) fn span(&self, label: &str) -> Result<(u64, u32), InputError> {
        let ends = self.ticks.keys().next().zip(self.ticks.keys().next_back());
        let (first, last) = ends.map_or((0, 0), |(first, last)| (*first, *last));
        let most = self.ticks.values().map(|snapshot| snapshot.workloads.len()).max().unwrap_or(0);
        let ticks = (last - first).saturating_add(1);
        let cells = usize::try_from(ticks).unwrap_or(usize::MAX).saturating_mul(most);
        let refuse =
            |expected: String, got: String| Err(InputError::field(label, "log", expected, got));
        if ticks < 2 || most == 0 {
            let got = format!("{ticks} ticks, {most} workloads");
            return refuse("workloads in two ticks or more".into(), got);
        }
        if ticks > MOST_TICKS || cells > MOST_FACTORS {
            let expected =
                format!("at most {MOST_TICKS} ticks and {MOST_FACTORS} ticks x workloads");
            return refuse(expected, format!("{ticks} ticks, {most} workloads"));
        }
        Ok((first, ticks as u32))
    }
}

/// The log's files in the order of their numbers.
fn files(folder: &Path) -> Result<Vec<PathBuf>, InputError> {
    let number = |path: &Path| {
        let name = path.file_name()?.to_str()?;
        name.strip_prefix("decisions-")?.strip_suffix(".jsonl")?.parse::<u64>().ok()
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|error| unreadable(folder, error))? {
        let path = entry.map_err(|error| unreadable(folder, error))?.path();
        files.extend(number(&path).map(|number| (number, path)));
    }
    files.sort();
    Ok(files.into_iter().map(|(_, path)| path).collect())
}

/// The snapshot in a line, or why the line says nothing.
fn snapshot(line: &[u8], label: &str) -> Result<Option<Snapshot>, String> {
    let line: Line = serde_json::from_slice(line).map_err(|error| format!("{label}: {error}"))?;
    if line.format != FORMAT {
        return Err(format!("{label}: format: expected {FORMAT}, got {}", line.format));
    }
    if line.kind != "decision" {
        return Ok(None);
    }
    let Some(snapshot) = line.snapshot else {
        return Err(format!("{label}: snapshot: expected one, as of every decision, got none"));
    };
    snapshot.validate(label).map_err(|error| error.to_string())?;
    Ok(Some(snapshot))
}

fn unreadable(path: &Path, source: std::io::Error) -> InputError {
    InputError::Unreadable { file: path.display().to_string(), source }
}
