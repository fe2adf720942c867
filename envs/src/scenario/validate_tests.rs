use crate::scenario::Scenario;

/// A scenario that uses every part of the format and loads.
const BASE: &str = r#"
name = "test"
start = { placement = "listed", perturb = { moves = [1, 4] } }

[rules]
resources = [{ name = "cpu" }, { name = "memory" }]
candidates = { max = 64 }
limits = { cooldown_ticks = 1, transfers_per_node = 2, transfers_in_flight = 8 }
migration = { downtime_target_s = 0.3, switch_over_s = 0.1 }

[rules.episode]
mode = "online"
tick_s = 60
ticks = 144
moves_per_tick = 1
move_budget = 10

[rules.objective]
weights = { max_load = 1, imbalance = 0 }
slot = { resource = "cpu", size = 4 }

[rules.forecast]
horizons = [1, 3]
period_ticks = 144

[[nodes]]
name = "a"
count = 2
supply = { cpu = 10, memory = 20 }

[[nodes]]
name = "b"
class = "fast"
supply = { cpu = 10, memory = 20 }
bandwidth_gib_s = 2

[[workloads]]
name = "steady"
count = 2
demand = { cpu = [1, 2], memory = 4 }
node = "a-0"

[[workloads]]
name = "daily"
demand = { cpu = 5 }
classes = ["fast"]
anti_affinity = "apart"
state_gib = [1, 2]
node = "b"

[workloads.process]
kind = "diurnal"
period_ticks = 144
amplitude = 0.5
phase = [0, 1]
noise = 0.05
persistence = 0.5
resources = ["cpu"]
"#;

/// The error of BASE with one piece of text replaced, without the file name.
fn error(from: &str, to: &str) -> String {
    assert!(BASE.contains(from), "{from:?} is in the test scenario");
    let error = Scenario::parse(&BASE.replacen(from, to, 1), "s.toml").expect_err(to).to_string();
    assert_eq!(error.lines().count(), 1, "{error}");
    error.strip_prefix("s.toml: ").expect("errors start with the file").to_owned()
}

fn all(cases: &[(&str, &str, &str)]) {
    for (from, to, expected) in cases {
        assert_eq!(error(from, to), *expected, "{from} -> {to}");
    }
}

#[test]
fn the_test_scenario_is_valid() {
    Scenario::parse(BASE, "s.toml").unwrap();
}

#[test]
fn rules_are_checked() {
    all(&[
        ("name = \"test\"", "name = \" \"", "name: expected a name, got an empty one"),
        (
            "{ name = \"memory\" }",
            "{ name = \"cpu\" }",
            "rules.resources[1].name: expected a name of its own, got \"cpu\" again",
        ),
        (
            "{ name = \"memory\" }",
            "{ name = \"\" }",
            "rules.resources[1].name: expected a name, got an empty one",
        ),
        (
            "resources = [{ name = \"cpu\" }, { name = \"memory\" }]",
            "resources = []",
            "rules.resources: expected 1 to 8 resource kinds, got 0",
        ),
        (
            "tick_s = 60",
            "tick_s = 0",
            "rules.episode.tick_s: expected a finite number above 0, got 0",
        ),
        (
            "tick_s = 60",
            "tick_s = nan",
            "rules.episode.tick_s: expected a finite number above 0, got NaN",
        ),
        ("ticks = 144", "ticks = 0", "rules.episode.ticks: expected 1 or more, got 0"),
        (
            "moves_per_tick = 1",
            "moves_per_tick = 0",
            "rules.episode.moves_per_tick: expected 1 or more, got 0",
        ),
        (
            "move_budget = 10",
            "move_budget = 0",
            "rules.episode.move_budget: expected 1 or more, got 0",
        ),
        ("max = 64", "max = 1", "rules.candidates.max: expected 2 or more, got 1"),
        (
            "transfers_per_node = 2",
            "transfers_per_node = 0",
            "rules.limits.transfers_per_node: expected 1 or more, got 0",
        ),
        (
            "transfers_in_flight = 8",
            "transfers_in_flight = 0",
            "rules.limits.transfers_in_flight: expected 1 or more, got 0",
        ),
        (
            "switch_over_s = 0.1",
            "switch_over_s = -0.1",
            "rules.migration.switch_over_s: expected a finite number, 0 or more, got -0.1",
        ),
        (
            "downtime_target_s = 0.3",
            "downtime_target_s = inf",
            "rules.migration.downtime_target_s: expected a finite number, 0 or more, got inf",
        ),
        (
            "horizons = [1, 3]",
            "horizons = [3, 3]",
            "rules.forecast.horizons: expected ascending horizons, got [3, 3]",
        ),
        (
            "horizons = [1, 3]",
            "horizons = [0, 3]",
            "rules.forecast.horizons: expected horizons of 1 tick or more, got [0, 3]",
        ),
        (
            "period_ticks = 144\n\n[[nodes]]",
            "\n[[nodes]]",
            "rules.forecast.period_ticks: expected 1 or more, as there are horizons, got 0",
        ),
    ]);
    let kinds: Vec<String> = (0..9).map(|j| format!("{{ name = \"r{j}\" }}")).collect();
    assert_eq!(
        error("{ name = \"cpu\" }, { name = \"memory\" }", &kinds.join(", ")),
        "rules.resources: expected 1 to 8 resource kinds, got 9"
    );
}

#[test]
fn the_objective_is_checked() {
    all(&[
        (
            "imbalance = 0",
            "balance = 0",
            "rules.objective.weights.balance: expected a term (max_load, imbalance, overload, fragmentation, moved_gib, downtime_s), got \"balance\"",
        ),
        (
            "imbalance = 0",
            "imbalance = -1",
            "rules.objective.weights.imbalance: expected a finite number, 0 or more, got -1",
        ),
        (
            "max_load = 1",
            "max_load = 0",
            "rules.objective.weights: expected at least one weight above 0, got none",
        ),
        (
            "imbalance = 0 }\nslot = { resource = \"cpu\", size = 4 }",
            "fragmentation = 1 }",
            "rules.objective.slot: expected a slot, as fragmentation has a weight, got none",
        ),
        (
            "resource = \"cpu\", size",
            "resource = \"gpu\", size",
            "rules.objective.slot.resource: expected one of the scenario's resources (cpu, memory), got \"gpu\"",
        ),
        (
            "size = 4",
            "size = 0",
            "rules.objective.slot.size: expected a finite number above 0, got 0",
        ),
    ]);
}

#[test]
fn the_start_is_checked() {
    all(&[
        (
            "moves = [1, 4]",
            "moves = [4, 1]",
            "start.perturb.moves: expected a range [least, most] with most at least 1, got [4, 1]",
        ),
        (
            "moves = [1, 4]",
            "moves = [0, 0]",
            "start.perturb.moves: expected a range [least, most] with most at least 1, got [0, 0]",
        ),
        (
            "moves = [1, 4]",
            "replace_share = 1.5",
            "start.perturb.replace_share: expected a share above 0, up to 1, got 1.5",
        ),
        (
            "moves = [1, 4]",
            "",
            "start.perturb: expected exactly one of moves and replace_share, got neither",
        ),
        (
            "moves = [1, 4]",
            "moves = [1, 4], replace_share = 0.5",
            "start.perturb: expected exactly one of moves and replace_share, got both",
        ),
        (
            "node = \"a-0\"\n",
            "",
            "workloads[0].node: expected a node, as start.placement is \"listed\", got none",
        ),
        (
            "node = \"a-0\"",
            "node = \"a\"",
            "workloads[0].node: expected the name of a node (nearest: a-0, a-1, b), got \"a\"",
        ),
    ]);
}

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
            "name = \"a\"\ncount = 65536",
            "nodes: expected 1 to 65535 nodes, got 65537",
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
            "workloads: expected 1 to 65535 workloads, got 4294967296",
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
            "workloads[0]: expected a node that can hold it, got demand {cpu = 11, memory = 4}",
        ),
        // 7 cores fit, its peak of 10.5 does not.
        (
            "demand = { cpu = 5 }",
            "demand = { cpu = 7 }",
            "workloads[1]: expected a node that can hold it, got demand {cpu = 10.5}",
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

#[test]
fn a_snapshot_stands_alone() {
    let mut scenario = Scenario::parse(BASE, "s.toml").unwrap();
    scenario.snapshot = Some("cluster.json".into());
    let error = scenario.validate("s.toml").unwrap_err().to_string();
    assert_eq!(error, "s.toml: nodes: expected none, as the snapshot holds them, got 2 groups");
}
