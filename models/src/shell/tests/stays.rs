use crate::plan::{Plan, PlannedMove, StopReason};
use crate::policy::Policy;
use crate::shell::{Carried, Memory, Shell, ShellRules, StayReason, Stays};
use crate::testing::{cluster, rules};
use godwit_envs::snapshot::Snapshot;
use godwit_envs::state::cluster::WorkloadSpec;
use godwit_envs::state::{Action, ClusterState, Transfer};
use serde_json::json;

/// Moves the first workload to node 1, then stays.
struct MovesTheFirst;

impl Policy for MovesTheFirst {
    fn name(&self) -> &str {
        "moves-the-first"
    }
    fn reset(&mut self, _seed: u64) {}
    fn act(&mut self, state: &ClusterState) -> Action {
        match state.check(0, 1) {
            Ok(()) => Action::Migrate { workload: 0, destination: 1 },
            Err(_) => Action::Stay,
        }
    }
}

/// Three nodes of 10; w0 = 3, w1 = 1, w2 = 1 and w3 = 9 on n0 (overfull), w4 = 1 on n2.
fn case(change: impl Fn(&mut [WorkloadSpec])) -> (ClusterState, Snapshot) {
    let placed = [(3.0, 0), (1.0, 0), (1.0, 0), (9.0, 0), (1.0, 2)];
    let state = cluster(rules(json!({})), (3, 10.0), &placed, change);
    let mut snapshot = state.to_snapshot();
    snapshot.tick = Some(100);
    (state, snapshot)
}

/// The moved workload, and why each of the others stays.
fn reasons(
    limits: &str,
    memory: &Memory,
    (state, snapshot): &(ClusterState, Snapshot),
) -> Vec<(usize, StayReason)> {
    let rules = ShellRules::from_toml(limits, "limits").unwrap();
    let shell = Shell::new(&rules, memory, snapshot, 0.0).unwrap();
    let plan = shell.plan(state, &mut MovesTheFirst, 9, None);
    let listed = Stays::new(Some(&shell), state, &plan, true);
    let counted = Stays::new(Some(&shell), state, &plan, false);
    assert_eq!((&counted.counts, counted.workloads), (&listed.counts, vec![]));
    assert_eq!(listed.counts.values().sum::<u32>() as usize, 5 - plan.moves.len());
    listed.workloads.iter().map(|stay| (stay.workload, stay.reason)).collect()
}

#[test]
fn what_the_workload_itself_forbids_comes_first() {
    let (mut state, snapshot) = case(|workloads| workloads[1].movable = false);
    state.cooldown[2] = 3;
    // The 9 would fit on node 2 only without the 1 that is there, and on node 1 beside the 3 not.
    let expected = [
        (1, StayReason::Pinned),
        (2, StayReason::Cooldown),
        (3, StayReason::NoFeasibleDestination),
        (4, StayReason::PolicyStays),
    ];
    let state = (state, snapshot);
    let found = reasons("", &Memory::default(), &state);
    assert_eq!(found[..2], expected[..2]);
    assert_eq!(found[3], expected[3]);
}

#[test]
fn limits_that_the_plan_has_used_up_are_named() {
    let (state, mut snapshot) = case(|_| {});
    for k in [0, 1] {
        snapshot.workloads[k].tenant = Some("red".to_owned());
    }
    for k in [0, 2] {
        snapshot.workloads[k].disruption_group = Some("web".to_owned());
    }
    let case = (state, snapshot);
    let found = reasons("max_moves_per_tenant = 1", &Memory::default(), &case);
    assert_eq!(found[0], (1, StayReason::TenantLimit));
    assert_eq!(found[1], (2, StayReason::PolicyStays));
    let found = reasons("disruption_budgets = { web = 1 }", &Memory::default(), &case);
    assert_eq!(found[0], (1, StayReason::PolicyStays));
    assert_eq!(found[1], (2, StayReason::DisruptionBudget));
    // Node 0 and node 1 have had their move: nobody leaves node 0, and w4 may still come to neither.
    let found = reasons("max_moves_per_node = 1", &Memory::default(), &case);
    assert_eq!(found[..2], [(1, StayReason::NodeLimit), (2, StayReason::NodeLimit)]);
    assert_eq!(found[3], (4, StayReason::NodeLimit));
    let found = reasons("max_moves = 1", &Memory::default(), &case);
    assert_eq!(found[0], (1, StayReason::MaxMoves));
}

#[test]
fn rests_returns_and_stale_nodes_are_told_apart() {
    let (state, mut snapshot) = case(|_| {});
    snapshot.nodes[2].metrics_age_s = 50.0;
    let limits = "max_metrics_age_s = 30\nhold_down_ticks = 10";
    let mut memory = Memory::default();
    let mut left = moved(&state, 1, 1);
    memory.record(&ShellRules::from_toml(limits, "limits").unwrap(), 99, Carried::of(&left));
    let case = (state, snapshot);
    let found = reasons(limits, &memory, &case);
    // w1 has left node 1, and node 2 is stale: what lasts is named.
    assert_eq!(found[0], (1, StayReason::StaleNode));
    assert_eq!(found[1], (2, StayReason::PolicyStays));
    assert_eq!(found[3], (4, StayReason::StaleNode));
    // Kept off both.
    left.extend(moved(&case.0, 1, 2));
    let hold = "hold_down_ticks = 10";
    let mut memory = Memory::default();
    memory.record(&ShellRules::from_toml(hold, "limits").unwrap(), 99, Carried::of(&left));
    assert_eq!(reasons(hold, &memory, &case)[0], (1, StayReason::HeldDown));
    let rest = "backoff = { first_ticks = 5, factor = 2, most_ticks = 9, forget_ticks = 50 }";
    let mut memory = Memory::default();
    memory.record(&ShellRules::from_toml(rest, "limits").unwrap(), 99, Carried::of(&left[..1]));
    assert_eq!(reasons(rest, &memory, &case)[0], (1, StayReason::Resting));
}

/// A migration of this workload away from a node.
fn moved(state: &ClusterState, workload: usize, source: usize) -> Vec<PlannedMove> {
    let spec = &state.spec;
    let value = json!({
        "workload": workload, "workload_name": spec.workload_names[workload],
        "source": source, "source_name": spec.node_names[source],
        "destination": 0, "destination_name": "n0", "predicted_gain": 0.0, "cost": 0.0,
        "change": {"max_load": 0.0, "imbalance": 0.0, "overload": 0.0, "fragmentation": 0.0},
        "moved_gib": 0.0, "transfer_s": 0.0, "downtime_s": 0.0, "wave": 0,
        "earliest_start_s": 0.0, "reason": "makes_room",
    });
    vec![serde_json::from_value(value).unwrap()]
}

#[test]
fn online_transfers_and_budgets_are_named() {
    let episode = json!({"mode": "online", "moves_per_tick": 3});
    let limits = json!({"transfers_per_node": 1, "transfers_in_flight": 9});
    let placed = [(3.0, 0), (1.0, 0), (1.0, 2), (1.0, 3)];
    let rules = rules(json!({"episode": episode, "limits": limits}));
    let mut state = cluster(rules, (5, 10.0), &placed, |_| {});
    // w3 is on its way from node 4 to node 3.
    state.transfers.push(Transfer { workload: 3, source: 4, remaining_s: 9.0 });
    state.rebuild();
    let plan = crate::plan::plan(&state, &mut MovesTheFirst, 9, None);
    assert_eq!(plan.moves.len(), 1);
    let found = Stays::new(None, &state, &plan, true).workloads;
    let found: Vec<_> = found.iter().map(|stay| (stay.workload, stay.reason)).collect();
    // Node 0 is busy; of the others only node 2 is not, and that is where w2 is.
    let expected = [
        (1, StayReason::TransferLimit),
        (2, StayReason::NoFeasibleDestination),
        (3, StayReason::InTransfer),
    ];
    assert_eq!(found, expected);
}

#[test]
fn without_a_decision_it_is_said_why() {
    let (state, _) = case(|workloads| workloads[1].movable = false);
    for (stop_reason, code) in [(StopReason::Halted, "halted"), (StopReason::Refused, "refused")] {
        let plan = Plan {
            moves: Vec::new(),
            waves: 0,
            stop_reason,
            objective_before: 0.0,
            objective_after: 0.0,
            worth: 0.0,
            payback_ticks: None,
            later: Vec::new(),
        };
        let stays = Stays::new(None, &state, &plan, false);
        assert_eq!(serde_json::to_value(stays).unwrap(), json!({"counts": {"pinned": 1, code: 4}}));
    }
}

#[test]
fn whoever_would_not_be_away_by_the_deadline_is_too_late() {
    use godwit_envs::state::cluster::Health;
    let large = |workloads: &mut [WorkloadSpec]| workloads[2].state_gib = 100.0;
    let (mut state, snapshot) = case(large);
    state.health[0] = Health::Draining;
    // At 1 GiB/s longer than a tick of 60 s.
    state.deadline[0] = 1;
    state.rebuild();
    let mut case = (state, snapshot);
    let found = reasons("", &Memory::default(), &case);
    assert_eq!(found[..2], [(1, StayReason::PolicyStays), (2, StayReason::TooLate)]);
    case.0.deadline[0] = 3;
    let found = reasons("", &Memory::default(), &case);
    assert_eq!(found[1], (2, StayReason::PolicyStays));
}
