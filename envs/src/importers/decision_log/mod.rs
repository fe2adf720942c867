//! A decision log of `godwit-scorer serve`, as a scenario: the cluster that was decided about, with
//! the demand that its workloads had from tick to tick, and who came and went.
//!
//! What the policy of the log did is not part of it. Where workloads stand after the first tick, and
//! where arrivals go, is up to whoever plays the scenario.

mod let_off;
mod node_health;
mod read;
mod recording;
mod stays;

use super::imported::{ImportObjective, ImportedOnline};
use super::report::names;
use crate::scenario::{Rules, ScenarioError, SlotRules};
use crate::snapshot::{Snapshot, SnapshotNode};
use node_health::Faults;
use read::Log;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::Path;

pub(super) use recording::Recording;
pub(super) use stays::Stay;

/// What the user may choose about an imported log.
#[derive(Debug, Clone, PartialEq)]
pub struct LogOptions {
    /// Rules of the artifact that decided; without them, those that `objective` and `slot` say.
    pub rules: Option<Rules>,
    /// What the scenario minimises, where there are no rules.
    pub objective: ImportObjective,
    /// Unit of fragmentation, where there are no rules.
    pub slot: Option<SlotRules>,
    /// Share of the log that training plays; evaluation then plays the rest. Without it, both play
    /// the whole log, and training starts from disturbed placements.
    pub split: Option<f64>,
    /// Ticks of an episode; if left out, the whole log or, with a split, as in the rules, but at most
    /// half of the shorter part.
    pub ticks: Option<u32>,
}

impl Default for LogOptions {
    fn default() -> Self {
        let objective = ImportObjective::MaxLoad;
        Self { rules: None, objective, slot: None, split: None, ticks: None }
    }
}

/// What an import of a decision log kept and what it left out.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LogReport {
    /// Importer and folder.
    pub source: String,
    /// Files of the log, and decisions in them that could be read.
    pub read: (usize, usize),
    /// Lines and snapshots that were left out, and why.
    pub skipped: Vec<String>,
    /// Files that end in the middle of a line.
    pub torn: usize,
    /// Ticks that the log spans, those among them that have a snapshot, and their length in seconds.
    pub ticks: (u32, u32, f32),
    /// Nodes and workloads.
    pub size: (usize, usize),
    /// Workloads among them that were not there all the time.
    pub passing: usize,
    /// What else the user should know.
    pub notes: Vec<String>,
}

impl fmt::Display for LogReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { source, read: (files, decisions), skipped, torn, .. } = self;
        let (ticks, recorded, tick_s) = self.ticks;
        writeln!(f, "{source}")?;
        writeln!(
            f,
            "{decisions} decisions in {files} files; {recorded} of {ticks} ticks of {tick_s} s have a snapshot"
        )?;
        if !skipped.is_empty() {
            writeln!(f, "skipped: {} ({})", skipped.len(), names(skipped))?;
        }
        if *torn > 0 {
            writeln!(f, "files that end in the middle of a line: {torn}")?;
        }
        let (nodes, workloads) = self.size;
        writeln!(f, "{nodes} nodes, {workloads} workloads ({} come or go)", self.passing)?;
        for note in &self.notes {
            writeln!(f, "note: {note}")?;
        }
        Ok(())
    }
}

/// Turns the decision log in a folder into an online scenario.
///
/// # Errors
/// When the folder cannot be read or holds no usable decisions of two ticks or more, or what they
/// show cannot be played.
pub fn decision_log(
    folder: &Path,
    options: &LogOptions,
) -> Result<ImportedOnline<LogReport>, ScenarioError> {
    let label = folder.display().to_string();
    let stated_s = options.rules.as_ref().map_or(60.0, |rules| rules.episode.tick_s);
    let mut log = Log::read(folder, f64::from(stated_s))?;
    let resources = log.one_order(options.rules.as_ref(), &label)?;
    let (first, ticks) = log.span(&label)?;
    let rows: Vec<&Snapshot> = (first..first + u64::from(ticks))
        .filter_map(|tick| log.ticks.range(..=tick).next_back().map(|(_, snapshot)| snapshot))
        .collect();

    let mut report = LogReport {
        source: format!("decision log {}", super::openb::file_name(folder)),
        read: (log.files, log.decisions),
        skipped: std::mem::take(&mut log.skipped),
        torn: log.torn,
        ticks: (ticks, log.ticks.len() as u32, log.tick_s.map_or(stated_s, |s| s as f32)),
        ..LogReport::default()
    };
    let recording = Recording {
        nodes: nodes(&rows, &mut report.notes),
        stays: stays::stays(&rows),
        full: stays::overfull(rows[0]),
        faults: Faults::count(&rows),
        ticks,
    };
    report.size = recording.size();
    report.passing = recording.stays.iter().filter(|stay| !stay.lasts(ticks)).count();
    let description =
        "A live cluster as its decision log shows it: demand, arrivals and departures as recorded.";
    let names = ("decision-log", description, label.as_str());
    let scenario =
        recording.scenario(names, &resources, report.ticks.2, options, &mut report.notes)?;
    Ok(ImportedOnline { scenario, report })
}

/// All nodes that were ever there, as they were first seen.
fn nodes<'a>(rows: &[&'a Snapshot], notes: &mut Vec<String>) -> Vec<&'a SnapshotNode> {
    let mut index: HashMap<&str, usize> = HashMap::new();
    let mut nodes: Vec<&SnapshotNode> = Vec::new();
    let (mut missing, mut changed) = (HashSet::new(), HashSet::new());
    for (tick, row) in rows.iter().enumerate() {
        for node in &row.nodes {
            let at = *index.entry(&node.name).or_insert(nodes.len());
            if at == nodes.len() {
                nodes.push(node);
                if tick > 0 {
                    missing.insert(node.name.as_str());
                }
            }
            if nodes[at].supply != node.supply {
                changed.insert(node.name.as_str());
            }
        }
        if row.nodes.len() < nodes.len() {
            let here: HashSet<&str> = row.nodes.iter().map(|node| node.name.as_str()).collect();
            let gone = nodes.iter().map(|node| node.name.as_str());
            missing.extend(gone.filter(|name| !here.contains(name)));
        }
    }
    for (found, what) in [
        (missing.len(), "nodes were not there all the time; the scenario has them throughout"),
        (changed.len(), "nodes changed their supply; the scenario keeps the first"),
    ] {
        if found > 0 {
            notes.push(format!("{found} {what}"));
        }
    }
    nodes
}

#[cfg(test)]
mod tests;
