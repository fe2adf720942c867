use crate::baselines::greedy::stay::Stay;
use crate::duties::DutiesFirst;
use crate::guard::violations;
use crate::plan::{Method, ReasonCode, plan};
use crate::policy::Policy;
use crate::testing::{cluster, random_places, random_state, rules};
use godwit_envs::scenario::Mode;
use godwit_envs::state::cluster::{Health, WorkloadSpec};
use godwit_envs::state::{Action, ClusterState};
use proptest::prelude::*;
use serde_json::json;

/// Rebalance, with a weight of overload or without; each move costs.
fn state(
    weights: serde_json::Value,
    (nodes, supply): (usize, f32),
    placed: &[(f32, u32)],
    change: impl Fn(&mut [WorkloadSpec]),
) -> ClusterState {
    cluster(rules(json!({"objective": {"weights": weights}})), (nodes, supply), placed, change)
}

fn costly() -> serde_json::Value {
    json!({"max_load": 1.0, "moved_gib": 10.0})
}

/// Workload and destination of each duty, in order; the other policy stays.
pub(super) fn duties(state: &ClusterState, sees_health: bool) -> Vec<(usize, usize)> {
    let mut stay = Stay;
    let plan = plan(state, &mut DutiesFirst::new(&mut stay, sees_health), u32::MAX, None);
    assert_eq!(violations(state, &plan.moves), []);
    plan.moves.iter().map(|planned| (planned.workload, planned.destination)).collect()
}

#[test]
fn a_draining_node_is_emptied_at_any_price_unless_the_policy_sees_health() {
    let mut state = state(costly(), (3, 8.0), &[(1.0, 0), (1.0, 0), (1.0, 0), (3.0, 1)], |w| {
        w[1].priority = 4.0;
        w[2].state_gib = 0.5;
    });
    assert_eq!(duties(&state, false), []);
    state.health[0] = Health::Draining;
    state.deadline[0] = 2;
    state.rebuild();
    // By priority, then by size, to the lowest load; three moves are no three ticks.
    assert_eq!(duties(&state, false), [(1, 2), (2, 2), (0, 2)]);
    assert_eq!(duties(&state, true), []);
    state.health[0] = Health::Degraded;
    state.rebuild();
    assert_eq!(duties(&state, false), []);
}

#[test]
fn who_would_not_be_away_by_the_deadline_stays_and_a_deadline_that_is_not_stated_is_none() {
    let mut state = state(costly(), (2, 8.0), &[(1.0, 0), (1.0, 0)], |workloads| {
        // At 1 GiB/s longer than the tick that is left.
        workloads[0].state_gib = 100.0;
    });
    state.health[0] = Health::Draining;
    state.deadline[0] = 1;
    state.rebuild();
    assert_eq!(duties(&state, false), [(1, 1)]);
    state.deadline[0] = 0;
    assert_eq!(duties(&state, false), [(1, 1), (0, 1)]);
}

#[test]
fn a_failed_node_is_left_by_cold_restarts_whatever_the_policy_sees() {
    let mut state = state(costly(), (3, 8.0), &[(1.0, 0), (1.0, 0), (2.0, 1)], |_| {});
    state.health[0] = Health::Failed;
    state.rebuild();
    for sees_health in [false, true] {
        assert_eq!(duties(&state, sees_health), [(0, 2), (1, 2)]);
    }
    let mut stay = Stay;
    let plan = plan(&state, &mut DutiesFirst::new(&mut stay, false), u32::MAX, None);
    for planned in &plan.moves {
        assert_eq!(planned.method, Method::ColdRestart);
        assert_eq!((planned.moved_gib, planned.transfer_s, planned.downtime_s), (0.0, 60.0, 60.0));
        // Each node may have one transfer: a restart is none.
        assert_eq!(planned.wave, 0);
    }
    assert!(plan.moves.iter().all(|planned| planned.reason == ReasonCode::Evacuates));
}

#[test]
fn of_a_group_on_one_node_the_cheapest_part_until_they_are_apart() {
    let state = state(costly(), (3, 8.0), &[(1.0, 0), (1.0, 0), (1.0, 0), (5.0, 1)], |workloads| {
        workloads[..3].iter_mut().for_each(|w| w.anti_affinity = Some("db".into()));
        workloads[0].state_gib = 4.0;
        workloads[1].state_gib = 2.0;
    });
    assert_eq!(duties(&state, false), [(2, 2), (1, 1)]);
    let mut fenced = state;
    fenced.fences.hold_workload(2, 4);
    fenced.fences.close_node(2, 3);
    assert_eq!(duties(&fenced, false), [(1, 1)]);
}

#[test]
fn an_excess_is_taken_off_where_the_objective_does_not_see_it() {
    let placed = [(3.0, 0), (2.0, 0), (4.0, 1)];
    let blind = state(json!({"imbalance": 1e-6, "moved_gib": 1.0}), (3, 4.0), &placed, |w| {
        w[0].state_gib = 0.5;
    });
    assert_eq!(duties(&blind, false), [(0, 2)]);
    let seeing = state(json!({"overload": 1e-6, "moved_gib": 1.0}), (3, 4.0), &placed, |_| {});
    assert_eq!(duties(&seeing, false), []);
    // No supply at all is left in any case.
    let mut none = seeing;
    let mut spec = (*none.spec).clone();
    spec.supply[1] = 0.0;
    none.spec = spec.into();
    none.rebuild();
    assert_eq!(duties(&none, false), [(2, 2)]);
}

#[test]
fn the_policy_decides_once_the_duties_are_done() {
    use crate::baselines::greedy::best_single_move::BestSingleMove;
    let mut state =
        state(json!({"max_load": 1.0}), (3, 8.0), &[(1.0, 0), (2.0, 1), (2.0, 1)], |_| {});
    state.health[0] = Health::Failed;
    state.rebuild();
    let mut greedy = BestSingleMove::default();
    let plan = plan(&state, &mut DutiesFirst::new(&mut greedy, false), u32::MAX, None);
    let moves: Vec<_> = plan.moves.iter().map(|m| (m.workload, m.destination)).collect();
    assert_eq!(moves, [(0, 2), (1, 2)]);
    assert_eq!(plan.moves[0].reason, ReasonCode::Evacuates);
    assert_eq!(plan.moves[1].reason, ReasonCode::LowersMaxLoad);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn duties_end_keep_every_constraint_and_leave_nothing_that_could_be_mended(
        seed in any::<u64>(), online in any::<bool>(), sees_health in any::<bool>()
    ) {
        let random = if seed.is_multiple_of(2) { random_places } else { random_state };
        let mut state = random(seed, online, 64);
        // Live clusters show workloads on nodes that have failed.
        for k in 0..state.spec.workloads() {
            if state.life[k] == godwit_envs::state::Life::Displaced {
                state.placement[k] = (seed % state.spec.nodes() as u64) as u32;
                state.life[k] = godwit_envs::state::Life::Running;
            }
        }
        state.queue.clear();
        state.rebuild();
        let start = state.clone();
        let mut stay = Stay;
        let mut policy = DutiesFirst::new(&mut stay, sees_health);
        let mut moved = vec![0; state.spec.workloads()];
        while let Action::Migrate { workload, destination } = policy.act(&state) {
            prop_assert!(crate::duties::purpose(&state, workload, destination).is_some());
            prop_assert!(state.migrate(workload, destination).is_ok());
            if state.rules.episode.mode == Mode::Rebalance {
                state.start_tick();
            }
            moved[workload] += 1;
            prop_assert!(moved[workload] <= 2, "{} goes to and fro", workload);
        }
        let plan = plan(&start, &mut DutiesFirst::new(&mut Stay, sees_health), u32::MAX, None);
        prop_assert_eq!(violations(&start, &plan.moves), []);
        let again = crate::plan::plan(&start, &mut DutiesFirst::new(&mut Stay, sees_health), u32::MAX, None);
        prop_assert_eq!(plan, again);
        for k in (0..state.spec.workloads()).filter(|&k| state.may_leave(k).is_ok()) {
            let node = state.placement[k] as usize;
            if state.health[node] == Health::Failed {
                let healthy = |to: &usize| state.health[*to] == Health::Healthy;
                let open = (0..state.spec.nodes()).filter(healthy);
                prop_assert!(open.clone().all(|to| state.check(k, to).is_err()));
            }
        }
    }
}
