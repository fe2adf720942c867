//! A family of worlds, drawn from seeds: what a policy is trained on that is to serve clusters which
//! it never saw.
//!
//! Clusters have 2 to 64 nodes of one to three sizes, 2 to 8 workloads per node, one to five resource
//! kinds at 45 to 75 % of the tightest, and classes, anti-affinity, daily demand, bursts, frozen
//! demand, arrivals, faults, drains, slots, weights, prices of moves, limits and horizons as they
//! come. All are online worlds.

use crate::env::Env as _;
use crate::env::cluster_env::ClusterEnv;
use crate::episode::churn::Arrivals;
use crate::observe::ObservationBuffer;
use crate::observe::sections::Sections;
use crate::resources::ResourceKind;
use crate::rng::{Rng, stream};
use crate::scenario::{
    Amount, CandidateRules, DemandProcess, EpisodeRules, FaultRules, ForecastRules, Limits, Mode,
    NodeGroup, ObjectiveRules, Phase, Rules, Scenario, Scheduler, SlotRules, Start, StartPlacement,
    WorkloadGroup, WorldTemplate,
};
use crate::state::migration::MigrationRules;
use rand::RngExt;
use rand::seq::{IndexedRandom, SliceRandom};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a policy sees of the family's worlds.
pub const SECTIONS: Sections = Sections {
    health: true,
    queue: true,
    slots: true,
    machines: false,
    follow_up: false,
    chains: false,
    clock: false,
    world: true,
    horizons: 4,
};

/// A world of the family: the same one for the same seed. `largest` bounds the number of nodes, 2 to
/// 64.
pub fn draw(seed: u64, largest: u32) -> Scenario {
    let mut rng = stream(seed, "family of worlds");
    loop {
        let scenario = Draw::new(&mut rng, largest).scenario(&mut rng, seed);
        if scenario.validate("family").is_ok() && has_moves(&scenario) {
            return scenario;
        }
    }
}

/// Whether its first episodes have a start, and some moves to choose from there.
fn has_moves(scenario: &Scenario) -> bool {
    let template = Arc::new(WorldTemplate::new(scenario));
    let Ok(mut env) = ClusterEnv::new(template, Phase::Train) else { return false };
    let mut seen = ObservationBuffer::new(env.observation_space());
    (0..STARTS).all(|seed| {
        let starts = env.reset(seed).is_ok();
        if !starts || seed >= OBSERVED {
            return starts;
        }
        env.observe(&mut seen);
        seen.mask.iter().filter(|open| **open).count() > FEWEST_MOVES
    })
}

/// Episodes that are looked at before a world is kept.
const STARTS: u64 = 64;
/// Those of them whose moves are counted.
const OBSERVED: u64 = 4;
/// Moves that each of these has at least.
const FEWEST_MOVES: usize = 4;

/// What several parts of a world depend on.
struct Draw {
    nodes: u32,
    workloads: u32,
    kinds: Vec<String>,
    ticks: u32,
    period: u32,
    bandwidth: f32,
    faults: bool,
}

fn log_uniform(rng: &mut Rng, least: f32, most: f32) -> f32 {
    rng.random_range(least.ln()..most.ln()).exp()
}

fn one_of<T: Copy>(rng: &mut Rng, values: &[T]) -> T {
    *values.choose(rng).expect("a list that is written out")
}

impl Draw {
    fn new(rng: &mut Rng, largest: u32) -> Self {
        let nodes = log_uniform(rng, 2.0, largest.clamp(3, 64) as f32 + 0.99) as u32;
        let workloads = (nodes as f32 * log_uniform(rng, 2.0, 8.0)).round() as u32;
        let period = one_of(rng, &[24, 48, 72, 96, 144]);
        Self {
            nodes,
            workloads: workloads.max(4),
            kinds: (0..rng.random_range(1..=5)).map(|kind| format!("kind-{kind}")).collect(),
            ticks: 96,
            period,
            bandwidth: log_uniform(rng, 0.2, 2.0),
            faults: rng.random_bool(0.35),
        }
    }

    fn scenario(&self, rng: &mut Rng, seed: u64) -> Scenario {
        let shapes = self.shapes(rng);
        let nodes = self.node_groups(rng, &shapes);
        let workloads = self.workload_groups(rng, &nodes);
        let comes = workloads.iter().any(|group| group.arrivals.is_some());
        Scenario {
            name: format!("world-{seed}"),
            description: String::new(),
            rules: self.rules(rng, &nodes, comes),
            start: Start {
                placement: one_of(rng, &[StartPlacement::Random, StartPlacement::Packed]),
                ..Start::default()
            },
            snapshot: None,
            nodes,
            workloads,
            events: Vec::new(),
            train: None,
            cluster: None,
        }
    }

    /// Supply of each size of node, relative to the others.
    fn shapes(&self, rng: &mut Rng) -> Vec<Vec<f32>> {
        let sizes = rng.random_range(1..=3.min(self.nodes as usize));
        let mut shape = |at: usize| -> Vec<f32> {
            let one = |kind: usize| {
                let lacks = at > 0 && kind > 0 && rng.random_bool(0.1);
                if lacks { 0.0 } else { one_of(rng, &[1.0, 1.0, 1.5, 2.0]) }
            };
            (0..self.kinds.len()).map(one).collect()
        };
        (0..sizes).map(&mut shape).collect()
    }

    fn amounts(&self, values: &[f32]) -> BTreeMap<String, f32> {
        let named = self.kinds.iter().cloned().zip(values.iter().copied());
        named.filter(|(_, value)| *value > 0.0).collect()
    }

    fn node_groups(&self, rng: &mut Rng, shapes: &[Vec<f32>]) -> Vec<NodeGroup> {
        let mut counts = vec![1; shapes.len()];
        for _ in shapes.len() as u32..self.nodes {
            counts[rng.random_range(0..shapes.len())] += 1;
        }
        let group = |(at, shape): (usize, &Vec<f32>)| NodeGroup {
            name: format!("size-{at}"),
            count: counts[at],
            class: format!("size-{at}"),
            zone: String::new(),
            supply: self.amounts(shape),
            bandwidth_gib_s: self.bandwidth,
            max_workloads: None,
        };
        shapes.iter().enumerate().map(group).collect()
    }

    fn workload_groups(&self, rng: &mut Rng, nodes: &[NodeGroup]) -> Vec<WorkloadGroup> {
        let groups = rng.random_range(1..=4.min(self.workloads as usize / 2)) as u32;
        let typical_gib = self.bandwidth * 60.0 * log_uniform(rng, 0.02, 1.0);
        let mut made = Vec::new();
        for at in 0..groups {
            let count = (self.workloads / groups).max(1);
            let mut wants: Vec<&String> =
                self.kinds.iter().filter(|_| rng.random_bool(0.75)).collect();
            if wants.is_empty() {
                wants.push(&self.kinds[0]);
            }
            let able: Vec<&NodeGroup> = nodes
                .iter()
                .filter(|group| wants.iter().all(|kind| group.supply.contains_key(*kind)))
                .collect();
            let bound = able.len() < nodes.len() || able.len() > 1 && rng.random_bool(0.2);
            let few = able.iter().take(rng.random_range(1..=able.len().max(1)));
            let classes: Vec<String> = few.map(|group| group.class.clone()).collect();
            let width = one_of(rng, &[0.0, 0.3, 0.6]);
            let mut demand = BTreeMap::new();
            for kind in wants {
                let middle = log_uniform(rng, 0.5, 2.0);
                let range = [middle * (1.0 - width), middle * (1.0 + width)];
                demand.insert(kind.clone(), Amount::Range(range));
            }
            let spread = typical_gib * log_uniform(rng, 0.5, 2.0);
            made.push(WorkloadGroup {
                name: format!("group-{at}"),
                count,
                demand,
                state_gib: Amount::Range([0.6 * spread, 1.4 * spread]),
                dirty_gib_s: self.bandwidth * one_of(rng, &[0.0, 0.05, 0.2]),
                priority: one_of(rng, &[0.5, 1.0, 1.0, 2.0, 4.0]),
                classes: if bound { classes } else { Vec::new() },
                nodes: Vec::new(),
                anti_affinity: (count * 2 <= self.nodes && rng.random_bool(0.3))
                    .then(|| format!("apart-{at}")),
                spread: None,
                zone_anti_affinity: None,
                movable: true,
                node: None,
                process: self.process(rng),
                arrivals: rng.random_bool(0.15).then(|| self.arrivals(rng, count)),
            });
        }
        self.fill(rng, nodes, &mut made);
        made
    }

    /// Scales demands to the utilisation that is drawn for the tightest kind.
    fn fill(&self, rng: &mut Rng, nodes: &[NodeGroup], groups: &mut [WorkloadGroup]) {
        let wanted: f32 = rng.random_range(0.45..0.75);
        let looser: Vec<f32> = self.kinds.iter().map(|_| rng.random_range(0.6..1.0)).collect();
        let tight = rng.random_range(0..self.kinds.len());
        for (at, kind) in self.kinds.iter().enumerate() {
            let supply: f32 = nodes
                .iter()
                .map(|group| group.count as f32 * group.supply.get(kind).copied().unwrap_or(0.0))
                .sum();
            let asked: f32 =
                groups.iter().map(|group| group.count as f32 * mean(group, kind)).sum();
            if asked == 0.0 {
                continue;
            }
            let share = if at == tight { wanted } else { wanted * looser[at] };
            let factor = share * supply / asked;
            let most = nodes.iter().filter_map(|group| group.supply.get(kind)).copied();
            let most = most.fold(0.0, f32::max);
            for group in groups.iter_mut() {
                if let Some(Amount::Range([least, highest])) = group.demand.get_mut(kind) {
                    // Whoever is at a peak still fits on a node.
                    *highest = (*highest * factor).min(0.45 * most);
                    *least = (*least * factor).min(*highest);
                }
            }
        }
    }

    fn process(&self, rng: &mut Rng) -> DemandProcess {
        match rng.random_range(0..10) {
            0..=2 => DemandProcess::Constant,
            3..=7 => {
                let low = rng.random_range(0.1..0.6);
                let phase = rng.random_range(0.0..0.7);
                DemandProcess::Diurnal {
                    period_ticks: self.period,
                    amplitude: Amount::Range([low, low + 0.3]),
                    phase: Amount::Range([phase, phase + one_of(rng, &[0.1, 0.3])]),
                    noise: one_of(rng, &[0.0, 0.03, 0.08]),
                    persistence: one_of(rng, &[0.0, 0.5, 0.8]),
                    resources: Vec::new(),
                }
            }
            _ => {
                let peak = rng.random_range(1.5..2.2);
                let stop = log_uniform(rng, 0.05, 0.3);
                DemandProcess::Bursty {
                    peak: Amount::Range([peak, peak + 0.6]),
                    start_per_tick: stop * rng.random_range(0.05..0.2),
                    stop_per_tick: stop,
                    resources: Vec::new(),
                }
            }
        }
    }

    fn arrivals(&self, rng: &mut Rng, count: u32) -> Arrivals {
        let there = count as f32 * rng.random_range(0.5..0.8);
        let lifetime_ticks = log_uniform(rng, 8.0, 48.0);
        Arrivals::Poisson {
            per_tick: there / lifetime_ticks,
            lifetime_ticks,
            sigma: 0.0,
            start: there as u32,
        }
    }

    fn rules(&self, rng: &mut Rng, nodes: &[NodeGroup], comes: bool) -> Rules {
        let mut weights: BTreeMap<String, f32> = BTreeMap::new();
        let mut weigh = |name: &str, weight: f32| {
            if weight > 0.0 {
                weights.insert(name.to_owned(), weight);
            }
        };
        weigh("max_load", one_of(rng, &[0.0, 0.5, 1.0, 1.0, 2.0]));
        weigh("imbalance", one_of(rng, &[0.3, 1.0, 1.0, 2.0]));
        weigh("overload", one_of(rng, &[0.0, 2.0, 4.0, 8.0]));
        let slot = rng.random_bool(0.2).then(|| {
            let supplies = nodes.iter().filter_map(|group| group.supply.get(&self.kinds[0]));
            let smallest = supplies.copied().fold(f32::INFINITY, f32::min);
            let size = smallest * one_of(rng, &[0.25, 0.5]);
            SlotRules { resource: self.kinds[0].clone(), size }
        });
        weigh("fragmentation", if slot.is_some() { one_of(rng, &[0.5, 1.0]) } else { 0.0 });
        weigh("moved_gib", log_uniform(rng, 0.003, 0.1) / (self.bandwidth * 10.0));
        weigh("downtime_s", one_of(rng, &[0.0, 0.01, 0.1]));
        if self.faults || comes {
            weigh("unplaced", one_of(rng, &[0.5, 1.0, 2.0]));
        }
        if self.faults {
            weigh("displaced", one_of(rng, &[0.5, 1.0, 2.0]));
        }
        let mut horizons: Vec<u32> =
            [1, 2, 3, 6, 12, 24].into_iter().filter(|_| rng.random_bool(0.5)).collect();
        horizons.shuffle(rng);
        horizons.truncate(rng.random_range(0..=4));
        horizons.sort_unstable();
        Rules {
            resources: self
                .kinds
                .iter()
                .map(|name| ResourceKind { name: name.clone(), unit: String::new() })
                .collect(),
            episode: EpisodeRules {
                mode: Mode::Online,
                tick_s: one_of(rng, &[60.0, 300.0, 600.0]),
                ticks: self.ticks,
                moves_per_tick: rng.random_range(1..=3),
                move_budget: 10,
            },
            objective: ObjectiveRules { weights, terms: BTreeMap::new(), unit: None, slot },
            migration: MigrationRules::default(),
            limits: Limits {
                cooldown_ticks: one_of(rng, &[0, 1, 3, 6]),
                transfers_per_node: one_of(rng, &[1, 2, 4]),
                ..Limits::default()
            },
            candidates: CandidateRules { max: 256, ..CandidateRules::default() },
            forecast: ForecastRules { horizons, period_ticks: self.period },
            faults: self.faults.then(|| self.fault_rules(rng)),
            scheduler: one_of(rng, &[Scheduler::LeastLoaded, Scheduler::BestFit]),
            observation: Some(SECTIONS),
        }
    }

    fn fault_rules(&self, rng: &mut Rng) -> FaultRules {
        let per_tick = 1.0 / (self.ticks as f32 * self.nodes as f32 / 4.0).max(1.0);
        FaultRules {
            degrade_per_tick: per_tick * log_uniform(rng, 0.5, 2.0),
            drain_per_tick: per_tick * log_uniform(rng, 0.5, 2.0),
            drain_ticks: rng.random_range(6..24),
            repair_ticks: [rng.random_range(6..16), rng.random_range(16..48)],
            restart_s: 60.0,
            ..FaultRules::default()
        }
    }
}

/// Mean demand of a group's workload for a kind.
fn mean(group: &WorkloadGroup, kind: &str) -> f32 {
    group.demand.get(kind).map_or(0.0, |amount| {
        let (least, most) = amount.bounds();
        (least + most) / 2.0
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worlds_are_valid_differ_and_are_the_same_for_the_same_seed() {
        let worlds: Vec<Scenario> = (0..24).map(|seed| draw(seed, 64)).collect();
        for (seed, world) in worlds.iter().enumerate() {
            assert!(world.validate("family").is_ok());
            assert_eq!(*world, draw(seed as u64, 64));
            let text = world.to_toml();
            assert_eq!(Scenario::parse(&text, "family").expect("its own text").rules, world.rules);
        }
        let count = |has: fn(&Scenario) -> bool| worlds.iter().filter(|world| has(world)).count();
        assert!((2..20).contains(&count(|world| world.rules.faults.is_some())));
        assert!((2..20).contains(&count(|world| world.rules.resources.len() > 3)));
        assert!(
            (2..22).contains(&count(|world| world.nodes.iter().map(|n| n.count).sum::<u32>() > 10))
        );
    }
}
