//! Random worlds for property tests.

use godwit_envs::env::Env;
use godwit_envs::env::cluster_env::ClusterEnv;
use godwit_envs::episode::churn::Arrivals;
use godwit_envs::observe::ObservationBuffer;
use godwit_envs::observe::sections::Sections;
use godwit_envs::resources::{MAX_RESOURCES, ResourceKind};
use godwit_envs::rng::{Rng, stream};
use godwit_envs::scenario::FaultRules;
use godwit_envs::scenario::*;
use godwit_envs::state::migration::{MigrationMode, MigrationRules};
use proptest::prelude::*;
use rand::RngExt;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a random world is made of; the numbers in it are drawn from `seed`.
#[derive(Debug, Clone)]
pub struct Shape {
    pub nodes: usize,
    pub workloads: usize,
    pub resources: usize,
    pub online: bool,
    pub slot: bool,
    pub waves: bool,
    pub horizons: bool,
    pub constraints: bool,
    /// Sets of nodes, numbers of workloads per node, and zones.
    pub places: bool,
    pub draws: bool,
    pub one_term: bool,
    /// Terms of its own, see [`OWN_TERMS`].
    pub own_terms: bool,
    pub cooldown: u32,
    pub moves: u32,
    pub max_candidates: usize,
    pub perturb: Option<Perturb>,
    /// Faults, arrivals, bursts; with `online` only.
    pub dynamics: bool,
    /// Events at stated ticks; with `dynamics` only.
    pub events: bool,
    pub seed: u64,
}

/// Own terms with their weights; the naive features have their meaning.
pub const OWN_TERMS: [(&str, &str, f32); 4] = [
    ("hot", "sum(max(0, utilisation.r0 - 0.5))", 1.5),
    ("rough", "mean(load * load)", 0.25),
    ("tight", "max(utilisation.r0 - free.r0 / (supply.r0 + 8))", 2.0),
    ("unpaid", "sum(sqrt(used.r0))", 0.0),
];

/// Worlds below, at and above one vector of nodes, with fixed pairs and with listed candidates.
pub fn shapes() -> impl Strategy<Value = Shape> {
    // As many resource kinds as there may be, now and then.
    let kinds = prop_oneof![9 => 1..=4_usize, 1 => Just(MAX_RESOURCES)];
    let sizes = (prop::sample::select(vec![1, 2, 3, 10, 15, 16, 17, 33, 40]), 1..24_usize, kinds);
    let switches = (
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
        prop::bool::weighted(0.2),
        prop::bool::weighted(0.3),
        any::<bool>(),
    );
    let limits = (0..4_u32, 1..6_u32, prop::sample::select(vec![2, 9, 40, 2000]));
    (sizes, switches, limits, any::<u64>()).prop_map(|(sizes, switches, limits, seed)| Shape {
        nodes: sizes.0,
        workloads: sizes.1,
        resources: sizes.2,
        online: switches.0,
        slot: switches.1,
        waves: switches.2,
        horizons: switches.3,
        constraints: switches.4,
        draws: switches.5,
        one_term: switches.6,
        own_terms: switches.7,
        places: switches.8,
        cooldown: limits.0,
        moves: limits.1,
        max_candidates: limits.2,
        perturb: None,
        dynamics: false,
        events: false,
        seed,
    })
}

fn quarters(least: u32, most: u32, rng: &mut Rng) -> f32 {
    rng.random_range(least..=most) as f32 / 4.0
}

/// The scenario of a shape. Demands are multiples of a quarter where they do not change, so that
/// sums are exact and a naive recomputation meets the same slot boundaries.
pub fn scenario(shape: &Shape) -> Scenario {
    let mut scenario = without_events(shape);
    if shape.places {
        crate::places::add_rules(&mut scenario, &mut stream(shape.seed, "places"));
    }
    if shape.dynamics && shape.events {
        crate::scripted::add_events(&mut scenario, &mut stream(shape.seed, "events"));
    }
    scenario
}

fn without_events(shape: &Shape) -> Scenario {
    let rng = &mut stream(shape.seed, "shape");
    let kinds: Vec<String> = (0..shape.resources).map(|j| format!("r{j}")).collect();
    let nodes: Vec<NodeGroup> = (0..shape.nodes)
        .map(|i| NodeGroup {
            name: format!("n{i}"),
            count: 1,
            class: if i == 0 { "a".into() } else { ["a", "b", "c"][rng.random_range(0..3)].into() },
            zone: String::new(),
            supply: kinds
                .iter()
                .enumerate()
                .filter_map(|(j, kind)| {
                    let supply = [8.0, 16.0, 32.0][rng.random_range(0..3)];
                    let has = i == 0 || j == 0 || rng.random_bool(0.8);
                    has.then(|| (kind.clone(), supply))
                })
                .collect(),
            bandwidth_gib_s: [0.5, 1.25, 2.0][rng.random_range(0..3)],
            max_workloads: None,
        })
        .collect();
    let most = ((16 * shape.nodes / shape.workloads) as u32).clamp(1, 16);
    let workloads = (0..shape.workloads)
        .map(|k| {
            let mut demand = BTreeMap::new();
            for (j, kind) in kinds.iter().enumerate() {
                if j == 0 || rng.random_bool(0.7) {
                    let amount = quarters(1, most, rng);
                    let amount = match shape.draws {
                        true => Amount::Range([amount * 0.75, amount]),
                        false => Amount::Fixed(amount),
                    };
                    demand.insert(kind.clone(), amount);
                }
            }
            let rare = |rng: &mut Rng| shape.constraints && rng.random_bool(0.25);
            WorkloadGroup {
                name: format!("w{k}"),
                count: 1,
                demand,
                state_gib: Amount::Fixed(rng.random_range(1..200) as f32),
                dirty_gib_s: [0.0, 0.1, 0.4, 3.0][rng.random_range(0..4)],
                priority: [0.5, 1.0, 2.0][rng.random_range(0..3)],
                classes: if rare(rng) { vec!["a".into(), "b".into()] } else { Vec::new() },
                nodes: Vec::new(),
                spread: None,
                zone_anti_affinity: None,
                anti_affinity: match rare(rng) {
                    true => Some(format!("g{}", rng.random_range(0..3))),
                    false => None,
                },
                movable: !rare(rng),
                node: None,
                arrivals: match shape.dynamics && rng.random_bool(0.4) {
                    false => None,
                    true => Some(Arrivals::Poisson {
                        per_tick: 0.2,
                        lifetime_ticks: 6.0,
                        sigma: 1.0,
                        start: rng.random_range(0..=1),
                    }),
                },
                process: match shape.dynamics && rng.random_bool(0.3) {
                    true => DemandProcess::Bursty {
                        peak: Amount::Range([0.5, 2.5]),
                        start_per_tick: 0.1,
                        stop_per_tick: 0.4,
                        resources: Vec::new(),
                    },
                    false => match shape.waves && shape.online && rng.random_bool(0.8) {
                        false => DemandProcess::Constant,
                        true => DemandProcess::Diurnal {
                            period_ticks: 6,
                            amplitude: Amount::Range([0.1, 0.5]),
                            phase: Amount::Range([0.0, 1.0]),
                            noise: 0.05,
                            persistence: 0.5,
                            resources: vec!["r0".into()],
                        },
                    },
                },
            }
        })
        .collect();
    // The slot is in the last resource and waves are in the first: slots then stay exact.
    let slot = shape.slot && !shape.draws && (shape.resources > 1 || !shape.waves);
    let mut weights: BTreeMap<String, f32> = [("max_load".into(), 1.0)].into();
    if !shape.one_term {
        weights.extend([
            ("imbalance".into(), 0.5),
            ("overload".into(), 2.0),
            ("moved_gib".into(), 0.001),
            ("downtime_s".into(), 0.01),
        ]);
        if slot {
            weights.insert("fragmentation".into(), 0.75);
        }
    }
    let mut terms = BTreeMap::new();
    if shape.own_terms {
        for (name, text, weight) in OWN_TERMS {
            terms.insert(name.to_owned(), text.to_owned());
            weights.insert(name.to_owned(), weight);
        }
    }
    if shape.dynamics {
        weights.extend([("displaced".into(), 2.0), ("unplaced".into(), 1.0)]);
    }
    Scenario {
        name: "random".into(),
        description: String::new(),
        rules: Rules {
            resources: kinds
                .iter()
                .map(|name| ResourceKind { name: name.clone(), unit: String::new() })
                .collect(),
            episode: EpisodeRules {
                mode: if shape.online { Mode::Online } else { Mode::Rebalance },
                tick_s: 60.0,
                ticks: if shape.dynamics { 40 } else { 9 },
                moves_per_tick: shape.moves.min(3),
                move_budget: 2 * shape.moves,
            },
            objective: ObjectiveRules {
                weights,
                terms,
                unit: Some(0.5),
                slot: slot
                    .then(|| SlotRules { resource: kinds[shape.resources - 1].clone(), size: 4.0 }),
            },
            migration: MigrationRules {
                mode: match shape.seed % 3 {
                    0 => MigrationMode::StopAndCopy,
                    _ => MigrationMode::Live,
                },
                // Not a multiple of anything: no round ends exactly at the target.
                downtime_target_s: 0.291_7,
                ..MigrationRules::default()
            },
            limits: Limits {
                cooldown_ticks: shape.cooldown,
                transfers_per_node: rng.random_range(1..3),
                transfers_in_flight: rng.random_range(1..5),
                ..Limits::default()
            },
            candidates: CandidateRules {
                max: shape.max_candidates,
                follow_up: !slot && !shape.own_terms && shape.seed % 4 < 2,
                chains: {
                    let asked = slot && !shape.online && !shape.one_term;
                    if asked && shape.seed.is_multiple_of(2) { shape.max_candidates / 4 } else { 0 }
                },
            },
            forecast: ForecastRules {
                horizons: if shape.horizons && shape.online { vec![1, 2, 7] } else { Vec::new() },
                period_ticks: 6,
            },
            faults: shape.dynamics.then(|| FaultRules {
                degrade_per_tick: 0.03,
                hazard_per_tick: 0.15,
                recover_per_tick: 0.1,
                drain_per_tick: 0.03,
                drain_ticks: rng.random_range(1..5),
                repair_ticks: [1, 6],
                restart_s: 30.0,
            }),
            scheduler: match shape.seed % 5 {
                0 => Scheduler::BestFit,
                _ => Scheduler::LeastLoaded,
            },
            // What the rules call for, or all that there is.
            observation: shape.seed.is_multiple_of(3).then_some(Sections {
                health: true,
                queue: true,
                slots: true,
                machines: true,
                follow_up: true,
                chains: shape.seed.is_multiple_of(4),
                clock: shape.seed.is_multiple_of(2),
                world: true,
                horizons: 2 + (shape.seed % 4) as u32,
            }),
        },
        start: Start {
            placement: match shape.seed % 2 {
                0 => StartPlacement::Random,
                _ => StartPlacement::Packed,
            },
            perturb: shape.perturb.clone(),
            windows: None,
        },
        snapshot: None,
        nodes,
        workloads,
        events: Vec::new(),
        train: None,
        cluster: None,
    }
}

/// An environment over a scenario, or `None` where it has no feasible start.
pub fn env_of(scenario: &Scenario, phase: Phase) -> Option<ClusterEnv> {
    scenario.validate("random").ok()?;
    ClusterEnv::new(Arc::new(WorldTemplate::new(scenario)), phase).ok()
}

/// The environment of a shape at the start of its training episode 0.
pub fn env(shape: &Shape) -> Option<ClusterEnv> {
    env_of(&scenario(shape), Phase::Train)
}

/// The embedded scenario's environment.
pub fn embedded(name: &str, phase: Phase) -> ClusterEnv {
    env_of(&Scenario::embedded(name).unwrap(), phase).unwrap()
}

/// The present observation.
pub fn observe(env: &impl Env) -> ObservationBuffer {
    let mut out = ObservationBuffer::new(env.observation_space());
    env.observe(&mut out);
    out
}

/// A random allowed action; anything but `Stay` where possible in nine of ten cases.
pub fn random_action(observation: &ObservationBuffer, rng: &mut Rng) -> usize {
    let open: Vec<usize> = (1..observation.actions()).filter(|&a| observation.mask[a]).collect();
    if open.is_empty() || rng.random_bool(0.1) { 0 } else { open[rng.random_range(0..open.len())] }
}

/// The bits of everything in an observation that has a meaning.
pub fn bits(observation: &ObservationBuffer) -> Vec<u32> {
    let o = observation;
    let mut bits: Vec<u32> =
        o.nodes.iter().chain(&o.workloads).chain(&o.globals).map(|x| x.to_bits()).collect();
    bits.extend(o.placement.iter().chain(&o.candidate_workload));
    bits.extend(o.candidate_source.iter().chain(&o.candidate_destination));
    bits.extend(o.mask.iter().map(|&open| u32::from(open)));
    let features = o.candidates.len() / o.candidate_stride;
    for a in (1..o.actions()).filter(|&a| o.mask[a]) {
        bits.extend((0..features).map(|f| o.candidate(a, f).to_bits()));
    }
    bits
}

/// The compact form of the present state.
pub fn compact(env: &impl Env) -> Vec<u8> {
    let mut bytes = vec![0; env.compact_len()];
    env.write_compact(&mut bytes);
    bytes
}
