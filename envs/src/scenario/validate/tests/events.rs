//! What may happen at stated ticks.

use super::BASE;
use crate::scenario::Scenario;

/// BASE with these events, with faults, and with a group that comes by events.
fn with(events: &str) -> String {
    let pool = "\n[[workloads]]\nname = \"jobs\"\ncount = 3\ndemand = { cpu = 1 }\narrivals = { kind = \"events\" }\n";
    let text = BASE.replacen("imbalance = 0", "imbalance = 0, unplaced = 1", 1);
    format!("{text}{pool}\n[rules.faults]\n{events}")
}

/// One event of each line.
fn listed(lines: &[&str]) -> String {
    lines.iter().map(|line| format!("\n[[events]]\n{}\n", line.replace("; ", "\n"))).collect()
}

fn refused(lines: &[&str], expected: &str) {
    let error = Scenario::parse(&with(&listed(lines)), "s.toml").expect_err(expected).to_string();
    assert_eq!(error.lines().count(), 1, "{error}");
    assert_eq!(error.strip_prefix("s.toml: "), Some(expected), "{lines:?}");
}

fn accepted(lines: &[&str]) {
    let text = with(&listed(lines));
    let scenario = Scenario::parse(&text, "s.toml").unwrap_or_else(|e| panic!("{lines:?}: {e}"));
    assert_eq!(scenario.events.len(), lines.len());
    let read = Scenario::parse(&scenario.to_toml(), "again").unwrap();
    assert_eq!(read, scenario);
    assert!(read.same_world(&scenario));
    let without = Scenario { events: Vec::new(), ..scenario.clone() };
    assert!(!without.same_world(&scenario));
    assert_ne!(without.world_sha256(), scenario.world_sha256());
}

#[test]
fn events_of_every_kind_are_read_and_written() {
    accepted(&[
        "kind = \"drain\"; tick = 10; node = \"a-0\"; notice = 9; ticks = 4",
        "kind = \"fail\"; tick = 16; node = \"a-0\"",
        "kind = \"recover\"; tick = 20; node = \"a-0\"",
        "kind = \"drain\"; tick = 24; node = \"a-0\"; notice = 3",
        "kind = \"fail\"; tick = 144; node = \"b\"; ticks = 1000000",
        "kind = \"burst\"; tick = 1; ticks = 300; factor = 0.5",
        "kind = \"burst\"; tick = 5; ticks = 2; factor = 1.25; workloads = [\"steady-1\", \"daily\"]; notice = 0",
        "kind = \"arrive\"; tick = 3; group = \"jobs\"; count = 2; ticks = 4",
        "kind = \"arrive\"; tick = 8; group = \"jobs\"; count = 3",
    ]);
}

#[test]
fn a_field_that_a_kind_does_not_have_is_refused() {
    refused(
        &["kind = \"fail\"; tick = 3; node = \"a-0\"; notice = 2"],
        "events[0].notice: expected a known field (nearest: node, tick, ticks), got unknown field `notice`",
    );
    refused(
        &["kind = \"drain\"; tick = 3; node = \"a-0\""],
        "events[0].notice: expected a value, got none",
    );
    refused(
        &["kind = \"join\"; tick = 3; node = \"a-0\""],
        "events[0].kind: expected one of drain, fail, recover, burst, arrive, got `join`",
    );
}

#[test]
fn ticks_and_names_are_checked() {
    for (tick, got) in [("0", "0"), ("145", "145")] {
        refused(
            &[&format!("kind = \"fail\"; tick = {tick}; node = \"a-0\"")],
            &format!(
                "events[0].tick: expected a tick from 1 to 144, the last of an episode, got {got}"
            ),
        );
    }
    refused(
        &["kind = \"fail\"; tick = 3; node = \"a\""],
        "events[0].node: expected the name of a node (nearest: a-0, a-1, b), got \"a\"",
    );
    refused(
        &["kind = \"fail\"; tick = 3; node = \"a-0\"; ticks = 0"],
        "events[0].ticks: expected 1 or more, got 0",
    );
    for notice in ["0", "3"] {
        refused(
            &[&format!("kind = \"drain\"; tick = 3; node = \"a-0\"; notice = {notice}")],
            &format!(
                "events[0].notice: expected 1 or more, and less than the event's tick (3), got {notice}"
            ),
        );
    }
}

#[test]
fn events_that_contradict_each_other_are_refused() {
    let fail = "kind = \"fail\"; tick = 10; node = \"a-0\"; ticks = 5";
    // Back at tick 15: the next may begin at 16.
    accepted(&[fail, "kind = \"drain\"; tick = 18; node = \"a-0\"; notice = 2"]);
    refused(
        &["kind = \"drain\"; tick = 18; node = \"a-0\"; notice = 3", fail],
        "events[0].tick: expected a tick that leaves \"a-0\" healthy after events[1], which ends at 15, got 18 with a notice of 3",
    );
    refused(
        &[
            "kind = \"fail\"; tick = 10; node = \"a-0\"",
            "kind = \"fail\"; tick = 90; node = \"a-0\"",
        ],
        "events[1].tick: expected no event of \"a-0\" after events[0], which has no end, got 90",
    );
    let recover = "kind = \"recover\"; tick = 12; node = \"a-0\"";
    let expected = "expected a tick after that of a drain or fail without ticks of \"a-0\", got 12";
    refused(&[recover], &format!("events[0].tick: {expected}"));
    refused(&[fail, recover], &format!("events[1].tick: {expected}"));
    refused(
        &["kind = \"fail\"; tick = 12; node = \"a-0\"", recover],
        &format!("events[1].tick: {expected}"),
    );
    refused(
        &["kind = \"fail\"; tick = 2; node = \"a-1\"", recover],
        &format!("events[1].tick: {expected}"),
    );
}

#[test]
fn bursts_are_checked() {
    refused(
        &["kind = \"burst\"; tick = 3; ticks = 1; factor = 101"],
        "events[0].factor: expected numbers from 0 to 100, got 101",
    );
    refused(
        &["kind = \"burst\"; tick = 3; ticks = 1; factor = 1; workloads = [\"daily\", \"stedy\"]"],
        "events[0].workloads[1]: expected the name of a workload group or of a workload (nearest: steady), got \"stedy\"",
    );
    // A wave of half of its base: a peak of 5 x 1.5 cores, times the bursts.
    let twice = "kind = \"burst\"; tick = 3; ticks = 4; factor = 1.2; workloads = [\"daily\"]";
    accepted(&[twice]);
    refused(
        &[twice, "kind = \"burst\"; tick = 6; ticks = 1; factor = 2"],
        "events[1].factor: expected a node that can hold each workload at its peak, got a peak demand of {cpu = 18} of \"daily\"",
    );
    let text = with(&listed(&["kind = \"burst\"; tick = 3; ticks = 1; factor = 1; notice = 2"]));
    let text = text.replacen("horizons = [1, 3]", "", 1);
    assert_eq!(
        Scenario::parse(&text, "s.toml").unwrap_err().to_string(),
        "s.toml: events[0].notice: expected none, as rules.forecast.horizons is empty, got 2"
    );
}

#[test]
fn arrivals_need_a_group_with_a_place_for_everybody() {
    refused(
        &["kind = \"arrive\"; tick = 3; group = \"steady\""],
        "events[0].group: expected the name of a workload group with arrivals of kind \"events\", got \"steady\"",
    );
    refused(
        &["kind = \"arrive\"; tick = 3; group = \"jobs\"; count = 0"],
        "events[0].count: expected 1 or more, got 0",
    );
    let first = "kind = \"arrive\"; tick = 3; group = \"jobs\"; count = 2; ticks = 4";
    accepted(&[first, "kind = \"arrive\"; tick = 8; group = \"jobs\"; count = 3"]);
    refused(
        &[first, "kind = \"arrive\"; tick = 7; group = \"jobs\"; count = 4294967295"],
        "events[1].count: expected at most 3 workloads of \"jobs\" at tick 7, the group's count (who leaves frees a place a tick later), got 4294967297",
    );
    let text = with("").replacen(", unplaced = 1", "", 1);
    assert_eq!(
        Scenario::parse(&text, "s.toml").unwrap_err().to_string(),
        "s.toml: rules.objective.weights.unplaced: expected a weight (0 to watch only), as there are arrivals, got none"
    );
}

#[test]
fn events_are_for_online_scenarios_and_those_of_nodes_for_rules_with_faults() {
    let events = listed(&["kind = \"fail\"; tick = 3; node = \"a-0\""]);
    let text = format!("{BASE}{events}");
    assert_eq!(
        Scenario::parse(&text, "s.toml").unwrap_err().to_string(),
        "s.toml: rules.faults: expected a table (it may be empty), as events[0] is about a node, got none"
    );
    let text = text.replacen("mode = \"online\"", "mode = \"rebalance\"", 1);
    assert_eq!(
        Scenario::parse(&text, "s.toml").unwrap_err().to_string(),
        "s.toml: events: expected none, as rules.episode.mode is \"rebalance\", got events"
    );
}
