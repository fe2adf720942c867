//! What Prometheus says in place of what a cluster says: worked out by hand, and by a real server with
//! days of use in it, where one is there.
#![allow(clippy::unwrap_used)] // a failed expectation is the point of a test

mod server;

use std::collections::BTreeMap;
use std::path::Path;

use godwit_envs::importers::Series;
use godwit_envs::scenario::ForecastRules;
use godwit_envs::snapshot::{Snapshot, SnapshotNode, SnapshotWorkload};
use serde_json::json;

use super::ask::{All, Found};
use super::replace::{replace, ticks};
use super::{Settings, measured};
use crate::cluster::{CallError, Seen, Source};

/// Workloads `web` and `db` on the nodes `n1` and `n2`, which say 1 of cpu and 2 of memory each.
fn seen() -> Seen {
    let workload = |name: &str, node: &str| SnapshotWorkload {
        name: name.to_owned(),
        node: Some(node.to_owned()),
        demand: vec![1.0, 2.0],
        ..SnapshotWorkload::default()
    };
    let node = |name: &str| SnapshotNode {
        name: name.to_owned(),
        supply: vec![8.0, 8.0],
        ..SnapshotNode::default()
    };
    let snapshot = Snapshot {
        resources: vec!["cpu".to_owned(), "memory".to_owned()],
        nodes: vec![node("n1"), node("n2")],
        workloads: vec![workload("web", "n1"), workload("db", "n2")],
        ..Snapshot::default()
    };
    Seen { snapshot, notes: Vec::new() }
}

fn settings() -> Settings {
    let settings = json!({
        "url": "http://127.0.0.1:1", "workload_label": "vm", "node_label": "host",
        "resources": {"cpu": {"query": "used", "factor": 0.5}},
    });
    serde_json::from_value(settings).unwrap()
}

fn series(labels: &[(&str, &str)], points: &[(f64, f64)]) -> Series {
    let labels = labels.iter().map(|(name, value)| (name.to_string(), value.to_string()));
    Series { labels: BTreeMap::from_iter(labels), points: points.to_vec() }
}

/// At 1000 s, with four ticks of 10 s before.
fn all(now: Vec<Series>, sampled: Vec<Series>, before: Vec<Series>) -> All {
    let found = Found { name: "cpu".to_owned(), now, sampled, before };
    All { now_s: 1000.0, tick_s: 10.0, ticks: 4, resources: vec![found] }
}

fn rules() -> ForecastRules {
    ForecastRules { horizons: vec![1, 3], period_ticks: 4 }
}

#[test]
fn use_and_forecasts_are_what_was_measured_in_the_snapshots_unit() {
    let web = [("vm", "web"), ("host", "n1")];
    let db = [("vm", "db"), ("host", "n2")];
    let all = all(
        vec![series(&web, &[(1000.0, 8.0)]), series(&db, &[(1000.0, 4.0)])],
        vec![series(&web, &[(1000.0, 1000.0)]), series(&db, &[(1000.0, 993.0)])],
        // Ticks -4 to -1; one is missing.
        vec![
            series(&web, &[(960.0, 1.0), (970.0, 2.0), (980.0, 3.0), (990.0, 4.0)]),
            series(&db, &[(960.0, 5.0), (970.0, 6.0), (990.0, 7.0)]),
        ],
    );
    let seen = replace(seen(), &all, &settings(), &rules()).unwrap();
    let [web, db] = seen.snapshot.workloads.as_slice() else { panic!("{seen:?}") };
    assert_eq!(
        (web.demand.as_slice(), db.demand.as_slice()),
        ([4.0, 2.0].as_slice(), [2.0, 2.0].as_slice())
    );
    // One tick later is as three before, three later as one before; memory stays as it is.
    assert_eq!(web.forecast, [[1.0, 2.0], [2.0, 2.0]]);
    assert_eq!(db.forecast, [[3.0, 2.0], [3.5, 2.0]]);
    // The sample of `db` was seven seconds old.
    let ages: Vec<f32> = seen.snapshot.nodes.iter().map(|node| node.metrics_age_s).collect();
    assert_eq!((ages, seen.notes.len()), (vec![0.0, 7.0], 0));
}

#[test]
fn a_series_that_ended_holds_its_last_value_and_one_that_never_was_leaves_its_node_stale() {
    let web = [("vm", "web"), ("host", "n1")];
    let before = vec![series(&web, &[(960.0, 6.0), (980.0, 8.0)])];
    let seen = replace(seen(), &all(vec![], vec![], before), &settings(), &rules()).unwrap();
    let [web, db] = seen.snapshot.workloads.as_slice() else { panic!("{seen:?}") };
    assert_eq!(web.demand, [4.0, 2.0]);
    // Two ticks back, and as far as was asked for.
    let ages: Vec<f32> = seen.snapshot.nodes.iter().map(|node| node.metrics_age_s).collect();
    assert_eq!(ages, [20.0, 40.0]);
    assert_eq!(db.demand, [1.0, 2.0]);
    assert_eq!(db.forecast, [[1.0, 2.0], [1.0, 2.0]]);
    assert_eq!(seen.notes, ["cpu of 1 of 2 workloads was never measured (db)"]);
}

#[test]
fn what_another_node_still_says_of_a_workload_does_not_count() {
    let now = vec![
        series(&[("vm", "web"), ("host", "n2")], &[(1000.0, 14.0)]),
        series(&[("vm", "web"), ("host", "n1")], &[(1000.0, 6.0)]),
    ];
    let mut settings = settings();
    let found = replace(seen(), &all(now.clone(), vec![], vec![]), &settings, &rules()).unwrap();
    assert_eq!(found.snapshot.workloads[0].demand[0], 3.0);
    settings.node_label = None;
    let error = replace(seen(), &all(now, vec![], vec![]), &settings, &rules()).unwrap_err();
    let expected = "resources.cpu.query: expected one result for each workload, got 2 for \"web\" (add \
                    them up: sum by (LABEL) (...))";
    assert_eq!(error, CallError::Refused(expected.to_owned()));
}

#[test]
fn a_resource_that_the_cluster_does_not_have_is_refused_by_name() {
    let mut all = all(vec![], vec![], vec![]);
    all.resources[0].name = "gpu".to_owned();
    let error = replace(seen(), &all, &settings(), &rules()).unwrap_err();
    let expected = "resources: expected some of cpu, memory, got \"gpu\"";
    assert_eq!(error, CallError::Refused(expected.to_owned()));
}

#[test]
fn a_season_is_asked_for_and_an_hour_at_least() {
    assert_eq!(ticks(&rules(), 10.0), 360);
    assert_eq!(ticks(&ForecastRules { period_ticks: 144, ..rules() }, 600.0), 144);
    assert_eq!(ticks(&ForecastRules::default(), 60.0), 60);
}

struct Still(Seen);

impl Source for Still {
    fn look(&mut self) -> Result<Seen, CallError> {
        Ok(self.0.clone())
    }
}

#[test]
fn settings_that_make_no_sense_are_refused_by_name() {
    let rules = server::rules();
    for (field, value, expected) in [
        ("timeout_s", json!(0), "timeout_s: expected 1 to 600 seconds, got 0"),
        ("resources", json!({}), "resources: expected at least one resource, got none"),
        (
            "resources",
            json!({"cpu": {"query": "x", "factor": 0.0}}),
            "resources.cpu.factor: expected a finite number above 0, got 0",
        ),
        (
            "url",
            json!("prom:9090"),
            "url: expected http:// or https:// and a host, got \"prom:9090\"",
        ),
    ] {
        let mut settings = serde_json::to_value(settings()).unwrap();
        settings[field] = value;
        let settings = serde_json::from_value(settings).unwrap();
        let error =
            measured(Box::new(Still(seen())), &settings, &rules, Path::new("")).err().unwrap();
        assert_eq!(error.to_string(), expected);
    }
    // Nobody listens there.
    let mut source = measured(Box::new(Still(seen())), &settings(), &rules, Path::new("")).unwrap();
    let Err(CallError::Later { reason, .. }) = source.look() else { panic!("answered") };
    assert!(reason.starts_with("time() (query): no answer: "), "{reason}");
}
