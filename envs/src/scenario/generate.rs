//! Turns a scenario and a seed into an episode.

use crate::env::ResetError;
use crate::episode::churn::{Arrivals, PassageTable};
use crate::episode::demand::{Bursts, DemandTable, Recorded, Wave};
use crate::episode::placement::Packing;
use crate::observe::compact::CompactLayout;
use crate::resources::MAX_RESOURCES;
use crate::rng::{Rng, child_seed, stream};
use crate::scenario::script::Script;
use crate::scenario::{
    Amount, DemandProcess, Mode, Rules, Scenario, StartPlacement, WorkloadGroup,
};
use crate::state::NOWHERE;
use crate::state::cluster::{ClusterSpec, NodeSpec, WorkloadSpec};
use crate::state::dynamics::HealthChange;
use crate::state::objective::Objective;
use rand::{RngExt, seq::SliceRandom};
use std::sync::Arc;

/// Which episodes are drawn: training and evaluation never share one, whatever their seeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Episodes to learn from; perturbed where the scenario says so.
    Train,
    /// Episodes for choosing checkpoints during training; perturbed like training ones.
    Validate,
    /// Held-out episodes.
    Evaluate,
}

/// A scenario laid out once, from which episodes are drawn.
#[derive(Debug)]
pub struct WorldTemplate {
    /// The scenario's name.
    pub name: String,
    /// The rules decisions are made under, with the unit that the objective is measured in.
    pub rules: Arc<Rules>,
    scenario: Scenario,
    spec: Arc<ClusterSpec>,
    listed: Option<Vec<u32>>,
    /// Ranges per workload; empty where nothing is drawn.
    demand_ranges: Vec<(f32, f32)>,
    state_ranges: Vec<(f32, f32)>,
    processes: Vec<DemandProcess>,
    /// Workload groups that come and go: first workload, how many, how.
    arrivals: Vec<(usize, usize, Arrivals)>,
    /// What the scenario's events bring.
    script: Script,
}

/// One drawn episode.
#[derive(Debug, Clone)]
pub struct Episode {
    /// Nodes and workloads with their drawn traits.
    pub spec: Arc<ClusterSpec>,
    /// Start placement; [`NOWHERE`] for workloads that are not there yet.
    pub placement: Vec<u32>,
    /// Demand over the episode.
    pub demand: DemandTable,
    /// Who comes and goes.
    pub passages: PassageTable,
    /// How nodes fail, by tick.
    pub health_changes: Vec<HealthChange>,
}

const ATTEMPTS: u32 = 64;
/// Further ones for clusters so full that random placements find no room: they are packed.
const PACKED_ATTEMPTS: u32 = 32;

/// The rules with their unit stated: the same one in every episode, whatever it draws.
fn with_unit(rules: &Rules, spec: &ClusterSpec) -> Arc<Rules> {
    let mut rules = rules.clone();
    rules.objective.unit = Some(Objective::of_cluster(&rules, spec).unit);
    Arc::new(rules)
}

impl Scenario {
    /// Names of the nodes that the workloads of a group may run on; empty for all.
    pub(super) fn allowed_nodes(&self, group: &WorkloadGroup) -> Vec<String> {
        let names = group.nodes.iter().flat_map(|name| {
            let nodes = self.nodes.iter().find(|nodes| nodes.name == *name);
            let (name, count) = nodes.map_or((name, 1), |nodes| (&nodes.name, nodes.count));
            (0..count).map(move |copy| copy_name(name, count, copy))
        });
        names.collect()
    }

    /// The same with the unit of its objective stated.
    pub fn with_unit(&self) -> Self {
        if self.rules.objective.unit.is_some() {
            return self.clone();
        }
        let rules = Rules::clone(&WorldTemplate::new(self).rules);
        Self { rules, ..self.clone() }
    }
}

impl WorldTemplate {
    /// Lays a validated scenario out.
    pub fn new(scenario: &Scenario) -> Self {
        let rules = &scenario.rules;
        if let Some(snapshot) = &scenario.cluster {
            let (spec, placement) = snapshot.to_spec();
            return Self {
                name: scenario.name.clone(),
                rules: with_unit(rules, &spec),
                scenario: scenario.clone(),
                processes: vec![DemandProcess::Constant; spec.workloads()],
                script: Script::new(scenario, &spec),
                spec: Arc::new(spec),
                listed: Some(placement),
                demand_ranges: Vec::new(),
                state_ranges: Vec::new(),
                arrivals: Vec::new(),
            };
        }
        let vector = |amounts: &std::collections::BTreeMap<String, f32>| -> Vec<f32> {
            rules
                .resources
                .iter()
                .map(|kind| amounts.get(&kind.name).copied().unwrap_or(0.0))
                .collect()
        };
        let mut nodes = Vec::new();
        for group in &scenario.nodes {
            for copy in 0..group.count {
                nodes.push(NodeSpec {
                    name: copy_name(&group.name, group.count, copy),
                    class: group.class.clone(),
                    zone: group.zone.clone(),
                    supply: vector(&group.supply),
                    bandwidth_gib_s: group.bandwidth_gib_s,
                    max_workloads: group.max_workloads,
                });
            }
        }
        let mut workloads = Vec::new();
        let (mut demand_ranges, mut state_ranges, mut processes) =
            (Vec::new(), Vec::new(), Vec::new());
        let mut listed = Vec::new();
        let mut arrivals = Vec::new();
        for group in &scenario.workloads {
            if let Some(rules) = &group.arrivals {
                arrivals.push((workloads.len(), group.count as usize, rules.clone()));
            }
            let ranges: Vec<(f32, f32)> = rules
                .resources
                .iter()
                .map(|kind| {
                    group.demand.get(&kind.name).map_or((0.0, 0.0), |amount| amount.bounds())
                })
                .collect();
            let state = group.state_gib.bounds();
            let allowed = scenario.allowed_nodes(group);
            for copy in 0..group.count {
                workloads.push(WorkloadSpec {
                    name: copy_name(&group.name, group.count, copy),
                    demand: ranges.iter().map(|(least, most)| (least + most) / 2.0).collect(),
                    state_gib: (state.0 + state.1) / 2.0,
                    dirty_gib_s: group.dirty_gib_s,
                    priority: group.priority,
                    classes: group.classes.clone(),
                    nodes: allowed.clone(),
                    anti_affinity: group.anti_affinity.clone(),
                    spread: group.spread.clone(),
                    zone_anti_affinity: group.zone_anti_affinity.clone(),
                    movable: group.movable,
                });
                demand_ranges.extend_from_slice(&ranges);
                state_ranges.push(state);
                processes.push(group.process.of(copy));
                listed.push(
                    group
                        .node
                        .as_ref()
                        .and_then(|name| {
                            nodes.iter().position(|node: &NodeSpec| node.name == *name)
                        })
                        .map(|node| node as u32)
                        .or(group.comes_later().then_some(NOWHERE)),
                );
            }
        }
        let drawn = demand_ranges.iter().chain(&state_ranges).any(|(least, most)| least != most);
        if !drawn {
            demand_ranges.clear();
            state_ranges.clear();
        }
        let spec = ClusterSpec::new(rules.resources.len(), nodes, workloads);
        Self {
            name: scenario.name.clone(),
            rules: with_unit(rules, &spec),
            script: Script::new(scenario, &spec),
            spec: Arc::new(spec),
            scenario: scenario.clone(),
            listed: listed.into_iter().collect(),
            demand_ranges,
            state_ranges,
            processes,
            arrivals,
        }
    }

    /// Nodes and workloads with the middle of each range.
    pub fn spec(&self) -> &Arc<ClusterSpec> {
        &self.spec
    }

    /// The scenario this was made from.
    pub fn scenario(&self) -> &Scenario {
        &self.scenario
    }

    /// Whether each episode draws its own demands and state sizes.
    pub fn draws_workloads(&self) -> bool {
        !self.demand_ranges.is_empty()
    }

    /// Whether demand changes from tick to tick.
    pub fn demand_changes(&self) -> bool {
        self.rules.episode.mode == Mode::Online
            && (self.processes.iter().any(|process| *process != DemandProcess::Constant)
                || !self.script.bursts.is_empty())
    }

    /// Whether an event says what becomes of a node at the start of a tick, in place of what is
    /// drawn.
    pub fn is_scripted(&self, node: usize, tick: u32) -> bool {
        self.script.outages.iter().any(|outage| outage.node as usize == node && outage.spans(tick))
    }

    /// What differs between the states of its episodes; the candidate list is the environment's.
    pub fn compact_layout(&self) -> CompactLayout {
        let drawn = |ranges: &[(f32, f32)]| indices(ranges, |(least, most)| least < most);
        let mut changes = self.script.bursting(self.spec.workloads());
        for (changes, process) in changes.iter_mut().zip(&self.processes) {
            *changes |= *process != DemandProcess::Constant;
        }
        CompactLayout {
            factors: match self.demand_changes() {
                true => indices(&changes, |changes| *changes),
                false => Vec::new(),
            },
            base_demand: drawn(&self.demand_ranges),
            state_gib: drawn(&self.state_ranges),
            faults: self.rules.faults.is_some(),
            queue: self.rules.has_queue(),
            candidates: 0,
            chains: 0,
        }
    }

    /// Whether the episodes of a phase have a single start, after which the same happens whatever
    /// the seed. Where starts are perturbed, those of evaluation alone may.
    pub fn has_single_start(&self, phase: Phase) -> bool {
        let recorded = |process: &DemandProcess| {
            matches!(process, DemandProcess::Constant | DemandProcess::Trace { .. })
        };
        !self.draws_workloads()
            && (phase == Phase::Evaluate || self.scenario.start.perturb.is_none())
            && (!self.demand_changes() || self.processes.iter().all(recorded))
            && self.rules.faults.as_ref().is_none_or(|faults| !faults.happen())
            && self.arrivals.iter().all(|(.., how)| !matches!(how, Arrivals::Poisson { .. }))
            && self.scenario.start.windows.is_none()
            && self.scenario.start.placement == StartPlacement::Listed
    }

    /// Draws the episode that `seed` stands for in this phase.
    ///
    /// # Errors
    /// When no feasible start placement is found.
    pub fn draw(&self, seed: u64, phase: Phase) -> Result<Episode, ResetError> {
        let phase_seed = child_seed(seed, phase as u64);
        let asked = self.scenario.start.placement;
        for attempt in 0..ATTEMPTS + PACKED_ATTEMPTS {
            let kind = match asked {
                StartPlacement::Random if attempt >= ATTEMPTS => StartPlacement::Packed,
                kind => kind,
            };
            let seed = child_seed(phase_seed, u64::from(attempt));
            let spec = self.draw_spec(&mut stream(seed, "workloads"));
            let origin = self.draw_origin(&mut stream(seed, "windows"), phase);
            let passages = self.draw_passages(origin, &mut stream(seed, "arrivals"));
            if let Some(placement) = self.draw_placement(kind, &spec, &passages, seed, phase) {
                let demand = self.draw_demand(origin, &mut stream(seed, "demand"));
                let ticks = self.rules.episode.ticks;
                let faults = &mut stream(seed, "faults");
                let health_changes = match &self.rules.faults {
                    Some(rules) => rules.draw(spec.nodes(), ticks, &self.script.outages, faults),
                    None => Vec::new(),
                };
                return Ok(Episode { spec, placement, demand, passages, health_changes });
            }
        }
        Err(ResetError { seed, attempts: ATTEMPTS + PACKED_ATTEMPTS })
    }

    fn draw_spec(&self, rng: &mut Rng) -> Arc<ClusterSpec> {
        if !self.draws_workloads() {
            return Arc::clone(&self.spec);
        }
        let mut spec = (*self.spec).clone();
        for (value, range) in spec.base_demand.iter_mut().zip(&self.demand_ranges) {
            *value = uniform(*range, rng);
        }
        for (value, range) in spec.state_gib.iter_mut().zip(&self.state_ranges) {
            *value = uniform(*range, rng);
        }
        Arc::new(spec)
    }

    /// The tick of the traces at which the episode starts, where they have windows.
    fn draw_origin(&self, rng: &mut Rng, phase: Phase) -> Option<u32> {
        let windows = self.scenario.start.windows.as_ref()?;
        let [from, to] = match phase {
            Phase::Train | Phase::Validate => windows.train,
            Phase::Evaluate => windows.evaluate,
        };
        // A validated window is longer than an episode. What comes at the episode's last tick
        // still lies within it.
        Some(rng.random_range(from..to - self.rules.episode.ticks))
    }

    fn draw_passages(&self, origin: Option<u32>, rng: &mut Rng) -> PassageTable {
        let mut table = PassageTable::constant(self.spec.workloads());
        for (first, count, arrivals) in &self.arrivals {
            table.draw(arrivals, *first, *count, self.rules.episode.ticks, origin, rng);
        }
        // Events count from the start of the episode, whichever part of the traces it plays.
        for (first, count, arrivals) in &self.script.arrivals {
            table.draw(arrivals, *first, *count, self.rules.episode.ticks, Some(0), rng);
        }
        table.finish();
        if self.scenario.cluster.is_some() {
            // Who waits for a node in the snapshot is not there.
            let nodes = self.listed.iter().flatten();
            for (present, _) in table.present.iter_mut().zip(nodes).filter(|at| *at.1 == NOWHERE) {
                *present = false;
            }
        }
        table
    }

    fn draw_placement(
        &self,
        kind: StartPlacement,
        spec: &ClusterSpec,
        passages: &PassageTable,
        seed: u64,
        phase: Phase,
    ) -> Option<Vec<u32>> {
        let absent: Vec<bool> = passages.present.iter().map(|present| !present).collect();
        let demand = &spec.base_demand;
        let mut rng = stream(seed, "placement");
        let placement = match kind {
            StartPlacement::Listed => {
                let mut listed = self.listed.clone()?;
                for (node, _) in listed.iter_mut().zip(&absent).filter(|(_, absent)| **absent) {
                    *node = NOWHERE;
                }
                listed
            }
            StartPlacement::Random => {
                let mut packing = Packing::new(spec, demand);
                packing.absent.clone_from(&absent);
                packing.fill_at_random(&mut rng).then_some(packing.placement)?
            }
            StartPlacement::Packed => {
                let mut packing = Packing::new(spec, demand);
                packing.absent.clone_from(&absent);
                packing.fill_packed(&mut rng).then_some(packing.placement)?
            }
        };
        let Some(perturb) =
            self.scenario.start.perturb.as_ref().filter(|_| phase != Phase::Evaluate)
        else {
            return Some(placement);
        };
        let mut rng = stream(seed, "perturb");
        let mut packing = Packing::with(spec, demand, &placement);
        packing.absent = absent;
        if let Some([least, most]) = perturb.moves {
            for _ in 0..rng.random_range(least..=most) {
                packing.move_at_random(&mut rng);
            }
        }
        if let Some(share) = perturb.replace_share {
            let mut movable: Vec<usize> =
                (0..spec.workloads()).filter(|&k| spec.movable[k] && passages.present[k]).collect();
            movable.shuffle(&mut rng);
            movable.truncate(((movable.len() as f32 * share).round() as usize).max(1));
            movable.iter().for_each(|&k| packing.take(k));
            if !packing.fill_at_random(&mut rng) {
                return None;
            }
        }
        // Small disturbances can cancel out: that would be the start which is evaluated.
        (packing.placement != placement).then_some(packing.placement)
    }

    fn draw_demand(&self, origin: Option<u32>, rng: &mut Rng) -> DemandTable {
        if !self.demand_changes() {
            return DemandTable::default();
        }
        let rules = &*self.rules;
        let origin = origin.unwrap_or(0);
        let processes = self.processes.iter().zip(self.script.bursting(self.spec.workloads()));
        let waves: Vec<Wave> = processes
            .map(|(process, bursts)| draw_wave(process, bursts, rules, origin, rng))
            .collect();
        DemandTable::draw(&waves, rules.forecast.period_ticks, rules.episode.ticks, rng)
            .with_bursts(Arc::clone(&self.script.bursts))
    }
}

/// A process with its parameters; `bursts` where events have bursts of it.
fn draw_wave<'a>(
    process: &'a DemandProcess,
    bursts: bool,
    rules: &Rules,
    origin: u32,
    rng: &mut Rng,
) -> Wave<'a> {
    match process {
        DemandProcess::Constant => Wave { follows: [bursts; MAX_RESOURCES], ..Wave::default() },
        DemandProcess::Bursty { peak, start_per_tick, stop_per_tick, resources } => Wave {
            follows: follows(resources, rules),
            bursts: Some(Bursts {
                peak: draw(*peak, rng),
                start_per_tick: *start_per_tick,
                stop_per_tick: *stop_per_tick,
            }),
            ..Wave::default()
        },
        DemandProcess::Diurnal {
            period_ticks,
            amplitude,
            phase,
            noise,
            persistence,
            resources,
        } => Wave {
            period_ticks: *period_ticks,
            amplitude: draw(*amplitude, rng),
            phase: draw(*phase, rng),
            noise: *noise,
            persistence: *persistence,
            follows: follows(resources, rules),
            bursts: None,
            recorded: None,
        },
        DemandProcess::Trace { series, resources } => Wave {
            follows: follows(resources, rules),
            recorded: Some(Recorded { factors: &series[0], origin }),
            ..Wave::default()
        },
    }
}

fn follows(named: &[String], rules: &Rules) -> [bool; MAX_RESOURCES] {
    let mut follows = [false; MAX_RESOURCES];
    for (follow, kind) in follows.iter_mut().zip(&rules.resources) {
        *follow = named.is_empty() || named.contains(&kind.name);
    }
    follows
}

fn indices<T>(items: &[T], varies: impl Fn(&T) -> bool) -> Vec<u32> {
    (0..).zip(items).filter(|(_, item)| varies(item)).map(|(at, _)| at).collect()
}

fn draw(amount: Amount, rng: &mut Rng) -> f32 {
    uniform(amount.bounds(), rng)
}

fn uniform((least, most): (f32, f32), rng: &mut Rng) -> f32 {
    least + (most - least) * rng.random::<f32>()
}

fn copy_name(name: &str, count: u32, copy: u32) -> String {
    if count == 1 { name.to_owned() } else { format!("{name}-{copy}") }
}
