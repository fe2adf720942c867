//! The demonstration, as a user would run it, and the same with a program that is killed again and
//! again: real guests of QEMU are moved while they run, and go on.

#![allow(clippy::unwrap_used)] // a failed expectation is the point of a test

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use godwit_live::journal::records;
use godwit_live::ledger::record::Event;
use rand::{RngExt, SeedableRng};

fn qemu_is_there() -> bool {
    let is_there = Command::new("qemu-system-x86_64").arg("--version").output().is_ok();
    if !is_there {
        eprintln!("skipped: qemu-system-x86_64 is not installed");
    }
    is_there
}

/// Where cargo has put the programs.
fn bin() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_godwit-live")).parent().unwrap().to_owned()
}

fn text(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned()).concat()
}

#[test]
fn guests_of_qemu_are_levelled_by_live_migrations_and_go_on_from_where_they_were() {
    if !qemu_is_there() {
        return;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/demo_live.sh");
    let ran = Command::new("bash")
        .arg(script)
        .envs([("BIN", bin().as_os_str()), ("GODWIT_LISTEN", "127.0.0.1:0".as_ref())])
        .output()
        .unwrap();
    let told = text(&ran);
    println!("{told}");
    assert!(ran.status.success(), "{told}");
    let moved = told.lines().filter(|line| line.contains(" succeeded ")).count();
    assert!(moved >= 6, "{told}");
    // "median error of workloads measured before: transfer 7 % over 9, traffic 3 % over 9"
    let line = told.lines().find(|line| line.starts_with("median error of workloads")).unwrap();
    let percents: Vec<f32> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [_transfer, _, traffic, _] = percents[..] else { panic!("{line}") };
    // How long a transfer takes is up to whatever else this machine does.
    assert!(traffic <= 25.0, "{line}");
}

/// Three hosts in a folder, ended with the test.
struct Hosts(tempfile::TempDir);

impl Hosts {
    fn tell(&self, command: &str) -> Output {
        let program = bin().join("examples/qemu_hosts");
        let mut hosts = Command::new(program);
        hosts.arg(command).arg(self.0.path()).env("GODWIT_LISTEN", "");
        hosts.output().unwrap()
    }

    fn live(&self) -> Command {
        let mut command = Command::new(bin().join("godwit-live"));
        command.args(["run", "--until-settled", "--config"]).arg(self.0.path().join("live.toml"));
        command.stdout(Stdio::null());
        command
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        self.tell("end");
    }
}

#[test]
fn a_program_that_is_killed_at_twenty_moments_loses_no_guest_and_doubles_none() {
    if !qemu_is_there() {
        return;
    }
    // Sockets are in it, and their paths have to be short.
    let hosts = Hosts(tempfile::Builder::new().prefix("godwit-").tempdir_in("/tmp").unwrap());
    let began = hosts.tell("begin");
    assert!(began.status.success(), "{}", text(&began));
    let mut rng = rand_xoshiro::Xoshiro256PlusPlus::seed_from_u64(7);
    for kill in 0..20 {
        let round = hosts.tell(&format!("round{}", kill % 5 + 1));
        assert!(round.status.success(), "{}", text(&round));
        let mut live = hosts.live().stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(rng.random_range(200..3_000)));
        // SIGKILL.
        live.kill().unwrap();
        live.wait().unwrap();
    }
    let started = Instant::now();
    let last = hosts.live().output().unwrap();
    assert!(last.status.success(), "{}", text(&last));
    println!("the last start settled everything in {:.1} s", started.elapsed().as_secs_f32());
    let table = hosts.tell("table");
    assert!(table.status.success(), "{}", text(&table));
    // Each order ended once, and what was begun was written down before.
    let mut stages: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    let all = records(&hosts.0.path().join("state")).unwrap();
    for record in &all {
        let (order, stage) = match &record.event {
            Event::Intended { order } => (order, "intended"),
            Event::Started { order, .. } => (order, "started"),
            Event::Ended { order, .. } => (order, "ended"),
            _ => continue,
        };
        stages.entry(order.clone()).or_default().push(stage);
    }
    let mut begun = 0;
    for (order, stages) in &stages {
        assert_eq!(stages.iter().filter(|stage| **stage == "ended").count(), 1, "{order}");
        assert_eq!(stages.last(), Some(&"ended"), "{order}: {stages:?}");
        if stages.contains(&"started") {
            assert_eq!(stages[0], "intended", "{order}: {stages:?}");
            begun += 1;
        }
    }
    println!("{begun} moves were begun");
    assert!(begun >= 5, "{stages:?}");
}
