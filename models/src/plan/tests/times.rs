use super::*;
use crate::guard::{Violation, violations};
use crate::testing::{cluster, rules};
use godwit_envs::state::Action;
use godwit_envs::state::cluster::WorkloadSpec;
use godwit_envs::state::fences::Fences;
use serde_json::json;

/// Plays these moves, then stays.
pub(super) struct Script(pub Vec<(usize, usize)>);

impl Policy for Script {
    fn name(&self) -> &str {
        "script"
    }
    fn reset(&mut self, _seed: u64) {}
    fn act(&mut self, _state: &ClusterState) -> Action {
        if self.0.is_empty() {
            return Action::Stay;
        }
        let (workload, destination) = self.0.remove(0);
        Action::Migrate { workload, destination }
    }
}

/// After the 1, each moved workload waits for the room of the one before it. States of 30, 10 and
/// 1 GiB at 1 GiB/s, and 0.1 s of downtime: the waves start after 0, 30.1 and 40.2 seconds. The loads
/// 0.8, 0.7, 0.9 and 0 become 0.8, 0.8, 0.8 and 0, and in the end 0.7, 0.7, 0.2 and 0.8.
fn chain() -> (ClusterState, Vec<(usize, usize)>) {
    let placed = [(8.0, 0), (7.0, 1), (6.0, 2), (2.0, 2), (1.0, 2)];
    let sizes = |workloads: &mut [WorkloadSpec]| {
        (workloads[0].state_gib, workloads[1].state_gib) = (30.0, 10.0);
    };
    let weights = json!({"weights": {"max_load": 1.0, "imbalance": 1.0}});
    let state = cluster(rules(json!({"objective": weights})), (4, 10.0), &placed, sizes);
    (state, vec![(4, 1), (0, 3), (1, 0), (2, 1)])
}

fn chain_within(expires_s: Option<f32>) -> Plan {
    let (state, moves) = chain();
    let reach = Reach { expires_s, ..Reach::of(9) };
    let plan = plan_within(&state, &mut Script(moves), reach, &mut |_, _| {});
    assert_eq!(violations(&state, &plan.moves), []);
    plan
}

#[test]
fn a_wave_starts_when_the_longest_transfer_of_each_wave_before_it_is_over() {
    let plan = chain_within(None);
    let starts: Vec<f32> = plan.moves.iter().map(|planned| planned.earliest_start_s).collect();
    let expected = [0.0, 0.0, 30.1, 40.2];
    assert_eq!(starts.len(), expected.len());
    assert!(starts.iter().zip(expected).all(|(s, e)| (s - e).abs() < 1e-3), "{starts:?}");
    assert!(plan.moves.iter().all(|planned| planned.expires_s.is_none()));
    let json = serde_json::to_value(&plan).unwrap();
    assert!(json["moves"][2]["earliest_start_s"].is_f64());
    assert!(json["moves"][2].get("expires_s").is_none());
}

#[test]
fn a_move_that_could_start_only_when_it_has_expired_ends_the_plan() {
    let whole = chain_within(Some(40.3));
    assert_eq!((whole.moves.len(), whole.stop_reason), (4, StopReason::PolicyStays));
    assert!(whole.moves.iter().all(|planned| planned.expires_s == Some(40.3)));
    // The last could start with its expiry, not before it.
    let cut = chain_within(Some(whole.moves[3].earliest_start_s));
    assert_eq!((cut.moves.len(), cut.stop_reason), (3, StopReason::OutOfTime));
    assert_eq!(serde_json::to_value(cut.stop_reason).unwrap(), "out_of_time");
}

/// Two full nodes of 10, one with little on it and one empty.
fn full() -> ClusterState {
    let placed = [(6.0, 0), (4.0, 0), (6.0, 1), (4.0, 1), (1.0, 2)];
    let weights = json!({"weights": {"max_load": 1.0, "imbalance": 1.0, "moved_gib": 0.001}});
    cluster(rules(json!({"objective": weights})), (4, 10.0), &placed, |_| {})
}

fn route(plan: &Plan) -> Vec<(usize, usize)> {
    plan.moves.iter().map(|planned| (planned.workload, planned.destination)).collect()
}

#[test]
fn a_workload_that_is_moved_twice_goes_straight_to_where_it_ends() {
    // The 4 of node 0 by way of node 2 to node 3, and the other 4 to node 2.
    let state = full();
    let moves = vec![(1, 2), (3, 2), (1, 3)];
    let shorter = plan(&state, &mut Script(moves), 9, None);
    assert_eq!(route(&shorter), [(3, 2), (1, 3)]);
    assert_eq!(violations(&state, &shorter.moves), []);
    // The same end as the plan that never stops there, at its cost: 2 GiB.
    let straight = plan(&state, &mut Script(vec![(3, 2), (1, 3)]), 9, None);
    assert_eq!(shorter, straight);
    let cost: f32 = shorter.moves.iter().map(|planned| planned.cost).sum();
    assert!((cost - 0.002).abs() < 1e-6, "{cost}");
}

#[test]
fn a_stop_that_the_fences_ask_for_stays_and_says_what_it_is() {
    // Kept off node 3 until something has moved, the 4 of node 0 has to stop on node 2.
    let placed = [(6.0, 0), (4.0, 0), (6.0, 1), (4.0, 1), (1.0, 2)];
    let state = cluster(rules(json!({})), (4, 10.0), &placed, |_| {});
    let moves = vec![(1, 2), (1, 3), (3, 2)];
    let reach = Reach::of(9);
    let mut fence = |state: &mut ClusterState, moves: &[PlannedMove]| {
        state.fences = Fences::default();
        if moves.is_empty() {
            state.fences.keep_apart(1, 3);
        }
    };
    let fenced = plan_within(&state, &mut Script(moves.clone()), reach, &mut fence);
    assert_eq!(route(&fenced), moves);
    let reasons: Vec<ReasonCode> = fenced.moves.iter().map(|planned| planned.reason).collect();
    let expected = [ReasonCode::Parks, ReasonCode::MakesRoom, ReasonCode::LowersMaxLoad];
    assert_eq!(reasons, expected);
    // A workload moves once in a wave.
    let waves: Vec<u32> = fenced.moves.iter().map(|planned| planned.wave).collect();
    assert_eq!((waves[0], violations(&state, &fenced.moves)), (0, vec![]));
    assert!(waves[1] == 1, "{waves:?}");
    let free = plan(&state, &mut Script(moves), 9, None);
    assert_eq!(route(&free), [(1, 3), (3, 2)]);
}

#[test]
fn online_moves_expire_with_the_tick() {
    let episode = json!({"mode": "online", "moves_per_tick": 2, "tick_s": 60.0});
    let state =
        cluster(rules(json!({"episode": episode})), (2, 10.0), &[(3.0, 0), (3.0, 0)], |_| {});
    for (expires_s, expected) in [(None, 60.0), (Some(90.0), 60.0), (Some(45.0), 45.0)] {
        let reach = Reach { expires_s, ..Reach::of(1) };
        let plan = plan_within(&state, &mut Script(vec![(0, 1)]), reach, &mut |_, _| {});
        assert_eq!(plan.moves[0].expires_s, Some(expected));
        assert_eq!(violations(&state, &plan.moves), []);
    }
}

#[test]
fn the_guard_finds_times_that_do_not_follow_from_the_waves() {
    let (state, _) = chain();
    let good = chain_within(None).moves;
    let found = |change: fn(&mut [PlannedMove])| {
        let mut moves = good.clone();
        change(&mut moves);
        violations(&state, &moves)
    };
    let early = found(|moves| moves[2].earliest_start_s = 30.0);
    assert!(matches!(early[..], [Violation::Start { at: 2, .. }]), "{early:?}");
    // One that takes longer than was counted on.
    let long = found(|moves| moves[2].transfer_s += 1.0);
    assert!(matches!(long[..], [Violation::Start { at: 3, .. }]), "{long:?}");
    let expired = found(|moves| {
        let start_s = moves[3].earliest_start_s;
        moves[3].expires_s = Some(start_s);
    });
    assert!(matches!(expired[..], [Violation::Expired { at: 3, .. }]), "{expired:?}");
    let episode = json!({"mode": "online", "tick_s": 60.0});
    let placed = [(3.0, 0), (3.0, 0)];
    let online = cluster(rules(json!({"episode": episode})), (2, 10.0), &placed, |_| {});
    let mut moves = plan(&online, &mut Script(vec![(0, 1)]), 9, None).moves;
    moves[0].expires_s = Some(61.0);
    let late = Violation::TickEnd { at: 0, tick_s: 60.0, expires_s: Some(61.0) };
    assert_eq!(violations(&online, &moves), [late]);
}
