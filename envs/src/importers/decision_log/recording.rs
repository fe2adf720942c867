//! A cluster as it was for some ticks, whoever recorded it, as an online scenario.

use super::LogOptions;
use super::let_off::{let_off, raise_limits};
use super::node_health::Faults;
use super::stays::{self, Stay};
use crate::importers::openb_churn::learner_settings;
use crate::importers::trace::windows;
use crate::resources::ResourceKind;
use crate::scenario::{
    CandidateRules, EpisodeRules, ForecastRules, Limits, Mode, NodeGroup, ObjectiveRules, Perturb,
    Rules, Scenario, ScenarioError, Scheduler, Start, StartPlacement, WorkloadGroup,
};
use crate::snapshot::{Snapshot, SnapshotNode};
use crate::state::migration::MigrationRules;
use crate::state::term::Term;
use std::collections::BTreeMap;

/// Who was there, and what happened to it.
pub(in crate::importers) struct Recording<'a> {
    /// All nodes that were ever there.
    pub(super) nodes: Vec<&'a SnapshotNode>,
    pub(super) stays: Vec<Stay>,
    /// Nodes that hold more than they have at the start.
    pub(super) full: Vec<&'a str>,
    pub(super) faults: Faults,
    pub(super) ticks: u32,
}

impl<'a> Recording<'a> {
    /// Of a cluster whose nodes and workloads stayed as a snapshot shows them.
    pub(in crate::importers) fn of(snapshot: &'a Snapshot, stays: Vec<Stay>, ticks: u32) -> Self {
        Self {
            nodes: snapshot.nodes.iter().collect(),
            stays,
            full: stays::overfull(snapshot),
            faults: Faults::default(),
            ticks,
        }
    }

    /// Nodes, and stays of workloads.
    pub(in crate::importers) fn size(&self) -> (usize, usize) {
        (self.nodes.len(), self.stays.len())
    }

    /// The scenario with this name and description; `label` is what errors call the recording.
    ///
    /// # Errors
    /// When a share of it is too short to be played, or what it shows cannot be.
    pub(in crate::importers) fn scenario(
        &self,
        (name, description, label): (&str, &str, &str),
        resources: &[String],
        tick_s: f32,
        options: &LogOptions,
        notes: &mut Vec<String>,
    ) -> Result<Scenario, ScenarioError> {
        let ticks = self.ticks;
        let workloads = workloads(self, resources, notes);
        let mut rules = options.rules.clone().unwrap_or_else(|| default_rules(resources, options));
        let comes_and_goes = workloads.iter().any(|group| group.arrivals.is_some());
        adapt(&mut rules, &self.faults, comes_and_goes, tick_s, notes);
        let windows = match options.split {
            Some(split) => {
                let (windows, episode) =
                    windows(label, ticks, split, rules.episode.ticks, options.ticks)?;
                rules.episode.ticks = episode;
                notes.push(format!(
                    "training plays ticks {} to {}, evaluation {} to {}, both from random placements",
                    windows.train[0], windows.train[1], windows.evaluate[0], windows.evaluate[1]
                ));
                Some(windows)
            }
            None => {
                rules.episode.ticks = options.ticks.unwrap_or(ticks - 1).min(ticks - 1);
                notes.push(
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
        let mut nodes: Vec<NodeGroup> =
            self.nodes.iter().map(|node| node_group(node, resources)).collect();
        let raised = raise_limits(&mut nodes, &workloads);
        if raised > 0 {
            notes.push(format!(
                "{raised} nodes had more workloads than their max_workloads at the start, which is that number here"
            ));
        }
        let scenario = Scenario {
            name: name.into(),
            description: description.into(),
            rules,
            start: Start { placement, perturb, windows },
            snapshot: None,
            nodes,
            workloads,
            events: Vec::new(),
            train: Some(learner_settings()),
            cluster: None,
        };
        scenario.validate(&format!("{label} (imported)"))?;
        Ok(scenario)
    }
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
    recording: &Recording,
    resources: &[String],
    notes: &mut Vec<String>,
) -> Vec<WorkloadGroup> {
    let Recording { nodes, stays, full, ticks, .. } = recording;
    let supply: Vec<f32> = (0..resources.len())
        .map(|j| nodes.iter().map(|node| node.supply[j]).sum::<f32>() / nodes.len() as f32)
        .collect();
    let (mut missed, mut most) = (0, 0.0_f32);
    let mut groups = Vec::with_capacity(stays.len());
    for stay in stays {
        let (group, error) = stay.group(resources, &supply, *ticks, |node| full.contains(&node));
        groups.push(group);
        // Less is rounding.
        if error > 1e-5 {
            missed += 1;
            most = most.max(error);
        }
    }
    if missed > 0 {
        notes.push(format!(
            "the resources of {missed} workloads change apart from each other, and a scenario has one factor for all: one is exact, others are off by up to {:.2} % of a node",
            100.0 * most
        ));
    }
    let off = let_off(&mut groups, nodes);
    if off > 0 {
        notes.push(format!(
            "{off} workloads are let off a constraint that they broke from the start (class, nodes, anti-affinity, zones)"
        ));
    }
    groups
}

/// Makes rules those of a cluster whose clock runs, with what the log shows and they do not know.
fn adapt(
    rules: &mut Rules,
    faults: &Faults,
    comes_and_goes: bool,
    tick_s: f32,
    notes: &mut Vec<String>,
) {
    let known = (rules.has_queue(), rules.faults.is_some());
    rules.episode.mode = Mode::Online;
    rules.episode.tick_s = tick_s;
    if comes_and_goes {
        rules.objective.weights.entry(Term::Unplaced.name().to_owned()).or_insert(0.0);
    }
    if rules.faults.is_some() || faults.unhealthy > 0 {
        rules.faults = Some(faults.rules(rules.faults.clone().unwrap_or_default()));
        notes.push(format!(
            "nodes were not healthy in {} ticks of a node; nodes fail as often as that, at other times",
            faults.unhealthy
        ));
    }
    if known != (rules.has_queue(), rules.faults.is_some()) {
        notes.push(
            "the rules know no arrivals or no faults, and the log has some: policies observe more features here".into(),
        );
    }
}

/// The rules of an import without an artifact: weights as for `openb --churn`.
pub(super) fn default_rules(resources: &[String], options: &LogOptions) -> Rules {
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
