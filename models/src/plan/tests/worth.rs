use crate::guard::violations;
use crate::plan::tests::times::Script;
use crate::plan::{LaterMove, Plan, Reach, ReasonCode, StopReason, plan, plan_within};
use crate::shell::{Carried, Memory, Shell, ShellRules};
use crate::testing::{cluster, rules};
use godwit_envs::state::ClusterState;
use serde_json::{Value, json};

/// The clock runs: one move in each tick of 60 s, and moves have to pay within ten of them.
fn online(price_of_a_gib: f32, changes: Value) -> std::sync::Arc<godwit_envs::scenario::Rules> {
    let mut all = json!({
        "episode": {"mode": "online", "moves_per_tick": 1, "tick_s": 60.0},
        "limits": {"payback_ticks": 10},
        "objective": {"weights": {"max_load": 1.0, "moved_gib": price_of_a_gib}},
    });
    for (field, change) in changes.as_object().unwrap() {
        all[field] = change.clone();
    }
    rules(all)
}

fn moves(plan: &Plan) -> Vec<(usize, usize, ReasonCode)> {
    plan.moves.iter().map(|m| (m.workload, m.destination, m.reason)).collect()
}

#[test]
fn a_move_has_to_earn_its_costs_within_the_payback_time() {
    let planned = |price: f32, state_gib: f32| {
        let placed = [(4.0, 0), (2.0, 0)];
        let state = cluster(online(price, json!({})), (2, 10.0), &placed, |workloads| {
            workloads[1].state_gib = state_gib;
        });
        plan(&state, &mut Script(vec![(1, 1)]), 9, None)
    };
    // The load falls by 0.2 for ten ticks but the 1.1 s that the transfer takes: by 1.996333.
    let pays = planned(1.99, 1.0);
    assert_eq!(moves(&pays), [(1, 1, ReasonCode::LowersMaxLoad)]);
    assert!((pays.worth - 0.006_333).abs() < 1e-4, "{}", pays.worth);
    assert_eq!(pays.payback_ticks, Some(10));
    let lost = planned(2.0, 1.0);
    assert_eq!((lost.moves.len(), lost.stop_reason), (0, StopReason::NoGain));
    assert_eq!((lost.worth, lost.objective_after), (0.0, lost.objective_before));
    // A transfer of 601 s relieves nobody within ten minutes, even for nothing.
    assert_eq!(planned(0.0, 601.0).moves.len(), 0);
    assert_eq!(planned(0.0, 300.0).moves.len(), 1);
}

#[test]
fn an_operator_sets_the_payback_time_and_the_least_share_of_what_is_held_over_it() {
    let state = cluster(online(2.0, json!({})), (2, 10.0), &[(4.0, 0), (2.0, 0)], |_| {});
    let within = |payback_ticks, min_gain_share| {
        let reach = Reach { payback_ticks, min_gain_share, ..Reach::of(9) };
        plan_within(&state, &mut Script(vec![(1, 1)]), reach, &mut |_, _| {})
    };
    assert_eq!(within(None, 0.0).stop_reason, StopReason::NoGain);
    assert_eq!(within(Some(11), 0.0).moves.len(), 1);
    // Over 100 ticks 60 are held. 20 of them are saved, at a cost of 2.
    assert_eq!(within(Some(100), 0.299).moves.len(), 1);
    let less = within(Some(100), 0.301);
    assert_eq!((less.moves.len(), less.stop_reason), (0, StopReason::GainBelowThreshold));
}

#[test]
fn what_pays_at_the_forecast_demand_alone_is_planned_and_says_so() {
    let forecast = json!({"forecast": {"horizons": [4]}, "limits": {"payback_ticks": 36}});
    let placed = [(2.0, 0), (2.0, 0), (2.0, 1), (2.0, 1)];
    let mut state = cluster(online(0.01, forecast), (2, 10.0), &placed, |_| {});
    let planned = |state: &ClusterState| plan(state, &mut Script(vec![(0, 1)]), 9, None);
    assert_eq!(planned(&state).stop_reason, StopReason::NoGain);
    // In four ticks the two on node 0 want 6 each. The move costs 0.2 now, gains as much then, and
    // comes to nothing on the way there; 32 ticks are left.
    state.forecast_demand = vec![6.0, 6.0, 2.0, 2.0];
    state.rebuild();
    let ahead = planned(&state);
    assert_eq!(moves(&ahead), [(0, 1, ReasonCode::AheadOfDemand)]);
    assert!((ahead.worth - 6.39).abs() < 0.01, "{}", ahead.worth);
}

#[test]
fn a_move_that_no_later_one_needs_is_left_out_and_one_that_does_says_what_it_is() {
    let weights = json!({"objective": {"weights": {"max_load": 1.0, "moved_gib": 0.001}}});
    let placed = [(4.0, 0), (2.0, 0), (1.0, 1)];
    let state = cluster(rules(weights.clone()), (3, 10.0), &placed, |_| {});
    let straight = plan(&state, &mut Script(vec![(2, 2), (1, 1)]), 9, None);
    assert_eq!(moves(&straight), [(1, 1, ReasonCode::LowersMaxLoad)]);
    // The 8 has to go before the 7 can come.
    let placed = [(8.0, 0), (7.0, 1), (2.0, 1)];
    let state = cluster(rules(weights), (3, 10.0), &placed, |_| {});
    let chain = plan(&state, &mut Script(vec![(0, 2), (1, 0)]), 9, None);
    let expected = [(0, 2, ReasonCode::MakesRoom), (1, 0, ReasonCode::LowersMaxLoad)];
    assert_eq!(moves(&chain), expected);
    assert!((chain.worth - 0.098).abs() < 1e-5);
}

#[test]
fn what_a_later_chain_needs_is_kept_and_what_nobody_needs_is_left_out() {
    let placed = [(5.0, 0), (4.0, 0), (4.0, 1), (7.0, 2), (1.0, 5), (4.0, 1)];
    let state = cluster(rules(json!({})), (7, 10.0), &placed, |_| {});
    // The 1 moves for nothing. The 7 makes room for a 4 of node 1, whose move takes the load from 8
    // to 7; but the chain that it is in, which takes it from 9 to 8, does as well without.
    let script = vec![(4, 6), (3, 3), (1, 4), (2, 2)];
    let planned = plan(&state, &mut Script(script), 9, None);
    let expected = [
        (3, 3, ReasonCode::MakesRoom),
        (1, 4, ReasonCode::LowersMaxLoad),
        (2, 2, ReasonCode::LowersMaxLoad),
    ];
    assert_eq!(moves(&planned), expected);
    assert!((planned.worth - 0.2).abs() < 1e-5, "{}", planned.worth);
    assert_eq!(violations(&state, &planned.moves), []);
}

#[test]
fn limits_are_the_reason_only_where_the_finished_plan_comes_to_them() {
    // Loads 0.6 and 0.3. Moving the 2 helps, moving the 4 after it does not.
    let state = cluster(rules(json!({})), (2, 10.0), &[(4.0, 0), (2.0, 0), (3.0, 1)], |_| {});
    let planned = |most| plan(&state, &mut Script(vec![(1, 1), (0, 1)]), most, None);
    assert_eq!((planned(2).moves.len(), planned(2).stop_reason), (1, StopReason::NoGain));
    assert_eq!((planned(1).moves.len(), planned(1).stop_reason), (1, StopReason::MaxMoves));
    // Two moves of one workload become one: there is room for another.
    let weights = json!({"objective": {"weights": {"max_load": 1.0, "imbalance": 1.0}}});
    let placed = [(4.0, 0), (2.0, 0), (1.0, 0), (3.0, 1)];
    let state = cluster(rules(weights), (3, 10.0), &placed, |_| {});
    let merged = plan(&state, &mut Script(vec![(1, 1), (1, 2), (2, 1)]), 2, None);
    assert_eq!((merged.moves.len(), merged.stop_reason), (2, StopReason::MaxMoves));
}

#[test]
fn who_has_to_leave_leaves_at_any_price_and_is_no_part_of_what_a_plan_is_worth() {
    let mut state = cluster(online(50.0, json!({})), (3, 10.0), &[(1.0, 0), (1.0, 1)], |_| {});
    let planned = |state: &ClusterState| plan(state, &mut Script(vec![(0, 2)]), 9, None);
    assert_eq!(planned(&state).moves.len(), 0);
    state.health[0] = godwit_envs::state::cluster::Health::Draining;
    state.rebuild();
    let leaves = planned(&state);
    assert_eq!(moves(&leaves), [(0, 2, ReasonCode::Evacuates)]);
    assert_eq!(leaves.worth, 0.0);
    // Two of a group on one node.
    let mut state = cluster(online(50.0, json!({})), (2, 10.0), &[(1.0, 0), (1.0, 0)], |all| {
        all.iter_mut().for_each(|workload| workload.anti_affinity = Some("g".to_owned()));
    });
    state.rebuild();
    let mended = plan(&state, &mut Script(vec![(0, 1)]), 9, None);
    assert_eq!(moves(&mended), [(0, 1, ReasonCode::Repairs)]);
}

/// Loads 0.8, 0.9 and 0. The 8 to node 2 alone gains nothing; with the 7 to node 0 it gains 0.1.
fn exchange() -> (ClusterState, Vec<(usize, usize)>) {
    let placed = [(8.0, 0), (7.0, 1), (2.0, 1)];
    let state = cluster(online(0.01, json!({})), (3, 10.0), &placed, |_| {});
    (state, vec![(0, 2), (1, 0)])
}

#[test]
fn a_tick_may_begin_a_chain_that_the_policy_goes_on_with_and_no_other() {
    let (state, both) = exchange();
    let begun = plan(&state, &mut Script(both.clone()), 9, None);
    assert_eq!(moves(&begun), [(0, 2, ReasonCode::BeginsChain)]);
    let then = LaterMove { workload_name: "w1".to_owned(), destination_name: "n0".to_owned() };
    assert_eq!((begun.later, begun.stop_reason), (vec![then], StopReason::BudgetSpent));
    // Nine ticks of 0.1, less the two seconds of both transfers and 0.02 for them.
    assert!((begun.worth - 0.88).abs() < 0.01, "{}", begun.worth);
    assert_eq!(violations(&state, &begun.moves), []);
    let alone = plan(&state, &mut Script(both[..1].to_vec()), 9, None);
    assert_eq!((alone.moves.len(), alone.stop_reason), (0, StopReason::NoGain));
}

#[test]
fn a_chain_that_was_begun_is_finished_while_nothing_has_changed() {
    let (state, both) = exchange();
    let (rules, mut memory) = (ShellRules::default(), Memory::default());
    let mut snapshot = state.to_snapshot();
    snapshot.tick = Some(1);
    let begun = plan(&state, &mut Script(both), 9, None);
    let world = state.fingerprint();
    let carried = Carried { moves: &begun.moves, later: &begun.later, world };
    memory.apply(&memory.planned(9, &snapshot, 0, carried).unwrap());
    // The policy itself has changed its mind.
    let mut next = |change: fn(&mut ClusterState)| {
        snapshot.tick = Some(2);
        snapshot.workloads[0].node = Some("n2".to_owned());
        let rules_of_world = std::sync::Arc::clone(&state.rules);
        let mut state = ClusterState::from_snapshot(rules_of_world, &snapshot, "test").unwrap();
        change(&mut state);
        let about = memory.about(9, &snapshot, memory.plans());
        let shell = Shell::new(&rules, &about, &snapshot, 0.0).unwrap();
        let plan = shell.plan(&state, &mut Script(vec![]), 9, None);
        (moves(&plan), shell.settled(&state))
    };
    assert_eq!(next(|_| {}), (vec![(1, 0, ReasonCode::LowersMaxLoad)], vec![0]));
    let other = |state: &mut ClusterState| {
        state.demand[2] = 1.0;
        state.rebuild();
    };
    assert_eq!(next(other), (vec![], vec![]));
}
