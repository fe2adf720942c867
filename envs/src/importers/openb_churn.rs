//! The GPU cluster trace of 2023 as churn: pods come and go as they did, on as many nodes as they
//! load.
//!
//! Pods of equal requests form a group, whose slots are as many as there ever were at a time: an
//! episode plays the trace exactly, with far fewer slots than pods. Training plays the days before
//! the split, evaluation those after it. In real time the pods load hardly a hundredth of the
//! cluster; a stratified sample of its nodes is kept.

use super::imported::{ImportObjective, ImportedOnline};
use super::openb::{DEVICE, Node, Pod, file_name, read_nodes, read_pods, sample_nodes};
use super::report::{ResourceSummary, names};
use super::table::Table;
use crate::episode::churn::Arrivals;
use crate::input::InputError;
use crate::resources::ResourceKind;
use crate::scenario::{
    Amount, CandidateRules, DemandProcess, EpisodeRules, ForecastRules, Limits, Mode, NodeGroup,
    ObjectiveRules, Rules, Scenario, ScenarioError, Scheduler, SlotRules, Start, StartPlacement,
    Windows, WorkloadGroup,
};
use crate::state::migration::MigrationRules;
use crate::state::term::Term;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

const DAY_S: u64 = 86_400;
/// Length of a tick in seconds: short beside the median lifetime of a pod, 11 minutes.
const TICK_S: u64 = 300;
const TICKS_PER_DAY: u64 = DAY_S / TICK_S;
/// A century: more is a damaged file.
const LAST_S: u64 = 36_525 * DAY_S;
const RESOURCES: [(&str, &str); 3] = [("cpu", "cores"), ("memory", "GiB"), ("gpu", "devices")];

/// What the user may choose about an import of churn.
#[derive(Debug, Clone, PartialEq)]
pub struct ChurnOptions {
    /// Level term that the scenario minimises, next to waiting and the costs of moves.
    pub objective: ImportObjective,
    /// Unit of fragmentation; 8 GPUs where left out.
    pub slot: Option<SlotRules>,
    /// Day of the trace with which training begins.
    pub from_day: u32,
    /// Day with which evaluation begins; at least two after `from_day`, so that episodes of a day
    /// differ.
    pub split_day: u32,
    /// Day before which evaluation ends; at least two after `split_day`.
    pub to_day: u32,
    /// Mean utilisation of the scarcest resource over all days, above 0 up to 1: the fewest nodes
    /// are kept that do not exceed it.
    pub load: f64,
    /// Share of the nodes to keep instead, above 0 up to 1.
    pub fraction: Option<f64>,
    /// Seed of the sample of nodes.
    pub seed: u64,
}

impl Default for ChurnOptions {
    fn default() -> Self {
        Self {
            objective: ImportObjective::default(),
            slot: None,
            from_day: 117,
            split_day: 140,
            to_day: 149,
            load: 0.6,
            fraction: None,
            seed: 0,
        }
    }
}

/// What an import of churn kept and what it left out.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ChurnReport {
    /// Importer and files.
    pub source: String,
    /// Nodes kept, of how many, and the seed of the sample.
    pub nodes: (usize, usize, u64),
    /// Pods in the file.
    pub pods: usize,
    /// Pods left out by reason, in the order in which the reasons are looked for.
    pub left_out: Vec<(&'static str, usize)>,
    /// Names of pods that fit on no kept node even if it is empty.
    pub too_large: Vec<String>,
    /// Arrivals, and pods that are there at the beginning: of training, of evaluation.
    pub windows: [(usize, usize); 2],
    /// Groups of pods with equal requests, and slots in all of them.
    pub groups: (usize, u32),
    /// Supply of the kept nodes, and mean of what the kept pods want over all days.
    pub resources: Vec<ResourceSummary>,
    /// What else the user should know.
    pub notes: Vec<String>,
}

impl fmt::Display for ChurnReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (nodes, all, seed) = self.nodes;
        writeln!(f, "{}", self.source)?;
        writeln!(f, "{nodes} of {all} nodes, a stratified sample (seed {seed})")?;
        for ResourceSummary { name, supply, placed } in &self.resources {
            let share = if *supply > 0.0 { 100.0 * placed / supply } else { 0.0 };
            writeln!(f, "{name}: {placed:.1} of {supply:.1} wanted on average ({share:.1} %)")?;
        }
        let left_out: usize = self.left_out.iter().map(|(_, count)| count).sum();
        let kept = self.pods - left_out - self.too_large.len();
        let (groups, slots) = self.groups;
        writeln!(f, "{kept} of {} pods kept: {groups} sizes, {slots} slots", self.pods)?;
        for (name, (arrivals, there)) in ["training", "evaluation"].iter().zip(self.windows) {
            writeln!(f, "{name}: {arrivals} arrivals, {there} there at the beginning")?;
        }
        for (reason, count) in self.left_out.iter().filter(|(_, count)| *count > 0) {
            writeln!(f, "left out, {reason}: {count}")?;
        }
        if !self.too_large.is_empty() {
            let count = self.too_large.len();
            writeln!(f, "left out, fit on no kept node: {count} ({})", names(&self.too_large))?;
        }
        self.notes.iter().try_for_each(|note| writeln!(f, "note: {note}"))
    }
}

/// A pod and when it wants to run, in seconds.
struct Stay {
    pod: Pod,
    from_s: u64,
    to_s: u64,
}

/// Imports a node list and a pod list as a scenario in which pods come and go as they did.
///
/// # Errors
/// When an option is out of its range, a file cannot be read, or a row is not what its header says.
pub fn openb_churn(
    nodes: &Path,
    pods: &Path,
    options: &ChurnOptions,
) -> Result<ImportedOnline<ChurnReport>, ScenarioError> {
    check(options)?;
    let all_nodes = read_nodes(nodes)?;
    let needed = ["pod_phase", "creation_time", "deletion_time", "scheduled_time"];
    let (all_pods, table) = read_pods(pods, &all_nodes, &needed)?;
    let mut report = ChurnReport {
        source: format!("openb churn from {} and {}", file_name(nodes), file_name(pods)),
        pods: all_pods.len(),
        ..ChurnReport::default()
    };
    let mut stays = stays(all_pods, &table, options, &mut report)?;
    let kept = keep(&all_nodes, &stays, options);
    stays.retain(|stay| {
        let fits = kept.iter().any(|node| could_hold(node, &stay.pod));
        if !fits {
            report.too_large.push(stay.pod.name.clone());
        }
        fits
    });
    if stays.is_empty() {
        let field = format!("days {} to {}", options.from_day, options.to_day);
        let file = pods.display().to_string();
        return Err(
            InputError::field(file, field, "pods that fit on the kept nodes", "none").into()
        );
    }

    let (supply, wanted) = (supply(&kept), wanted(&stays, options));
    let summary = |j: usize| {
        let name = RESOURCES[j].0.to_owned();
        ResourceSummary { name, supply: supply[j], placed: wanted[j] }
    };
    report.resources = (0..RESOURCES.len()).map(summary).collect();
    report.nodes = (kept.len(), all_nodes.len(), options.seed);
    let days = [(options.from_day, options.split_day), (options.split_day, options.to_day)];
    report.windows = days.map(|(from, to)| {
        let (from, to) = (u64::from(from) * DAY_S, u64::from(to) * DAY_S);
        let arrivals = stays.iter().filter(|stay| (from..to).contains(&stay.from_s)).count();
        (arrivals, stays.iter().filter(|stay| stay.from_s < from && from < stay.to_s).count())
    });
    let workloads = groups(&stays, options);
    report.groups = (workloads.len(), workloads.iter().map(|group| group.count).sum());
    report.notes = vec![
        format!("training plays days {} to {}, evaluation {} to {}; who is there at the split is in both", days[0].0, days[0].1, days[1].0, days[1].1),
        "the scenario takes a node's GPUs as one pool".into(),
        "state sizes are not in the trace: a third of the requested memory; priorities: the requested GPUs, at least 0.5".into(),
    ];
    let scenario = scenario(&kept, workloads, options);
    scenario.validate("openb (imported)")?;
    Ok(ImportedOnline { scenario, report })
}

fn check(options: &ChurnOptions) -> Result<(), InputError> {
    let refuse = |field: &str, expected: String, got: String| {
        Err(InputError::field("import", field, expected, got))
    };
    for (field, share) in [("load", Some(options.load)), ("fraction", options.fraction)] {
        if let Some(share) = share.filter(|share| !(*share > 0.0 && *share <= 1.0)) {
            return refuse(field, "a share above 0, up to 1".into(), share.to_string());
        }
    }
    let (from, split, to) = (options.from_day, options.split_day, options.to_day);
    if split < from.saturating_add(2) {
        return refuse("split_day", format!("at least two days after {from}"), split.to_string());
    }
    if to < split.saturating_add(2) || u64::from(to) > LAST_S / DAY_S {
        let expected = format!("at least two days after {split}, up to {}", LAST_S / DAY_S);
        return refuse("to_day", expected, to.to_string());
    }
    Ok(())
}

/// The pods that came and went within the days, and how many others there are.
fn stays(
    pods: Vec<Pod>,
    table: &Table,
    options: &ChurnOptions,
    report: &mut ChurnReport,
) -> Result<Vec<Stay>, InputError> {
    let (from, to) = (u64::from(options.from_day) * DAY_S, u64::from(options.to_day) * DAY_S);
    let (mut endless, mut failed, mut unscheduled, mut outside) = (0, 0, 0, 0);
    let mut stays = Vec::new();
    for (pod, row) in pods.into_iter().zip(&table.rows) {
        let from_s = table.number(row, "creation_time", LAST_S)?;
        if table.text(row, "deletion_time").is_empty() {
            endless += 1;
            continue;
        }
        let to_s = table.number(row, "deletion_time", LAST_S)?;
        if to_s < from_s {
            let expected = format!("a time from creation_time ({from_s}) on");
            let got = table.text(row, "deletion_time");
            return table.fail(row, "deletion_time", &expected, got);
        }
        if table.text(row, "pod_phase") == "Failed" {
            failed += 1;
        } else if table.text(row, "scheduled_time").is_empty() {
            unscheduled += 1;
        } else if to_s <= from || from_s >= to {
            outside += 1;
        } else {
            stays.push(Stay { pod, from_s, to_s });
        }
    }
    report.left_out = vec![
        ("without deletion time", endless),
        ("failed (when they let go of their request is not recorded)", failed),
        ("never scheduled", unscheduled),
        ("outside the days", outside),
    ];
    Ok(stays)
}

fn request(pod: &Pod) -> [f64; 3] {
    [
        pod.cpu_milli as f64 / 1000.0,
        pod.memory_mib as f64 / 1024.0,
        (pod.gpus * pod.gpu_milli) as f64 / DEVICE as f64,
    ]
}

/// Sum of the nodes' supplies.
fn supply(nodes: &[&Node]) -> [f64; 3] {
    nodes.iter().fold([0.0; 3], |[cpu, memory, gpu], node| {
        [
            cpu + node.cpu_milli as f64 / 1000.0,
            memory + node.memory_mib as f64 / 1024.0,
            gpu + node.gpus as f64,
        ]
    })
}

/// Mean over the days of what the pods want.
fn wanted(stays: &[Stay], options: &ChurnOptions) -> [f64; 3] {
    let (from, to) = (u64::from(options.from_day) * DAY_S, u64::from(options.to_day) * DAY_S);
    let mut wanted = [0.0; 3];
    for stay in stays {
        let share = (stay.to_s.min(to) - stay.from_s.max(from)) as f64 / (to - from) as f64;
        for (sum, amount) in wanted.iter_mut().zip(request(&stay.pod)) {
            *sum += share * amount;
        }
    }
    wanted
}

/// The nodes to keep: the share asked for, or the fewest that are not loaded more than asked for
/// (all of them, if those are).
fn keep<'a>(nodes: &'a [Node], stays: &[Stay], options: &ChurnOptions) -> Vec<&'a Node> {
    if let Some(share) = options.fraction {
        return sample_nodes(nodes, share, options.seed);
    }
    let wanted = wanted(stays, options);
    let sample =
        |count: usize| sample_nodes(nodes, count as f64 / nodes.len() as f64, options.seed);
    let enough = |kept: &Vec<&Node>| {
        supply(kept).iter().zip(wanted).all(|(supply, wanted)| wanted <= options.load * supply)
    };
    (1..nodes.len()).map(sample).find(enough).unwrap_or_else(|| nodes.iter().collect())
}

fn could_hold(node: &Node, pod: &Pod) -> bool {
    pod.cpu_milli <= node.cpu_milli
        && pod.memory_mib <= node.memory_mib
        && pod.gpus * pod.gpu_milli <= node.gpus * DEVICE
        && (pod.classes.is_empty() || pod.classes.contains(&node.class))
}

/// Ticks of arrival and departure of each pod of a group.
type Ticks = Vec<(u32, u32)>;

/// A group per size: its pods in the order of their arrival, in ticks from `from_day` on.
fn groups(stays: &[Stay], options: &ChurnOptions) -> Vec<WorkloadGroup> {
    let begin = u64::from(options.from_day) * TICKS_PER_DAY;
    let mut sizes: BTreeMap<_, (&Pod, Ticks)> = BTreeMap::new();
    for Stay { pod, from_s, to_s } in stays {
        // A stay takes each tick that it touches, at least one; times are bounded: no overflow.
        let arrives = (from_s / TICK_S).saturating_sub(begin) as u32;
        let departs = (to_s.div_ceil(TICK_S).saturating_sub(begin) as u32).max(arrives + 1);
        let size = (pod.gpus, pod.gpu_milli, pod.cpu_milli, pod.memory_mib, &pod.classes);
        sizes.entry(size).or_insert((pod, Vec::new())).1.push((arrives, departs));
    }
    let group = |(at, (pod, mut ticks)): (usize, (&Pod, Ticks))| {
        ticks.sort_unstable();
        let demand = RESOURCES.iter().zip(request(pod)).filter(|(_, amount)| *amount > 0.0);
        let gpus = request(pod)[2] as f32;
        WorkloadGroup {
            name: format!("size-{at}"),
            count: most_at_a_time(&ticks),
            demand: demand
                .map(|((name, _), amount)| ((*name).to_owned(), Amount::Fixed(amount as f32)))
                .collect(),
            state_gib: Amount::Fixed(pod.memory_mib as f32 / 1024.0 / 3.0),
            dirty_gib_s: 0.1,
            priority: gpus.max(0.5),
            classes: pod.classes.clone(),
            nodes: Vec::new(),
            anti_affinity: None,
            spread: None,
            zone_anti_affinity: None,
            movable: true,
            node: None,
            process: DemandProcess::Constant,
            arrivals: Some(Arrivals::Trace {
                arrives: ticks.iter().map(|(arrives, _)| *arrives).collect(),
                departs: ticks.iter().map(|(_, departs)| *departs).collect(),
            }),
        }
    };
    sizes.into_values().enumerate().map(group).collect()
}

/// Slots that a group needs so that nobody is turned away: one is free again a tick after its
/// workload has left.
fn most_at_a_time(ticks: &[(u32, u32)]) -> u32 {
    let mut departs: Vec<u32> = ticks.iter().map(|(_, departs)| *departs).collect();
    departs.sort_unstable();
    let mut gone = 0;
    let counts = ticks.iter().enumerate().map(|(come, (arrives, _))| {
        gone += departs[gone..].iter().take_while(|departs| *departs < arrives).count();
        (come + 1 - gone) as u32
    });
    counts.max().unwrap_or(0)
}

fn scenario(nodes: &[&Node], workloads: Vec<WorkloadGroup>, options: &ChurnOptions) -> Scenario {
    let slot = || SlotRules { resource: "gpu".into(), size: 8.0 };
    let weights = [
        (options.objective.term(), 1.0),
        (Term::Unplaced, 2.0),
        (Term::MovedGib, 0.005),
        (Term::DowntimeS, 0.05),
    ];
    let ticks = |day: u32| (u64::from(day - options.from_day) * TICKS_PER_DAY) as u32;
    Scenario {
        name: "openb".into(),
        description: "Pods of a production GPU cluster come and go as they did, on a sample of its nodes; training and evaluation play different days.".into(),
        rules: Rules {
            resources: RESOURCES
                .iter()
                .map(|(name, unit)| ResourceKind { name: (*name).into(), unit: (*unit).into() })
                .collect(),
            episode: EpisodeRules {
                mode: Mode::Online,
                tick_s: TICK_S as f32,
                ticks: TICKS_PER_DAY as u32,
                moves_per_tick: 2,
                move_budget: 10,
            },
            objective: ObjectiveRules {
                weights: weights.map(|(term, weight)| (term.name().to_owned(), weight)).into(),
                terms: BTreeMap::new(),
                unit: None,
                slot: Some(options.slot.clone().unwrap_or_else(slot)),
            },
            migration: MigrationRules::default(),
            limits: Limits { cooldown_ticks: 3, ..Limits::default() },
            candidates: CandidateRules::default(),
            forecast: ForecastRules::default(),
            faults: None,
            scheduler: Scheduler::BestFit,
            observation: None,
        },
        start: Start {
            placement: StartPlacement::Random,
            perturb: None,
            windows: Some(Windows {
                train: [0, ticks(options.split_day)],
                evaluate: [ticks(options.split_day), ticks(options.to_day)],
            }),
        },
        snapshot: None,
        nodes: nodes
            .iter()
            .map(|node| NodeGroup {
                name: node.name.clone(),
                count: 1,
                class: node.class.clone(),
                zone: String::new(),
                supply: RESOURCES
                    .iter()
                    .zip(supply(&[node]))
                    .map(|((name, _), supply)| ((*name).to_owned(), supply as f32))
                    .collect(),
                bandwidth_gib_s: 1.25,
                max_workloads: None,
            })
            .collect(),
        workloads,
        events: Vec::new(),
        train: Some(learner_settings()),
        cluster: None,
    }
}

/// Learner settings of the embedded scenario `churn`, which has the same shape.
pub(super) fn learner_settings() -> toml::Table {
    toml::toml! {
        env_steps = 400000
        warm_up_steps = 4000
        replay_capacity = 100000
        evaluate_every = 20000
        evaluate_episodes = 32
        checkpoint_every = 100000
        paired_baseline = "best-single-move"

        [network]
        architecture = "candidate"

        [exploration]
        epsilon = { from = 0.5, to = 0.02, share = 0.15 }
        greedy_share = 0.3
        stay_share = 0.5

        [learner]
        gamma = 0.97
        n_step = 5
        reward_scale = 0.1
        learning_rate = { from = 1e-3, to = 1e-5, share = 1.0 }
    }
}
