//! Sound documents for requests, with every field that they may have.

use godwit_envs::scenario::Scenario;
use godwit_envs::snapshot::{Snapshot, SnapshotReassignment};
use godwit_models::artifact::Artifact;
use serde_json::{Value, json};

use super::env;
use godwit_envs::env::Env;

/// A machine-reassignment problem of three resources, two machines and three processes.
const MODEL: &str = "3\n1 10\n0 20\n0 5\n2\n0 0 10 11 12 8 9 9 0 1\n1 4 12 13 14 9 9 9 1 0\n2\n2 1 1\n0 0\n3\n\
                     0 1 2 1 3\n0 2 3 1 4\n1 3 4 1 5\n1\n0 1 20\n10\n1 10 100\n";

/// The start of an episode as a live cluster would send it.
pub fn snapshot(scenario: &Scenario) -> Snapshot {
    let mut env = env(scenario);
    env.reset(7).unwrap();
    env.state().to_snapshot()
}

/// The same with every field that may be left out, of eight workloads each.
pub fn full_snapshot(scenario: &Scenario) -> Value {
    let mut full = serde_json::to_value(snapshot(scenario)).unwrap();
    full["tick"] = 12.into();
    full["taken_at_s"] = 1.7e9.into();
    for (i, node) in full["nodes"].as_array_mut().unwrap().iter_mut().enumerate() {
        node["zone"] = format!("zone {}", i % 2).into();
        node["health"] = ["healthy", "degraded", "draining"][i % 3].into();
        node["deadline_ticks"] = 9.into();
        node["metrics_age_s"] = (i as f64).into();
        node["bandwidth_gib_s"] = 0.5.into();
    }
    let here = full["nodes"][0]["name"].clone();
    let class = full["nodes"][0].get("class").cloned().unwrap_or("standard".into());
    let workloads = full["workloads"].as_array_mut().unwrap();
    let mut transfers = Vec::new();
    for (k, workload) in workloads.iter_mut().enumerate() {
        match k % 8 {
            0 => workload["anti_affinity"] = format!("group {}", k % 3).into(),
            1 => workload["tenant"] = "tenant".into(),
            2 => workload["disruption_group"] = "service".into(),
            3 => workload["classes"] = json!([class, "another"]),
            4 => workload["movable"] = false.into(),
            5 => workload["cooldown_ticks"] = 3.into(),
            6 if workload["node"] != here => {
                let name = &workload["name"];
                transfers.push(json!({"workload": name, "source": here, "remaining_s": 12.5}));
            }
            _ => {
                workload["priority"] = 2.5.into();
                workload["dirty_gib_s"] = 0.25.into();
            }
        }
    }
    full["transfers"] = transfers.into();
    full
}

/// A cluster with the constraints and costs of the machine-reassignment problem.
pub fn reassignment_snapshot(scenario: &Scenario) -> Value {
    let mut snapshot = snapshot(scenario);
    snapshot.nodes.truncate(2);
    snapshot.workloads.truncate(3);
    snapshot.transfers.clear();
    let problem = SnapshotReassignment { model: MODEL.to_owned(), initial: vec![0, 1, 0] };
    let instance = problem.instance("sample").unwrap();
    let floats = |numbers: &[i64]| numbers.iter().map(|&x| x as f32).collect();
    for (i, node) in snapshot.nodes.iter_mut().enumerate() {
        node.supply = floats(instance.capacity(i));
    }
    for (k, workload) in snapshot.workloads.iter_mut().enumerate() {
        workload.demand = floats(instance.requirement(k));
        workload.node = Some(snapshot.nodes[problem.initial[k] as usize].name.clone());
    }
    snapshot.machine_reassignment = Some(problem);
    serde_json::to_value(snapshot).unwrap()
}

/// The first golden observation as the body of an inference request.
pub fn golden_request(artifact: &Artifact) -> Value {
    let (o, spec) = (&artifact.golden[0].observation, &artifact.manifest.network);
    let (n, k, a) = (o.nodes.len() / spec.node_features, o.placement.len(), o.actions());
    let candidates: Vec<f32> = (0..spec.candidate_features)
        .flat_map(|f| (0..a).map(move |candidate| o.candidate(candidate, f)))
        .collect();
    let placement: Vec<i32> = o.placement.iter().map(|node| *node as i32).collect();
    let tensor = |name: &str, datatype: &str, sizes: &[usize], data: Value| {
        let shape: Vec<usize> = [&[1], sizes].concat();
        json!({"name": name, "datatype": datatype, "shape": shape, "data": data})
    };
    // Nested once, flat elsewhere: both are allowed.
    let nodes: Vec<&[f32]> = o.nodes.chunks(spec.node_features).collect();
    json!({"id": "mine", "inputs": [
        tensor("nodes", "FP32", &[n, spec.node_features], json!([nodes])),
        tensor("workloads", "FP32", &[k, spec.workload_features], json!(o.workloads)),
        tensor("globals", "FP32", &[spec.global_features], json!(o.globals)),
        tensor("candidates", "FP32", &[spec.candidate_features, a], json!(candidates)),
        tensor("candidate_workload", "INT32", &[a], json!(o.candidate_workload)),
        tensor("candidate_source", "INT32", &[a], json!(o.candidate_source)),
        tensor("candidate_destination", "INT32", &[a], json!(o.candidate_destination)),
        tensor("placement", "INT32", &[k], json!(placement)),
        tensor("mask", "BOOL", &[a], json!(o.mask[..a])),
    ]})
}
