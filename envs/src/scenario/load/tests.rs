#![allow(clippy::unwrap_used)] // a failed expectation is the point of a test

use super::*;
use crate::scenario::{Amount, DemandProcess, Mode, Start};
use proptest::prelude::*;

/// A small scenario that loads.
const BASE: &str = r#"
name = "test"
rules.resources = [{ name = "cpu", unit = "cores" }, { name = "memory" }]
rules.episode = { mode = "rebalance" }
rules.objective = { weights = { max_load = 1 } }

[[nodes]]
name = "node"
count = 2
supply = { cpu = 10, memory = 20 }

[[workloads]]
name = "workload"
demand = { cpu = [1, 2.5], memory = 4 }
node = "node-1"
"#;

/// The error of BASE with one piece of text replaced.
fn error(from: &str, to: &str) -> String {
    assert!(BASE.contains(from), "{from:?} is in the test scenario");
    let error = Scenario::parse(&BASE.replacen(from, to, 1), "s.toml").expect_err(to).to_string();
    assert_eq!(error.lines().count(), 1, "{error}");
    error
}

#[test]
fn defaults_are_filled_in() {
    let scenario = Scenario::parse(BASE, "s.toml").unwrap();
    assert_eq!(scenario.rules.episode.mode, Mode::Rebalance);
    assert_eq!(scenario.workloads[0].demand["cpu"], Amount::Range([1.0, 2.5]));
    assert_eq!(scenario.workloads[0].demand["memory"], Amount::Fixed(4.0));
    assert_eq!(scenario.workloads[0].process, DemandProcess::Constant);
    assert_eq!(
        (scenario.nodes[0].class.as_str(), scenario.nodes[0].bandwidth_gib_s),
        ("standard", 1.25)
    );
    assert_eq!(scenario.start, Start::default());
    assert_eq!(scenario.cluster, None);
}

#[test]
fn errors_of_type_name_file_field_expected_and_got() {
    let cases = [
        (
            "count = 2",
            "coutn = 2",
            "s.toml: nodes[0].coutn: expected a known field (nearest: count, class, zone), got unknown field `coutn`",
        ),
        ("name = \"test\"\n", "", "s.toml: name: expected a value, got none"),
        (
            "\nname = \"test\"",
            "\nname = \"test\"\ngpu = 1",
            "s.toml: gpu: expected a known field (nearest: name, nodes, rules), got unknown field `gpu`",
        ),
        (
            "supply = { cpu = 10",
            "supply = { cpu = \"10\"",
            "s.toml: nodes[0].supply.cpu: expected a number, got string \"10\"",
        ),
        (
            "count = 2",
            "count = -2",
            "s.toml: nodes[0].count: expected a whole number, 0 or more, got integer -2",
        ),
        (
            "cpu = [1, 2.5]",
            "cpu = [1, 2, 3]",
            "s.toml: workloads[0].demand.cpu: expected a number or a range [least, most], got [1, 2, 3]",
        ),
        (
            "cpu = [1, 2.5]",
            "cpu = \"a\\nb\"",
            "s.toml: workloads[0].demand.cpu: expected a number or a range [least, most], got \"\"\" a b\"\"\"",
        ),
        (
            "\"rebalance\"",
            "\"static\"",
            "s.toml: rules.episode.mode: expected rebalance or online, got `static`",
        ),
        (
            "mode = \"rebalance\"",
            "mode = \"online\", tick = 60",
            "s.toml: rules.episode.tick: expected a known field (nearest: ticks, tick_s, mode), got unknown field `tick`",
        ),
        (
            "node = \"node-1\"",
            "node = \"node-1\"\nprocess = { kind = \"weekly\" }",
            "s.toml: workloads[0].process.kind: expected one of constant, diurnal, bursty, trace, got `weekly`",
        ),
        (
            "node = \"node-1\"",
            "node = \"node-1\"\nprocess = { kind = \"diurnal\", period = 2 }",
            "s.toml: workloads[0].process.period: expected a known field (nearest: period_ticks, noise, phase), got unknown field `period`",
        ),
        (
            "node = \"node-1\"",
            "node = \"node-1\"\nprocess = { kind = \"diurnal\" }",
            "s.toml: workloads[0].process.period_ticks: expected a value, got none",
        ),
        (
            "rules.resources = [",
            "rules.resources = 3 #",
            "s.toml: rules.resources: expected a list, got integer 3",
        ),
    ];
    for (from, to, expected) in cases {
        assert_eq!(error(from, to), expected);
    }
}

#[test]
fn syntax_errors_name_the_line() {
    assert_eq!(
        error("count = 2", "count = "),
        "s.toml: line 9: expected valid TOML, got string values must be quoted, expected literal string"
    );
    assert_eq!(
        error("count = 2", "count = 2\ncount = 3"),
        "s.toml: line 10: expected valid TOML, got duplicate key"
    );
}

#[test]
fn unreadable_files_and_unknown_names_are_refused() {
    let missing = Scenario::load("no/such/scenario.toml").unwrap_err().to_string();
    assert!(
        missing.starts_with("no/such/scenario.toml: expected a readable file, got "),
        "{missing}"
    );
    assert_eq!(
        Scenario::resolve("no-such-name").unwrap_err().to_string(),
        "scenario \"no-such-name\": expected a file or one of founding-3x3, quickstart, founding-10x50, bursty, faults, diurnal, hetero, churn, gpu-defrag, got neither"
    );
    assert_eq!(Scenario::resolve("quickstart").unwrap(), Scenario::embedded("quickstart").unwrap());
}

#[test]
fn a_snapshot_is_found_next_to_the_scenario() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("live.toml");
    let groups = BASE.find("[[nodes]]").unwrap();
    std::fs::write(&path, format!("snapshot = \"live.json\"\n{}", &BASE[..groups])).unwrap();

    let missing = Scenario::load(&path).unwrap_err().to_string();
    assert!(missing.contains("live.json: expected a readable file, got "), "{missing}");

    let json = r#"{"format":"godwit-snapshot/1","resources":["cpu","memory"],"nodes":[{"name":"a","supply":[4,8]}],
        "workloads":[{"name":"w","node":"a","demand":[1,2]}]}"#;
    std::fs::write(folder.path().join("live.json"), json).unwrap();
    let scenario = Scenario::resolve(path.to_str().unwrap()).unwrap();
    assert_eq!(scenario.cluster.as_ref().unwrap().workloads[0].name, "w");
    // The cluster travels in its own file; the scenario's text only names it.
    assert_eq!(Scenario::parse(&scenario.to_toml(), path.to_str().unwrap()).unwrap(), scenario);

    std::fs::write(
        folder.path().join("live.json"),
        json.replace("[\"cpu\",\"memory\"]", "[\"memory\",\"cpu\"]"),
    )
    .unwrap();
    let swapped = Scenario::load(&path).unwrap_err().to_string();
    assert!(
        swapped.ends_with("live.toml: snapshot: expected a snapshot with resources [cpu, memory], got [memory, cpu]"),
        "{swapped}"
    );
}

#[test]
fn a_snapshot_that_is_not_at_rest_is_no_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("live.toml");
    let groups = BASE.find("[[nodes]]").unwrap();
    std::fs::write(&path, format!("snapshot = \"live.json\"\n{}", &BASE[..groups])).unwrap();
    let json = r#"{"format":"godwit-snapshot/1","resources":["cpu","memory"],
        "nodes":[{"name":"a","supply":[4,8]},{"name":"b","supply":[4,8]}],
        "workloads":[{"name":"w","node":"a","demand":[1,2]}],"transfers":[]}"#;
    for (from, to, expected) in [
        (
            "[]",
            r#"[{"workload":"w","source":"b","remaining_s":1}]"#,
            "transfers: expected none, as episodes start at rest (let them end, or take them out), got 1",
        ),
        (
            r#""node":"a","#,
            r#""node":"a","cooldown_ticks":3,"#,
            "workloads[0].cooldown_ticks: expected 0, as episodes start at rest, got 3",
        ),
        (
            r#"{"name":"b","#,
            r#"{"name":"b","health":"draining","#,
            "nodes[1].health: expected healthy, as episodes start (rules.faults says how nodes fail later), got draining",
        ),
    ] {
        assert!(json.contains(from), "{from}");
        std::fs::write(folder.path().join("live.json"), json.replace(from, to)).unwrap();
        let error = Scenario::load(&path).unwrap_err().to_string();
        assert!(error.ends_with(&format!("live.toml: snapshot: {expected}")), "{error}");
    }
}

#[test]
fn embedded_scenarios_survive_being_written() {
    for embedded in EMBEDDED {
        let scenario = Scenario::embedded(embedded.name).unwrap();
        assert_eq!(Scenario::parse(&scenario.to_toml(), "again.toml").unwrap(), scenario);
    }
}

fn amount(most: f32) -> impl Strategy<Value = Amount> {
    prop_oneof![
        (0.0..most).prop_map(Amount::Fixed),
        (0.0..most, 0.0..most).prop_map(|(a, b)| Amount::Range([a.min(b), a.max(b)])),
    ]
}

fn process() -> impl Strategy<Value = DemandProcess> {
    let diurnal = (1u32..500, amount(1.0), amount(1.0), 0.0f32..1.0, 0.0f32..1.0, any::<bool>())
        .prop_map(|(period_ticks, amplitude, phase, noise, persistence, all)| {
            DemandProcess::Diurnal {
                period_ticks,
                amplitude,
                phase,
                noise,
                persistence,
                resources: if all { vec![] } else { vec!["cpu".into()] },
            }
        });
    prop_oneof![Just(DemandProcess::Constant), diurnal]
}

proptest! {
    #[test]
    fn a_written_scenario_reads_back_equal(
        name in "[a-z\"\\\\ü #=.-]{0,12}x",
        demand in amount(5.0),
        state in amount(100.0),
        process in process(),
        weight in 1e-6f32..1e6,
        supply in 10.0f32..1e9,
        horizons in proptest::collection::btree_set(1u32..500, 0..6),
        movable in any::<bool>(),
        online in any::<bool>(),
    ) {
        let mut scenario = Scenario::parse(BASE, "s.toml").unwrap();
        scenario.name = name.clone();
        scenario.description = format!("{name}\n'''\"\"\" tab\t");
        scenario.rules.episode.mode = if online { Mode::Online } else { Mode::Rebalance };
        scenario.rules.objective.weights.insert("imbalance".into(), weight);
        scenario.rules.forecast.horizons = horizons.into_iter().collect();
        scenario.rules.forecast.period_ticks = 7;
        scenario.nodes[0].supply.insert("cpu".into(), supply);
        scenario.workloads[0].name = name;
        scenario.workloads[0].demand.insert("cpu".into(), demand);
        scenario.workloads[0].state_gib = state;
        scenario.workloads[0].process = process;
        scenario.workloads[0].movable = movable;
        // A wave on memory may not fit any node: leave it out.
        scenario.workloads[0].demand.remove("memory");
        let text = scenario.to_toml();
        prop_assert_eq!(Scenario::parse(&text, "again.toml").map_err(|e| TestCaseError::fail(e.to_string()))?, scenario);
    }
}
