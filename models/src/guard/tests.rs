use super::*;
use crate::plan::{LevelChange, Method, ReasonCode};
use crate::testing::{cluster, rules, zoned};
use godwit_envs::state::Transfer;
use godwit_envs::state::places::Spread;
use serde_json::json;

fn planned(state: &ClusterState, workload: usize, destination: usize, wave: u32) -> PlannedMove {
    let spec = &*state.spec;
    let source = state.placement[workload] as usize;
    PlannedMove {
        workload,
        workload_name: spec.workload_names[workload].clone(),
        source,
        source_name: spec.node_names[source].clone(),
        destination,
        destination_name: spec.node_names[destination].clone(),
        predicted_gain: 0.0,
        change: LevelChange::default(),
        cost: 0.0,
        moved_gib: 0.0,
        transfer_s: 0.0,
        downtime_s: 0.0,
        wave,
        after: Vec::new(),
        earliest_start_s: 0.0,
        expires_s: state.rules.episode.tick_s.into(),
        method: Method::of(state, source),
        reason: ReasonCode::MakesRoom,
    }
}

/// Three nodes of 10; w0 = 8 on n0, w1 = 7 on n1, w2 = 1 on n1 (pinned), w3 = 1 on n2 and
/// w4 = 1 on n0 (one group).
fn state() -> ClusterState {
    let placed = [(8.0, 0), (7.0, 1), (1.0, 1), (1.0, 2), (1.0, 0)];
    cluster(rules(json!({})), (3, 10.0), &placed, |workloads| {
        workloads[2].movable = false;
        workloads[3].anti_affinity = Some("g".into());
        workloads[4].anti_affinity = Some("g".into());
    })
}

#[test]
fn a_good_plan_breaks_nothing() {
    let state = state();
    let moves = [planned(&state, 0, 2, 0), planned(&state, 1, 0, 1)];
    assert_eq!(violations(&state, &moves), []);
    assert_eq!(violations(&state, &[]), []);
}

#[test]
fn room_that_only_the_end_of_the_wave_frees_does_not_count() {
    let state = state();
    let moves = [planned(&state, 0, 2, 0), planned(&state, 1, 0, 0)];
    let found = violations(&state, &moves);
    // Node 0 would hold 8 + 1 and the arriving 7.
    let (resource, held, supply) = ("cpu".to_owned(), 16.0, 10.0);
    assert_eq!(found, [Violation::Capacity { at: 1, node: 0, resource, held, supply }]);
    assert_eq!(found[0].to_string(), "move 1: expected at most 10 of cpu on node 0, got 16");
    assert_eq!(serde_json::to_value(&found[0]).unwrap()["kind"], "capacity");
}

#[test]
fn constraints_of_the_workload_are_checked() {
    let state = state();
    let found =
        |workload, destination| violations(&state, &[planned(&state, workload, destination, 0)]);
    assert_eq!(found(2, 0), [Violation::Pinned { at: 0, workload: 2 }]);
    let group = Violation::AntiAffinity { at: 0, workload: 4, node: 2, other: 3 };
    assert_eq!(found(4, 2), [group]);
    assert_eq!(found(3, 2), [Violation::SameNode { at: 0, node: 2 }]);
    // A member that leaves in the same wave is still there; a wave later it is not.
    let leaves = planned(&state, 3, 1, 0);
    let group = Violation::AntiAffinity { at: 1, workload: 4, node: 2, other: 3 };
    assert_eq!(violations(&state, &[leaves.clone(), planned(&state, 4, 2, 0)]), [group]);
    assert_eq!(violations(&state, &[leaves, planned(&state, 4, 2, 1)]), []);
}

#[test]
fn a_member_whose_transfer_is_in_flight_is_still_where_it_leaves() {
    let mut state = state();
    // w3 is on its way from n2 to n1.
    state.placement[3] = 1;
    state.transfers.push(Transfer { workload: 3, source: 2, remaining_s: 5.0 });
    let group = |node| Violation::AntiAffinity { at: 0, workload: 4, node, other: 3 };
    assert_eq!(violations(&state, &[planned(&state, 4, 2, 0)]), [group(2)]);
    let found = violations(&state, &[planned(&state, 4, 1, 0)]);
    assert!(found.contains(&group(1)), "{found:?}");
}

#[test]
fn a_class_that_is_not_allowed_is_found() {
    let state = cluster(rules(json!({})), (2, 10.0), &[(1.0, 0)], |workloads| {
        workloads[0].classes = vec!["other".into()];
    });
    let found = violations(&state, &[planned(&state, 0, 1, 0)]);
    assert_eq!(found, [Violation::Class { at: 0, workload: 0, node: 1 }]);
}

#[test]
fn unknown_names_and_wrong_sources_are_found() {
    let state = state();
    let mut moves = vec![planned(&state, 3, 1, 0); 3];
    moves[0].workload = 99;
    moves[1].destination_name = "elsewhere".into();
    moves[2].source = 0;
    moves[2].source_name = "n0".into();
    let [a, b, c] = &violations(&state, &moves)[..] else { panic!("expected three") };
    assert!(matches!(a, Violation::UnknownWorkload { at: 0, index: 99, .. }), "{a}");
    assert!(matches!(b, Violation::UnknownNode { at: 1, index: 1, .. }), "{b}");
    assert_eq!(c, &Violation::WrongSource { at: 2, expected: 2, got: 0 });
}

#[test]
fn duplicates_wave_order_and_budget_are_found() {
    let mut state = state();
    state.moves_left = 1;
    let found = violations(&state, &[planned(&state, 3, 1, 1), planned(&state, 3, 1, 1)]);
    assert_eq!(
        found,
        [
            Violation::Budget { budget: 1, moves: 2 },
            Violation::WaveOrder { at: 0, expected: 0, got: 1 },
            Violation::Duplicate { at: 1, workload: 3, wave: 1 },
        ]
    );
    state.moves_left = 9;
    let backwards = [planned(&state, 3, 1, 0), planned(&state, 4, 1, 1), planned(&state, 0, 2, 0)];
    let found = violations(&state, &backwards);
    assert!(found.contains(&Violation::WaveOrder { at: 2, expected: 1, got: 0 }), "{found:?}");
}

#[test]
fn transfer_limits_and_cooldowns_are_found() {
    let limits = json!({"transfers_per_node": 1, "transfers_in_flight": 1, "cooldown_ticks": 3});
    let placed = [(1.0, 0), (1.0, 1), (1.0, 2)];
    let mut state = cluster(rules(json!({"limits": limits})), (3, 10.0), &placed, |_| {});
    let moves = [planned(&state, 0, 1, 0), planned(&state, 1, 2, 0)];
    assert_eq!(
        violations(&state, &moves),
        [
            Violation::TransfersInFlight { at: 1, limit: 1, count: 2 },
            Violation::NodeTransfers { at: 1, node: 1, limit: 1, count: 2 },
        ]
    );
    // A workload that has just moved waits three ticks, and each move counts as one.
    let mut back = planned(&state, 0, 0, 1);
    (back.source, back.source_name) = (1, "n1".into());
    let found = violations(&state, &[planned(&state, 0, 1, 0), back]);
    assert_eq!(found, [Violation::Cooldown { at: 1, workload: 0, ticks: 2 }]);
    state.cooldown[2] = 1;
    let found = violations(&state, &[planned(&state, 2, 1, 0)]);
    assert_eq!(found, [Violation::Cooldown { at: 0, workload: 2, ticks: 1 }]);
}

#[test]
fn a_move_off_a_failed_node_is_a_cold_restart_and_no_other_is() {
    let mut state = state();
    let live = planned(&state, 0, 2, 0);
    state.health[0] = Health::Failed;
    state.rebuild();
    let found = violations(&state, std::slice::from_ref(&live));
    let (expected, got) = (Method::ColdRestart, Method::Live);
    assert_eq!(found, [Violation::Method { at: 0, node: 0, expected, got }]);
    assert_eq!(violations(&state, &[planned(&state, 0, 2, 0)]), []);
    state.health[0] = Health::Healthy;
    state.rebuild();
    let restart = PlannedMove { method: Method::ColdRestart, ..live };
    assert_eq!(violations(&state, &[restart]).len(), 1);
}

#[test]
fn cold_restarts_are_no_transfers() {
    let rules = rules(json!({"limits": {"transfers_per_node": 1, "transfers_in_flight": 1}}));
    let mut state = cluster(rules, (3, 10.0), &[(1.0, 0), (1.0, 0), (1.0, 1)], |_| {});
    let moves = |state: &ClusterState| [planned(state, 0, 2, 0), planned(state, 1, 2, 0)];
    assert_eq!(violations(&state, &moves(&state)).len(), 3);
    state.health[0] = Health::Failed;
    state.rebuild();
    assert_eq!(violations(&state, &moves(&state)), []);
    // Beside them there is room for one transfer.
    let [first, second] = moves(&state);
    assert_eq!(violations(&state, &[first, second, planned(&state, 2, 2, 0)]), []);
}

#[test]
fn a_node_that_is_closed_takes_nobody() {
    let mut state = state();
    for health in [Health::Draining, Health::Failed] {
        state.health[2] = health;
        state.rebuild();
        let found = violations(&state, &[planned(&state, 0, 2, 0)]);
        assert_eq!(found, [Violation::NodeClosed { at: 0, node: 2 }]);
    }
}

#[test]
fn a_node_outside_of_the_set_and_a_full_one_are_found() {
    let state = zoned(rules(json!({})), &[0, 0, 2], |snapshot| {
        snapshot.workloads[0].nodes = vec!["n0".to_owned(), "n2".to_owned()];
        snapshot.nodes[2].max_workloads = Some(1);
    });
    let found = violations(&state, &[planned(&state, 0, 1, 0)]);
    assert_eq!(found, [Violation::NodeSet { at: 0, workload: 0, node: 1 }]);
    // The one that is there leaves in the same wave, and counts until it is gone.
    let moves = [planned(&state, 2, 3, 0), planned(&state, 0, 2, 0)];
    let full = Violation::WorkloadsPerNode { at: 1, node: 2, limit: 1, count: 2 };
    assert_eq!(violations(&state, &moves), [full]);
    let apart = [planned(&state, 2, 3, 0), planned(&state, 0, 2, 1)];
    assert_eq!(violations(&state, &apart), []);
}

#[test]
fn a_zone_with_another_member_is_found() {
    let state = zoned(rules(json!({})), &[0, 2], |snapshot| {
        for workload in &mut snapshot.workloads {
            workload.zone_anti_affinity = Some("g".to_owned());
        }
    });
    let found = violations(&state, &[planned(&state, 0, 2, 0)]);
    assert_eq!(found, [Violation::ZoneAntiAffinity { at: 0, workload: 0, node: 2, other: 1 }]);
    assert_eq!(violations(&state, &[planned(&state, 0, 1, 0)]), []);
    // Whoever leaves the zone in the same wave is still in it.
    let moves = [planned(&state, 1, 3, 0), planned(&state, 0, 2, 0)];
    assert_eq!(violations(&state, &moves).len(), 1);
}

#[test]
fn a_group_that_would_be_spread_too_unevenly_is_found() {
    // a 3, b 1, c 0.
    let state = zoned(rules(json!({})), &[0, 0, 1, 2], |snapshot| {
        for workload in &mut snapshot.workloads {
            workload.spread = Some(Spread { group: "g".to_owned(), max_skew: 1 });
        }
    });
    let uneven = |at, workload| Violation::ZoneSpread { at, workload, max_skew: 1, skew: 2 };
    assert_eq!(violations(&state, &[planned(&state, 0, 2, 0)]), [uneven(0, 0)]);
    assert_eq!(violations(&state, &[planned(&state, 0, 3, 0)]), []);
    // Once c has one, b may have two; as long as that one is under way, it may come to nothing.
    let at_once = [planned(&state, 0, 3, 0), planned(&state, 1, 2, 0)];
    assert_eq!(violations(&state, &at_once), [uneven(1, 1)]);
    let apart = [planned(&state, 0, 3, 0), planned(&state, 1, 2, 1)];
    assert_eq!(violations(&state, &apart), []);
    assert_eq!(violations(&state, &[planned(&state, 0, 1, 0)]), []);
}
