//! Nodes that close, rules that are broken already and odd input: what the answer does and says.

use serde_json::{Value, json};

use crate::support::service::Service;
use crate::support::{Fixture, scorer};

/// A cluster of `quickstart`'s resources: nodes `a`, `b` and `c` of 32 cores and 128 GiB.
fn cluster(workloads: Value, change: impl FnOnce(&mut Value)) -> Value {
    let node = |name: &str| json!({"name": name, "supply": [32, 128, 0]});
    let mut cluster = json!({
        "format": "godwit-snapshot/1",
        "resources": ["cpu", "memory", "gpu"],
        "nodes": [node("a"), node("b"), node("c")],
        "workloads": workloads,
    });
    change(&mut cluster);
    cluster
}

fn workload(name: &str, node: &str, cpu: f64) -> Value {
    json!({"name": name, "node": node, "demand": [cpu, 4.0 * cpu, 0]})
}

fn decided_with(fixture: &Fixture, snapshot: &Value, limits: &str) -> Value {
    std::fs::write(fixture.snapshot(), snapshot.to_string()).unwrap();
    std::fs::write(fixture.path("limits.toml"), limits).unwrap();
    let mut command = fixture.decide(&fixture.model(), &fixture.snapshot());
    command.arg("--stays").arg("--limits").arg(fixture.path("limits.toml"));
    serde_json::from_slice(&command.assert().success().get_output().stdout).unwrap()
}

fn decided(fixture: &Fixture, snapshot: &Value) -> Value {
    decided_with(fixture, snapshot, "")
}

fn moves(decision: &Value) -> &[Value] {
    decision["plan"]["moves"].as_array().unwrap()
}

fn codes(decision: &Value) -> Vec<&str> {
    decision["warnings"].as_array().unwrap().iter().map(|w| w["code"].as_str().unwrap()).collect()
}

fn message(decision: &Value) -> &str {
    decision["warnings"][0]["message"].as_str().unwrap()
}

/// Four workloads on `a`, none elsewhere, and the health of `a`.
fn closing(health: &str) -> Value {
    let names = ["w0", "w1", "w2", "w3"].map(|name| workload(name, "a", 3.0));
    cluster(json!(names), |cluster| {
        cluster["nodes"][0]["health"] = health.into();
        cluster["nodes"][0]["deadline_ticks"] = 9.into();
    })
}

#[test]
fn a_draining_node_is_emptied_though_the_policy_does_not_see_it() {
    let fixture = Fixture::new("quickstart");
    let decision = decided(&fixture, &closing("draining"));
    let sources: Vec<_> = moves(&decision).iter().map(|m| m["source_name"].as_str()).collect();
    assert_eq!(sources, [Some("a"); 4], "{decision}");
    assert!(moves(&decision).iter().all(|planned| planned["method"] == "live"));
    assert_eq!(decision["duties"], json!({"evacuates": 4, "repairs": 0}));
    assert_eq!(codes(&decision), ["health_not_seen"]);
    assert_eq!(decision["warnings"][0]["names"], json!(["a"]));
    let healthy = decided(&fixture, &closing("healthy"));
    assert_eq!(healthy["duties"], json!({"evacuates": 0, "repairs": 0}));
    assert_eq!(codes(&healthy), Vec::<&str>::new());
    assert_eq!(healthy["violations"], json!([]));
}

#[test]
fn nothing_is_copied_from_a_failed_node() {
    let decision = decided(&Fixture::new("quickstart"), &closing("failed"));
    assert_eq!(moves(&decision).len(), 4, "{decision}");
    for planned in moves(&decision) {
        assert_eq!(planned["method"], "cold_restart");
        assert_eq!(planned["moved_gib"], 0.0);
        assert_eq!(planned["downtime_s"], 60.0);
    }
    assert_eq!(decision["duties"]["evacuates"], 4);
}

#[test]
fn a_policy_that_sees_health_has_its_say() {
    let fixture = Fixture::new("faults");
    let mut snapshot: Value =
        serde_json::from_slice(&std::fs::read(fixture.snapshot()).unwrap()).unwrap();
    let node = snapshot["workloads"][0]["node"].clone();
    let nodes = snapshot["nodes"].as_array_mut().unwrap();
    let node = nodes.iter_mut().find(|other| other["name"] == node).unwrap();
    node["health"] = "draining".into();
    node["deadline_ticks"] = 9.into();
    let decision = decided(&fixture, &snapshot);
    assert!(!codes(&decision).contains(&"health_not_seen"), "{decision}");
}

#[test]
fn limits_hold_for_duties_too() {
    let decision =
        decided_with(&Fixture::new("quickstart"), &closing("draining"), "max_moves_per_node = 2");
    assert_eq!(moves(&decision).len(), 2, "{decision}");
    assert_eq!(decision["stays"]["counts"]["node_limit"], 2);
}

#[test]
fn broken_rules_are_listed_and_mended() {
    let fixture = Fixture::new("quickstart");
    let workloads = json!([
        {"name": "db-1", "node": "a", "demand": [2, 8, 0], "anti_affinity": "db"},
        {"name": "db-2", "node": "a", "demand": [2, 8, 0], "anti_affinity": "db"},
        {"name": "fast", "node": "b", "demand": [2, 8, 0], "classes": ["ssd"]},
        {"name": "model", "node": "b", "demand": [2, 8, 1]},
        {"name": "x", "node": "a", "demand": [30, 8, 0]},
    ]);
    let snapshot = cluster(workloads, |cluster| {
        cluster["nodes"][2] = json!({"name": "c", "class": "ssd", "supply": [32, 128, 4]});
    });
    let decision = decided(&fixture, &snapshot);
    let expected = json!([
        {"kind": "capacity", "node": "a", "resource": "cpu", "demand": 34.0, "supply": 32.0},
        {"kind": "capacity", "node": "b", "resource": "gpu", "demand": 1.0, "supply": 0.0},
        {"kind": "class", "workload": "fast", "node": "b", "class": "standard", "allowed": ["ssd"]},
        {"kind": "anti_affinity", "group": "db", "node": "a", "members": 2,
         "workloads": ["db-1", "db-2"]},
    ]);
    assert_eq!(decision["violations"], expected);
    assert_eq!(
        decision["violation_counts"],
        json!({"anti_affinity": 1, "capacity": 2, "class": 1})
    );
    // Parting brings node a below its supply.
    assert_eq!(decision["duties"], json!({"evacuates": 0, "repairs": 3}), "{decision}");
    let mut after = snapshot;
    for planned in moves(&decision) {
        let workloads = after["workloads"].as_array_mut().unwrap();
        let moved = workloads.iter_mut().find(|w| w["name"] == planned["workload_name"]).unwrap();
        moved["node"] = planned["destination_name"].clone();
    }
    assert_eq!(decided(&fixture, &after)["violations"], json!([]), "{decision}");
}

#[test]
fn a_budget_that_transfers_exceed_is_a_violation() {
    let member = |name: &str| json!({"name": name, "node": "b", "demand": [1, 4, 0], "disruption_group": "pay"});
    let snapshot = cluster(json!([member("p0"), member("p1"), member("p2")]), |cluster| {
        let transfer = |name: &str| json!({"workload": name, "source": "a", "remaining_s": 9.0});
        cluster["transfers"] = json!([transfer("p0"), transfer("p1")]);
    });
    let fixture = Fixture::new("quickstart");
    let decision = decided_with(&fixture, &snapshot, "disruption_budgets = { pay = 1 }");
    assert_eq!(
        decision["violations"],
        json!([{"kind": "disruption_budget", "group": "pay", "in_transfer": 2, "budget": 1}])
    );
    let decision = decided_with(&fixture, &snapshot, "disruption_budgets = { pay = 2 }");
    assert_eq!(decision["violations"], json!([]));
}

#[test]
fn demand_without_supply_is_overload_and_attracts_nobody() {
    let gpu = |name: &str, node: &str| json!({"name": name, "node": node, "demand": [1, 4, 2]});
    let workloads = json!([gpu("t0", "a"), gpu("t1", "a"), gpu("u", "b"), workload("x", "c", 6.0)]);
    let with = |supply: f64| {
        cluster(workloads.clone(), |cluster| {
            cluster["nodes"][0]["supply"][2] = supply.into();
            cluster["nodes"][1]["supply"][2] = 8.into();
            cluster["nodes"][2]["supply"][2] = 2.into();
        })
    };
    let fixture = Fixture::new("quickstart");
    let [none, some] = [0.0, 4.0].map(|supply| decided(&fixture, &with(supply)));
    let objective = |decision: &Value| decision["plan"]["objective_before"].as_f64().unwrap();
    assert!(objective(&none) > objective(&some) + 1.0, "{none}");
    for planned in moves(&none) {
        let has_gpu = ["t0", "t1", "u"].contains(&planned["workload_name"].as_str().unwrap());
        assert!(!has_gpu || planned["destination_name"] != "a", "{planned}");
    }
    assert_eq!(none["duties"]["repairs"], 2);
    assert_eq!(none["violations"][0]["kind"], "capacity");
}

#[test]
fn one_workload_that_fits_nowhere_does_not_silence_the_plan() {
    let fixture = Fixture::new("quickstart");
    let mut snapshot: Value =
        serde_json::from_slice(&std::fs::read(fixture.snapshot()).unwrap()).unwrap();
    let good = decided(&fixture, &snapshot);
    assert!(moves(&good).len() > 2 && codes(&good).is_empty(), "{good}");
    let memory = snapshot["workloads"][3]["demand"][1].as_f64().unwrap();
    snapshot["workloads"][3]["demand"][1] = (memory * 1_048_576.0).into();
    let name = snapshot["workloads"][3]["name"].clone();
    let decision = decided(&fixture, &snapshot);
    assert!(moves(&decision).len() > 2, "{decision}");
    assert!(moves(&decision).iter().all(|planned| planned["workload_name"] != name));
    assert!(codes(&decision).contains(&"fits_nowhere"), "{decision}");
    let warnings = decision["warnings"].as_array().unwrap();
    let warning = warnings.iter().find(|w| w["code"] == "fits_nowhere").unwrap();
    assert_eq!(warning["names"], json!([name]));
    let stays = decision["stays"]["workloads"].as_array().unwrap();
    let stay = stays.iter().find(|stay| stay["workload_name"] == name).unwrap();
    assert_eq!(stay["reason"], "no_feasible_destination");
}

#[test]
fn warnings_are_bounded_and_the_rest_is_counted() {
    let large: Vec<Value> = (0..30).map(|k| workload(&format!("w{k}"), "a", 1000.0)).collect();
    let decision = decided(&Fixture::new("quickstart"), &cluster(json!(large), |_| {}));
    assert_eq!(codes(&decision), ["fits_nowhere"; 20]);
    assert_eq!(decision["warnings_omitted"], 10);
    assert_eq!(
        message(&decision),
        "workload \"w0\": expected a demand for cpu of at most 32, the largest supply of a node, \
         got 1000: it stays, and the others are planned for"
    );
}

#[test]
fn units_that_seem_to_differ_are_told() {
    let workloads = json!([workload("x", "b", 4.0), workload("y", "b", 4.0)]);
    let decision = decided(
        &Fixture::new("quickstart"),
        &cluster(workloads, |cluster| {
            cluster["nodes"][0]["supply"][1] = 137_438_953_472_u64.into();
        }),
    );
    assert_eq!(codes(&decision), ["units_differ"]);
    assert_eq!(decision["warnings"][0]["names"], json!(["a", "b"]));
    assert!(message(&decision).starts_with("supplies of memory: expected one unit for all"));
}

#[test]
fn limits_on_what_nobody_has_are_told() {
    let fixture = Fixture::new("quickstart");
    let mut member = workload("p0", "a", 1.0);
    member["disruption_group"] = "pay".into();
    member["tenant"] = "t".into();
    let snapshot = cluster(json!([member]), |_| {});
    let limits = "max_moves_per_tenant = 1\ndisruption_budgets = { payy = 1 }";
    let decision = decided_with(&fixture, &snapshot, limits);
    assert_eq!(codes(&decision), ["unknown_name"]);
    assert_eq!(decision["warnings"][0]["names"], json!(["payy"]));
    let decision = decided_with(
        &fixture,
        &snapshot,
        "max_moves_per_tenant = 1\ndisruption_budgets = { pay = 1 }",
    );
    assert_eq!(codes(&decision), Vec::<&str>::new());
    let nobody = cluster(json!([workload("p0", "a", 1.0)]), |_| {});
    assert_eq!(
        codes(&decided_with(&fixture, &nobody, "max_moves_per_tenant = 1")),
        ["unknown_name"]
    );
}

#[test]
fn a_time_in_milliseconds_is_told_with_its_sign() {
    let fixture = Fixture::new("quickstart");
    let at = |time: f64| {
        cluster(json!([workload("x", "a", 1.0)]), |cluster| cluster["taken_at_s"] = time.into())
    };
    let now_s = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
    assert_eq!(codes(&decided(&fixture, &at(now_s))), Vec::<&str>::new());
    let decision = decided(&fixture, &at(now_s * 1000.0));
    assert_eq!(codes(&decision), ["time_in_milliseconds"]);
    assert!(message(&decision).contains("an age of -"), "{decision}");
    // And where that is refused.
    let refused = decided_with(&fixture, &at(now_s * 1000.0), "max_age_s = 60");
    assert_eq!(codes(&refused), ["time_in_milliseconds"]);
    assert!(refused["refusal"]["age_s"].as_f64().unwrap() < -1e12, "{refused}");
}

#[test]
fn nodes_that_share_the_highest_load_are_told_where_nothing_else_counts() {
    let fixture = Fixture::new("founding-3x3");
    let mut snapshot: Value =
        serde_json::from_slice(&std::fs::read(fixture.snapshot()).unwrap()).unwrap();
    let kinds = snapshot["resources"].as_array().unwrap().len();
    let node = |name: &str| json!({"name": name, "supply": vec![8; kinds]});
    let placed =
        |name: &str, node: &str| json!({"name": name, "node": node, "demand": vec![2; kinds]});
    snapshot["nodes"] = json!([node("a"), node("b"), node("c")]);
    let workloads = [("u", "a"), ("v", "a"), ("x", "b"), ("y", "b")];
    snapshot["workloads"] = json!(workloads.map(|(name, node)| placed(name, node)));
    let decision = decided(&fixture, &snapshot);
    assert_eq!(moves(&decision).len(), 0, "{decision}");
    assert_eq!(codes(&decision), ["highest_load_shared"]);
    assert_eq!(decision["warnings"][0]["names"], json!(["a", "b"]));
    // With one node above the others there is a move.
    snapshot["workloads"] = json!([placed("u", "a"), placed("v", "a")]);
    let decision = decided(&fixture, &snapshot);
    assert_eq!(moves(&decision).len(), 1, "{decision}");
    assert_eq!(codes(&decision), Vec::<&str>::new());
}

#[test]
fn the_service_tells_and_counts_the_same_and_replays_it() {
    let fixture = Fixture::new("quickstart");
    let log = fixture.path("decisions").display().to_string();
    let mut service = Service::start(&fixture, &["--mode", "active", "--decision-log", &log]);
    let mut snapshot = closing("draining");
    snapshot["workloads"][0]["classes"] = json!(["ssd"]);
    snapshot["taken_at_s"] = 1.8e12.into();
    let answer = service.post("/v1/plan", snapshot.to_string()).ok();
    assert_eq!(answer["duties"]["evacuates"], 3, "{answer}");
    assert_eq!(answer["violation_counts"], json!({"class": 1}));
    assert_eq!(codes(&answer), ["time_in_milliseconds", "health_not_seen"]);
    for (line, count) in [
        ("input_violations_total{mode=\"active\",kind=\"class\"}", 1.0),
        ("input_violations_total{mode=\"active\",kind=\"capacity\"}", 0.0),
        ("warnings_total{mode=\"active\",reason=\"health_not_seen\"}", 1.0),
        ("duty_moves_total{mode=\"active\",kind=\"evacuates\"}", 3.0),
    ] {
        assert_eq!(service.metric(&format!("godwit_scorer_{line}")), count, "{line}");
    }
    service.post("/v1/halt", "").ok();
    let halted = service.post("/v1/plan", snapshot.to_string()).ok();
    assert_eq!(halted["violation_counts"], json!({"class": 1}), "{halted}");
    assert_eq!(codes(&halted), ["time_in_milliseconds"]);
    service.signal("TERM");
    assert_eq!(service.ended().code(), Some(0), "{}", service.log());
    let mut command = scorer();
    command.arg("replay").arg(&log).arg("--model").arg(fixture.model()).arg("--json");
    let output = command.assert().success().get_output().stdout.clone();
    let summary: Value = serde_json::from_slice(&output).unwrap();
    assert_eq!((&summary["equal"], &summary["decisions"]), (&json!(2), &json!(2)), "{summary}");
}
