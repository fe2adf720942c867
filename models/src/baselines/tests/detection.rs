//! Hand-worked decisions of the baselines that detect hot nodes.

use super::*;
use crate::baselines::published::overload_detection::{
    interquartile_range, local_regression, median_absolute_deviation,
};
use crate::baselines::search::annealing::{Annealing, AnnealingRules};
use crate::testing::{cluster, random_state, rules};
use godwit_envs::scenario::Rules;
use godwit_envs::state::cluster::WorkloadSpec;
use godwit_envs::state::{Action, ClusterState};
use proptest::prelude::*;
use serde_json::json;
use std::sync::Arc;

fn migrate(workload: usize, destination: usize) -> Action {
    Action::Migrate { workload, destination }
}

/// Rules of a world whose clock runs.
fn online() -> Arc<Rules> {
    rules(json!({"episode": {"mode": "online", "ticks": 50, "moves_per_tick": 2}}))
}

/// Makes the moves of a policy in a static world.
fn play(policy: &mut dyn Policy, state: &mut ClusterState) -> Vec<(usize, usize)> {
    let mut out = Vec::new();
    while let Action::Migrate { workload, destination } = policy.act(state) {
        state.migrate(workload, destination).unwrap();
        out.push((workload, destination));
        assert!(out.len() < 20, "{out:?}");
    }
    out
}

#[test]
fn sandpiper_sheds_the_most_volume_per_size_to_the_least_volume() {
    // Node 0 is at 0.9. Volumes: 1 / (1 - 0.5) = 2, 1 / (1 - 0.2) = 1.25 (twice). Divided by the
    // states of 4, 1 and 2 GiB that is 0.5, 1.25 and 0.625: workload 1 goes first. Node 2 (at
    // 0.3) has less volume than node 1 (at 0.4). That leaves 0.7, which is not hot.
    let placed = [(5.0, 0), (2.0, 0), (2.0, 0), (4.0, 1), (3.0, 2)];
    let change = |w: &mut [WorkloadSpec]| {
        w[0].state_gib = 4.0;
        w[2].state_gib = 2.0;
    };
    let mut state = cluster(rules(json!({})), (3, 10.0), &placed, change);
    assert_eq!(play(&mut *baseline("sandpiper").unwrap(), &mut state), [(1, 2)]);
}

#[test]
fn sandpiper_passes_over_what_would_make_the_destination_hot() {
    // Node 0 is at 0.9 (0.5 and 0.4), the others at 0.3 and 0.4. With equal states workload 0 has
    // the highest ratio (2), but would make 0.8 of node 1's 0.3; workload 1 makes 0.7 of it.
    let placed = [(5.0, 0), (4.0, 0), (3.0, 1), (4.0, 2)];
    let mut state = cluster(rules(json!({})), (3, 10.0), &placed, |_| {});
    assert_eq!(play(&mut *baseline("sandpiper").unwrap(), &mut state), [(1, 1)]);
}

#[test]
fn sandpiper_exchanges_where_nothing_can_leave() {
    // Nodes at 0.85 (0.45 and 0.4) and 0.6 (0.35 and 0.25): 0.6 + 0.4 exceeds 0.75. Exchanging
    // workload 0 (the highest ratio) with workload 3 (the lowest) leaves 0.65 and 0.8: too much.
    // With workload 2 it leaves 0.75 and 0.7. 0.45 does not fit on 0.6, and 0.35 not on 0.85, so
    // neither can start. Workload 1 (0.4): with workload 3 it leaves 0.7 and 0.75, and goes first,
    // as 0.6 + 0.4 just fits.
    let placed = [(4.5, 0), (4.0, 0), (3.5, 1), (2.5, 1)];
    let build = || cluster(rules(json!({})), (2, 10.0), &placed, |_| {});
    let mut policy = baseline("sandpiper").unwrap();
    assert_eq!(play(&mut *policy, &mut build()), [(1, 1), (3, 0)]);
    let mut last = build();
    last.moves_left = 1;
    policy.reset(0);
    assert_eq!(policy.act(&last), Action::Stay, "one move is not enough for an exchange");
}

#[test]
fn sandpiper_waits_online_until_the_threshold_was_exceeded_three_times() {
    // 0.9 of 0.75, and an empty node. Either workload may go, the first of equal ones does.
    let mut state = cluster(online(), (2, 10.0), &[(4.5, 0), (4.5, 0)], |_| {});
    let mut policy = baseline("sandpiper").unwrap();
    // At ticks 0 and 2 it is exceeded, at tick 1 not (0.7); tick 3 makes three of four.
    for (demand, expected) in [(4.5, Action::Stay), (2.5, Action::Stay), (4.5, Action::Stay)] {
        state.demand[1] = demand;
        state.rebuild();
        assert_eq!(policy.act(&state), expected);
        // Being asked twice in a tick counts once.
        assert_eq!(policy.act(&state), expected);
        state.start_tick();
    }
    assert_eq!(policy.act(&state), migrate(0, 1));
    // The source still holds what is leaving, but that is on its way.
    state.migrate(0, 1).unwrap();
    assert_eq!(policy.act(&state), Action::Stay);
}

#[test]
fn sandpiper_makes_the_second_half_of_an_exchange_once_the_first_has_arrived() {
    // As above without a clock: 1 goes to node 1, whose transfer keeps 3 from coming.
    let placed = [(4.5, 0), (4.0, 0), (3.5, 1), (2.5, 1)];
    let mut state = cluster(online(), (2, 10.0), &placed, |_| {});
    let mut policy = baseline("sandpiper").unwrap();
    for _ in 0..2 {
        assert_eq!(policy.act(&state), Action::Stay);
        state.start_tick();
    }
    assert_eq!(policy.act(&state), migrate(1, 1));
    state.migrate(1, 1).unwrap();
    assert_eq!(policy.act(&state), Action::Stay);
    state.run_transfers(60.0);
    state.start_tick();
    assert_eq!(policy.act(&state), migrate(3, 0));
}

/// What a policy chooses at each tick while workload 0 demands these.
fn watch(name: &str, mut state: ClusterState, demands: impl Iterator<Item = f32>) -> Vec<Action> {
    let mut policy = baseline(name).unwrap();
    demands
        .map(|demand| {
            state.demand[0] = demand;
            state.rebuild();
            let action = policy.act(&state);
            state.start_tick();
            action
        })
        .collect()
}

/// Node 0 with a pinned workload and one of 2 of 10; node 1 is empty.
fn watched() -> ClusterState {
    cluster(online(), (2, 10.0), &[(0.0, 0), (2.0, 0)], |w| w[0].movable = false)
}

#[test]
fn spreads_and_predictions_are_as_by_hand() {
    let mut sorted = Vec::new();
    // Out of order on purpose. The ranks are round(2.75) = 3 and round(8.25) = 8.
    let series = [0.6, 0.1, 0.9, 0.3, 0.5, 1.0, 0.2, 0.8, 0.4, 0.7];
    assert!((interquartile_range(&series, &mut sorted) - 0.5).abs() < 1e-6);
    // The median is 0.55; distances are 0.05, 0.15, .. 0.45, each twice; theirs is 0.25.
    assert!((median_absolute_deviation(&series, &mut sorted) - 0.25).abs() < 1e-6);
    // A straight line is continued, whatever the weights.
    let line: Vec<f32> = (0..10).map(|i| 0.35 + 0.05 * i as f32).collect();
    assert!((local_regression(&line) - 0.85).abs() < 1e-6);
    // The first of three has no weight: the line goes through the other two.
    assert!((local_regression(&[5.0, 0.2, 0.5]) - 0.8).abs() < 1e-6);
    // Four at -3 .. 0 have weights 0, (19/27)^3 = 0.34847, (26/27)^3 = 0.89296 and 1, so sums
    // 2.24143, x -1.58990, xx 2.28684, y 0.34847, xy -0.69694; slope (2.24143 x -0.69694 +
    // 1.58990 x 0.34847) / (2.24143 x 2.28684 - 1.58990^2) = -0.38803; -0.11977 at the last.
    assert!((local_regression(&[0.0, 1.0, 0.0, 0.0]) + 0.5078).abs() < 1e-4);
}

#[test]
fn what_moves_fastest_goes_to_the_most_utilised_that_stays_below() {
    // Node 0 is at 0.9. Workload 1 (0.25) has the least state and leaves 0.65. Node 2 (0.6) would
    // be at 0.85; of node 1 (0.5, then 0.75) and node 3 (0.2) the first is fuller.
    let placed = [(5.0, 0), (2.5, 0), (1.5, 0), (5.0, 1), (6.0, 2), (2.0, 3)];
    for name in ["thr-mmt", "iqr-mmt", "mad-mmt", "lr-mmt"] {
        let mut state = cluster(rules(json!({})), (4, 10.0), &placed, |w| {
            w[0].state_gib = 4.0;
            w[2].state_gib = 2.0;
        });
        assert_eq!(play(&mut *baseline(name).unwrap(), &mut state), [(1, 1)], "{name}");
    }
}

#[test]
fn of_all_that_is_given_up_the_most_demanding_goes_first() {
    // Node 0 is at 1.1: without the 0.15 it is at 0.95, without the 0.25, too, at 0.7. The 0.25
    // goes first, to the first of the nodes at 0.5. At 0.85 node 0 still gives up the 0.15, which
    // would make 0.9 there, so that the other node takes it.
    let placed = [(7.0, 0), (1.5, 0), (2.5, 0), (5.0, 1), (5.0, 2)];
    let mut state = cluster(rules(json!({})), (3, 10.0), &placed, |w| {
        w[0].state_gib = 4.0;
        w[2].state_gib = 2.0;
    });
    assert_eq!(play(&mut *baseline("thr-mmt").unwrap(), &mut state), [(2, 1), (1, 2)]);
}

#[test]
fn what_need_not_go_any_more_stays() {
    // As above with node 0 at 1.0: once the 0.25 has left, 0.75 is little enough.
    let placed = [(6.0, 0), (1.5, 0), (2.5, 0), (5.0, 1), (5.0, 2)];
    let mut state = cluster(rules(json!({})), (3, 10.0), &placed, |w| {
        w[0].state_gib = 4.0;
        w[2].state_gib = 2.0;
    });
    assert_eq!(play(&mut *baseline("thr-mmt").unwrap(), &mut state), [(2, 1)]);
}

#[test]
fn a_node_whose_load_varies_is_overloaded_earlier() {
    // Node 0 is at 0.4 and 0.7 by turns. Over ten ticks the quartiles are just these, so the
    // threshold is 1 - 1.5 x 0.3 = 0.55; all are 0.15 from the median, so by MAD it is
    // 1 - 2.5 x 0.15 = 0.625. Without workload 1 it is at 0.2 and 0.5, as spread out but below
    // both. Node 1 with it is at 0.2 all the time.
    let demands = || (0..10).map(|tick| if tick % 2 == 0 { 2.0 } else { 5.0 });
    let mut expected = [Action::Stay; 10];
    assert_eq!(watch("thr-mmt", watched(), demands()), expected);
    // At the tenth observation, not before.
    expected[9] = migrate(1, 1);
    assert_eq!(watch("iqr-mmt", watched(), demands()), expected);
    assert_eq!(watch("mad-mmt", watched(), demands()), expected);
}

#[test]
fn a_node_whose_load_rises_is_overloaded_before_it_is_full() {
    // Node 0 rises from 0.35 to 0.8 by 0.05 a tick: 0.85 comes next, and 1.2 x 0.85 = 1.02. Node 1
    // with workload 1 is at 0.2 all the time: 0.24.
    let rising = |from: f32| (0..10).map(move |tick| from + 0.5 * tick as f32);
    let mut expected = [Action::Stay; 10];
    assert_eq!(watch("thr-mmt", watched(), rising(1.5)), expected);
    expected[9] = migrate(1, 1);
    assert_eq!(watch("lr-mmt", watched(), rising(1.5)), expected);
    // From 0.3: 1.2 x 0.8 = 0.96.
    assert_eq!(watch("lr-mmt", watched(), rising(1.0)), [Action::Stay; 10]);
}

#[test]
fn a_destination_is_judged_by_the_history_that_it_would_have() {
    // Node 0 has 0.42 pinned and workload 1 at 0.01 and 0.44 by turns: 0.86 is above 0.8. Once
    // the history is long enough, node 1 with the workload would vary as much as node 0 does:
    // 0.44 exceeds 1 - 1.5 x 0.43 = 0.355, so that the workload stays where it is.
    let placed = [(0.1, 0), (4.2, 0)];
    let state = cluster(online(), (2, 10.0), &placed, |w| w[1].movable = false);
    let demands = (0..20).map(|tick| if tick % 2 == 0 { 0.1 } else { 4.4 });
    let actions = watch("iqr-mmt", state, demands);
    for (tick, &action) in actions.iter().enumerate() {
        let short = tick + 1 < 10 && tick % 2 == 1;
        // On the even ticks from the eleventh on, node 1 could take the workload's 0.01.
        let idle = tick >= 10 && tick % 2 == 0;
        assert_eq!(action, if short || idle { migrate(0, 1) } else { Action::Stay }, "{tick}");
    }
}

#[test]
fn annealing_finds_the_exchange_and_keeps_to_its_moves() {
    // Loads 11 (7 + 4) and 7 (5 + a pinned 2) of 14: only 7 against 5 makes 9 and 9, and only the
    // 7 can go first. With one move left nothing helps.
    let placed = [(7.0, 0), (4.0, 0), (5.0, 1), (2.0, 1)];
    let build = || cluster(rules(json!({})), (2, 14.0), &placed, |w| w[3].movable = false);
    let mut policy = baseline("annealing").unwrap();
    assert_eq!(play(&mut *policy, &mut build()), [(0, 1), (2, 0)]);
    let mut last = build();
    last.moves_left = 1;
    assert_eq!(policy.act(&last), Action::Stay);
    // Reset with the same seed, it does the same again.
    policy.reset(4);
    let first = play(&mut *policy, &mut build());
    policy.reset(4);
    assert_eq!(play(&mut *policy, &mut build()), first);
}

#[test]
fn annealing_counts_what_its_moves_cost() {
    // Moving 4 of 8 to the empty node takes max_load from 0.8 to 0.4 and carries 1 GiB.
    for (price, expected) in [(0.3, 1), (0.5, 0)] {
        let weights = json!({"weights": {"max_load": 1.0, "moved_gib": price}});
        let rules = rules(json!({"objective": weights}));
        let mut state = cluster(rules, (2, 10.0), &[(4.0, 0), (4.0, 0)], |_| {});
        let moves = play(&mut *baseline("annealing").unwrap(), &mut state);
        assert_eq!(moves.len(), expected, "{moves:?}");
    }
}

#[test]
fn annealing_drops_a_plan_when_the_cluster_is_not_as_expected() {
    let placed = [(7.0, 0), (4.0, 0), (5.0, 1), (2.0, 1)];
    let state = cluster(rules(json!({})), (2, 14.0), &placed, |w| w[3].movable = false);
    let mut policy = baseline("annealing").unwrap();
    assert_eq!(policy.act(&state), migrate(0, 1));
    // The move was not made: the second half must not come alone (11 + 5 would not fit anyway).
    assert_eq!(policy.act(&state), migrate(0, 1));
}

proptest! {
    #[test]
    fn static_worlds_come_to_rest_while_the_clock_runs(seed: u64) {
        for name in ["sandpiper", "thr-mmt", "iqr-mmt", "mad-mmt", "lr-mmt"] {
            let mut state = random_state(seed, true, 8);
            let mut policy = baseline(name).unwrap();
            for tick in 0..100 {
                while let Action::Migrate { workload, destination } = policy.act(&state) {
                    prop_assert!(tick < 60, "{name} still moves at tick {tick}");
                    state.migrate(workload, destination).unwrap();
                }
                state.run_transfers(60.0);
                state.start_tick();
            }
        }
    }

    #[test]
    fn annealing_only_makes_plans_that_lower_the_objective(seed: u64) {
        let mut state = random_state(seed, true, 8);
        state.run_transfers(600.0);
        // With an eye on forecasts and later ticks a plan may accept a higher load now.
        let mut rules = AnnealingRules::default();
        rules.plan.ahead_ticks = 0;
        rules.plan.single.persistence.forecast_share = 0.0;
        let mut policy = Annealing::new(rules, 0);
        for _ in 0..20 {
            let (before, mut moves) = (state.level(), 0);
            while let Action::Migrate { workload, destination } = policy.act(&state) {
                state.migrate(workload, destination).unwrap();
                moves += 1;
            }
            state.run_transfers(600.0);
            state.start_tick();
            let after = state.level();
            prop_assert!(moves == 0 || after < before, "{before} to {after} by {moves} moves");
        }
    }
}
