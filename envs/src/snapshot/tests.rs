#![allow(clippy::unwrap_used)] // a failed expectation is the point of a test

use super::*;
use proptest::prelude::*;

/// A snapshot that uses every field and is valid.
const BASE: &str = r#"{
  "format": "godwit-snapshot/1",
  "tick": 7,
  "resources": ["cpu", "memory"],
  "nodes": [
    {"name": "a", "class": "fast", "zone": "z", "supply": [4, 8], "bandwidth_gib_s": 2.5,
     "max_workloads": 3},
    {"name": "b", "supply": [4, 0]}
  ],
  "workloads": [
    {"name": "u", "node": "a", "demand": [9, 2], "state_gib": 3, "dirty_gib_s": 0.5, "priority": 2,
     "classes": ["fast", "gone"], "anti_affinity": "g", "movable": false, "cooldown_ticks": 2,
     "nodes": ["a", "away"], "spread": {"group": "s", "max_skew": 2}, "zone_anti_affinity": "h",
     "forecast": [[1, 2], [3, 4]]},
    {"name": "v", "node": "b", "demand": [1, 0]},
    {"name": "waits", "demand": [0, 0]}
  ],
  "disruption_budgets": [{"group": "d", "disruptions_allowed": 1}, {"group": "e", "disruptions_allowed": 0}],
  "transfers": [{"workload": "v", "source": "a", "remaining_s": 4}]
}"#;

/// The error of BASE with one piece of text replaced, without the file name.
fn error(from: &str, to: &str) -> String {
    assert!(BASE.contains(from), "{from:?} is in the test snapshot");
    let error =
        Snapshot::from_json(&BASE.replacen(from, to, 1), "s.json").expect_err(to).to_string();
    assert_eq!(error.lines().count(), 1, "{error}");
    error.strip_prefix("s.json: ").expect("errors start with the file").to_owned()
}

fn all(cases: &[(&str, &str, &str)]) {
    for (from, to, expected) in cases {
        assert_eq!(error(from, to), *expected, "{from} -> {to}");
    }
}

#[test]
fn a_snapshot_becomes_a_cluster() {
    // Node "a" is over its supply: that is allowed here.
    let snapshot = Snapshot::from_json(BASE, "s.json").unwrap();
    let (spec, placement) = snapshot.to_spec();
    assert_eq!((spec.nodes(), spec.workloads(), spec.resources), (2, 3, 2));
    assert_eq!(placement, [0, 1, NOWHERE]);
    assert_eq!(spec.supply_of(0, 1), 8.0);
    assert_eq!(spec.class_names, ["fast", "standard"]);
    assert_eq!(spec.bandwidth_gib_s, [2.5, 1.25]);
    assert_eq!(spec.base_demand, [9.0, 2.0, 1.0, 0.0, 0.0, 0.0]);
    assert_eq!((spec.state_gib[1], spec.priority[1], spec.movable[1]), (1.0, 1.0, true));
    assert!(spec.class_allows(0, 0) && !spec.class_allows(0, 1) && spec.class_allows(1, 0));
}

#[test]
fn defaults_are_left_out_when_writing() {
    let json = r#"{"format":"godwit-snapshot/1","resources":["cpu"],"nodes":[{"name":"a","supply":[4.0]}],"workloads":[{"name":"w","node":"a","demand":[0.1]}]}"#;
    assert_eq!(Snapshot::from_json(json, "s.json").unwrap().to_json(), json);
}

#[test]
fn a_cluster_without_workloads_is_a_snapshot() {
    let json = r#"{"format":"godwit-snapshot/1","resources":["cpu"],"nodes":[{"name":"a","supply":[4]}],"workloads":[]}"#;
    assert!(Snapshot::from_json(json, "s.json").unwrap().to_spec().1.is_empty());
}

#[test]
fn numbers_beyond_what_loads_and_costs_can_be_computed_with_are_refused() {
    all(&[
        ("[4, 0]", "[4, 1.1e15]", "nodes[1].supply[1]: expected at most 1e15, got 1.1e15"),
        ("[9, 2]", "[9, 3e38]", "workloads[0].demand[1]: expected at most 1e15, got 3e38"),
        ("[4, 0]", "[4, 1e-45]", "nodes[1].supply[1]: expected 0, or at least 1e-15, got 1e-45"),
        ("2.5", "1e13", "nodes[0].bandwidth_gib_s: expected at most 1e12, got 1e13"),
        (
            "\"state_gib\": 3",
            "\"state_gib\": 1e13",
            "workloads[0].state_gib: expected at most 1e12, got 1e13",
        ),
        (
            "[4, 8]",
            "[4e-15, 8]",
            "workloads: expected a total demand for \"cpu\" of at most 1e15 times the smallest \
             supply, 4e-15, got 1e1",
        ),
    ]);
}

#[test]
fn what_is_not_json_is_shown() {
    all(&[
        ("[4, 0]", "[4, NaN]", "nodes[1].supply[1]: expected JSON (line 8), got NaN"),
        ("[4, 0]", "[4, Infinity]", "nodes[1].supply[1]: expected JSON (line 8), got Infinity"),
        ("[4, 0]", "[4, -Infinity]", "nodes[1].supply[1]: expected JSON (line 8), got -Infinity"),
        ("[4, 0]", "[4, 01]", "nodes[1].supply[1]: expected JSON (line 8), got 01"),
        ("[4, 0]", "[4, 1e999]", "nodes[1].supply[1]: expected JSON (line 8), got 1e999"),
        ("[4, 0]", "[4, 0,]", "nodes[1].supply: expected JSON (line 8), got ']'"),
        ("{\n", "nonsense\n", "line 1: expected valid JSON, got nonsense"),
        (
            "\"remaining_s\": 4}]\n}",
            "\"remaining_s\": 4}]\n} x",
            "line 20: expected valid JSON, got x",
        ),
        (
            "\"remaining_s\": 4}]\n}",
            "\"remaining_s\": 4}]",
            "line 19: expected valid JSON, got the end of the input",
        ),
        (
            "[3, 4]",
            "[3, \"4\"]",
            "workloads[0].forecast[1][1]: expected a number, got string \"4\"",
        ),
        ("\"tick\": 7", "\"tick\": -7", "tick: expected a whole number, 0 or more, got integer -7"),
        (
            "\"resources\": [\"cpu\", \"memory\"]",
            "\"resources\": null",
            "resources: expected a list, got null",
        ),
    ]);
    // Cut anywhere, the end of the input is what was found.
    for cut in 0..BASE.len() {
        let error = Snapshot::from_json(&BASE[..cut], "s.json").unwrap_err().to_string();
        assert!(
            error.contains("got the end of the input") && error.lines().count() == 1,
            "{cut}: {error}"
        );
    }
    let number = Snapshot::from_json("1", "s.json").unwrap_err().to_string();
    assert_eq!(number, "s.json: the whole document: expected a table of fields, got integer 1");
}

#[test]
fn fields_are_checked() {
    all(&[
        (
            "\"zone\"",
            "\"zoen\"",
            "nodes[0].zoen: expected a known field (nearest: zone, name, class), got unknown field `zoen`",
        ),
        (
            "\"node\": \"b\", ",
            "",
            "transfers[0].workload: expected the name of a workload on a node, got \"v\"",
        ),
        ("\"tick\": 7", "\"tick\": 7, \"tick\": 8", "tick: expected it once, got `tick` twice"),
        (
            "snapshot/1",
            "snapshot/2",
            "format: expected \"godwit-snapshot/1\", got \"godwit-snapshot/2\"",
        ),
        ("\"cpu\", \"memory\"", "", "resources: expected 1 to 16 names, got 0"),
        ("\"memory\"", "\"cpu\"", "resources[1]: expected a name of its own, got \"cpu\" again"),
        (
            "\"name\": \"b\"",
            "\"name\": \"a\"",
            "nodes[1].name: expected a name of its own, got \"a\" again",
        ),
        (
            "\"name\": \"b\"",
            "\"name\": \"\"",
            "nodes[1].name: expected a name on one line, got \"\"",
        ),
        ("[4, 0]", "[4]", "nodes[1].supply: expected 2 numbers, one per resource, got 1"),
        ("[4, 0]", "[4, -1]", "nodes[1].supply[1]: expected a finite number, 0 or more, got -1"),
        ("[4, 0]", "[4, 1e39]", "nodes[1].supply[1]: expected a finite number, 0 or more, got inf"),
        ("2.5", "0", "nodes[0].bandwidth_gib_s: expected a finite number above 0, got 0"),
        (
            "\"name\": \"v\"",
            "\"name\": \"u\"",
            "workloads[1].name: expected a name of its own, got \"u\" again",
        ),
        (
            "\"node\": \"b\"",
            "\"node\": \"c\"",
            "workloads[1].node: expected the name of a node, got \"c\"",
        ),
        ("[9, 2]", "[9, 2, 3]", "workloads[0].demand: expected 2 numbers, one per resource, got 3"),
        (
            "\"state_gib\": 3",
            "\"state_gib\": -3",
            "workloads[0].state_gib: expected a finite number, 0 or more, got -3",
        ),
        ("[3, 4]", "[3]", "workloads[0].forecast[1]: expected 2 numbers, one per resource, got 1"),
        (
            "\"demand\": [1, 0]",
            "\"demand\": [1, 0], \"forecast\": [[1, 1]]",
            "workloads[1].forecast: expected 2 horizons, as for other workloads, or none, got 1",
        ),
        (
            "\"workload\": \"v\"",
            "\"workload\": \"x\"",
            "transfers[0].workload: expected the name of a workload on a node, got \"x\"",
        ),
        (
            "\"max_skew\": 2",
            "\"max_skew\": 0",
            "workloads[0].spread.max_skew: expected a whole number, 1 or more, got 0",
        ),
        (
            "\"group\": \"e\"",
            "\"group\": \"d\"",
            "disruption_budgets[1].group: expected a name of its own, got \"d\" again",
        ),
        (
            "\"disruptions_allowed\": 0",
            "\"disruptions_allowed\": -1",
            "disruption_budgets[1].disruptions_allowed: expected a whole number, 0 or more, got \
             integer -1",
        ),
        (
            "\"source\": \"a\"",
            "\"source\": \"c\"",
            "transfers[0].source: expected the name of a node, got \"c\"",
        ),
        (
            "\"source\": \"a\"",
            "\"source\": \"b\"",
            "transfers[0].source: expected another node than the workload's node, its destination, got \"b\"",
        ),
        (
            "\"remaining_s\": 4",
            "\"remaining_s\": -4",
            "transfers[0].remaining_s: expected a finite number, 0 or more, got -4",
        ),
    ]);
    assert!(
        Snapshot::load("no/such.json")
            .unwrap_err()
            .to_string()
            .starts_with("no/such.json: expected a readable file")
    );
}

#[test]
fn names_are_bounded_and_long_ones_are_not_repeated() {
    let (long, most) = ("x".repeat(254), "\u{e4}".repeat(126) + "x");
    for (from, before, after, field) in [
        (r#"["cpu","#, r#"[""#, r#"","#, "resources[0]"),
        (r#""name": "a""#, r#""name": ""#, r#"""#, "nodes[0].name"),
        (r#""class": "fast""#, r#""class": ""#, r#"""#, "nodes[0].class"),
        (r#""zone": "z""#, r#""zone": ""#, r#"""#, "nodes[0].zone"),
        (r#""name": "u""#, r#""name": ""#, r#"""#, "workloads[0].name"),
        (r#""node": "a""#, r#""node": ""#, r#"""#, "workloads[0].node"),
        (r#""gone"]"#, r#"""#, r#""]"#, "workloads[0].classes[1]"),
        (r#""anti_affinity": "g""#, r#""anti_affinity": ""#, r#"""#, "workloads[0].anti_affinity"),
        (r#""away"]"#, r#"""#, r#""]"#, "workloads[0].nodes[1]"),
        (r#""group": "s""#, r#""group": ""#, r#"""#, "workloads[0].spread.group"),
        (
            r#""zone_anti_affinity": "h""#,
            r#""zone_anti_affinity": ""#,
            r#"""#,
            "workloads[0].zone_anti_affinity",
        ),
        (r#""group": "d""#, r#""group": ""#, r#"""#, "disruption_budgets[0].group"),
        (r#""movable": false"#, r#""tenant": ""#, r#"""#, "workloads[0].tenant"),
        (
            r#""movable": false"#,
            r#""disruption_group": ""#,
            r#"""#,
            "workloads[0].disruption_group",
        ),
        (r#""workload": "v""#, r#""workload": ""#, r#"""#, "transfers[0].workload"),
        (r#""source": "a""#, r#""source": ""#, r#"""#, "transfers[0].source"),
    ] {
        let expected =
            format!("{field}: expected a name of at most 253 bytes, got one of 254 bytes");
        assert_eq!(error(from, &format!("{before}{long}{after}")), expected);
        // As many bytes as may be, though other names may not go with it.
        assert_eq!(most.len(), 253);
        let text = BASE.replacen(from, &format!("{before}{most}{after}"), 1);
        let told = Snapshot::from_json(&text, "s.json").err().map(|error| error.to_string());
        assert!(!told.as_deref().unwrap_or_default().contains("253 bytes"), "{told:?}");
    }
}

#[test]
fn the_schema_states_the_length_of_names() {
    let schema = Snapshot::json_schema();
    assert_eq!(schema["properties"]["resources"]["items"]["maxLength"], 253);
    for (part, fields) in [
        ("SnapshotNode", &["name", "class", "zone"][..]),
        ("SnapshotWorkload", &["name", "node", "anti_affinity", "zone_anti_affinity", "tenant"]),
        ("SnapshotWorkload", &["disruption_group"]),
        ("SnapshotTransfer", &["workload", "source"]),
        ("SnapshotBudget", &["group"]),
        ("Spread", &["group"]),
    ] {
        for field in fields {
            let field = &schema["$defs"][part]["properties"][field];
            assert_eq!(field["maxLength"], 253, "{part} {field}");
        }
    }
    let classes = &schema["$defs"]["SnapshotWorkload"]["properties"]["classes"];
    assert_eq!(classes["items"]["maxLength"], 253);
}

#[test]
fn the_schema_knows_every_field() {
    let schema = Snapshot::json_schema();
    let text = schema.to_string();
    for field in [
        "format",
        "tick",
        "resources",
        "nodes",
        "workloads",
        "transfers",
        "cooldown_ticks",
        "remaining_s",
    ] {
        assert!(text.contains(&format!("\"{field}\"")), "{field}");
    }
    assert_eq!(
        schema["required"],
        serde_json::json!(["format", "resources", "nodes", "workloads"])
    );
    assert_eq!(schema["additionalProperties"], false);
}

prop_compose! {
    fn node(i: usize)(supply in proptest::collection::vec(0.0f32..1e6, 3), zone in "[a-z ü\"\\\\]{0,3}", fast in any::<bool>(), bandwidth_gib_s in 1e-3f32..1e3)
        -> SnapshotNode {
        SnapshotNode { name: format!("n{i}"), class: if fast { "fast".into() } else { standard() }, zone, supply, bandwidth_gib_s, ..SnapshotNode::default() }
    }
}

prop_compose! {
    fn workload(k: usize)(
        node in 0usize..3,
        demand in proptest::collection::vec(0.0f32..1e6, 3),
        numbers in [0.0f32..1e3, 0.0f32..1e3, 0.0f32..1e3],
        anti_affinity in proptest::option::of("[a-z]{1,3}"),
        movable in any::<bool>(),
        cooldown_ticks in 0u32..3,
        forecast in prop_oneof![Just(vec![]), proptest::collection::vec(proptest::collection::vec(0.0f32..9.0, 3), 2)],
    ) -> SnapshotWorkload {
        let [state_gib, dirty_gib_s, priority] = numbers;
        SnapshotWorkload {
            name: format!("w{k}"), node: Some(format!("n{node}")), demand, state_gib, dirty_gib_s, priority,
            anti_affinity, movable, cooldown_ticks, forecast, ..SnapshotWorkload::default() }
    }
}

proptest! {
    #[test]
    fn a_written_snapshot_reads_back_equal(
        nodes in [node(0), node(1), node(2)],
        workloads in [workload(0), workload(1)],
        tick in proptest::option::of(any::<u64>()),
        remaining_s in proptest::option::of(0.0f32..100.0),
    ) {
        let source = if workloads[0].node.as_deref() == Some("n0") { "n1" } else { "n0" };
        let transfers = remaining_s
            .map(|remaining_s| SnapshotTransfer { workload: "w0".into(), source: source.into(), remaining_s });
        let snapshot = Snapshot {
            tick,
            resources: vec!["cpu".into(), "memory".into(), "gpu".into()],
            nodes: nodes.into(),
            workloads: workloads.into(),
            transfers: transfers.into_iter().collect(),
            ..Snapshot::default()
        };
        prop_assert_eq!(Snapshot::from_json(&snapshot.to_json(), "again").unwrap(), snapshot);
    }

    #[test]
    fn no_text_makes_it_panic(text in "\\PC*", at in 0usize..700, junk in "[\\PC]{0,4}") {
        let _ = Snapshot::from_json(&text, "s.json");
        let mut mangled = BASE.to_owned();
        mangled.insert_str(at.min(BASE.len()), &junk);
        if let Err(error) = Snapshot::from_json(&mangled, "s.json") {
            prop_assert_eq!(error.to_string().lines().count(), 1);
        }
    }
}

#[test]
fn an_error_stays_on_one_line_where_a_field_name_holds_a_line_break() {
    let message = error("\"name\": \"v\"", "\"\\name\": \"v\"");
    assert!(message.starts_with("workloads[1].\\name: expected"), "{message}");
}
