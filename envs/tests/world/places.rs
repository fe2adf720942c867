//! Sets of nodes, numbers of workloads per node and zones: by hand, and from the definitions.

use godwit_envs::rng::Rng;
use godwit_envs::scenario::Scenario;
use godwit_envs::snapshot::Snapshot;
use godwit_envs::state::cluster::NO_GROUP;
use godwit_envs::state::places::Spread;
use godwit_envs::state::{ClusterState, Infeasible, NOWHERE};
use rand::RngExt;
use serde_json::{Value, json};
use std::sync::Arc;

/// Adds rules about places to a random scenario whose nodes are groups of one.
pub fn add_rules(scenario: &mut Scenario, rng: &mut Rng) {
    let names: Vec<String> = scenario.nodes.iter().map(|node| node.name.clone()).collect();
    for (i, node) in scenario.nodes.iter_mut().enumerate() {
        // The first node is one that everybody may run on.
        node.zone = if i == 0 { String::new() } else { format!("z{}", rng.random_range(0..3)) };
        node.max_workloads = (i > 0 && rng.random_bool(0.3)).then(|| rng.random_range(1..6));
    }
    for workload in &mut scenario.workloads {
        if rng.random_bool(0.2) {
            workload.nodes = names.iter().filter(|_| rng.random_bool(0.6)).cloned().collect();
            workload.nodes.push(names[0].clone());
        }
        if rng.random_bool(0.4) {
            let group = format!("s{}", rng.random_range(0..2));
            workload.spread = Some(Spread { group, max_skew: rng.random_range(1..4) });
        }
        if rng.random_bool(0.08) {
            workload.zone_anti_affinity = Some("apart".to_owned());
        }
    }
}

/// The nodes that a workload may be on by the end: of one in transfer, both.
fn nodes_of(state: &ClusterState, k: usize) -> Vec<usize> {
    let sources = state.transfers.iter().filter(|t| t.workload as usize == k).map(|t| t.source);
    let placed = [state.placement[k]].into_iter().filter(|node| *node != NOWHERE);
    placed.chain(sources).map(|node| node as usize).collect()
}

fn zones_of(state: &ClusterState, k: usize) -> Vec<u32> {
    nodes_of(state, k).into_iter().map(|node| state.spec.node_zone[node]).collect()
}

/// Fewest and most members of a spread group that a zone may have in the end.
fn members(state: &ClusterState, spread: u32, zone: u32) -> (i64, i64) {
    let places = state.spec.places.as_ref().unwrap();
    let group = (0..state.placement.len()).filter(|&k| places.spread[k] == spread);
    let zones: Vec<Vec<u32>> = group.map(|k| zones_of(state, k)).collect();
    let surely = zones.iter().filter(|at| !at.is_empty() && at.iter().all(|z| *z == zone));
    (surely.count() as i64, zones.iter().filter(|at| at.contains(&zone)).count() as i64)
}

/// Whether the rules about places let a workload come to a node, from the definitions.
pub fn places_allow(state: &ClusterState, k: usize, to: usize) -> bool {
    let spec = &*state.spec;
    let Some(places) = &spec.places else { return true };
    let all = 0..spec.workloads();
    let here = all.clone().filter(|&other| nodes_of(state, other).contains(&to)).count();
    let zone = spec.node_zone[to];
    let rival = |other: usize| {
        other != k
            && places.zone_group[other] == places.zone_group[k]
            && zones_of(state, other).contains(&zone)
    };
    let apart = places.zone_group[k] == NO_GROUP || !all.clone().any(rival);
    let from = state.node_of(k).map(|node| spec.node_zone[node]);
    let even = places.spread[k] == NO_GROUP || from == Some(zone) || {
        let group = &places.spread_groups[places.spread[k] as usize];
        let (skew, spread) = (i64::from(group.max_skew), places.spread[k]);
        let before = |zone: u32| members(state, spread, zone);
        let after = |zone: u32| before(zone).0 - i64::from(from == Some(zone));
        let most = before(zone).1 + 1;
        let others = group.zones.iter().filter(|other| **other != zone);
        let least = group.zones.iter().map(|zone| before(*zone).0).min();
        // Whoever leaves the zone with the fewest leaves it behind all others.
        let behind = from.filter(|from| group.zones.contains(from)).map(after);
        let falls = behind.filter(|left| least.is_some_and(|least| *left < least));
        let highest = group.zones.iter().map(|zone| before(*zone).1).max().unwrap_or(0);
        others.into_iter().all(|other| most - after(*other) <= skew)
            && falls.is_none_or(|left| highest - left <= skew)
    };
    places.in_set(k, to) && here < places.most_workloads[to] as usize && apart && even
}

/// What a placement breaks, transfers aside.
pub fn broken_places(state: &ClusterState) -> Option<String> {
    let spec = &*state.spec;
    let places = spec.places.as_ref()?;
    let placed: Vec<usize> =
        (0..spec.workloads()).filter(|&k| state.node_of(k).is_some()).collect();
    let node = |k: usize| state.placement[k] as usize;
    let zone = |k: usize| spec.node_zone[node(k)];
    let outside = placed.iter().find(|&&k| !places.in_set(k, node(k)));
    if let Some(k) = outside {
        return Some(format!("workload {k} is outside of its set"));
    }
    for i in 0..spec.nodes() {
        let count = placed.iter().filter(|&&k| node(k) == i).count();
        if count > places.most_workloads[i] as usize {
            return Some(format!("{count} workloads on node {i}"));
        }
    }
    for (at, &k) in placed.iter().enumerate() {
        let group = places.zone_group[k];
        let shares = |&&other: &&usize| places.zone_group[other] == group && zone(other) == zone(k);
        if group != NO_GROUP && placed[..at].iter().any(|other| shares(&other)) {
            return Some(format!("workload {k} shares its zone"));
        }
    }
    for (spread, group) in (0..).zip(&places.spread_groups) {
        let counts: Vec<usize> = group
            .zones
            .iter()
            .map(|z| {
                placed.iter().filter(|&&k| places.spread[k] == spread && zone(k) == *z).count()
            })
            .collect();
        let (least, most) = (counts.iter().min()?, counts.iter().max()?);
        if most - least > group.max_skew as usize {
            return Some(format!("group {spread} has {counts:?}"));
        }
    }
    None
}

/// Nodes `a0`, `a1` (zone a), `b0` (zone b), `c0` (zone c) of 100 cores; workloads of 1 core named
/// after their nodes.
fn state(mode: &str, nodes: Value, workloads: Value) -> ClusterState {
    let mut value = json!({
        "format": "godwit-snapshot/1",
        "resources": ["cpu"],
        "nodes": [],
        "workloads": [],
    });
    for name in ["a0", "a1", "b0", "c0"] {
        let mut node = json!({"name": name, "zone": &name[..1], "supply": [100.0]});
        for (field, change) in nodes[name].as_object().into_iter().flatten() {
            node[field] = change.clone();
        }
        value["nodes"].as_array_mut().unwrap().push(node);
    }
    for (k, change) in workloads.as_array().unwrap().iter().enumerate() {
        let mut workload = json!({"name": format!("w{k}"), "demand": [1.0]});
        for (field, change) in change.as_object().unwrap() {
            workload[field] = change.clone();
        }
        value["workloads"].as_array_mut().unwrap().push(workload);
    }
    let rules = json!({
        "resources": [{"name": "cpu"}],
        "episode": {"mode": mode, "moves_per_tick": 9, "move_budget": 9},
        "objective": {"weights": {"max_load": 1.0}},
    });
    let rules = Arc::new(serde_json::from_value(rules).unwrap());
    let snapshot = Snapshot::from_json(&value.to_string(), "live.json").unwrap();
    ClusterState::from_snapshot(rules, &snapshot, "live.json").unwrap()
}

const A0: usize = 0;
const A1: usize = 1;
const B0: usize = 2;
const C0: usize = 3;

#[test]
fn a_workload_goes_only_to_nodes_of_its_set_and_a_name_that_is_not_there_is_none() {
    let state = state(
        "rebalance",
        json!({}),
        json!([
            {"node": "a0", "nodes": ["a0", "b0", "gone"]},
            {"node": "a0", "nodes": ["gone"]},
            {"node": "a0", "nodes": ["c0", "b0", "a1", "a0"]},
        ]),
    );
    assert_eq!(state.check(0, B0), Ok(()));
    assert_eq!(state.check(0, A1), Err(Infeasible::NodeSet));
    assert!((1..4).all(|node| state.check(1, node) == Err(Infeasible::NodeSet)));
    // All nodes are no set.
    assert!((1..4).all(|node| state.check(2, node) == Ok(())));
}

#[test]
fn a_node_with_all_the_workloads_it_may_have_takes_one_only_when_a_transfer_has_freed_a_place() {
    let nodes = json!({"b0": {"max_workloads": 1}});
    let workloads = json!([{"node": "a0"}, {"node": "b0"}]);
    let mut moved = state("rebalance", nodes.clone(), workloads.clone());
    assert_eq!(moved.check(0, B0), Err(Infeasible::WorkloadsPerNode));
    moved.migrate(1, C0).unwrap();
    assert_eq!(moved.check(0, B0), Ok(()));

    let mut online = state("online", nodes, workloads);
    online.migrate(1, C0).unwrap();
    assert_eq!(online.check(0, B0), Err(Infeasible::WorkloadsPerNode));
    online.run_transfers(1e6);
    assert_eq!(online.check(0, B0), Ok(()));
}

#[test]
fn members_that_share_no_zone_stay_out_of_one_until_a_transfer_has_left_it() {
    let member = |node: &str| json!({"node": node, "zone_anti_affinity": "g"});
    let mut online = state("online", json!({}), json!([member("a0"), member("b0")]));
    assert_eq!(online.check(0, B0), Err(Infeasible::ZoneAntiAffinity));
    // Within its own zone it is alone.
    assert_eq!(online.check(0, A1), Ok(()));
    online.migrate(1, C0).unwrap();
    assert_eq!(online.check(0, B0), Err(Infeasible::ZoneAntiAffinity));
    online.run_transfers(1e6);
    assert_eq!(online.check(0, B0), Ok(()));
    assert_eq!(online.check(0, C0), Err(Infeasible::ZoneAntiAffinity));
}

/// Members of one spread group on these nodes.
fn spread(mode: &str, max_skew: u32, nodes: &[&str]) -> ClusterState {
    let member =
        |node: &&str| json!({"node": node, "spread": {"group": "g", "max_skew": max_skew}});
    let workloads: Vec<Value> = nodes.iter().map(member).collect();
    state(mode, json!({}), json!(workloads))
}

#[test]
fn a_zone_gets_no_further_above_the_others_than_the_skew() {
    // a 2, b 1, c 0: to c is 1 above nothing; to b leaves b 2 above c.
    let state = spread("rebalance", 1, &["a0", "a0", "b0"]);
    assert_eq!(state.check(0, C0), Ok(()));
    assert_eq!(state.check(0, B0), Err(Infeasible::ZoneSpread));
    assert_eq!(state.check(2, A0), Err(Infeasible::ZoneSpread));
    // Within a zone nothing changes.
    assert_eq!(state.check(0, A1), Ok(()));
    // With 2, b may have them: 2 above c. But a may not get a third.
    let wider = spread("rebalance", 2, &["a0", "a0", "b0"]);
    assert_eq!(wider.check(0, B0), Ok(()));
    assert_eq!(wider.check(2, A0), Err(Infeasible::ZoneSpread));
}

#[test]
fn whoever_leaves_the_emptiest_zone_does_not_leave_others_too_far_above_it() {
    // a 3, b 1, c 1: c would have 2, 2 above b; but a would be 3 above b.
    let state = spread("rebalance", 2, &["a0", "a0", "a1", "b0", "c0"]);
    assert_eq!(state.check(3, C0), Err(Infeasible::ZoneSpread));
    assert_eq!(state.check(0, C0), Ok(()));
}

#[test]
fn while_a_transfer_runs_both_of_its_zones_are_judged_by_the_worse_end() {
    // a 3, b 1, c 1.
    let mut state = spread("online", 1, &["a0", "a0", "a1", "b0", "c0"]);
    state.migrate(0, B0).unwrap();
    // If that comes to nothing, b has 1; if it does not, 2: c may have 2 either way.
    assert_eq!(state.check(1, C0), Ok(()));
    // b might then have 3 above c's 1.
    assert_eq!(state.check(1, B0), Err(Infeasible::ZoneSpread));
    state.run_transfers(1e6);
    // a 2, b 2, c 1.
    assert_eq!(state.check(1, B0), Err(Infeasible::ZoneSpread));
    assert_eq!(state.check(1, C0), Ok(()));
}

#[test]
fn zones_that_no_member_may_run_in_do_not_count() {
    let member = |node: &str| json!({"node": node, "nodes": ["a0", "b0"], "spread": {"group": "g", "max_skew": 1}});
    // Were c counted, with none, nobody could come to b.
    let state = state("rebalance", json!({}), json!([member("a0"), member("a0"), member("b0")]));
    assert_eq!(state.spec.places.as_ref().unwrap().spread_groups[0].zones.len(), 2);
    assert_eq!(state.check(0, B0), Ok(()));
    assert_eq!(state.check(2, A0), Err(Infeasible::ZoneSpread));
}

#[test]
fn of_several_skews_of_a_group_the_smallest_holds() {
    let member = |node: &str, max_skew: u32| json!({"node": node, "spread": {"group": "g", "max_skew": max_skew}});
    let state = state("rebalance", json!({}), json!([member("a0", 3), member("b0", 1)]));
    assert_eq!(state.check(0, B0), Err(Infeasible::ZoneSpread));
}

#[test]
fn a_workload_without_a_node_waits_and_may_be_placed_but_not_moved() {
    let mut state = state(
        "online",
        json!({"b0": {"max_workloads": 0}}),
        json!([{"node": "a0"}, {"spread": {"group": "g", "max_skew": 1}}]),
    );
    assert_eq!((state.placement[1], &state.queue[..]), (NOWHERE, &[1][..]));
    assert_eq!(state.check(1, C0), Err(Infeasible::NotRunning));
    assert!(!state.could_hold(1, B0) && state.could_hold(1, C0));
    assert_eq!(state.now.held[..4], [1.0, 0.0, 0.0, 0.0]);
    state.migrate(0, A1).unwrap();
    assert_eq!(state.queue, [1]);
}

#[test]
fn a_state_with_rules_about_places_comes_back_from_its_own_snapshot() {
    let start = state(
        "online",
        json!({"b0": {"max_workloads": 2}}),
        json!([
            {"node": "a0", "nodes": ["a0", "b0"], "spread": {"group": "g", "max_skew": 2}},
            {"node": "b0", "zone_anti_affinity": "h", "spread": {"group": "g", "max_skew": 1}},
            {"node": "c0", "zone_anti_affinity": "h", "nodes": ["gone"]},
            {},
        ]),
    );
    let text = start.to_snapshot().to_json();
    let read = Snapshot::from_json(&text, "again.json").unwrap();
    let again = ClusterState::from_snapshot(Arc::clone(&start.rules), &read, "again.json").unwrap();
    assert_eq!(again.to_snapshot(), read);
    assert_eq!(again.spec.places, start.spec.places);
    assert_eq!(again.place_counts(), start.place_counts());
    assert_eq!((&again.life, &again.queue), (&start.life, &start.queue));
    assert_eq!(again.fingerprint(), start.fingerprint());
    for (k, node) in (0..4).flat_map(|k| (0..4).map(move |node| (k, node))) {
        assert_eq!(again.check(k, node), start.check(k, node));
    }
}
