use super::error;
use crate::scenario::Scenario;

/// The error of a scenario with these fields of its two workloads: one on `a-0`, one on `b`.
fn refused(fields: &str, expected: &str) {
    let error = Scenario::parse(&text(fields), "s.toml").expect_err(fields).to_string();
    assert_eq!(error, format!("s.toml: {expected}"), "{fields}");
}

/// Nodes `a-0` and `a-1` in zone `east`, `b` in zone `west`.
fn text(fields: &str) -> String {
    format!(
        r#"
        name = "test"
        start = {{ placement = "listed" }}
        rules.resources = [{{ name = "cpu" }}]
        rules.episode = {{ mode = "rebalance", move_budget = 9 }}
        rules.objective = {{ weights = {{ max_load = 1 }} }}
        nodes = [
            {{ name = "a", count = 2, zone = "east", supply = {{ cpu = 10 }}, max_workloads = 2 }},
            {{ name = "b", zone = "west", supply = {{ cpu = 10 }} }},
        ]
        workloads = [
            {{ name = "x", demand = {{ cpu = 1 }}, node = "a-0", {fields} }},
            {{ name = "y", demand = {{ cpu = 1 }}, node = "a-1", {fields} }},
        ]
        "#
    )
}

#[test]
fn names_of_nodes_and_of_groups_of_nodes_are_known() {
    for fields in ["nodes = [\"a\"]", "nodes = [\"b\", \"a-0\", \"a-1\"]"] {
        Scenario::parse(&text(fields), "s.toml").unwrap();
    }
    refused(
        "nodes = [\"a\", \"a-00\"]",
        "workloads[0].nodes[1]: expected the name of a node, or of a group of nodes (nearest: a-0), \
         got \"a-00\"",
    );
}

#[test]
fn a_workload_that_fits_on_none_of_its_nodes_is_refused() {
    let set = "demand = { cpu = 5 }\nnodes = [\"a\"]\nclasses = [\"fast\"]";
    assert_eq!(
        error("demand = { cpu = 5 }\nclasses = [\"fast\"]", set),
        "workloads[1]: expected a node that can hold it, got a peak demand of {cpu = 7.5}"
    );
}

#[test]
fn numbers_are_checked() {
    refused(
        "spread = { group = \"g\", max_skew = 0 }",
        "workloads[0].spread.max_skew: expected 1 or more, got 0",
    );
    assert_eq!(
        error("count = 2\nsupply", "count = 2\nmax_workloads = 0\nsupply"),
        "nodes[0].max_workloads: expected 1 or more, got 0"
    );
}

#[test]
fn listed_placements_keep_the_rules_about_places() {
    refused(
        "nodes = [\"a-0\", \"b\"]",
        "workloads[1].node: expected one of workloads[1].nodes, a-0, b, got \"a-1\"",
    );
    refused("count = 3", "workloads[0].node: expected at most 2 workloads on \"a-0\", got 3");
    refused(
        "zone_anti_affinity = \"g\"",
        "workloads[1].node: expected zones without another workload of group \"g\", got zone \
         \"east\" twice",
    );
    refused(
        "spread = { group = \"g\", max_skew = 1 }",
        "workloads[0].node: expected a zone with at most 1 more workloads of spread group \"g\" \
         than another, got 2",
    );
    // Where no member may be in the west, that zone does not count.
    let bound = "spread = { group = \"g\", max_skew = 1 }, nodes = [\"a\"]";
    Scenario::parse(&text(bound), "s.toml").unwrap();
}

#[test]
fn more_members_of_a_group_that_shares_no_zone_than_zones_are_refused() {
    refused(
        "count = 2, zone_anti_affinity = \"g\"",
        "workloads[1].zone_anti_affinity: expected at most 2 workloads in group \"g\", one for each \
         zone, got 4",
    );
}
