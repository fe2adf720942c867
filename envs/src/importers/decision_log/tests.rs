//! Hand-written logs, and what episodes of their scenarios do.
#![allow(clippy::unwrap_used)] // a failed expectation is the point of a test

use super::recording::default_rules;
use super::*;
use crate::env::Env;
use crate::env::cluster_env::ClusterEnv;
use crate::scenario::{
    Amount, DemandProcess, ForecastRules, Phase, Scenario, Windows, WorldTemplate,
};
use crate::state::{Action, ClusterState, Life};
use serde_json::{Value, json};
use std::sync::Arc;

/// A decision about two nodes of 8 cores and 32 GiB; the workloads are name, node and demand.
fn decision(tick: u64, workloads: &[(&str, &str, [f32; 2])]) -> Value {
    let workload = |&(name, node, demand): &(&str, &str, [f32; 2])| json!({"name": name, "node": node, "demand": demand});
    json!({
        "format": "godwit-decision-log/1", "kind": "decision", "time_s": 1.0, "id": "x",
        "snapshot": {
            "format": "godwit-snapshot/1", "tick": tick, "taken_at_s": 1e9 + 30.0 * tick as f64,
            "resources": ["cpu", "memory"],
            "nodes": [
                {"name": "n0", "supply": [8.0, 32.0], "class": "fast", "bandwidth_gib_s": 2.0},
                {"name": "n1", "supply": [8.0, 32.0]},
            ],
            "workloads": workloads.iter().map(workload).collect::<Vec<_>>(),
        },
    })
}

/// Ticks 7 to 11, of which 9 has no snapshot. `a` stays, with a CPU that swings; `b` goes and comes
/// back; `c` comes.
fn recorded() -> Vec<Value> {
    vec![
        json!({"format": "godwit-decision-log/1", "kind": "start", "time_s": 0.0, "mode": "active"}),
        decision(7, &[("a", "n0", [2.0, 4.0]), ("b", "n0", [1.0, 2.0])]),
        decision(8, &[("a", "n0", [6.0, 4.0])]),
        decision(10, &[("a", "n1", [3.0, 4.0]), ("b", "n0", [2.0, 4.0]), ("c", "n1", [0.5, 1.0])]),
        decision(11, &[("a", "n1", [0.0, 4.0]), ("b", "n0", [2.0, 4.0]), ("c", "n1", [1.0, 1.0])]),
    ]
}

fn lines(values: &[Value]) -> String {
    values.iter().map(|value| format!("{value}\n")).collect()
}

fn import_files(
    files: &[(&str, String)],
    options: &LogOptions,
) -> Result<ImportedOnline<LogReport>, String> {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    decision_log(folder.path(), options)
        .map_err(|error| error.to_string().replace(folder.path().to_str().unwrap(), "LOG"))
}

fn import(values: &[Value]) -> ImportedOnline<LogReport> {
    let options = LogOptions::default();
    import_files(&[("decisions-1.jsonl", lines(values))], &options).unwrap()
}

/// The states of an episode in which nothing is moved, tick by tick.
fn played(scenario: &Scenario) -> Vec<ClusterState> {
    let mut env = ClusterEnv::new(Arc::new(WorldTemplate::new(scenario)), Phase::Evaluate).unwrap();
    env.reset(0).unwrap();
    let mut states = vec![env.state().clone()];
    while env.apply(Action::Stay).unwrap().end.is_none() {
        states.push(env.state().clone());
    }
    states.push(env.state().clone());
    states
}

/// Demand of those who are there, by name; a second stay has a name of its own.
fn wanted(state: &ClusterState) -> Vec<(&str, Vec<f32>)> {
    let here = (0..state.spec.workloads()).filter(|&k| state.life[k] != Life::Absent);
    here.map(|k| (state.spec.workload_names[k].as_str(), state.demand_of(k).to_vec())).collect()
}

#[test]
fn an_episode_has_the_recorded_demands_arrivals_and_departures() {
    let imported = import(&recorded());
    // What is written is what is read.
    let text = imported.scenario.to_toml();
    let scenario = Scenario::parse(&text, "live.toml").unwrap();
    assert_eq!(scenario, imported.scenario);
    assert!(WorldTemplate::new(&scenario).has_single_start(Phase::Evaluate));
    let states = played(&scenario);
    let expected: [&[(&str, [f32; 2])]; 5] = [
        &[("a", [2.0, 4.0]), ("b", [1.0, 2.0])],
        &[("a", [6.0, 4.0])],
        // Nothing was recorded: as before.
        &[("a", [6.0, 4.0])],
        &[("a", [3.0, 4.0]), ("b (2)", [2.0, 4.0]), ("c", [0.5, 1.0])],
        &[("a", [0.0, 4.0]), ("b (2)", [2.0, 4.0]), ("c", [1.0, 1.0])],
    ];
    assert_eq!(states.len(), expected.len());
    for (tick, (state, expected)) in states.iter().zip(expected).enumerate() {
        let found = wanted(state);
        assert_eq!(found.len(), expected.len(), "tick {tick}: {found:?}");
        for ((name, demand), (expected_name, expected)) in found.iter().zip(expected) {
            assert_eq!(name, expected_name, "tick {tick}");
            let close = demand.iter().zip(expected).all(|(x, y)| (x - y).abs() < 1e-6);
            assert!(close, "tick {tick}, {name}: {demand:?}, recorded {expected:?}");
        }
    }
    // As at first recorded: both on n0.
    assert_eq!(states[0].node_of(0), Some(0));
    assert_eq!(states[0].spec.node_names, ["n0", "n1"]);
    assert_eq!(states[0].spec.bandwidth_gib_s, [2.0, 1.25]);
    assert_eq!(scenario.rules.episode.tick_s, 30.0);
    assert_eq!(
        imported.report.to_string().lines().skip(1).collect::<Vec<_>>(),
        [
            "4 decisions in 1 files; 4 of 5 ticks of 30 s have a snapshot",
            "2 nodes, 4 workloads (3 come or go)",
            "note: training and evaluation play the same ticks; training starts from disturbed placements",
        ]
    );
}

#[test]
fn what_cannot_be_read_is_skipped_and_counted() {
    let [start, first, second, ..] = &recorded()[..] else { unreachable!() };
    let mut unknown = first.clone();
    unknown["format"] = "godwit-decision-log/9".into();
    let mut lost = first.clone();
    lost["snapshot"]["workloads"][0]["node"] = "nowhere".into();
    let text = format!("{}no JSON\n{unknown}\n{lost}\n", lines(&[start.clone(), first.clone()]));
    // The second file's process was killed in the middle of a line.
    let torn = format!("{second}\n{}", &first.to_string()[..40]);
    let files = [
        ("decisions-10.jsonl", torn),
        ("decisions-9.jsonl", text),
        ("notes.txt", "something else".to_owned()),
    ];
    let report = import_files(&files, &LogOptions::default()).unwrap().report;
    assert_eq!((report.read, report.torn, report.ticks.0), ((2, 2), 1, 2));
    assert_eq!(report.skipped.len(), 3);
    assert!(
        report.skipped[0].starts_with("decisions-9.jsonl line 3: expected"),
        "{:?}",
        report.skipped
    );
    assert!(
        report.skipped[1].contains("expected godwit-decision-log/1, got godwit-decision-log/9")
    );
    assert!(report.skipped[2].contains("workloads[0].node"), "{:?}", report.skipped);
    assert!(report.to_string().contains("skipped: 3 (decisions-9.jsonl line 3"));
}

#[test]
fn a_log_without_usable_records_is_refused() {
    let refusal =
        |files: &[(&str, String)]| import_files(files, &LogOptions::default()).unwrap_err();
    let expected =
        "LOG: log: expected decisions-N.jsonl with decisions of godwit-decision-log/1, got";
    assert_eq!(refusal(&[]), format!("{expected} 0 files without any"));
    let start = lines(&recorded()[..1]);
    assert_eq!(refusal(&[("decisions-1.jsonl", start)]), format!("{expected} 1 files without any"));
    let error = refusal(&[("decisions-1.jsonl", "{\n".to_owned())]);
    assert!(error.starts_with(&format!("{expected} none; 1 lines skipped, first ")), "{error}");
    assert_eq!(error.lines().count(), 1);
    let once = lines(&recorded()[..2]);
    assert_eq!(
        refusal(&[("decisions-1.jsonl", once)]),
        "LOG: log: expected workloads in two ticks or more, got 1 ticks, 2 workloads"
    );
    let ends = [0, u64::MAX].map(|tick| decision(tick, &[("a", "n0", [1.0, 1.0])]));
    let error = refusal(&[("decisions-1.jsonl", lines(&ends))]);
    assert!(error.starts_with("LOG: log: expected at most 1000000 ticks"), "{error}");
    let missing = decision_log(Path::new("/nosuch/folder"), &LogOptions::default()).unwrap_err();
    assert!(missing.to_string().starts_with("/nosuch/folder: "), "{missing}");
}

#[test]
fn without_ticks_times_count_and_without_times_the_order() {
    let ticks = |change: fn(&mut Value)| {
        let mut values = recorded();
        values[1..].iter_mut().for_each(|value| change(&mut value["snapshot"]));
        let imported = import(&values);
        (imported.report.ticks, imported.scenario.rules.episode.tick_s)
    };
    // 30 s to a recorded tick, 60 s to one of the scenario's.
    assert_eq!(ticks(|snapshot| snapshot["tick"] = Value::Null), ((3, 3, 60.0), 60.0));
    assert_eq!(
        ticks(|snapshot| {
            snapshot["tick"] = Value::Null;
            snapshot["taken_at_s"] = Value::Null;
        }),
        ((4, 4, 60.0), 60.0)
    );
}

#[test]
fn the_resource_that_swings_most_is_exact_and_others_follow_if_that_is_closer() {
    // CPU 2, 4, 1 of 8 leads; memory follows it exactly; disk hardly changes, and keeps its mean.
    let fit = stays::fit(&[2.0, 8.0, 5.0, 4.0, 16.0, 6.0, 1.0, 4.0, 7.0], &[8.0, 64.0, 100.0]);
    assert_eq!(fit.factors, [0.5, 1.0, 0.25]);
    assert_eq!((fit.follows, fit.base), (vec![true, true, false], vec![4.0, 16.0, 6.0]));
    assert!((fit.error - 0.01).abs() < 1e-6, "one of 100: {}", fit.error);
    let constant = stays::fit(&[2.0, 3.0, 2.0, 3.0], &[8.0, 8.0]);
    assert_eq!((constant.factors, constant.error), (vec![1.0, 1.0], 0.0));
    assert_eq!((constant.base, constant.follows), (vec![2.0, 3.0], vec![false, false]));
}

#[test]
fn clusters_that_break_their_own_rules_can_be_played() {
    // n0 holds 10 of 8 cores, and three workloads, though it may have two; `p` runs on a class that it
    // does not allow, and `r` on a node; `q` and `r` share a node, and all three a zone of two.
    let values: Vec<Value> = [0, 1]
        .map(|tick| {
            let mut value = decision(
                tick,
                &[("p", "n0", [6.0, 1.0]), ("q", "n0", [2.0, 1.0]), ("r", "n0", [2.0, 1.0])],
            );
            let workloads = &mut value["snapshot"]["workloads"];
            workloads[0]["classes"] = json!(["standard", "gone"]);
            workloads[1]["anti_affinity"] = "apart".into();
            workloads[2]["anti_affinity"] = "apart".into();
            workloads[2]["nodes"] = json!(["n1", "gone"]);
            for k in 0..3 {
                workloads[k]["spread"] = json!({"group": "all", "max_skew": 1});
            }
            let nodes = &mut value["snapshot"]["nodes"];
            nodes[0]["max_workloads"] = 2.into();
            nodes[1]["zone"] = "east".into();
            value
        })
        .into();
    let imported = import(&values);
    let groups = &imported.scenario.workloads;
    assert_eq!(groups[0].classes, ["standard", "fast"]);
    assert_eq!(groups[1].anti_affinity.as_deref(), Some("apart"));
    assert_eq!(groups[2].anti_affinity, None);
    assert_eq!(groups[2].nodes, ["n1", "n0"]);
    assert!(groups.iter().all(|group| group.spread.is_none()));
    assert_eq!(imported.scenario.nodes[0].max_workloads, Some(3));
    let told = imported.report.to_string();
    assert!(told.contains("3 workloads are let off a constraint"), "{told}");
    assert!(told.contains("1 nodes had more workloads than their max_workloads"), "{told}");
    let states = played(&imported.scenario);
    assert_eq!(states[0].now.held[0], 10.0);
}

#[test]
fn nodes_fail_as_often_as_they_did() {
    let health = [
        ("healthy", "healthy"),
        ("degraded", "draining"),
        ("degraded", "failed"),
        ("failed", "failed"),
        ("failed", "healthy"),
        ("healthy", "healthy"),
    ];
    let values: Vec<Value> = (0..)
        .zip(health)
        .map(|(tick, (first, second))| {
            let mut value = decision(tick, &[("a", "n0", [1.0, 1.0])]);
            value["snapshot"]["nodes"][0]["health"] = first.into();
            value["snapshot"]["nodes"][1]["health"] = second.into();
            if second == "draining" {
                value["snapshot"]["nodes"][1]["deadline_ticks"] = 4.into();
            }
            value
        })
        .collect();
    let faults = import(&values).scenario.rules.faults.unwrap();
    // Healthy and followed by a tick: the first node once, the second in ticks 0 and 4.
    assert_eq!((faults.degrade_per_tick, faults.drain_per_tick), (1.0 / 3.0, 1.0 / 3.0));
    assert_eq!((faults.hazard_per_tick, faults.recover_per_tick), (0.5, 0.0));
    assert_eq!((faults.drain_ticks, faults.repair_ticks), (4, [2, 2]));
}

#[test]
fn with_a_split_training_and_evaluation_play_other_ticks() {
    let values: Vec<Value> =
        (0..10).map(|tick| decision(tick, &[("a", "n0", [tick as f32 / 2.0, 1.0])])).collect();
    let options = LogOptions { split: Some(0.6), ..LogOptions::default() };
    let files = [("decisions-1.jsonl", lines(&values))];
    let scenario = import_files(&files, &options).unwrap().scenario;
    assert_eq!(scenario.start.windows, Some(Windows { train: [0, 6], evaluate: [6, 10] }));
    assert_eq!(scenario.rules.episode.ticks, 2);
    assert!(!WorldTemplate::new(&scenario).has_single_start(Phase::Evaluate));
    let first = played(&scenario)[0].demand_of(0)[0];
    assert!([3.0, 3.5].iter().any(|wanted| (first - wanted).abs() < 1e-5), "{first}");
    let error = import_files(&files, &LogOptions { split: Some(0.95), ..options }).unwrap_err();
    assert!(error.contains("split: expected parts longer than an episode"), "{error}");
}

#[test]
fn rules_of_an_artifact_are_kept_and_extended_by_what_the_log_shows() {
    let mut rules = default_rules(&["memory".into(), "cpu".into()], &LogOptions::default());
    rules.objective.weights = [("overload".to_owned(), 3.0)].into();
    rules.forecast = ForecastRules { horizons: vec![2], period_ticks: 4 };
    rules.limits.cooldown_ticks = 5;
    let options = LogOptions { rules: Some(rules.clone()), ..LogOptions::default() };
    let files = [("decisions-1.jsonl", lines(&recorded()))];
    let imported = import_files(&files, &options).unwrap();
    let found = &imported.scenario.rules;
    assert_eq!((&found.forecast, &found.limits), (&rules.forecast, &rules.limits));
    assert_eq!(
        found.objective.weights,
        [("overload".to_owned(), 3.0), ("unplaced".to_owned(), 0.0)].into()
    );
    assert!(imported.report.to_string().contains("policies observe more features here"));
    // In the order of the rules.
    assert_eq!(wanted(&played(&imported.scenario)[0])[1].1, [2.0, 1.0]);
    assert_eq!(imported.scenario.workloads[3].demand["cpu"], Amount::Fixed(1.0));
    let DemandProcess::Trace { resources, .. } = &imported.scenario.workloads[0].process else {
        panic!("expected a trace");
    };
    assert_eq!(resources, &["cpu"]);

    rules.resources[0].name = "gpu".into();
    let error = import_files(&files, &LogOptions { rules: Some(rules), ..options }).unwrap_err();
    assert!(
        error.contains(r#"expected snapshots with the resources ["gpu", "cpu"], got none"#),
        "{error}"
    );
}
