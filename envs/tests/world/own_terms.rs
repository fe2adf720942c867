//! Terms of a scenario's own: by hand, and what moves do to them against taking them anew.

use crate::build::*;
use godwit_envs::env::Env;
use godwit_envs::env::cluster_env::ClusterEnv;
use godwit_envs::rng::{Rng, stream};
use godwit_envs::scenario::{Phase, Scenario};
use godwit_envs::state::outlook::{Arrivals, Shift, Tile};
use godwit_envs::state::term::Term;
use godwit_envs::state::{ClusterState, NOWHERE};
use godwit_envs::{Rules, Snapshot};
use proptest::prelude::*;
use rand::RngExt;
use std::sync::Arc;

/// Three nodes of 8 cores that hold 6 + 1, 4 and 2.
const BY_HAND: &str = r#"
name = "by-hand"
start = { placement = "listed" }

[rules]
resources = [{ name = "cpu" }]
episode = { mode = "rebalance" }

[rules.objective]
unit = 1

[rules.objective.weights]
hot = 2
rough = 3
full = 0.5

[rules.objective.terms]
hot = "sum(max(0, utilisation.cpu - 0.5))"
rough = "mean(utilisation.cpu * utilisation.cpu)"
full = "max(used.cpu - 2)"
unpaid = "sum(free.cpu)"

[[nodes]]
name = "n"
count = 3
supply = { cpu = 8 }

[[workloads]]
name = "large"
demand = { cpu = 6 }
node = "n-0"

[[workloads]]
name = "small"
demand = { cpu = 1 }
node = "n-0"

[[workloads]]
name = "middle"
demand = { cpu = 4 }
node = "n-1"

[[workloads]]
name = "pair"
demand = { cpu = 2 }
node = "n-2"
"#;

fn by_hand(change: impl Fn(&str) -> String) -> ClusterEnv {
    env_of(&Scenario::parse(&change(BY_HAND), "by-hand").unwrap(), Phase::Evaluate).unwrap()
}

fn own_terms(state: &ClusterState) -> Vec<(&str, f32)> {
    state.now.own_terms(&state.objective).map(|(term, value)| (term.name.as_str(), value)).collect()
}

#[test]
fn terms_and_their_changes_are_what_they_are_by_hand() {
    let mut env = by_hand(str::to_owned);
    let state = env.state();
    // Utilisations 7/8, 4/8 and 2/8.
    let rough = (49.0 + 16.0 + 4.0) / 64.0 / 3.0;
    let expected = [("full", 5.0), ("hot", 0.375), ("rough", rough), ("unpaid", 1.0 + 4.0 + 6.0)];
    assert_eq!(own_terms(state), expected);
    assert_eq!(state.level_terms()[Term::Own as usize], 2.5 + 0.75 + 3.0 * rough);
    assert_eq!(state.level(), state.level_terms()[Term::Own as usize]);

    // `small` to the last node: 6/8, 4/8, 3/8.
    let change = -0.5 + 2.0 * -0.125 + (36.0 + 16.0 + 9.0 - 49.0 - 16.0 - 4.0) / 64.0;
    let seen = observe(&env);
    let action = 1 + 3 + 2;
    let feature = env.observation_space().candidate_feature("objective_change").unwrap();
    assert_eq!(seen.candidate(action, feature), change);
    assert_eq!(env.step(action).unwrap().reward, -change);
    let rough = (36.0 + 16.0 + 9.0) / 64.0 / 3.0;
    let expected = [("full", 4.0), ("hot", 0.25), ("rough", rough), ("unpaid", 11.0)];
    assert_eq!(own_terms(env.state()), expected);
}

#[test]
fn a_move_beyond_a_nodes_supply_is_counted_as_any_other() {
    let env = by_hand(str::to_owned);
    let state = env.state();
    let shift = Shift { demand: state.demand_of(0), from: 0, to: 1 };
    let shifts = std::iter::once(shift);
    // `large` to the second node: 1/8, 10/8, 2/8.
    let change = 1.5 + 2.0 * (0.75 - 0.375) + (1.0 + 100.0 + 4.0 - 49.0 - 16.0 - 4.0) / 64.0;
    assert_eq!(state.now.change_by_shifts(&state.spec, &state.objective, shifts), change);
}

#[test]
fn the_unit_is_a_quarter_of_what_a_mean_workload_changes() {
    let unit = |terms: &str| {
        let env = by_hand(|text| {
            let (head, _) = text.split_once("[rules.objective.weights]").unwrap();
            let (_, cluster) = text.split_once("[[nodes]]").unwrap();
            let head = head.replace("unit = 1", "");
            format!(
                "{head}\n[rules.objective.weights]\na = 2\n[rules.objective.terms]\na = \"{terms}\"\n[[nodes]]{cluster}"
            )
        });
        env.state().objective.unit
    };
    // A mean workload has 13/4 cores of 8.
    let mean = 13.0 / 32.0;
    let close = |unit: f32, expected: f32| {
        assert!((unit - expected).abs() < 1e-5, "{unit}, expected {expected}");
    };
    close(unit("sum(utilisation.cpu)"), 2.0 * mean / 4.0);
    close(unit("max(-used.cpu)"), 2.0 * 8.0 * mean / 4.0);
    close(unit("mean(utilisation.cpu)"), 2.0 * mean / 4.0 / 3.0);
    // Of 16 nodes, filled by 5/64 more each, four are above full; seven more come to be so.
    let above: f32 = (1..=16)
        .map(|at| at as f32 * 1.25 / 16.0)
        .map(|fill| (fill + mean - 1.0).max(0.0) - (fill - 1.0).max(0.0))
        .sum();
    close(unit("sum(max(0, utilisation.cpu - 1))"), 2.0 * above / 16.0 / 4.0);
    // What no move changes says nothing about changes.
    close(unit("sum(supply.cpu)"), 0.1);
}

#[test]
fn neither_the_schema_nor_a_bit_depends_on_terms_without_weight() {
    let mut plain = by_hand(|text| {
        let (head, _) = text.split_once("hot = 2").unwrap();
        let (_, cluster) = text.split_once("[[nodes]]").unwrap();
        format!("{head}max_load = 1\nimbalance = 0.5\n[[nodes]]{cluster}")
    });
    let mut reported = by_hand(|text| {
        text.replace("hot = 2\nrough = 3\nfull = 0.5", "max_load = 1\nimbalance = 0.5")
    });
    assert_eq!(own_terms(reported.state()).len(), 4);
    assert!(!reported.state().objective.uses(Term::Own));
    for action in [6, 0] {
        assert_eq!(bits(&observe(&plain)), bits(&observe(&reported)));
        let [a, b] = [&mut plain, &mut reported].map(|env| env.step(action).unwrap());
        assert_eq!((a.reward.to_bits(), a.terms), (b.reward.to_bits(), b.terms));
    }
    let weighed = by_hand(str::to_owned);
    assert_eq!(weighed.observation_space().schema, plain.observation_space().schema);
}

#[test]
fn rules_and_their_terms_survive_json_and_a_snapshot_in_another_order() {
    let env = by_hand(|text| {
        text.replace("[{ name = \"cpu\" }]", "[{ name = \"cpu\" }, { name = \"a b\" }]")
            .replace("unpaid = \"sum(free.cpu)\"", "unpaid = 'sum(free.\"a b\" + used.cpu)'")
            .replace("supply = { cpu = 8 }", "supply = { cpu = 8, \"a b\" = 2 }")
    });
    let rules: Rules =
        serde_json::from_value(serde_json::to_value(&*env.state().rules).unwrap()).unwrap();
    assert_eq!(rules, *env.state().rules);
    let mut snapshot: Snapshot = env.state().to_snapshot();
    snapshot.resources.reverse();
    snapshot.nodes.iter_mut().for_each(|node| node.supply.reverse());
    snapshot.workloads.iter_mut().for_each(|workload| workload.demand.reverse());
    let again = ClusterState::from_snapshot(Arc::new(rules.clone()), &snapshot, "s.json").unwrap();
    assert_eq!(own_terms(&again), own_terms(env.state()));
    assert_eq!(own_terms(&again)[3], ("unpaid", 6.0 + 13.0));

    // Rules for any resource kinds, and a cluster without one that a term is about.
    let any = Rules { resources: Vec::new(), ..rules };
    assert!(ClusterState::from_snapshot(Arc::new(any.clone()), &snapshot, "s.json").is_ok());
    snapshot.resources[0] = "disk".into();
    let error = ClusterState::from_snapshot(Arc::new(any), &snapshot, "s.json").unwrap_err();
    assert_eq!(
        error.to_string(),
        "s.json: rules.objective.terms.unpaid: expected one of the scenario's resources (disk, cpu) \
         at character 10, got \"a b\""
    );
}

/// A random expression in these resources.
fn random_term(resources: usize, rng: &mut Rng) -> String {
    let aggregate = ["sum", "mean", "max"][rng.random_range(0..3)];
    format!("{aggregate}({})", random_expression(resources, 3, rng))
}

fn random_expression(resources: usize, depth: u32, rng: &mut Rng) -> String {
    let quantity = ["utilisation", "used", "supply", "free"][rng.random_range(0..4)];
    let resource = rng.random_range(0..resources);
    if depth == 0 {
        return match rng.random_range(0..5) {
            0 => format!("{}", rng.random_range(0..8) as f32 / 4.0),
            1 => "load".to_owned(),
            _ => format!("{quantity}.r{resource}"),
        };
    }
    let mut part = || random_expression(resources, depth - 1, rng);
    let (a, b) = (part(), part());
    match rng.random_range(0..9) {
        0 => format!("({a} + {b})"),
        1 => format!("({a} - {b})"),
        2 => format!("{a} * {b}"),
        3 => format!("{a} / (1 + abs({b}))"),
        4 => format!("max({a}, {b})"),
        5 => format!("min({a}, {b})"),
        6 => format!("sqrt({a})"),
        7 => format!("-{a}"),
        _ => a,
    }
}

/// The own terms and the scale of their rounding.
fn level(state: &ClusterState) -> (f64, f64) {
    let nodes = state.spec.nodes();
    let values = (0..nodes).flat_map(|node| state.now.own_values(node));
    let scale: f64 = values.map(|value| f64::from(value.abs())).sum();
    (f64::from(state.level_terms()[Term::Own as usize]), scale)
}

fn after(state: &ClusterState, moves: &[(usize, usize)]) -> ClusterState {
    let mut after = state.clone();
    moves.iter().for_each(|&(k, node)| after.placement[k] = node as u32);
    after.rebuild();
    after
}

proptest! {
    #[test]
    fn changes_by_moves_are_those_of_taking_the_terms_anew(shape in shapes()) {
        // Demands that are multiples of a quarter add up exactly: nothing is divided by what is 0 but
        // for its rounding.
        let shape = Shape {
            online: false, draws: false, waves: false, slot: false, own_terms: false, ..shape
        };
        let rng = &mut stream(shape.seed, "own terms");
        let mut scenario = scenario(&shape);
        scenario.rules.candidates.follow_up = false;
        let objective = &mut scenario.rules.objective;
        objective.weights.clear();
        for name in ["a", "b", "c"] {
            objective.terms.insert(name.into(), random_term(shape.resources, rng));
            objective.weights.insert(name.into(), rng.random_range(1..5) as f32 / 2.0);
        }
        let Some(env) = env_of(&scenario, Phase::Train) else { return Ok(()) };
        let state = env.state();
        let (n, workloads) = (state.spec.nodes(), state.spec.workloads());
        let (before, scale) = level(state);
        let close = |change: f32, after: &ClusterState| {
            let (after, later) = level(after);
            let error = (f64::from(change) - (after - before)).abs();
            let terms = &state.rules.objective.terms;
            prop_assert!(
                error <= 1e-5 * (scale + later) + 1e-5, "{} {} {:?}", change, after - before, terms
            );
            Ok(())
        };
        let mut tile = Tile::default();
        let mut arrivals = Arrivals::default();
        for _ in 0..20 {
            let mut moves: Vec<(usize, usize)> = Vec::new();
            for _ in 0..rng.random_range(1..=3) {
                let (k, node) = (rng.random_range(0..workloads), rng.random_range(0..n));
                let from = state.placement[k];
                let new = moves.iter().all(|(other, _)| *other != k);
                if new && from != NOWHERE && from as usize != node {
                    moves.push((k, node));
                }
            }
            let shifts = moves.iter().map(|&(k, to)| Shift {
                demand: state.demand_of(k), from: state.placement[k] as usize, to,
            });
            let (spec, objective) = (&*state.spec, &state.objective);
            let change = state.now.change_by_shifts(spec, objective, shifts);
            close(change, &after(state, &moves))?;
            let Some(&(k, node)) = moves.first() else { continue };
            let source = state.placement[k] as usize;
            let demand = state.demand_of(k);
            let departure = state.now.departure(spec, objective, source, demand);
            state.now.tile_of_block(spec, node / 16 * 16, &mut tile);
            state.now.arrivals(n, objective, &departure, demand, &tile, &mut arrivals);
            close(arrivals.objective[node % 16], &after(state, &moves[..1]))?;
            prop_assert_eq!(arrivals.terms[Term::Own as usize], arrivals.objective);
        }
    }

    /// Nodes are chosen by what they do to own terms where nothing else counts.
    #[test]
    fn large_clusters_offer_moves_that_lower_own_terms(seed in any::<u64>()) {
        let rng = &mut stream(seed, "offered");
        let nodes = 40;
        let hot = rng.random_range(0..nodes);
        let env = by_hand(|text| {
            let (head, _) = text.split_once("[[nodes]]").unwrap();
            let placed: String = (0..nodes).map(|i| format!(
                "[[workloads]]\nname = \"w{i}\"\ncount = 2\ndemand = {{ cpu = {} }}\nnode = \"n-{i}\"\n",
                if i == hot { 3.5 } else { 1.0 }
            )).collect();
            format!(
                "{head}\n[[nodes]]\nname = \"n\"\ncount = {nodes}\nsupply = {{ cpu = 8 }}\n{placed}"
            ).replace("[rules.objective]", "[rules.candidates]\nmax = 20\n[rules.objective]")
        });
        let (seen, space) = (observe(&env), env.observation_space());
        let feature = space.candidate_feature("objective_change").unwrap();
        let best = (1..space.actions)
            .filter(|&a| seen.mask[a])
            .min_by(|&a, &b| seen.candidate(a, feature).total_cmp(&seen.candidate(b, feature)));
        let best = best.unwrap();
        prop_assert!(seen.candidate(best, feature) < -0.5);
        prop_assert_eq!(seen.candidate_source[best] as usize, hot);
    }
}
