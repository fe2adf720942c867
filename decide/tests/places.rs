//! What is told of a snapshot that breaks rules about places, and of workloads that wait.

#![allow(clippy::unwrap_used)] // a failed expectation is the point of a test

use godwit_decide::case::Case;
use godwit_decide::engine::{PlanLimits, Planned, plan_with};
use godwit_decide::safety::Safety;
use godwit_envs::snapshot::Snapshot;
use godwit_envs::state::ClusterState;
use godwit_models::baseline;
use serde_json::{Value, json};
use std::sync::Arc;

/// Nodes of 10 cores: `a` (at most two workloads) and `b` in zone `east`, `c` in zone `west`.
fn planned(workloads: Value, budgets: Value) -> Planned {
    let text = json!({
        "format": "godwit-snapshot/1",
        "resources": ["cpu"],
        "nodes": [
            {"name": "a", "zone": "east", "supply": [10.0], "max_workloads": 2},
            {"name": "b", "zone": "east", "supply": [10.0]},
            {"name": "c", "zone": "west", "supply": [10.0]},
        ],
        "workloads": workloads,
        "disruption_budgets": budgets,
    });
    let rules = json!({
        "resources": [{"name": "cpu"}],
        "episode": {"mode": "rebalance", "move_budget": 9},
        "objective": {"weights": {"max_load": 1.0, "moved_gib": 10.0}},
    });
    let snapshot = Snapshot::from_json(&text.to_string(), "live.json").unwrap();
    let rules = Arc::new(serde_json::from_value(rules).unwrap());
    let state = ClusterState::from_snapshot(rules, &snapshot, "live.json").unwrap();
    let mut case = Case { state, snapshot };
    let safety = Safety::default();
    let moment = safety.moment(&mut case, 0);
    let mut stay = baseline("stay").unwrap();
    plan_with(stay.as_mut(), &case, &safety, &moment, PlanLimits::NONE).unwrap()
}

/// Workload names and destinations of the plan.
fn moves(planned: &Planned) -> Vec<(&str, &str)> {
    let moves = planned.plan.moves.iter();
    moves.map(|m| (m.workload_name.as_str(), m.destination_name.as_str())).collect()
}

#[test]
fn a_workload_outside_of_its_set_is_listed_and_goes_into_it() {
    let workloads = json!([{"name": "w", "node": "a", "demand": [1], "nodes": ["b", "gone"]}]);
    let planned = planned(workloads, json!([]));
    let found = serde_json::to_value(&planned.findings.violations).unwrap();
    let expected =
        json!({"kind": "node_set", "workload": "w", "node": "a", "allowed": ["b", "gone"]});
    assert_eq!(found, json!([expected]));
    assert_eq!(moves(&planned), [("w", "b")]);
    assert_eq!(planned.findings.duties.repairs, 1);
}

#[test]
fn a_node_with_too_many_workloads_is_listed_and_left() {
    let w = |k: u32| json!({"name": format!("w{k}"), "node": "a", "demand": [1]});
    let planned = planned(json!([w(0), w(1), w(2)]), json!([]));
    let found = serde_json::to_value(&planned.findings.violations).unwrap();
    let expected = json!({"kind": "workloads_per_node", "node": "a", "workloads": 3, "most": 2});
    assert_eq!(found, json!([expected]));
    assert_eq!(planned.plan.moves.len(), 1);
}

#[test]
fn members_that_share_a_zone_are_listed_and_part() {
    let w = |name: &str, node: &str| json!({"name": name, "node": node, "demand": [1], "zone_anti_affinity": "store"});
    let planned = planned(json!([w("x", "a"), w("y", "b")]), json!([]));
    let found = serde_json::to_value(&planned.findings.violations).unwrap();
    let expected = json!({"kind": "zone_anti_affinity", "group": "store", "zone": "east",
        "members": 2, "workloads": ["x", "y"]});
    assert_eq!(found, json!([expected]));
    assert!(matches!(moves(&planned)[..], [(_, "c")]), "{:?}", moves(&planned));
}

#[test]
fn a_zone_with_too_many_of_a_group_is_listed_and_left() {
    let w = |name: &str, node: &str| {
        let spread = json!({"group": "web", "max_skew": 1});
        json!({"name": name, "node": node, "demand": [1], "spread": spread})
    };
    let workloads = json!([w("x", "a"), w("y", "b"), w("z", "b")]);
    let planned = planned(workloads, json!([]));
    let found = serde_json::to_value(&planned.findings.violations).unwrap();
    let expected = json!({"kind": "zone_spread", "group": "web", "zone": "east", "members": 3,
        "fewest": 0, "max_skew": 1});
    assert_eq!(found, json!([expected]));
    assert!(matches!(moves(&planned)[..], [(_, "c")]), "{:?}", moves(&planned));
    assert_eq!(planned.findings.violation_counts["zone_spread"], 1);
}

#[test]
fn who_waits_is_counted_and_stays() {
    let workloads = json!([
        {"name": "x", "node": "a", "demand": [1]},
        {"name": "small", "demand": [2]},
        {"name": "large", "demand": [9.5]},
        {"name": "bound", "demand": [1], "nodes": ["gone"]},
    ]);
    let planned = planned(workloads, json!([]));
    assert!(planned.findings.violations.is_empty() && planned.plan.moves.is_empty());
    let warnings = serde_json::to_value(&planned.findings.warnings).unwrap();
    assert_eq!(warnings[0]["code"], "pending");
    assert_eq!(
        warnings[0]["message"],
        "3 workloads wait for a node: for 2 of them, each by itself, one has room now; \"large\" \
         demands the largest share of a node; none of them is moved"
    );
    assert_eq!(warnings[0]["names"], json!(["large", "small", "bound"]));
    let stays = serde_json::to_value(&planned.stays.counts).unwrap();
    assert_eq!(stays, json!({"not_running": 3, "policy_stays": 1}));
}

#[test]
fn a_budget_of_the_snapshot_holds_for_duties_too() {
    let w = |k: u32| {
        json!({"name": format!("w{k}"), "node": "a", "demand": [1], "nodes": ["c"],
            "disruption_group": "web"})
    };
    let of = |allowed: u32| {
        let budgets = json!([{"group": "web", "disruptions_allowed": allowed}]);
        let planned = planned(json!([w(0), w(1)]), budgets);
        let stays = serde_json::to_value(&planned.stays.counts).unwrap();
        (planned.plan.moves.len(), stays)
    };
    assert_eq!(of(0), (0, json!({"disruption_budget": 2})));
    assert_eq!(of(1), (1, json!({"disruption_budget": 1})));
    assert_eq!(of(2), (2, json!({})));
}
