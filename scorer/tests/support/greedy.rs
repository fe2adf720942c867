//! Large bodies.

use serde_json::{Value, json};

use super::Fixture;
use super::samples::snapshot;

/// Bodies that are as large as they may be, and made to take as much of everything as they can:
/// what it is, where it goes, and the body.
pub fn greedy_bodies(fixture: &Fixture) -> Vec<(&'static str, &'static str, String)> {
    /// The default of `--max-body-bytes`, less what is around the repeated part.
    const ROOM: usize = (8 << 20) - 1000;
    let fill = |part: &str| part.repeat(ROOM / part.len());
    let listed = |part: &str| format!("[{}0]", fill(part));
    let mut cluster = serde_json::to_value(snapshot(&fixture.scenario)).unwrap();
    let infer = |data: &str| {
        let tensor = format!(r#"{{"name":"nodes","shape":[1],"datatype":"FP32","data":{data}}}"#);
        format!(r#"{{"inputs":[{tensor}]}}"#)
    };
    let one = cluster["workloads"][0].clone();
    let workload = |k: usize, group: Option<String>| {
        let mut workload = one.clone();
        workload["name"] = format!("w{k}").into();
        if let Some(group) = group {
            workload["anti_affinity"] = group.into();
        }
        workload
    };
    let node = cluster["nodes"][0].clone();
    let mut nodes = cluster["nodes"].as_array().unwrap().clone();
    nodes.extend((nodes.len()..2000).map(|i| {
        let mut node = node.clone();
        node["name"] = format!("n{i}").into();
        node
    }));
    cluster["nodes"] = nodes.into();
    let mut large = cluster.clone();
    large["workloads"] = (0..20_000).map(|k| workload(k, None)).collect();
    let mut apart = cluster;
    apart["workloads"] =
        (0..20_000).map(|k| workload(k, Some(format!("g{}", k % 10_000)))).collect();
    let destination = large["nodes"][1]["name"].clone();
    let moves: Vec<Value> = (0..4096)
        .map(|k| json!({"workload_name": format!("w{k}"), "destination_name": destination}))
        .collect();
    let simulated = json!({"snapshot": large, "moves": moves}).to_string();
    let infer_at = "/v2/models/policy/infer";
    vec![
        ("a list of numbers", "/v1/plan", listed("0,")),
        ("nested lists", "/v1/plan", fill("[")),
        ("nameless nodes", "/v1/plan", format!(r#"{{"nodes":[{}0]}}"#, fill("{},"))),
        ("names alone", "/v1/plan", format!(r#"{{"resources":[{}0]}}"#, fill(r#""","#))),
        ("empty forecasts", "/v1/plan", {
            let workload =
                format!(r#"{{"name":"w","node":"n","demand":[0],"forecast":[{}[]]}}"#, fill("[],"));
            format!(r#"{{"workloads":[{workload}]}}"#)
        }),
        ("a tensor of numbers", infer_at, infer(&listed("0,"))),
        ("a tensor of empty lists", infer_at, infer(&listed("[],"))),
        ("a tensor of lists", infer_at, infer(&listed("[[0]],"))),
        (
            "many tensors",
            infer_at,
            format!(
                r#"{{"inputs":[{}0]}}"#,
                fill(r#"{"name":"","shape":[],"datatype":"","data":0},"#)
            ),
        ),
        ("the largest cluster", "/v1/plan?max_moves=3", large.to_string()),
        ("ten thousand groups", "/v1/plan?max_moves=3", apart.to_string()),
        ("a long plan", "/v1/simulate", simulated),
    ]
}
