//! What an import is asked for, and what it makes: a scenario with its snapshot.

use crate::importers::files;
use crate::importers::report::ImportReport;
use crate::resources::ResourceKind;
use crate::scenario::{
    CandidateRules, EpisodeRules, ForecastRules, Limits, Mode, ObjectiveRules, Perturb, Rules,
    Scenario, ScenarioError, Scheduler, SlotRules, Start, StartPlacement,
};
use crate::snapshot::Snapshot;
use crate::state::migration::MigrationRules;
use crate::state::term::Term;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

/// Chains that are offered where slots count.
const CHAINS: usize = 128;

/// What an imported scenario minimises: one level term with weight 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ImportObjective {
    /// `max_i L_i`.
    MaxLoad,
    /// Coefficient of variation of the loads.
    Imbalance,
    /// Free supply that is not deployable in whole slots.
    #[default]
    Fragmentation,
}

impl ImportObjective {
    pub(super) const ALL: [(&'static str, Self, Term); 3] = [
        ("max-load", Self::MaxLoad, Term::MaxLoad),
        ("imbalance", Self::Imbalance, Term::Imbalance),
        ("fragmentation", Self::Fragmentation, Term::Fragmentation),
    ];

    pub(super) fn term(self) -> Term {
        Self::ALL[self as usize].2
    }
}

impl FromStr for ImportObjective {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .iter()
            .find(|(name, ..)| *name == text)
            .map(|(_, objective, _)| *objective)
            .ok_or_else(|| {
                format!(
                    "expected one of {}, got {text:?}",
                    Self::ALL.map(|(name, ..)| name).join(", ")
                )
            })
    }
}

impl FromStr for SlotRules {
    type Err = String;

    /// Reads `RESOURCE=SIZE`, as on the command line.
    fn from_str(text: &str) -> Result<Self, String> {
        let refused = || format!("expected RESOURCE=SIZE such as cpu=16, got {text:?}");
        let (resource, size) = text.split_once('=').ok_or_else(refused)?;
        let size: f32 = size.trim().parse().map_err(|_| refused())?;
        if resource.trim().is_empty() || !size.is_finite() || size <= 0.0 {
            return Err(refused());
        }
        Ok(Self { resource: resource.trim().to_owned(), size })
    }
}

/// What the user may choose about an import.
#[derive(Debug, Clone, PartialEq)]
pub struct ImportOptions {
    /// What the scenario minimises.
    pub objective: ImportObjective,
    /// Unit of fragmentation; where left out, the importer's own (16 cores or 1 GPU).
    pub slot: Option<SlotRules>,
    /// Moves after which an episode ends.
    pub budget: u32,
    /// Share of the data set to keep, above 0 up to 1 (`openb` only).
    pub fraction: f64,
    /// Seed of the sample.
    pub seed: u64,
}

impl Default for ImportOptions {
    fn default() -> Self {
        Self {
            objective: ImportObjective::default(),
            slot: None,
            budget: 50,
            fraction: 1.0,
            seed: 0,
        }
    }
}

/// An imported cluster: a valid scenario, the snapshot it starts from, and what there is to say
/// about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Imported {
    /// The scenario; it refers to the snapshot, which is also loaded in it.
    pub scenario: Scenario,
    /// Nodes and workloads.
    pub snapshot: Snapshot,
    /// For people.
    pub report: ImportReport,
}

impl Imported {
    /// Puts a rebalance scenario around a snapshot and checks both.
    pub(super) fn new(
        name: &str,
        description: String,
        resources: &[(&str, &str)],
        default_slot: (&str, f32),
        snapshot: Snapshot,
        options: &ImportOptions,
        mut report: ImportReport,
    ) -> Result<Self, ScenarioError> {
        let slot = options.slot.clone().unwrap_or_else(|| SlotRules {
            resource: default_slot.0.to_owned(),
            size: default_slot.1,
        });
        snapshot.validate(name)?;
        report.summarise(&snapshot, Some(&slot));
        let objective = ObjectiveRules {
            weights: [(options.objective.term().name().to_owned(), 1.0)].into(),
            terms: BTreeMap::new(),
            unit: None,
            slot: Some(slot),
        };
        Self::around(name, description, resources, objective, snapshot, options.budget, report)
    }

    /// Puts a rebalance scenario with this objective around a valid snapshot.
    pub(super) fn around(
        name: &str,
        description: String,
        resources: &[(&str, &str)],
        objective: ObjectiveRules,
        snapshot: Snapshot,
        budget: u32,
        report: ImportReport,
    ) -> Result<Self, ScenarioError> {
        let fragmented = objective.weights.contains_key(Term::Fragmentation.name());
        let chains = if fragmented { CHAINS } else { 0 };
        let scenario = Scenario {
            name: name.to_owned(),
            description,
            rules: Rules {
                resources: resources
                    .iter()
                    .map(|(name, unit)| ResourceKind {
                        name: (*name).to_owned(),
                        unit: (*unit).to_owned(),
                    })
                    .collect(),
                episode: EpisodeRules {
                    mode: Mode::Rebalance,
                    tick_s: 60.0,
                    ticks: 144,
                    moves_per_tick: 1,
                    move_budget: budget,
                },
                objective,
                migration: MigrationRules::default(),
                limits: Limits::default(),
                candidates: CandidateRules { chains, ..CandidateRules::default() },
                forecast: ForecastRules::default(),
                faults: None,
                scheduler: Scheduler::default(),
                observation: None,
            },
            start: Start {
                placement: StartPlacement::Listed,
                perturb: Some(Perturb {
                    moves: Some([budget, budget.saturating_mul(4)]),
                    replace_share: None,
                }),
                windows: None,
            },
            snapshot: Some(snapshot_name(name)),
            nodes: Vec::new(),
            workloads: Vec::new(),
            events: Vec::new(),
            train: None,
            cluster: Some(Arc::new(snapshot.clone())),
        };
        scenario.validate(&format!("{name} (imported)"))?;
        Ok(Self { scenario, snapshot, report })
    }

    /// Writes the scenario to `out` and the snapshot next to it, as `NAME.snapshot.json` for
    /// `NAME.toml`; returns the snapshot's path. The scenario is named after the file.
    ///
    /// Both files are complete and on disk under temporary names before either gets its own name,
    /// so that an error (say, a full disk) leaves nothing behind.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, out: impl AsRef<Path>) -> Result<PathBuf, ScenarioError> {
        let out = out.as_ref();
        let stem = files::stem(out)?;
        let snapshot = snapshot_name(stem);
        let scenario = Scenario {
            name: stem.to_owned(),
            snapshot: Some(snapshot.clone()),
            ..self.scenario.clone()
        };
        let snapshot = out.with_file_name(snapshot);
        let json = self.snapshot.to_json();
        files::write(out, &self.report, &scenario, Some((&snapshot, &json)))?;
        Ok(snapshot)
    }
}

/// An imported online scenario: groups of workloads that follow a trace, and what there is to say
/// about it.
#[derive(Debug, Clone, PartialEq)]
pub struct ImportedOnline<R> {
    /// The scenario, valid.
    pub scenario: Scenario,
    /// For people.
    pub report: R,
}

impl<R: Display> ImportedOnline<R> {
    /// Writes the scenario to `out`, named after the file, whole or not at all.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, out: impl AsRef<Path>) -> Result<(), ScenarioError> {
        let out = out.as_ref();
        let scenario = Scenario { name: files::stem(out)?.to_owned(), ..self.scenario.clone() };
        files::write(out, &self.report, &scenario, None)
    }
}

fn snapshot_name(stem: &str) -> PathBuf {
    PathBuf::from(format!("{stem}.snapshot.json"))
}
