mod first;
mod places;

use crate::duties::{Duty, purpose};
use crate::testing::{cluster, rules};
use godwit_envs::state::ClusterState;
use godwit_envs::state::cluster::{Health, WorkloadSpec};
use serde_json::json;

/// Three nodes of 4 cores with these demands on them; the clock runs.
fn online(placed: &[(f32, u32)], change: impl Fn(&mut [WorkloadSpec])) -> ClusterState {
    let rules = rules(json!({
        "episode": {"mode": "online", "moves_per_tick": 8},
        "limits": {"transfers_per_node": 8},
    }));
    cluster(rules, (3, 4.0), placed, change)
}

#[test]
fn whoever_leaves_a_node_in_trouble_for_a_healthy_one_evacuates() {
    for trouble in [Health::Draining, Health::Degraded, Health::Failed] {
        let mut state = online(&[(1.0, 0)], |_| {});
        state.health[0] = trouble;
        state.health[2] = Health::Degraded;
        state.rebuild();
        assert_eq!(purpose(&state, 0, 1), Some(Duty::Evacuates), "{trouble:?}");
        assert_eq!(purpose(&state, 0, 2), None, "{trouble:?}");
        assert_eq!(purpose(&state, 0, 0), None, "{trouble:?}");
    }
    let state = online(&[(1.0, 0)], |_| {});
    assert_eq!(purpose(&state, 0, 1), None);
}

#[test]
fn whoever_ends_a_broken_class_repairs() {
    let ssd = |workloads: &mut [WorkloadSpec]| workloads[0].classes = vec!["ssd".into()];
    let mut state = online(&[(1.0, 0), (1.0, 0)], ssd);
    let mut spec = (*state.spec).clone();
    (spec.class_names, spec.class_mask[0]) = (vec!["standard".into(), "ssd".into()], 0b10);
    spec.node_class[2] = 1;
    state.spec = spec.into();
    assert_eq!(purpose(&state, 0, 2), Some(Duty::Repairs));
    // That node is no better.
    assert_eq!(purpose(&state, 0, 1), None);
    assert_eq!(purpose(&state, 1, 2), None);
}

#[test]
fn whoever_parts_from_its_group_repairs_until_they_are_apart() {
    let together = |workloads: &mut [WorkloadSpec]| {
        workloads.iter_mut().take(3).for_each(|w| w.anti_affinity = Some("db".into()));
    };
    let mut state = online(&[(1.0, 0), (1.0, 0), (1.0, 1), (1.0, 0)], together);
    assert_eq!(purpose(&state, 0, 2), Some(Duty::Repairs));
    assert_eq!(purpose(&state, 1, 2), Some(Duty::Repairs));
    // There is another member.
    assert_eq!(purpose(&state, 0, 1), None);
    // Nobody's company is broken.
    assert_eq!(purpose(&state, 2, 2), None);
    assert_eq!(purpose(&state, 3, 2), None);
    // On the way, a member is no company any more.
    state.migrate(0, 2).unwrap();
    assert_eq!(purpose(&state, 1, 1), None);
    assert_eq!(purpose(&state, 1, 2), None);
}

#[test]
fn whoever_takes_an_excess_off_repairs_until_there_is_none() {
    // 6 of 4 cores, and 3 of 4.
    let mut state = online(&[(2.0, 0), (2.0, 0), (2.0, 0), (3.0, 1), (0.0, 0)], |_| {});
    for k in 0..3 {
        assert_eq!(purpose(&state, k, 2), Some(Duty::Repairs));
        // It would not fit.
        assert_eq!(purpose(&state, k, 1), None);
    }
    assert_eq!(purpose(&state, 4, 2), None);
    state.migrate(1, 2).unwrap();
    // The source holds its demand until the transfer ends, and then has no excess.
    assert_eq!(state.now.held[0], 6.0);
    assert_eq!(purpose(&state, 0, 2), None);
}

#[test]
fn an_excess_that_is_rounding_is_none() {
    let state = online(&[(2.0, 0), (2.00001, 0)], |_| {});
    assert_eq!(purpose(&state, 0, 1), None);
    // Nothing at all is supplied: any demand is an excess.
    let mut state = online(&[(1e-6, 0)], |_| {});
    let mut spec = (*state.spec).clone();
    spec.supply[0] = 0.0;
    state.spec = spec.into();
    assert_eq!(purpose(&state, 0, 1), Some(Duty::Repairs));
}
