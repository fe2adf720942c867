//! A decision log of `godwit-scorer serve`, as a scenario: the cluster that was decided about, with
//! the demand that its workloads had from tick to tick, and who came and went.
//!
//! What the policy of the log did is not part of it. Where workloads stand after the first tick, and
//! where arrivals go, is up to whoever plays the scenario.

mod node_health;
mod read;
mod stays;

use super::imported::{ImportObjective, ImportedOnline};
use super::report::names;
use crate::resources::ResourceKind;
use crate::scenario::{
    CandidateRules, EpisodeRules, ForecastRules, Limits, Mode, NodeGroup, ObjectiveRules, Perturb,
    Rules, Scenario, ScenarioError, Scheduler, SlotRules, Start, StartPlacement, WorkloadGroup,
};
use crate::snapshot::{Snapshot, SnapshotNode};
use crate::state::migration::MigrationRules;
use crate::state::term::Term;
use node_health::Faults;
use read::Log;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::path::Path;

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
    let nodes = nodes(&rows, &mut report);
    let workloads = workloads(&rows, &resources, &nodes, &mut report);
    let faults = Faults::count(&rows);
    let mut rules = options.rules.clone().unwrap_or_else(|| default_rules(&resources, options));
    let comes_and_goes = workloads.iter().any(|group| group.arrivals.is_some());
    adapt(&mut rules, &faults, comes_and_goes, &mut report);
    let windows = match options.split {
        Some(split) => {
            let (windows, episode) =
                super::trace::windows(&label, ticks, split, rules.episode.ticks, options.ticks)?;
            rules.episode.ticks = episode;
            report.notes.push(format!(
                "training plays ticks {} to {}, evaluation {} to {}, both from random placements",
                windows.train[0], windows.train[1], windows.evaluate[0], windows.evaluate[1]
            ));
            Some(windows)
        }
        None => {
            rules.episode.ticks = options.ticks.unwrap_or(ticks - 1).min(ticks - 1);
            report.notes.push(
                "training and evaluation play the same ticks; training starts from disturbed placements".into(),
            );
            None
        }
    };
    let (placement, perturb) = match windows {
        Some(_) => (StartPlacement::Random, None),
        None => {
            let moves = Some([1, (workloads.len() as u32 / 4).max(2)]);
            (StartPlacement::Listed, Some(Perturb { moves, replace_share: None }))
        }
    };
    let scenario = Scenario {
        name: "decision-log".into(),
        description: "A live cluster as its decision log shows it: demand, arrivals and departures as recorded.".into(),
        rules,
        start: Start { placement, perturb, windows },
        snapshot: None,
        nodes: nodes.iter().map(|node| node_group(node, &resources)).collect(),
        workloads,
        events: Vec::new(),
        train: Some(super::openb_churn::learner_settings()),
        cluster: None,
    };
    scenario.validate(&format!("{label} (imported)"))?;
    Ok(ImportedOnline { scenario, report })
}

/// All nodes that were ever there, as they were first seen.
fn nodes<'a>(rows: &[&'a Snapshot], report: &mut LogReport) -> Vec<&'a SnapshotNode> {
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
            report.notes.push(format!("{found} {what}"));
        }
    }
    report.size.0 = nodes.len();
    nodes
}

fn node_group(node: &SnapshotNode, resources: &[String]) -> NodeGroup {
    let supply = resources.iter().cloned().zip(node.supply.iter().copied());
    NodeGroup {
        name: node.name.clone(),
        count: 1,
        class: node.class.clone(),
        zone: node.zone.clone(),
        supply: supply.filter(|(_, amount)| *amount > 0.0).collect(),
        bandwidth_gib_s: node.bandwidth_gib_s,
        max_workloads: node.max_workloads,
    }
}

/// A group for each workload and, where it was gone in between, for each time that it was there.
fn workloads(
    rows: &[&Snapshot],
    resources: &[String],
    nodes: &[&SnapshotNode],
    report: &mut LogReport,
) -> Vec<WorkloadGroup> {
    let ticks = rows.len() as u32;
    let supply: Vec<f32> = (0..resources.len())
        .map(|j| nodes.iter().map(|node| node.supply[j]).sum::<f32>() / nodes.len() as f32)
        .collect();
    let full = stays::overfull(rows[0]);
    let stays = stays::stays(rows);
    report.size.1 = stays.len();
    report.passing = stays.iter().filter(|stay| !stay.lasts(ticks)).count();
    let (mut missed, mut most) = (0, 0.0_f32);
    let mut groups = Vec::with_capacity(stays.len());
    for stay in &stays {
        let (group, error) = stay.group(resources, &supply, ticks, |node| full.contains(&node));
        groups.push(group);
        // Less is rounding.
        if error > 1e-5 {
            missed += 1;
            most = most.max(error);
        }
    }
    if missed > 0 {
        report.notes.push(format!(
            "the resources of {missed} workloads change apart from each other, and a scenario has one factor for all: one is exact, others are off by up to {:.2} % of a node",
            100.0 * most
        ));
    }
    let off = let_off(&mut groups, nodes);
    if off > 0 {
        report.notes.push(format!(
            "{off} workloads are let off a constraint that they broke from the start (class, anti-affinity)"
        ));
    }
    groups
}

/// Scenarios list no placement that breaks a constraint, and clusters do: who breaks one is let off
/// it. Returns how many are.
fn let_off(groups: &mut [WorkloadGroup], nodes: &[&SnapshotNode]) -> usize {
    let class: HashMap<&str, &str> =
        nodes.iter().map(|node| (node.name.as_str(), node.class.as_str())).collect();
    let known: HashSet<&str> = class.values().copied().collect();
    let mut spread = HashSet::new();
    let mut off = 0;
    for group in groups {
        let asked = !group.classes.is_empty();
        group.classes.retain(|class| known.contains(class.as_str()));
        let runs_on = group.node.as_deref().and_then(|node| class.get(node)).copied();
        let allowed = |classes: &[String]| {
            runs_on.is_none_or(|class| classes.iter().any(|other| other == class))
        };
        let mut broken = asked && !allowed(&group.classes);
        if let Some(class) = runs_on.filter(|_| broken) {
            group.classes.push(class.to_owned());
        }
        if let Some((node, name)) = group.node.clone().zip(group.anti_affinity.clone())
            && !spread.insert((node, name))
        {
            group.anti_affinity = None;
            broken = true;
        }
        off += usize::from(broken);
    }
    off
}

/// Makes rules those of a cluster whose clock runs, with what the log shows and they do not know.
fn adapt(rules: &mut Rules, faults: &Faults, comes_and_goes: bool, report: &mut LogReport) {
    let known = (rules.has_queue(), rules.faults.is_some());
    rules.episode.mode = Mode::Online;
    rules.episode.tick_s = report.ticks.2;
    if comes_and_goes {
        rules.objective.weights.entry(Term::Unplaced.name().to_owned()).or_insert(0.0);
    }
    if rules.faults.is_some() || faults.unhealthy > 0 {
        rules.faults = Some(faults.rules(rules.faults.clone().unwrap_or_default()));
        report.notes.push(format!(
            "nodes were not healthy in {} ticks of a node; nodes fail as often as that, at other times",
            faults.unhealthy
        ));
    }
    if known != (rules.has_queue(), rules.faults.is_some()) {
        report.notes.push(
            "the rules know no arrivals or no faults, and the log has some: policies observe more features here".into(),
        );
    }
}

/// The rules of an import without an artifact: weights as for `openb --churn`.
fn default_rules(resources: &[String], options: &LogOptions) -> Rules {
    let weights = [
        (options.objective.term(), 1.0),
        (Term::Unplaced, 2.0),
        (Term::MovedGib, 0.005),
        (Term::DowntimeS, 0.05),
    ];
    let kind = |name: &String| ResourceKind { name: name.clone(), unit: String::new() };
    Rules {
        resources: resources.iter().map(kind).collect(),
        episode: EpisodeRules {
            mode: Mode::Online,
            tick_s: 60.0,
            ticks: 144,
            moves_per_tick: 2,
            move_budget: 10,
        },
        objective: ObjectiveRules {
            weights: weights.map(|(term, weight)| (term.name().to_owned(), weight)).into(),
            terms: BTreeMap::new(),
            unit: None,
            slot: options.slot.clone(),
        },
        migration: MigrationRules::default(),
        limits: Limits { cooldown_ticks: 3, ..Limits::default() },
        candidates: CandidateRules::default(),
        forecast: ForecastRules::default(),
        faults: None,
        scheduler: Scheduler::default(),
        observation: None,
    }
}

#[cfg(test)]
mod tests;
