mod frozen;
mod memory;
mod shelled;
mod stays;

use super::*;
use crate::baselines::{NAMES, baseline};
use crate::guard::violations;
use crate::plan::tests::simulation::simulate;
use crate::plan::{Plan, PlannedMove, StopReason, plan};
use crate::testing::{cluster, random_places, random_state, rules};
use godwit_envs::rng::stream;
use godwit_envs::snapshot::{Snapshot, SnapshotBudget, SnapshotTransfer};
use godwit_envs::state::ClusterState;
use proptest::prelude::*;
use rand::RngExt;
use serde_json::json;
use std::sync::Arc;

/// Three nodes of 10: `n0` holds five workloads of 1, `n1` one. The best single move goes from `n0`
/// to `n1` twice; from 3, 3, 0 on no single move lowers the highest load.
fn snapshot(change: impl FnOnce(&mut Snapshot)) -> Snapshot {
    let placed = [(1.0, 0), (1.0, 0), (1.0, 0), (1.0, 0), (1.0, 0), (1.0, 1)];
    let mut snapshot = cluster(rules(json!({})), (3, 10.0), &placed, |_| {}).to_snapshot();
    snapshot.tick = Some(100);
    snapshot.taken_at_s = Some(1_000_000.0);
    change(&mut snapshot);
    snapshot.validate("test").unwrap();
    snapshot
}

fn planned(shell_rules: &ShellRules, memory: &Memory, snapshot: &Snapshot) -> Plan {
    let state = ClusterState::from_snapshot(rules(json!({})), snapshot, "test").unwrap();
    let shell = Shell::new(shell_rules, memory, snapshot, 1_000_000.0).unwrap();
    let mut policy = baseline("best-single-move").unwrap();
    let plan = shell.plan(&state, policy.as_mut(), 9, None);
    assert_eq!(broken(shell_rules, memory, snapshot, &plan.moves), []);
    assert_eq!(violations(&state, &plan.moves), []);
    plan
}

fn of_plan(plan: &Plan) -> Vec<(&str, &str)> {
    plan.moves.iter().map(|m| (m.workload_name.as_str(), m.destination_name.as_str())).collect()
}

#[test]
fn without_limits_a_plan_is_the_planners() {
    let snapshot = snapshot(|_| {});
    let state = ClusterState::from_snapshot(rules(json!({})), &snapshot, "test").unwrap();
    let mut policy = baseline("best-single-move").unwrap();
    let free = plan(&state, policy.as_mut(), 9, None);
    assert_eq!(of_plan(&free), [("w0", "n1"), ("w1", "n1")]);
    assert_eq!(planned(&ShellRules::default(), &Memory::default(), &snapshot), free);
}

#[test]
fn moves_are_limited_in_all_per_node_and_per_tenant() {
    let limits = [
        (ShellRules { max_moves: Some(1), ..ShellRules::default() }, vec!["w0"]),
        // All of them leave node 0.
        (ShellRules { max_moves_per_node: Some(1), ..ShellRules::default() }, vec!["w0"]),
        (ShellRules { max_moves_per_tenant: Some(1), ..ShellRules::default() }, vec!["w0", "w3"]),
    ];
    let snapshot = snapshot(|snapshot| {
        for (k, workload) in snapshot.workloads.iter_mut().enumerate() {
            workload.tenant = Some(if k < 3 { "red" } else { "blue" }.to_owned());
        }
    });
    for (rules, moves) in limits {
        let plan = planned(&rules, &Memory::default(), &snapshot);
        let moved: Vec<_> = of_plan(&plan).into_iter().map(|(workload, _)| workload).collect();
        assert_eq!(moved, moves, "{rules:?}");
    }
}

#[test]
fn a_disruption_budget_counts_transfers_under_way() {
    let rules =
        ShellRules { disruption_budgets: [("web".to_owned(), 1)].into(), ..ShellRules::default() };
    let mut snapshot = snapshot(|snapshot| {
        for workload in &mut snapshot.workloads {
            workload.disruption_group = Some("web".to_owned());
        }
    });
    assert_eq!(planned(&rules, &Memory::default(), &snapshot).moves.len(), 1);
    snapshot.transfers.push(SnapshotTransfer {
        workload: "w5".to_owned(),
        source: "n2".to_owned(),
        remaining_s: 9.0,
    });
    assert!(planned(&rules, &Memory::default(), &snapshot).moves.is_empty());
}

#[test]
fn of_the_snapshots_budget_transfers_under_way_have_been_taken_off_and_the_smaller_one_holds() {
    let with = |disruptions_allowed, operator: Option<u32>| {
        let mut snapshot = snapshot(|snapshot| {
            for workload in &mut snapshot.workloads {
                workload.disruption_group = Some("web".to_owned());
            }
            let group = "web".to_owned();
            snapshot.disruption_budgets = vec![SnapshotBudget { group, disruptions_allowed }];
        });
        snapshot.transfers.push(SnapshotTransfer {
            workload: "w5".to_owned(),
            source: "n2".to_owned(),
            remaining_s: 9.0,
        });
        let disruption_budgets =
            operator.map(|most| ("web".to_owned(), most)).into_iter().collect();
        let rules = ShellRules { disruption_budgets, ..ShellRules::default() };
        planned(&rules, &Memory::default(), &snapshot).moves.len()
    };
    // There are two moves to make, and one transfer runs.
    assert_eq!([with(0, None), with(1, None), with(9, None)], [0, 1, 2]);
    assert_eq!([with(9, Some(2)), with(1, Some(9)), with(9, Some(1))], [1, 1, 0]);
}

#[test]
fn a_plan_beyond_the_snapshots_budget_is_found() {
    let snapshot = snapshot(|snapshot| {
        snapshot.workloads[0].disruption_group = Some("web".to_owned());
        let group = "web".to_owned();
        snapshot.disruption_budgets = vec![SnapshotBudget { group, disruptions_allowed: 0 }];
    });
    let found = broken(&ShellRules::default(), &Memory::default(), &snapshot, &[moved("w0", "n0")]);
    assert_eq!(found, [Broken::Disruption { at: 0, group: "web".to_owned(), most: 0 }]);
}

#[test]
fn a_stale_node_is_neither_source_nor_destination() {
    let rules =
        ShellRules { max_metrics_age_s: Some(30.0), min_fresh_share: 0.6, ..ShellRules::default() };
    let stale = |nodes: &'static [usize]| {
        snapshot(|snapshot| nodes.iter().for_each(|&i| snapshot.nodes[i].metrics_age_s = 30.0))
    };
    let plan = planned(&rules, &Memory::default(), &stale(&[2]));
    assert_eq!(of_plan(&plan), [("w0", "n1"), ("w1", "n1")]);
    assert!(planned(&rules, &Memory::default(), &stale(&[0])).moves.is_empty());
    let refused = Shell::new(&rules, &Memory::default(), &stale(&[0, 1]), 0.0).err();
    assert_eq!(refused, Some(Refusal::FewFresh { share: 1.0 / 3.0, least: 0.6 }));
}

#[test]
fn a_workload_rests_longer_with_each_move_and_stays_off_the_node_that_it_left() {
    let rules = ShellRules {
        hold_down_ticks: 20,
        backoff: Some(Backoff { first_ticks: 3, factor: 2.0, most_ticks: 10, forget_ticks: 50 }),
        ..ShellRules::default()
    };
    let away = planned(&ShellRules::default(), &Memory::default(), &snapshot(|_| {}));
    let first = &away.moves[..1];
    let name = first[0].workload_name.as_str();
    let mut memory = Memory::default();
    memory.record(&rules, 100, Carried::of(first));
    let rests = |memory: &Memory, tick| memory.rest(&rules, tick, name);
    assert_eq!([100, 102, 103].map(|tick| rests(&memory, tick)), [3, 1, 0]);
    memory.record(&rules, 103, Carried::of(first));
    assert_eq!([103, 108, 109].map(|tick| rests(&memory, tick)), [6, 1, 0]);
    memory.record(&rules, 109, Carried::of(first));
    // 12, but at most 10.
    assert_eq!([109, 119].map(|tick| rests(&memory, tick)), [10, 0]);
    // The first two are forgotten, the last one's rest is over.
    assert_eq!(rests(&memory, 158), 0);
    let off = |tick| memory.left_by(&rules, tick, name).count();
    assert_eq!([109, 122, 123, 129].map(off), [3, 2, 1, 0]);
    // A clock that is put back a little shortens nothing.
    assert_eq!((rests(&memory, 60), off(60)), (10, 3));
    memory.record(&rules, 60, Carried::of(&[]));
    assert_eq!(rests(&memory, 110), 9);
    // In the end nothing is kept: one plan after the tick that says so, as it may be a mistake.
    memory.record(&rules, 1_000, Carried::of(&[]));
    assert!(!memory.is_empty());
    memory.record(&rules, 1_000, Carried::of(&[]));
    assert!(memory.is_empty());
}

#[test]
fn the_last_tick_that_there_is_ends_neither_rest_nor_hold_down() {
    let rules = ShellRules {
        hold_down_ticks: 20,
        backoff: Some(Backoff { first_ticks: 3, factor: 2.0, most_ticks: 10, forget_ticks: 50 }),
        ..ShellRules::default()
    };
    let plan = planned(&ShellRules::default(), &Memory::default(), &snapshot(|_| {}));
    let name = plan.moves[0].workload_name.as_str();
    let mut memory = Memory::default();
    memory.record(&rules, u64::MAX, Carried::of(&plan.moves[..1]));
    assert_eq!(memory.rest(&rules, u64::MAX, name), 3);
    assert_eq!(memory.left_by(&rules, u64::MAX, name).count(), 1);
}

#[test]
fn what_memory_forbids_is_not_planned() {
    let rules = ShellRules { hold_down_ticks: 20, ..ShellRules::default() };
    let free = planned(&rules, &Memory::default(), &snapshot(|_| {}));
    let first = &free.moves[0];
    // It comes from where it would go.
    let mut memory = Memory::default();
    let mut back = first.clone();
    back.source_name.clone_from(&first.destination_name);
    memory.record(&rules, 90, Carried::of(&[back]));
    let plan = planned(&rules, &memory, &snapshot(|_| {}));
    assert!(!plan.moves.is_empty());
    let target = (first.workload_name.as_str(), first.destination_name.as_str());
    assert!(!of_plan(&plan).contains(&target));
    // The check alone finds it.
    let found = broken(&rules, &memory, &snapshot(|_| {}), &free.moves);
    assert!(matches!(found[..], [Broken::Return { at: 0, .. }]), "{found:?}");
}

#[test]
fn a_plan_has_to_gain_enough() {
    let snapshot = snapshot(|_| {});
    // The highest load falls from 0.5 to 0.3, by two fifths.
    let ask = |share| {
        let rules = ShellRules { min_gain_share: share, ..ShellRules::default() };
        planned(&rules, &Memory::default(), &snapshot)
    };
    assert_eq!(ask(0.39).moves.len(), 2);
    let none = ask(0.41);
    assert_eq!((none.moves.len(), none.waves), (0, 0));
    assert_eq!(none.stop_reason, StopReason::GainBelowThreshold);
    assert_eq!(none.objective_after, none.objective_before);
}

#[test]
fn old_snapshots_and_times_outside_the_windows_are_refused() {
    let refuse = |rules: &str, change: fn(&mut Snapshot), now_s: f64| {
        let rules = ShellRules::from_toml(rules, "shell.toml").unwrap();
        Shell::new(&rules, &Memory::default(), &snapshot(change), now_s)
            .err()
            .map(|refusal| refusal.to_string())
    };
    let age = "max_age_s = 60";
    assert_eq!(refuse(age, |_| {}, 1_000_060.0), None);
    assert_eq!(
        refuse(age, |_| {}, 1_000_061.0).unwrap(),
        "taken_at_s: expected a snapshot of at most 60 s, got one of 61 s"
    );
    // From the future: some clock is wrong.
    assert!(refuse(age, |_| {}, 999_900.0).is_some());
    assert_eq!(
        refuse(age, |snapshot| snapshot.taken_at_s = None, 1_000_000.0).unwrap(),
        "taken_at_s: expected a value, as max_age_s asks for it, got none"
    );
    assert_eq!(
        refuse("hold_down_ticks = 3", |snapshot| snapshot.tick = None, 0.0).unwrap(),
        "tick: expected a value, as hold_down_ticks asks for it, got none"
    );
    // 1,000,000 s are 13:46:40 of a day.
    let windows = |text: &str| refuse(&format!("windows = [{text}]"), |_| {}, 0.0);
    assert_eq!(windows(r#"{ from = "13:00", to = "14:00" }"#), None);
    assert_eq!(windows(r#"{ from = "22:00", to = "14:00" }"#), None);
    assert_eq!(windows(r#"{ from = "00:00", to = "00:00" }"#), None);
    assert!(windows(r#"{ from = "13:47", to = "13:00" }"#).is_some());
    assert!(windows(r#"{ from = "01:00", to = "13:46" }"#).is_some());
}

#[test]
fn moves_expire_with_their_lifetime_or_with_the_open_windows_whatever_is_first() {
    // 1,000,000 s are 13:46:40 of a day.
    let expires = |rules: &str| {
        let rules = ShellRules::from_toml(rules, "shell.toml").unwrap();
        rules.expires_s(Some(1_000_000.0))
    };
    assert_eq!(expires(""), None);
    assert_eq!(expires("move_lifetime_s = 90"), Some(90.0));
    let short = r#"windows = [{ from = "13:00", to = "14:00" }]"#;
    assert_eq!(expires(short), Some(800.0));
    assert_eq!(expires(&format!("move_lifetime_s = 90\n{short}")), Some(90.0));
    assert_eq!(expires(&format!("move_lifetime_s = 900\n{short}")), Some(800.0));
    // Windows that overlap or touch are one, over midnight too; a gap ends it.
    let chain = r#"windows = [{ from = "13:00", to = "14:00" }, { from = "14:00", to = "00:30" },
        { from = "00:10", to = "01:00" }, { from = "01:01", to = "02:00" }]"#;
    assert_eq!(expires(chain), Some(800.0 + 11.0 * 3600.0));
    let whole = r#"windows = [{ from = "13:00", to = "14:00" }, { from = "14:00", to = "13:00" }]"#;
    assert_eq!(
        (expires(whole), expires(r#"windows = [{ from = "01:00", to = "01:00" }]"#)),
        (None, None)
    );
    // Outside of all, nothing may start.
    assert_eq!(expires(r#"windows = [{ from = "01:00", to = "02:00" }]"#), Some(0.0));
}

#[test]
fn the_recount_finds_moves_that_start_or_expire_too_late() {
    let snapshot = snapshot(|_| {});
    let good = planned(&ShellRules::default(), &Memory::default(), &snapshot).moves;
    let late = |rules: &str, start_s: f32, expires_s: Option<f32>| {
        let rules = ShellRules::from_toml(rules, "shell.toml").unwrap();
        let mut moves = good[..1].to_vec();
        (moves[0].earliest_start_s, moves[0].expires_s) = (start_s, expires_s);
        let found = broken(&rules, &Memory::default(), &snapshot, &moves);
        assert!(found.iter().all(|broken| matches!(broken, Broken::Late { .. })), "{found:?}");
        !found.is_empty()
    };
    for (limit, end_s) in [
        ("move_lifetime_s = 800", 800.0),
        (r#"windows = [{ from = "13:00", to = "14:00" }]"#, 800.0),
    ] {
        assert!(!late(limit, 0.0, Some(end_s)) && !late(limit, end_s - 1.0, Some(end_s)));
        assert!(late(limit, 0.0, Some(end_s + 1.0)), "{limit}");
        assert!(late(limit, end_s, Some(end_s)), "{limit}");
        assert!(late(limit, 0.0, None), "{limit}");
    }
    // A gap of a minute in between.
    let gap = r#"windows = [{ from = "13:00", to = "14:00" }, { from = "14:01", to = "15:00" }]"#;
    assert!(late(gap, 900.0, Some(1000.0)));
    assert!(!late(r#"windows = [{ from = "00:00", to = "00:00" }]"#, 0.0, None));
}

#[test]
fn rules_are_checked() {
    for (text, expected) in [
        ("min_gain_share = 1.5", "min_gain_share: expected a share from 0 to 1, got 1.5"),
        ("max_age_s = 0", "max_age_s: expected a finite number above 0, got 0"),
        (
            "windows = [{ from = \"9:00\", to = \"10:00\" }]",
            "windows[0].from: expected a time of day as HH:MM, got \"9:00\"",
        ),
        (
            "windows = [{ from = \"09:00\", to = \"24:00\" }]",
            "windows[0].to: expected a time of day as HH:MM, got \"24:00\"",
        ),
        (
            "backoff = { first_ticks = 1, factor = 0.5, most_ticks = 2, forget_ticks = 3 }",
            "backoff.factor: expected a finite number, 1 or more, got 0.5",
        ),
    ] {
        let error = ShellRules::from_toml(text, "shell.toml").unwrap_err().to_string();
        assert_eq!(error, format!("shell.toml: {expected}"));
    }
    assert!(ShellRules::from_toml("max_move = 3", "shell.toml").is_err());
}

/// Random limits, and a past in which some of the workloads were moved.
fn limits(seed: u64, snapshot: &Snapshot) -> (ShellRules, Memory) {
    let mut rng = stream(seed, "limits");
    let mut some = |most: u32| rng.random_bool(0.5).then(|| rng.random_range(0..most));
    let mut rules = ShellRules {
        max_moves: some(5),
        max_moves_per_node: some(3),
        max_moves_per_tenant: some(3),
        disruption_budgets: some(3).map(|most| ("g".to_owned(), most)).into_iter().collect(),
        hold_down_ticks: some(9).unwrap_or(0),
        max_metrics_age_s: some(2).map(|_| 10.0),
        move_lifetime_s: some(4).map(|seconds| 0.5 + seconds as f32),
        ..ShellRules::default()
    };
    if some(3) == Some(0) {
        // The snapshot is of some time from 00:00 to 00:01, and transfers take seconds.
        rules.windows = vec![Window { from: "23:00".to_owned(), to: "00:01".to_owned() }];
    }
    rules.backoff = some(5).map(|first_ticks| Backoff {
        first_ticks,
        factor: 2.0,
        most_ticks: 9,
        forget_ticks: 20,
    });
    let mut memory = Memory::default();
    for tick in [85, 92, 99] {
        let moves: Vec<PlannedMove> = snapshot
            .workloads
            .iter()
            .filter(|_| rng.random_bool(0.2))
            .map(|workload| moved(&workload.name, &snapshot.nodes[0].name))
            .collect();
        memory.record(&rules, tick, Carried::of(&moves));
    }
    // The last plans may have left after the snapshot came.
    let arrived = rng.random_range(0..=memory.plans());
    let memory = memory.about(span(&rules), snapshot, arrived);
    (rules, memory)
}

pub(super) fn moved(workload: &str, source: &str) -> PlannedMove {
    let value = json!({
        "workload": 0, "workload_name": workload, "source": 0, "source_name": source,
        "destination": 0, "destination_name": "", "predicted_gain": 0.0, "cost": 0.0,
        "change": {"max_load": 0.0, "imbalance": 0.0, "overload": 0.0, "fragmentation": 0.0},
        "moved_gib": 0.0, "transfer_s": 0.0, "downtime_s": 0.0, "wave": 0,
        "earliest_start_s": 0.0, "reason": "makes_room",
    });
    serde_json::from_value(value).unwrap()
}

/// The limits that plans break without a shell, and with one.
fn broken_plans(seed: u64, online: bool, name: &str) -> [Vec<Broken>; 2] {
    let random = if seed.is_multiple_of(2) { random_places } else { random_state };
    let state = random(seed, online, 6);
    let mut snapshot = state.to_snapshot();
    let mut rng = stream(seed, "labels");
    for workload in &mut snapshot.workloads {
        workload.tenant = rng.random_bool(0.7).then(|| format!("t{}", rng.random_range(0..3)));
        workload.disruption_group = rng.random_bool(0.5).then(|| "g".to_owned());
    }
    if rng.random_bool(0.3) {
        let disruptions_allowed = rng.random_range(0..4);
        snapshot.disruption_budgets =
            vec![SnapshotBudget { group: "g".to_owned(), disruptions_allowed }];
    }
    for node in &mut snapshot.nodes {
        node.metrics_age_s = rng.random_range(0.0..14.0);
    }
    snapshot.tick = Some(100);
    snapshot.taken_at_s = Some(86_400.0 + rng.random_range(50.0..60.0));
    let state = ClusterState::from_snapshot(Arc::clone(&state.rules), &snapshot, "test").unwrap();
    let (rules, memory) = limits(seed, &snapshot);
    let shell = Shell::new(&rules, &memory, &snapshot, 0.0).unwrap();
    let mut policy = baseline(name).unwrap();
    policy.reset(seed);
    let mut free = plan(&state, policy.as_mut(), u32::MAX, None);
    // So that not every move is late for want of an expiry.
    for planned in &mut free.moves {
        planned.expires_s = rules.expires_s(snapshot.taken_at_s);
    }
    policy.reset(seed);
    let within = shell.plan(&state, policy.as_mut(), u32::MAX, None);
    assert_eq!(violations(&state, &within.moves), []);
    assert_eq!(simulate(&state, &within, &mut rng), Ok(()), "{within:?}");
    [free, within].map(|plan| broken(&rules, &memory, &snapshot, &plan.moves))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases.max(400)))]

    #[test]
    fn no_plan_within_a_shell_breaks_a_limit(
        seed in any::<u64>(),
        online in any::<bool>(),
        name in prop::sample::select(NAMES.to_vec()),
    ) {
        prop_assert_eq!(&broken_plans(seed, online, name)[1], &[]);
    }
}

/// The control: the same plans without the shell do break limits, so that the check sees them.
#[test]
fn plans_without_a_shell_break_limits() {
    let is_late = |broken: &Broken| matches!(broken, Broken::Late { .. });
    let [mut late, mut others] = [0, 0];
    for seed in 0..200 {
        let [broken, _] = broken_plans(seed, false, "random");
        late += u32::from(broken.iter().any(is_late));
        others += u32::from(!broken.iter().all(is_late));
    }
    assert!(others > 50 && late > 5, "{others} and {late} of 200");
}

#[test]
fn the_age_of_a_snapshot_from_the_future_is_negative_and_says_what_is_wrong() {
    let rules = ShellRules { max_age_s: Some(60.0), ..ShellRules::default() };
    for (taken_s, said) in [
        (1_000.0, "got one of 100 s"),
        (1_200.0, "got one of -100 s, as some clock is wrong"),
        (1_100e12, "got one of -1099999999998900 s, which looks like milliseconds"),
    ] {
        let snapshot = snapshot(|snapshot| snapshot.taken_at_s = Some(taken_s));
        let refusal = Shell::new(&rules, &Memory::default(), &snapshot, 1_100.0).err().unwrap();
        assert!(refusal.to_string().ends_with(said), "{refusal}");
        assert_eq!(refusal, Refusal::Stale { age_s: 1_100.0 - taken_s, limit_s: 60.0 });
    }
}
