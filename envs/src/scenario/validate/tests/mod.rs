#![allow(clippy::unwrap_used)] // a failed expectation is the point of a test

use crate::scenario::Scenario;

mod events;
mod groups;
mod places;

/// A scenario that uses every part of the format and loads.
const BASE: &str = r#"
name = "test"
start = { placement = "listed", perturb = { moves = [1, 4] } }

[rules]
resources = [{ name = "cpu" }, { name = "memory" }]
candidates = { max = 64, follow_up = true }
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
pub(super) fn error(from: &str, to: &str) -> String {
    assert!(BASE.contains(from), "{from:?} is in the test scenario");
    let error = Scenario::parse(&BASE.replacen(from, to, 1), "s.toml").expect_err(to).to_string();
    assert_eq!(error.lines().count(), 1, "{error}");
    error.strip_prefix("s.toml: ").expect("errors start with the file").to_owned()
}

pub(super) fn all(cases: &[(&str, &str, &str)]) {
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
            "rules.resources: expected 1 to 16 resource kinds, got 0",
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
            "max = 64",
            "max = 64, chains = 4",
            "rules.candidates.chains: expected 0, as rules.episode.mode is \"online\", got 4",
        ),
        (
            "imbalance = 0 }",
            "imbalance = 0, fragmentation = 0.5 }",
            "rules.candidates.follow_up: expected false, as rules.objective.weights.fragmentation \
             is above 0, got true",
        ),
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
            "candidates = { max",
            "observation = { horizons = 9 }\ncandidates = { max",
            "rules.observation.horizons: expected at most 8, got 9",
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
    let kinds: Vec<String> = (0..17).map(|j| format!("{{ name = \"r{j}\" }}")).collect();
    assert_eq!(
        error("{ name = \"cpu\" }, { name = \"memory\" }", &kinds.join(", ")),
        "rules.resources: expected 1 to 16 resource kinds, got 17"
    );
}

#[test]
fn the_objective_is_checked() {
    all(&[
        (
            "imbalance = 0",
            "balance = 0",
            "rules.objective.weights.balance: expected a term (max_load, imbalance, overload, fragmentation, displaced, unplaced, machine_reassignment, moved_gib, downtime_s) (nearest: imbalance), got \"balance\"",
        ),
        (
            "imbalance = 0",
            "imbalance = -1",
            "rules.objective.weights.imbalance: expected a finite number, 0 or more, got -1",
        ),
        (
            "weights = {",
            "unit = 0\nweights = {",
            "rules.objective.unit: expected a finite number above 0, got 0",
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
fn own_terms_are_checked() {
    let weights = "weights = { max_load = 1, imbalance = 0 }";
    let with = |terms: &str| format!("{weights}\nterms = {{ {terms} }}");
    for (terms, expected) in [
        (
            "hot = \"sum(max(0, utilisation.cpu - 0.8)\"",
            "hot: expected an operator or ) at character 34, got the end",
        ),
        (
            "hot = \"sum(used.gpu)\"",
            "hot: expected one of the scenario's resources (cpu, memory) at character 10, got \"gpu\"",
        ),
        (
            "max_load = \"sum(load)\"",
            "max_load: expected a name that no other term has, got \"max_load\"",
        ),
        ("own = \"sum(load)\"", "own: expected a name that no other term has, got \"own\""),
        (
            "\"2 hot\" = \"sum(load)\"",
            "2 hot: expected a name of letters, digits and _ that begins with no digit, got \"2 hot\"",
        ),
        ("hot = 1", "hot: expected a string, got integer 1"),
    ] {
        assert_eq!(error(weights, &with(terms)), format!("rules.objective.terms.{expected}"));
    }
    let nine: Vec<String> = (0..9).map(|i| format!("t{i} = \"sum(load)\"")).collect();
    assert_eq!(
        error(weights, &with(&nine.join(", "))),
        "rules.objective.terms: expected at most 8 terms, got 9"
    );
    assert_eq!(
        error("imbalance = 0 }", "crowdde = 1 }\nterms = { crowded = \"sum(load)\" }"),
        "rules.objective.weights.crowdde: expected a term (max_load, imbalance, overload, \
         fragmentation, displaced, unplaced, machine_reassignment, moved_gib, downtime_s, crowded) \
         (nearest: crowded), got \"crowdde\""
    );
    assert_eq!(
        error("imbalance = 0 }", "own = 1 }\nterms = { hot = \"sum(load)\" }").split(" (").next(),
        Some("rules.objective.weights.own: expected a term")
    );
    assert_eq!(
        error("imbalance = 0 }", "hot = 1 }\nterms = { hot = \"sum(load)\" }"),
        "rules.candidates.follow_up: expected false, as rules.objective.weights.hot is above 0, got true"
    );
    let alone = BASE
        .replacen("max_load = 1, imbalance = 0 }", "hot = 1 }\nterms = { hot = \"sum(load)\" }", 1)
        .replacen("follow_up = true", "follow_up = false", 1);
    Scenario::parse(&alone, "s.toml").unwrap();
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
fn a_snapshot_stands_alone() {
    let mut scenario = Scenario::parse(BASE, "s.toml").unwrap();
    scenario.snapshot = Some("cluster.json".into());
    let error = scenario.validate("s.toml").unwrap_err().to_string();
    assert_eq!(error, "s.toml: nodes: expected none, as the snapshot holds them, got 2 groups");
}
