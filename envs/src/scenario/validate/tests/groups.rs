//! Groups of workloads, and nodes.

use super::{all, error};

#[test]
fn nodes_are_checked() {
    all(&[
        (
            "name = \"b\"",
            "name = \"a-1\"",
            "nodes[1].name: expected a name of its own, got \"a-1\" again",
        ),
        ("name = \"b\"", "name = \"\"", "nodes[1].name: expected a name, got an empty one"),
        (
            "name = \"b\"",
            "name = \"b\\nc\"",
            "nodes[1].name: expected a name on one line, got \"b\\nc\"",
        ),
        (
            "name = \"a\"\ncount = 2",
            "name = \"a\"\ncount = 0",
            "nodes[0].count: expected 1 or more, got 0",
        ),
        (
            "name = \"a\"\ncount = 2",
            "name = \"a\"\ncount = 4000000",
            "nodes: expected 1 to 4000000 nodes, got 4000001",
        ),
        ("class = \"fast\"", "class = \"\"", "nodes[1].class: expected a name, got an empty one"),
        (
            "supply = { cpu = 10, memory = 20 }",
            "supply = { gpu = 10 }",
            "nodes[0].supply.gpu: expected one of the scenario's resources (cpu, memory), got \"gpu\"",
        ),
        (
            "supply = { cpu = 10, memory = 20 }",
            "supply = { cpu = -10 }",
            "nodes[0].supply.cpu: expected a finite number, 0 or more, got -10",
        ),
        (
            "supply = { cpu = 10, memory = 20 }",
            "supply = { cpu = 0 }",
            "nodes[0].supply: expected a supply above 0 of at least one resource, got none",
        ),
        (
            "bandwidth_gib_s = 2",
            "bandwidth_gib_s = 0",
            "nodes[1].bandwidth_gib_s: expected a finite number above 0, got 0",
        ),
    ]);
    let many: String = (0..65)
        .map(|c| format!("[[nodes]]\nname = \"c{c}\"\nclass = \"c{c}\"\nsupply = {{ cpu = 1 }}\n"))
        .collect();
    assert_eq!(
        error("[[nodes]]\nname = \"b\"", &format!("{many}[[nodes]]\nname = \"b\"")),
        "nodes: expected at most 64 node classes, got 67"
    );
}

#[test]
fn workloads_are_checked() {
    all(&[
        (
            "name = \"daily\"",
            "name = \"steady-1\"",
            "workloads[1].name: expected a name of its own, got \"steady-1\" again",
        ),
        (
            "name = \"steady\"\ncount = 2",
            "name = \"steady\"\ncount = 4294967295",
            "workloads: expected 1 to 4000000 workloads, got 4294967296",
        ),
        (
            "cpu = [1, 2]",
            "cpu = [2, 1]",
            "workloads[0].demand.cpu: expected a range [least, most], got [2, 1]",
        ),
        (
            "cpu = [1, 2]",
            "cpu = [-1, 2]",
            "workloads[0].demand.cpu: expected finite numbers, 0 or more, got -1",
        ),
        (
            "cpu = [1, 2]",
            "cpu = [1, inf]",
            "workloads[0].demand.cpu: expected finite numbers, 0 or more, got inf",
        ),
        (
            "cpu = [1, 2]",
            "gpu = [1, 2]",
            "workloads[0].demand.gpu: expected one of the scenario's resources (cpu, memory), got \"gpu\"",
        ),
        (
            "state_gib = [1, 2]",
            "state_gib = nan",
            "workloads[1].state_gib: expected finite numbers, 0 or more, got NaN",
        ),
        (
            "state_gib = [1, 2]",
            "dirty_gib_s = -1",
            "workloads[1].dirty_gib_s: expected a finite number, 0 or more, got -1",
        ),
        (
            "state_gib = [1, 2]",
            "priority = -1",
            "workloads[1].priority: expected a finite number, 0 or more, got -1",
        ),
        (
            "classes = [\"fast\"]",
            "classes = [\"slow\"]",
            "workloads[1].classes[0]: expected the class of a node, got \"slow\"",
        ),
        (
            "anti_affinity = \"apart\"",
            "anti_affinity = \"\"",
            "workloads[1].anti_affinity: expected a name, got an empty one",
        ),
        (
            "kind = \"diurnal\"\nperiod_ticks = 144",
            "kind = \"diurnal\"\nperiod_ticks = 0",
            "workloads[1].process.period_ticks: expected 1 or more, got 0",
        ),
        (
            "amplitude = 0.5",
            "amplitude = -0.5",
            "workloads[1].process.amplitude: expected numbers from 0 to 10, got -0.5",
        ),
        (
            "phase = [0, 1]",
            "phase = [0, 2]",
            "workloads[1].process.phase: expected numbers from -1 to 1, got 2",
        ),
        (
            "noise = 0.05",
            "noise = 2",
            "workloads[1].process.noise: expected numbers from 0 to 1, got 2",
        ),
        (
            "persistence = 0.5",
            "persistence = 1",
            "workloads[1].process.persistence: expected a share from 0 to below 1, got 1",
        ),
        (
            "resources = [\"cpu\"]",
            "resources = [\"gpu\"]",
            "workloads[1].process.resources[0]: expected one of the scenario's resources (cpu, memory), got \"gpu\"",
        ),
    ]);
}

#[test]
fn a_workload_that_fits_nowhere_is_refused() {
    all(&[
        (
            "cpu = [1, 2]",
            "cpu = [1, 11]",
            "workloads[0]: expected a node that can hold it, got a peak demand of {cpu = 11, memory = 4}",
        ),
        // 7 cores fit, its peak of 10.5 does not.
        (
            "demand = { cpu = 5 }",
            "demand = { cpu = 7 }",
            "workloads[1]: expected a node that can hold it, got a peak demand of {cpu = 10.5}",
        ),
    ]);
}

/// Two nodes are standard, one is fast.
#[test]
fn an_anti_affinity_group_needs_a_node_for_each_of_its_workloads() {
    let steady = "name = \"steady\"\ncount = 2";
    all(&[
        (
            steady,
            "name = \"steady\"\nanti_affinity = \"s\"\ncount = 4",
            "workloads[0].anti_affinity: expected at most 3 workloads in anti-affinity group \"s\", one for each node that they may be on, got 4",
        ),
        (
            steady,
            "name = \"steady\"\nanti_affinity = \"s\"\nclasses = [\"standard\"]\ncount = 3",
            "workloads[0].anti_affinity: expected at most 2 workloads in anti-affinity group \"s\", one for each node that they may be on, got 3",
        ),
        // Two groups of workloads share one: 3 + 1 on 3 nodes.
        (
            steady,
            "name = \"steady\"\nanti_affinity = \"apart\"\ncount = 3",
            "workloads[0].anti_affinity: expected at most 3 workloads in anti-affinity group \"apart\", one for each node that they may be on, got 4",
        ),
        // As many as there are nodes pass, up to what was listed: two of them on one node.
        (
            steady,
            "name = \"steady\"\nanti_affinity = \"s\"\ncount = 3",
            "workloads[0].node: expected nodes without another workload of anti-affinity group \"s\", got \"a-0\" twice",
        ),
    ]);
}

#[test]
fn listed_placements_keep_the_constraints() {
    all(&[
        // Two workloads of at most 5.5 cores each.
        (
            "cpu = [1, 2]",
            "cpu = [1, 5.5]",
            "workloads[0].node: expected at most 10 cpu on \"a-0\", got a sum of 11",
        ),
        (
            "node = \"b\"",
            "node = \"a-1\"",
            "workloads[1].node: expected a node of class fast, got \"a-1\" of class \"standard\"",
        ),
        (
            "node = \"a-0\"",
            "node = \"a-0\"\nanti_affinity = \"apart\"",
            "workloads[0].node: expected nodes without another workload of anti-affinity group \"apart\", got \"a-0\" twice",
        ),
    ]);
}
