pub(crate) mod simulation;
mod times;
mod worth;

use super::*;
use crate::baselines::baseline;
use crate::guard::violations;
use crate::testing::{cluster, env, rules};
use godwit_envs::scenario::Phase;
use serde_json::json;
use times::Script;

#[test]
fn a_move_that_needs_the_room_of_another_waits_for_the_next_wave() {
    // The 8 goes to the empty node; then the 7 fits where the 8 was, but not beside it.
    let state = cluster(rules(json!({})), (3, 10.0), &[(8.0, 0), (7.0, 1), (2.0, 1)], |_| {});
    let plan = plan(&state, &mut Script(vec![(0, 2), (1, 0)]), 9, None);
    // Loads 0.8, 0.9, 0 become 0.7, 0.2, 0.8.
    let waves: Vec<u32> = plan.moves.iter().map(|planned| planned.wave).collect();
    assert_eq!((waves, plan.waves), (vec![0, 1], 2));
    assert_eq!(plan.stop_reason, StopReason::PolicyStays);
    assert!((plan.objective_before - 0.9).abs() < 1e-6);
    assert!((plan.objective_after - 0.8).abs() < 1e-6);
    let [first, second] = &plan.moves[..] else { panic!("{plan:?}") };
    // The first move alone lowers nothing, the second takes node 1 from 0.9 to 0.2.
    assert_eq!(first.reason, ReasonCode::MakesRoom);
    assert!(first.predicted_gain.abs() < 1e-6);
    assert_eq!(second.reason, ReasonCode::LowersMaxLoad);
    assert!((second.predicted_gain - 0.1).abs() < 1e-6);
    assert!((second.change.max_load + 0.1).abs() < 1e-6);
    assert_eq!(violations(&state, &plan.moves), []);
    let json = serde_json::to_value(&plan).unwrap();
    assert_eq!(json["stop_reason"], "policy_stays");
    assert_eq!(json["moves"][1]["reason"], "lowers_max_load");
    assert_eq!(json["moves"][1]["workload_name"], "w1");
    assert_eq!(serde_json::from_value::<Plan>(json).unwrap(), plan);
}

#[test]
fn independent_moves_share_a_wave_up_to_the_limits() {
    let limits = json!({"transfers_per_node": 2, "transfers_in_flight": 8});
    let state = cluster(
        rules(json!({"limits": limits})),
        (4, 12.0),
        &[(3.0, 0), (3.0, 0), (3.0, 0), (2.0, 0)],
        |_| {},
    );
    let plan = plan(&state, &mut Script(vec![(0, 2), (1, 3), (2, 1)]), 9, None);
    // Node 0 may take part in two transfers at a time; loads fall from 11 to 8, 5 and 3 of 12.
    let waves: Vec<u32> = plan.moves.iter().map(|planned| planned.wave).collect();
    assert_eq!(waves, [0, 0, 1]);
    assert_eq!(violations(&state, &plan.moves), []);
}

#[test]
fn moves_that_never_paid_off_are_cut() {
    // Loads 0.6 and 0.3. Moving the 2 helps (0.4, 0.5), moving the 4 after it does not (0, 0.9).
    let state = cluster(rules(json!({})), (2, 10.0), &[(4.0, 0), (2.0, 0), (3.0, 1)], |_| {});
    let kept = plan(&state, &mut Script(vec![(1, 1), (0, 1)]), 9, None);
    assert_eq!(kept.moves.len(), 1);
    assert!((kept.objective_after - 0.5).abs() < 1e-6);
    let none = plan(&state, &mut Script(vec![(0, 1), (1, 1)]), 9, None);
    assert_eq!((none.moves.len(), none.stop_reason), (0, StopReason::NoGain));
    assert_eq!(none.objective_after, none.objective_before);
}

#[test]
fn every_end_has_its_reason() {
    let mut state = env("founding-3x3", Phase::Evaluate).state().clone();
    let mut best = baseline("best-single-move").unwrap();
    let mut reason =
        |state: &ClusterState, most, deadline| plan(state, &mut *best, most, deadline).stop_reason;
    assert_eq!(reason(&state, 9, None), StopReason::PolicyStays);
    assert_eq!(reason(&state, 1, None), StopReason::MaxMoves);
    assert_eq!(reason(&state, 9, Some(Instant::now())), StopReason::Deadline);
    state.moves_left = 1;
    assert_eq!(reason(&state, 9, None), StopReason::BudgetSpent);
    let pinned = cluster(rules(json!({})), (2, 10.0), &[(4.0, 0)], |w| w[0].movable = false);
    assert_eq!(reason(&pinned, 9, None), StopReason::NoFeasibleMove);
    let wrong = plan(&pinned, &mut Script(vec![(0, 1)]), 9, None);
    assert_eq!(wrong.stop_reason, StopReason::InfeasibleChoice);
}

#[test]
fn an_online_plan_is_one_tick_and_one_wave() {
    let episode = json!({"mode": "online", "moves_per_tick": 2});
    let placed = [(3.0, 0), (3.0, 0), (3.0, 0)];
    let state = cluster(rules(json!({"episode": episode})), (3, 10.0), &placed, |_| {});
    let plan = plan(&state, &mut Script(vec![(0, 1), (1, 2), (2, 1)]), 9, None);
    assert_eq!((plan.moves.len(), plan.waves), (2, 1));
    assert_eq!(plan.stop_reason, StopReason::BudgetSpent);
    // Gains count the transfers as complete: 0.9, 0.6, 0.3.
    assert!((plan.objective_after - 0.3).abs() < 1e-6, "{plan:?}");
    assert_eq!(violations(&state, &plan.moves), []);
}
