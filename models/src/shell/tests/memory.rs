//! What is remembered, with what snapshots show of it.

use crate::shell::tests::moved;
use crate::shell::{Carried, Change, Memory, ShellRules, span};
use godwit_envs::snapshot::{Snapshot, SnapshotNode, SnapshotTransfer, SnapshotWorkload};

const HORIZON: u64 = 10;

/// Workload `x` on a node, in a tick.
fn snapshot(tick: u64, node: &str) -> Snapshot {
    let named = |name: &&str| SnapshotNode { name: (*name).to_owned(), ..Default::default() };
    Snapshot {
        tick: Some(tick),
        nodes: ["a", "b", "c"].iter().map(named).collect(),
        workloads: vec![SnapshotWorkload {
            name: "x".to_owned(),
            node: Some(node.to_owned()),
            ..Default::default()
        }],
        ..Default::default()
    }
}

/// Remembers a plan for a snapshot with one move of `x`, from where it is; gives the change.
fn plan(memory: &mut Memory, snapshot: &Snapshot, arrived: u64, destination: &str) -> Change {
    let mut planned = moved("x", snapshot.workloads[0].node.as_ref().unwrap());
    planned.destination_name = destination.to_owned();
    let change = memory.planned(HORIZON, snapshot, arrived, Carried::of(&[planned])).unwrap();
    memory.apply(&change);
    change
}

fn cooldown(memory: &Memory, snapshot: &Snapshot) -> u64 {
    let seen = memory.about(HORIZON, snapshot, memory.plans());
    seen.cooldown(5, snapshot.tick.unwrap(), "x")
}

#[test]
fn a_workload_cools_down_from_the_tick_of_its_move_if_it_has_left() {
    let mut memory = Memory::default();
    plan(&mut memory, &snapshot(3, "a"), 0, "b");
    let left = [4, 7, 8].map(|tick| cooldown(&memory, &snapshot(tick, "b")));
    assert_eq!(left, [4, 1, 0]);
    // Where it still is at its source in a later tick, it was not moved.
    assert_eq!(cooldown(&memory, &snapshot(4, "a")), 0);
    // Under way it shows its destination, or its source with a transfer.
    let mut under_way = snapshot(4, "a");
    under_way.transfers =
        vec![SnapshotTransfer { workload: "x".into(), source: "a".into(), remaining_s: 9.0 }];
    assert_eq!(cooldown(&memory, &under_way), 4);
}

#[test]
fn a_later_plan_of_the_same_tick_replaces_what_has_not_begun() {
    let mut memory = Memory::default();
    plan(&mut memory, &snapshot(3, "a"), 0, "b");
    let again = snapshot(3, "a");
    assert!(memory.about(HORIZON, &again, 1).is_empty(), "the same plan comes again");
    plan(&mut memory, &again, 1, "c");
    let seen = memory.about(HORIZON, &snapshot(3, "c"), 2);
    assert_eq!(seen.left_within(9, 3, "x").collect::<Vec<_>>(), ["a"]);
    // What has begun stays, and so do workloads that the snapshot does not know.
    plan(&mut memory, &snapshot(3, "c"), 2, "b");
    let seen = memory.about(HORIZON, &snapshot(3, "b"), 3);
    assert_eq!(seen.left_within(9, 3, "x").collect::<Vec<_>>(), ["a", "c"]);
    let mut other = snapshot(3, "a");
    other.workloads[0].name = "y".to_owned();
    assert_eq!(memory.planned(HORIZON, &other, 3, Carried::of(&[])), None);
}

#[test]
fn a_plan_that_left_after_the_snapshot_came_is_hidden_and_counts() {
    let mut memory = Memory::default();
    let early = snapshot(3, "a");
    plan(&mut memory, &early, 0, "b");
    let seen = memory.about(HORIZON, &early, 0);
    assert_eq!(seen.hidden("x").collect::<Vec<_>>(), [["a", "b"]]);
    assert_eq!(seen.cooldown(5, 3, "x"), 5);
    assert_eq!(memory.about(HORIZON, &snapshot(4, "a"), 0).cooldown(5, 4, "x"), 4);
    // It does not replace what it cannot know.
    assert_eq!(memory.planned(HORIZON, &early, 0, Carried::of(&[])), None);
    assert_eq!(memory.about(HORIZON, &early, 1).hidden("x").count(), 0);
}

#[test]
fn a_tick_far_in_the_future_freezes_nothing_and_forgets_nothing() {
    let mut memory = Memory::default();
    plan(&mut memory, &snapshot(100, "a"), 0, "b");
    plan(&mut memory, &snapshot(9_000_000, "b"), 1, "c");
    // Both moves are remembered, the later one as if it were of now.
    let back = snapshot(102, "c");
    let seen = memory.about(HORIZON, &back, 2);
    assert_eq!(seen.left_within(3, 102, "x").collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(seen.cooldown(5, 102, "x"), 5);
    // A plan that moves nothing settles it: time goes on from there.
    let settled = memory.planned(HORIZON, &back, 2, Carried::of(&[])).unwrap();
    memory.apply(&settled);
    assert_eq!([103, 106, 107].map(|tick| cooldown(&memory, &snapshot(tick, "c"))), [4, 1, 0]);
    assert_eq!(memory.planned(HORIZON, &snapshot(103, "c"), 2, Carried::of(&[])), None);
    // A sender that counts anew is not frozen, either.
    let restarted = snapshot(0, "c");
    let change = memory.planned(HORIZON, &restarted, 2, Carried::of(&[])).unwrap();
    memory.apply(&change);
    assert_eq!([0, 5].map(|tick| cooldown(&memory, &snapshot(tick, "c"))), [5, 0]);
}

#[test]
fn moves_that_were_not_made_are_taken_back() {
    let mut memory = Memory::default();
    plan(&mut memory, &snapshot(3, "a"), 0, "b");
    plan(&mut memory, &snapshot(5, "b"), 1, "c");
    let mut failed = moved("x", "b");
    failed.destination_name = "c".to_owned();
    let change = memory.not_made(Some(5), &failed).unwrap();
    memory.apply(&change);
    assert_eq!(memory.left_within(9, 6, "x").collect::<Vec<_>>(), ["a"]);
    assert_eq!(memory.not_made(Some(5), &failed), None);
}

#[test]
fn changes_that_are_written_down_lead_to_the_same_memory() {
    let [mut memory, mut again] = [Memory::default(), Memory::default()];
    let mut at = ["a", "b", "c"].iter().cycle();
    let mut node = "a";
    for tick in [1, 2, 2, 7, 99_999, 8, 30, 31, 50] {
        let next = at.next().unwrap();
        if *next != node {
            let plans = memory.plans();
            let change = plan(&mut memory, &snapshot(tick, node), plans, next);
            let written = serde_json::to_string(&change).unwrap();
            again.apply(&serde_json::from_str(&written).unwrap());
            node = next;
        }
    }
    assert_eq!(again, memory);
    assert!(memory.about(HORIZON, &snapshot(51, node), 99).left_within(9, 51, "x").count() < 4);
}

#[test]
fn rules_look_back_as_far_as_the_longest_of_them() {
    let rules = "hold_down_ticks = 7\n[backoff]\nfirst_ticks = 1\nfactor = 2.0\nmost_ticks = 9\n\
                 forget_ticks = 8";
    assert_eq!(span(&ShellRules::from_toml(rules, "shell.toml").unwrap()), 9);
    assert_eq!(span(&ShellRules::default()), 0);
}
