//! Sets of nodes, limits of workloads per node and zones that are broken from the start.

use super::first::duties;
use crate::duties::{Duty, purpose};
use crate::testing::{rules, zoned};
use godwit_envs::snapshot::Snapshot;
use godwit_envs::state::ClusterState;
use godwit_envs::state::places::Spread;
use serde_json::json;

/// Moves cost more than they gain.
fn state(placed: &[u32], change: impl Fn(&mut Snapshot)) -> ClusterState {
    let weights = json!({"weights": {"max_load": 1.0, "moved_gib": 10.0}});
    zoned(rules(json!({"objective": weights})), placed, change)
}

fn spread(snapshot: &mut Snapshot, max_skew: u32) {
    for workload in &mut snapshot.workloads {
        workload.spread = Some(Spread { group: "g".to_owned(), max_skew });
    }
}

#[test]
fn who_is_outside_of_its_set_goes_into_it_whatever_that_costs() {
    let state = state(&[0, 0], |snapshot| {
        snapshot.workloads[1].nodes = vec!["n3".to_owned(), "gone".to_owned()];
    });
    assert_eq!(duties(&state, false), [(1, 3)]);
    assert_eq!(purpose(&state, 1, 3), Some(Duty::Repairs));
    assert_eq!((purpose(&state, 1, 2), purpose(&state, 0, 3)), (None, None));
}

#[test]
fn a_node_with_too_many_workloads_is_left_by_as_many_as_are_too_many() {
    let state = state(&[0, 0, 0, 1], |snapshot| {
        snapshot.nodes[0].max_workloads = Some(1);
        snapshot.nodes[1].max_workloads = Some(1);
    });
    let moved = duties(&state, false);
    assert_eq!(moved.len(), 2);
    assert!(moved.iter().all(|&(k, node)| k < 3 && node > 1), "{moved:?}");
    // That one has its workload.
    assert_eq!(purpose(&state, 0, 1), None);
}

#[test]
fn members_that_share_a_zone_part() {
    let state = state(&[0, 1, 2], |snapshot| {
        for workload in &mut snapshot.workloads {
            workload.zone_anti_affinity = Some("g".to_owned());
        }
    });
    let moved = duties(&state, false);
    assert!(moved.len() == 1 && moved[0].0 < 2 && moved[0].1 == 3, "{moved:?}");
    // In the zone it has company all the same.
    assert_eq!(purpose(&state, 0, 1), None);
    assert_eq!(purpose(&state, 2, 3), None);
}

#[test]
fn a_zone_with_too_many_of_a_group_is_left_until_it_has_not() {
    // a 4, b 1, c 0, and 2 more than another are allowed: one has to go to c.
    let state = state(&[0, 0, 1, 1, 2], |snapshot| spread(snapshot, 2));
    let moved = duties(&state, false);
    assert!(moved.iter().all(|&(k, node)| k < 4 && node > 1), "{moved:?}");
    let left = 4 - moved.len();
    let to_c = moved.iter().filter(|(_, node)| *node == 3).count();
    assert!(left - to_c <= 2 && moved.len() <= 2, "{moved:?}");
    assert_eq!(purpose(&state, 0, 3), Some(Duty::Repairs));
    assert_eq!((purpose(&state, 0, 1), purpose(&state, 4, 3)), (None, None));
}

#[test]
fn what_no_move_can_mend_is_left_alone() {
    let state = state(&[0, 0, 0], |snapshot| {
        spread(snapshot, 1);
        // Zones count in which one of them could be, and this one may not leave.
        snapshot.workloads[0].nodes = vec!["n0".to_owned(), "n2".to_owned()];
        for workload in &mut snapshot.workloads {
            workload.movable = false;
        }
    });
    assert_eq!(duties(&state, false), []);
}
