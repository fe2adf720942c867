//! Small clusters for tests.

use godwit_envs::env::cluster_env::ClusterEnv;
use godwit_envs::rng::{Rng, stream};
use godwit_envs::scenario::{Phase, Rules, Scenario, WorldTemplate};
use godwit_envs::snapshot::Snapshot;
use godwit_envs::state::cluster::{ClusterSpec, Health, NodeSpec, WorkloadSpec};
use godwit_envs::state::places::Spread;
use godwit_envs::state::{ClusterState, Life, NOWHERE, Transfer, full_budget};
use rand::RngExt;
use serde_json::{Value, json};
use std::sync::Arc;

/// An environment over an embedded scenario.
pub fn env(name: &str, phase: Phase) -> ClusterEnv {
    let scenario = Scenario::embedded(name).unwrap();
    ClusterEnv::new(Arc::new(WorldTemplate::new(&scenario)), phase).unwrap()
}

/// A resource `cpu`, rebalance with ten moves, max_load alone; `changes` replaces whole fields.
pub fn rules(changes: Value) -> Arc<Rules> {
    let mut value = json!({
        "resources": [{"name": "cpu"}],
        "episode": {"mode": "rebalance", "move_budget": 10},
        "objective": {"weights": {"max_load": 1.0}},
    });
    for (field, change) in changes.as_object().unwrap() {
        value[field] = change.clone();
    }
    Arc::new(serde_json::from_value(value).unwrap())
}

pub fn node(name: &str, supply: &[f32]) -> NodeSpec {
    NodeSpec {
        name: name.into(),
        class: "standard".into(),
        zone: String::new(),
        supply: supply.to_vec(),
        bandwidth_gib_s: 1.0,
        ..NodeSpec::default()
    }
}

pub fn workload(name: &str, demand: &[f32]) -> WorkloadSpec {
    WorkloadSpec {
        name: name.into(),
        demand: demand.to_vec(),
        state_gib: 1.0,
        priority: 1.0,
        movable: true,
        ..WorkloadSpec::default()
    }
}

/// Equal nodes with one resource; `placed` is the demand and node of each workload, and `change`
/// has the last word on the workloads.
pub fn cluster(
    rules: Arc<Rules>,
    (nodes, supply): (usize, f32),
    placed: &[(f32, u32)],
    change: impl Fn(&mut [WorkloadSpec]),
) -> ClusterState {
    let nodes: Vec<_> = (0..nodes).map(|i| node(&format!("n{i}"), &[supply])).collect();
    let mut workloads: Vec<_> = (0..).zip(placed).map(|(k, p)| named(k, &[p.0])).collect();
    change(&mut workloads);
    let placement = placed.iter().map(|p| p.1).collect();
    ClusterState::new(rules, Arc::new(ClusterSpec::new(1, nodes, workloads)), placement)
}

fn named(k: usize, demand: &[f32]) -> WorkloadSpec {
    workload(&format!("w{k}"), demand)
}

/// Nodes of 10: n0 and n1 in zone a, n2 in zone b, n3 in zone c. Workloads of 1 on these nodes; `change`
/// has the last word on the snapshot.
pub fn zoned(rules: Arc<Rules>, placed: &[u32], change: impl Fn(&mut Snapshot)) -> ClusterState {
    let placed: Vec<(f32, u32)> = placed.iter().map(|&node| (1.0, node)).collect();
    let mut snapshot = cluster(Arc::clone(&rules), (4, 10.0), &placed, |_| {}).to_snapshot();
    for (node, zone) in snapshot.nodes.iter_mut().zip(["a", "a", "b", "c"]) {
        node.zone = zone.to_owned();
    }
    change(&mut snapshot);
    snapshot.validate("zoned").unwrap();
    ClusterState::from_snapshot(rules, &snapshot, "zoned").unwrap()
}

/// A cluster in an arbitrary condition: classes, groups, pinned workloads, cooldowns, overloaded
/// nodes, and where the clock runs transfers in flight, nodes that are degraded, drain or have
/// failed, displaced workloads, and such as have not come yet.
pub fn random_state(seed: u64, online: bool, budget: u32) -> ClusterState {
    let mut rng = stream(seed, "test state");
    let m = rng.random_range(1..=3);
    let (n, k) = (rng.random_range(1..=20), rng.random_range(0..=24));
    let kinds: Vec<Value> = (0..m).map(|j| json!({"name": format!("r{j}")})).collect();
    let rules = rules(json!({
        "resources": kinds,
        "episode": {
            "mode": if online { "online" } else { "rebalance" },
            "move_budget": budget,
            "moves_per_tick": budget,
        },
        "objective": {
            "weights": {
                "max_load": rng.random_range(0..2) as f32, "imbalance": 1.0, "overload": 4.0,
                "fragmentation": 0.5, "moved_gib": 0.001,
            },
            "slot": {"resource": "r0", "size": 4.0},
        },
        "limits": {
            "cooldown_ticks": rng.random_range(0..3),
            "transfers_per_node": rng.random_range(1..4),
            "transfers_in_flight": rng.random_range(2..6),
        },
        "faults": if online { json!({"restart_s": 30.0}) } else { Value::Null },
        "forecast": if online {
            json!({"horizons": [1, 4], "period_ticks": 24})
        } else {
            json!({})
        },
    }));
    let nodes: Vec<NodeSpec> = (0..n)
        .map(|i| {
            let supply: Vec<f32> = (0..m)
                .map(|_| if rng.random::<f32>() < 0.1 { 0.0 } else { rng.random_range(8.0..16.0) })
                .collect();
            let class = if rng.random::<f32>() < 0.3 { "special" } else { "standard" };
            NodeSpec { class: class.into(), ..node(&format!("n{i}"), &supply) }
        })
        .collect();
    let workloads: Vec<WorkloadSpec> = (0..k)
        .map(|k| {
            // Few sizes, so that some workloads are interchangeable.
            let demand: Vec<f32> = (0..m).map(|_| rng.random_range(0..8) as f32 * 0.75).collect();
            let mut workload = named(k, &demand);
            workload.movable = rng.random::<f32>() < 0.9;
            if rng.random::<f32>() < 0.2 {
                workload.classes = vec!["standard".into()];
            }
            if rng.random::<f32>() < 0.3 {
                workload.anti_affinity = Some(format!("g{}", rng.random_range(0..2)));
            }
            workload
        })
        .collect();
    let placement: Vec<u32> = (0..k).map(|_| rng.random_range(0..n as u32)).collect();
    let mut state =
        ClusterState::new(rules, Arc::new(ClusterSpec::new(m, nodes, workloads)), placement);
    for cooldown in &mut state.cooldown {
        *cooldown = if rng.random::<f32>() < 0.1 { 2 } else { 0 };
    }
    if online {
        trouble(&mut state, &mut rng);
    }
    let placed: Vec<usize> = (0..k).filter(|&k| state.placement[k] != NOWHERE).collect();
    if online && !placed.is_empty() && n > 1 {
        let workload = placed[rng.random_range(0..placed.len())];
        let source = (state.placement[workload] + 1) % n as u32;
        state.transfers.push(Transfer { workload: workload as u32, source, remaining_s: 90.0 });
        for demand in &mut state.forecast_demand {
            *demand *= rng.random_range(0.5..1.5);
        }
    }
    state.moves_left = full_budget(&state.rules);
    state.rebuild();
    state
}

/// The same with sets of nodes, limits of workloads per node and rules about zones, which it may break.
pub fn random_places(seed: u64, online: bool, budget: u32) -> ClusterState {
    let state = random_state(seed, online, budget);
    let rng = &mut stream(seed, "test places");
    let mut snapshot = state.to_snapshot();
    let names: Vec<String> = snapshot.nodes.iter().map(|node| node.name.clone()).collect();
    for node in &mut snapshot.nodes {
        node.zone = ["", "a", "b", "c"][rng.random_range(0..4)].to_owned();
        node.max_workloads = (rng.random::<f32>() < 0.4).then(|| rng.random_range(1..5));
    }
    for workload in &mut snapshot.workloads {
        if rng.random::<f32>() < 0.2 {
            let some = names.iter().filter(|_| rng.random::<f32>() < 0.5);
            workload.nodes = some.cloned().chain(["gone".to_owned()]).collect();
        }
        if rng.random::<f32>() < 0.5 {
            let group = format!("s{}", rng.random_range(0..2));
            workload.spread = Some(Spread { group, max_skew: rng.random_range(1..4) });
        }
        if rng.random::<f32>() < 0.2 {
            workload.zone_anti_affinity = Some(format!("z{}", rng.random_range(0..2)));
        }
    }
    ClusterState::from_snapshot(Arc::clone(&state.rules), &snapshot, "random").unwrap()
}

/// Some nodes degraded, draining or failed, and some workloads on no node.
fn trouble(state: &mut ClusterState, rng: &mut Rng) {
    for node in 0..state.spec.nodes() {
        let drawn: f32 = rng.random();
        state.health[node] = match drawn {
            d if d < 0.05 => Health::Failed,
            d if d < 0.15 => Health::Draining,
            d if d < 0.25 => Health::Degraded,
            _ => Health::Healthy,
        };
        if state.health[node] == Health::Draining {
            state.deadline[node] = state.tick + rng.random_range(1..6);
        }
    }
    for k in 0..state.spec.workloads() {
        let lost = state.health[state.placement[k] as usize] == Health::Failed;
        if lost {
            state.life[k] = Life::Displaced;
            state.queue.push(k as u32);
        } else if rng.random::<f32>() < 0.1 {
            state.life[k] = Life::Absent;
        } else {
            continue;
        }
        state.placement[k] = NOWHERE;
    }
}
