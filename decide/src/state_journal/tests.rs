//! Files as they are found after what happens to processes and disks.

use super::*;
use godwit_models::plan::PlannedMove;
use godwit_models::shell::{Carried, ShellRules};
use serde_json::json;
use std::fs;
use std::path::PathBuf;

fn moved(workload: &str) -> PlannedMove {
    let value = json!({
        "workload": 0, "workload_name": workload, "source": 0, "source_name": "a",
        "destination": 1, "destination_name": "b", "predicted_gain": 0.0, "cost": 0.0,
        "change": {"max_load": 0.0, "imbalance": 0.0, "overload": 0.0, "fragmentation": 0.0},
        "moved_gib": 0.0, "transfer_s": 0.0, "downtime_s": 0.0, "wave": 0,
        "earliest_start_s": 0.0, "reason": "makes_room",
    });
    serde_json::from_value(value).unwrap()
}

/// What plans for one workload each, in consecutive ticks, leave in a folder.
fn written(folder: &Path, plans: u64) -> Memory {
    let mut journal = Journal::open(folder).unwrap();
    let mut memory = journal.recalled();
    for _ in 0..plans {
        let number = memory.plans();
        let change = change(&memory, &format!("w{number}"));
        memory.apply(&change);
        journal.put(&Entry::Change(change), &memory);
    }
    // Whoever writes waits for the disk, whoever else waits meanwhile.
    let [first, second] = [journal.unsynced(), journal.unsynced()].map(Option::unwrap);
    journal.synced(second.sync());
    journal.synced(first.sync());
    assert!(journal.unsynced().is_none() && journal.lost().get() == 0);
    memory
}

fn change(memory: &Memory, workload: &str) -> Change {
    let snapshot = serde_json::from_value(json!({
        "format": "godwit-snapshot/1", "tick": memory.plans(), "resources": [],
        "nodes": [], "workloads": [],
    }));
    memory
        .planned(1_000_000, &snapshot.unwrap(), memory.plans(), Carried::of(&[moved(workload)]))
        .unwrap()
}

fn recalled(folder: &Path) -> Memory {
    Journal::open(folder).unwrap().recalled()
}

fn damaged(folder: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    files.filter(|file| file.display().to_string().contains("damaged")).collect()
}

#[test]
fn what_was_written_is_recalled_and_a_torn_end_is_no_damage() {
    let folder = tempfile::tempdir().unwrap();
    let memory = written(folder.path(), 3);
    assert_eq!(recalled(folder.path()), memory);
    let path = folder.path().join(FILE);
    // Each start begins the file anew: one line, however often.
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 1);
    let memory = written(folder.path(), 2);
    assert_eq!(memory.plans(), 5);
    let whole = fs::read(&path).unwrap();
    let last = whole[..whole.len() - 1].iter().rposition(|&byte| byte == b'\n').unwrap() + 1;
    for end in last..whole.len() - 1 {
        fs::write(&path, &whole[..end]).unwrap();
        assert_eq!(recalled(folder.path()).plans(), 4, "cut at {end}");
    }
    assert!(damaged(folder.path()).is_empty());
}

#[test]
fn damage_costs_the_lines_that_it_hits_and_the_file_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    written(folder.path(), 4);
    let path = folder.path().join(FILE);
    let mut bytes = fs::read(&path).unwrap();
    // One bit of the second plan's line.
    let second = bytes.windows(2).position(|pair| pair == b"w1").unwrap();
    bytes[second] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let memory = recalled(folder.path());
    let rules = ShellRules { hold_down_ticks: 100, ..ShellRules::default() };
    let known = |name: &str| memory.left_by(&rules, 4, name).count();
    assert_eq!(["w0", "w1", "w2", "w3"].map(known), [1, 0, 1, 1]);
    let kept = damaged(folder.path());
    assert_eq!(kept.len(), 1);
    assert_eq!(fs::read(&kept[0]).unwrap(), bytes);
    // What could be read is sound from now on.
    assert_eq!(recalled(folder.path()), memory);
    assert_eq!(damaged(folder.path()).len(), 1);
}

#[test]
fn a_file_that_says_nothing_is_kept_and_begun_anew() {
    for contents in [&b""[..], b"\0\0\0\0", b"no line of ours\n", b"\xff\xfe\n\n"] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FILE), contents).unwrap();
        assert!(recalled(folder.path()).is_empty());
        assert_eq!(fs::read(&damaged(folder.path())[0]).unwrap(), contents);
    }
}

#[test]
fn a_journal_that_grows_is_begun_anew_and_stays_small() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(folder.path()).unwrap();
    let mut memory = journal.recalled();
    for _ in 0..4_000 {
        let change = change(&memory, "same");
        memory.apply(&change);
        memory.forget("same");
        journal.put(&Entry::Change(change), &memory);
    }
    drop(journal);
    assert!(fs::metadata(folder.path().join(FILE)).unwrap().len() < 2 * SMALL);
    assert_eq!(recalled(folder.path()).plans(), 4_000);
}

#[test]
fn a_halt_is_remembered() {
    let folder = tempfile::tempdir().unwrap();
    for halted in [true, false] {
        let mut journal = Journal::open(folder.path()).unwrap();
        journal.put(&Entry::Halted(halted), &Memory::default());
        drop(journal);
        assert_eq!(Journal::open(folder.path()).unwrap().is_halted(), halted);
    }
}

#[test]
fn a_folder_has_one_writer_and_may_vanish() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(&folder.path().join("state")).unwrap();
    let second = Journal::open(&folder.path().join("state")).unwrap_err().to_string();
    assert!(second.contains("expected a folder that no other process keeps its state in"));
    fs::remove_dir_all(folder.path().join("state")).unwrap();
    let mut memory = Memory::default();
    for lost in [1, 2] {
        let change = change(&memory, "x");
        memory.apply(&change);
        journal.put(&Entry::Change(change), &memory);
        assert_eq!(journal.lost().get(), lost);
    }
    // All of it is written as soon as that is possible.
    fs::create_dir(folder.path().join("state")).unwrap();
    let change = change(&memory, "y");
    memory.apply(&change);
    journal.put(&Entry::Change(change), &memory);
    drop(journal);
    assert_eq!(recalled(&folder.path().join("state")), memory);
}
