//! Scenarios of what Prometheus recorded.
#![allow(clippy::unwrap_used)] // a failed expectation is the point of a test

use crate::importers::{
    HISTORY_FORMAT, History, LogOptions, RecordedUse, Series, prometheus, ticks_of,
};
use crate::scenario::{Amount, DemandProcess};
use crate::snapshot::{Snapshot, SnapshotNode, SnapshotWorkload};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// `web` and `db` on one node, which say 3 of cpu and 1 of memory each.
fn snapshot() -> Snapshot {
    let workload = |name: &str| SnapshotWorkload {
        name: name.into(),
        node: Some("n".into()),
        demand: vec![3.0, 1.0],
        ..SnapshotWorkload::default()
    };
    let node = |name: &str| SnapshotNode {
        name: name.into(),
        supply: vec![8.0, 8.0],
        ..SnapshotNode::default()
    };
    Snapshot {
        resources: vec!["cpu".into(), "memory".into()],
        nodes: vec![node("n"), node("m")],
        workloads: vec![workload("web"), workload("db")],
        ..Snapshot::default()
    }
}

fn cpu(text: &str, factor: f64) -> Vec<RecordedUse> {
    let text = text.to_owned();
    vec![RecordedUse { resource: "cpu".into(), text, label: "cpu.json".into(), factor }]
}

/// Minutes 0 to 3 of `web`, of which the third is missing.
const RANGE: &str = r#"{"status":"success","data":{"resultType":"matrix","result":[
    {"metric":{"vm":"web"},"values":[[60,"2"],[120,"4"],[240,"8"]]},
    {"metric":{"vm":"other"},"values":[[60,"1"]]}]}}"#;

#[test]
fn workloads_want_what_was_recorded_and_the_rest_stays_as_in_the_snapshot() {
    let imported = prometheus(&snapshot(), &cpu(RANGE, 0.5), "vm", &LogOptions::default()).unwrap();
    let [web, db] = imported.scenario.workloads.as_slice() else { panic!() };
    // Half of 2, 4, 4 and 8: the most is the base, and cpu alone follows.
    assert_eq!(web.demand["cpu"], Amount::Fixed(4.0));
    assert_eq!(web.demand["memory"], Amount::Fixed(1.0));
    let series = vec![vec![0.25, 0.5, 0.5, 1.0]];
    assert_eq!(web.process, DemandProcess::Trace { series, resources: vec!["cpu".into()] });
    assert_eq!((&db.process, db.demand["cpu"]), (&DemandProcess::Constant, Amount::Fixed(3.0)));
    assert_eq!(web.node.as_deref(), Some("n"));
    let report = imported.report.to_string();
    let expected = "use recorded by Prometheus\n2 series; 4 ticks of 60 s\n2 nodes, 2 workloads\n\
                    as in the snapshot all the time: 1 (db cpu)\n";
    assert!(report.starts_with(expected), "{report}");
}

#[test]
fn a_history_file_says_the_same_and_any_other_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.json");
    let history = History {
        format: HISTORY_FORMAT.to_owned(),
        snapshot: snapshot(),
        workload_label: "vm".into(),
        recorded: cpu(RANGE, 0.5),
    };
    std::fs::write(&path, serde_json::to_string(&history).unwrap()).unwrap();
    let options = LogOptions::default();
    let read = History::load(&path).unwrap().import(&options).unwrap();
    let expected = prometheus(&snapshot(), &cpu(RANGE, 0.5), "vm", &options).unwrap();
    assert_eq!((read.scenario, read.report), (expected.scenario, expected.report));
    let other = serde_json::to_string(&History { format: "other".into(), ..history }).unwrap();
    std::fs::write(&path, other).unwrap();
    let error = History::load(&path).unwrap_err().to_string();
    assert!(error.ends_with("format: expected godwit-history/1, got \"other\""), "{error}");
}

#[test]
fn what_cannot_be_imported_is_refused_with_what_was_expected() {
    let error = |text: &str, resource: &str| {
        let mut recorded = cpu(text, 1.0);
        recorded[0].resource = resource.into();
        prometheus(&snapshot(), &recorded, "vm", &LogOptions::default()).unwrap_err().to_string()
    };
    assert_eq!(
        error(r#"{"status":"error","errorType":"bad_data","error":"parse error"}"#, "cpu"),
        "cpu.json: status: expected success, got error: parse error"
    );
    assert_eq!(
        error(RANGE, "gpu"),
        "prometheus: resource: expected a resource of the snapshot (cpu, memory), got \"gpu\""
    );
    let empty = r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#;
    assert_eq!(
        error(empty, "cpu"),
        "prometheus: values: expected values of 2 to 5000000 ticks of 60 s, got 0 ticks"
    );
    let damaged = error("<html>", "cpu");
    assert!(damaged.starts_with("cpu.json: line 1: expected valid JSON, got "), "{damaged}");
}

#[test]
fn instants_scalars_and_numbers_that_are_none_are_read() {
    let vector = r#"{"status":"success","data":{"resultType":"vector","result":[
        {"metric":{"vm":"a"},"value":[5.5,"1e3"]},{"metric":{},"value":[5.5,"NaN"]}]}}"#;
    let [a, none] = &Series::read(vector, "x").unwrap()[..] else { panic!() };
    assert_eq!((a.labels["vm"].as_str(), a.points.as_slice()), ("a", [(5.5, 1000.0)].as_slice()));
    assert!(none.points.is_empty());
    let scalar = r#"{"status":"success","data":{"resultType":"scalar","result":[7,"7.25"]}}"#;
    assert_eq!(Series::read(scalar, "x").unwrap()[0].points, [(7.0, 7.25)]);
}

#[test]
fn points_fall_into_ticks_from_their_beginning_to_before_their_end() {
    let series = |points: &[(f64, f64)]| Series {
        labels: BTreeMap::from([("vm".to_owned(), "a".to_owned())]),
        points: points.to_vec(),
    };
    let all =
        [series(&[(9.9, 1.0), (10.0, 2.0), (19.9, 4.0)]), series(&[(30.0, 8.0), (40.0, 9.0)])];
    let ticks = ticks_of(&all, "vm", 10.0, 10.0, 3);
    assert_eq!(ticks["a"], [Some(3.0), None, Some(8.0)]);
    assert!(ticks_of(&all, "pod", 10.0, 10.0, 3).is_empty());
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(
        points in proptest::collection::vec((0.0..1e10_f64, -1e10..1e10_f64), 0..20),
        name in "[a-z\"\\\\]{0,8}",
    ) {
        let series = Series { labels: BTreeMap::from([("vm".to_owned(), name)]), points };
        let read = Series::read(&Series::write(std::slice::from_ref(&series)), "x").unwrap();
        prop_assert_eq!(read.len(), 1);
        prop_assert_eq!(&read[0].labels, &series.labels);
        prop_assert_eq!(read[0].points.len(), series.points.len());
        for (read, written) in read[0].points.iter().zip(&series.points) {
            // Times are of milliseconds.
            prop_assert!((read.0 - written.0).abs() < 1e-4);
            prop_assert_eq!(read.1, written.1);
        }
    }

    #[test]
    fn no_text_makes_the_import_panic(text in "[ -~]{0,80}") {
        let _ = prometheus(&snapshot(), &cpu(&text, 1.0), "vm", &LogOptions::default());
    }
}
