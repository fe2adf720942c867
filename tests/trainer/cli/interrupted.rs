//! Runs that are stopped, killed, or find no room on the disk.

use super::{half_written, text, training};
use crate::godwit;
use predicates::prelude::*;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

#[cfg(unix)]
#[test]
fn a_signal_ends_a_run_with_a_checkpoint_that_resumes() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_godwit"))
        .args(["train", "quickstart", "--device", "cpu", "--out", text(&run)])
        .args(["--env-steps", "100000000", "--set", "env_copies=4"])
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let begin = Instant::now();
    while !run.join("metrics.jsonl").exists() {
        assert!(begin.elapsed() < Duration::from_secs(120), "the run does not start");
        std::thread::sleep(Duration::from_millis(20));
    }
    terminate(&child);
    let mut stderr = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut stderr).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(143), "{stderr}");
    let advice = format!("godwit train --resume {}", text(&run));
    assert!(stderr.contains(&advice), "{stderr}");

    let (made, _) = training::made(&run);
    let next = (made + 64).to_string();
    godwit(&["train", "--resume", text(&run), "--env-steps", &next, "--device", "cpu"])
        .assert()
        .success()
        .stderr(predicate::str::contains(format!("going on from {}", text(&run))));
    assert_eq!(training::made(&run).0, made + 64);
}

#[cfg(unix)]
#[test]
fn a_signal_during_rollouts_ends_at_once_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let mut training = std::process::Command::new(env!("CARGO_BIN_EXE_godwit"))
        .args(["train", "founding-10x50", "--threads", "1", "--out", text(&run)])
        .args(["--set", "comparisons.baseline=best-single-move"])
        .args(["--set", "comparisons.states=1000000"])
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_secs(3));
    assert!(training.try_wait().unwrap().is_none(), "rollouts take hours");
    terminate(&training);
    let sent = Instant::now();
    while training.try_wait().unwrap().is_none() {
        if sent.elapsed() > Duration::from_secs(20) {
            training.kill().unwrap();
            panic!("still running");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(!run.exists());
}

/// Sends SIGTERM.
#[cfg(unix)]
fn terminate(child: &std::process::Child) {
    let pid = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
}

/// Waits until `path` exists.
fn await_file(path: &Path) {
    let begin = Instant::now();
    while !path.exists() {
        assert!(begin.elapsed() < Duration::from_secs(120), "{} does not appear", path.display());
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[cfg(unix)]
#[test]
fn a_run_killed_at_any_moment_resumes_from_a_whole_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let start = |args: &[&str]| {
        std::process::Command::new(env!("CARGO_BIN_EXE_godwit"))
            .args(args)
            .args(["--device", "cpu", "--threads", "1"])
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap()
    };
    // A checkpoint every few rounds, so that many a kill falls into the writing of one.
    let mut child = start(&[
        "train",
        "quickstart",
        "--out",
        text(&run),
        "--env-steps",
        "100000000",
        "--set",
        "checkpoint_every=64",
        "--set",
        "evaluate_every=0",
        "--set",
        "env_copies=4",
        "--set",
        "warm_up_steps=64",
        "--set",
        "replay_capacity=2000",
    ]);
    await_file(&run.join("last"));
    for kill in 0..10_u64 {
        // Moments spread over the rounds and writes; which is hit differs from machine to machine.
        std::thread::sleep(Duration::from_millis(30 + 37 * kill));
        child.kill().unwrap();
        assert!(!child.wait().unwrap().success());
        child = start(&["train", "--resume", text(&run)]);
        let mut stderr = std::io::BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("going on from") {
            line.clear();
            let read = std::io::BufRead::read_line(&mut stderr, &mut line).unwrap();
            assert!(read > 0, "kill {kill}: the run does not resume");
            assert!(!line.starts_with("error"), "kill {kill}: {line}");
        }
        // Nobody reads on: a full pipe must not hold the run up.
        std::thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
    }
    terminate(&child);
    assert_eq!(child.wait().unwrap().code(), Some(143));
    assert_eq!(half_written(&run), Vec::<String>::new());
    godwit(&["evaluate", "quickstart", "--policy", text(&run.join("last"))])
        .args(["--episodes", "2", "--baselines", "none"])
        .assert()
        .success();
}

/// A small file system of its own, unmounted when dropped.
#[cfg(unix)]
struct SmallDisk(std::path::PathBuf);

#[cfg(unix)]
impl SmallDisk {
    fn mount(path: std::path::PathBuf, size: &str) -> Option<Self> {
        fs::create_dir(&path).ok()?;
        let options = format!("size={size}");
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(&path)
            .output()
            .is_ok_and(|output| output.status.success());
        mounted.then_some(Self(path))
    }
}

#[cfg(unix)]
impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg(&self.0).status();
    }
}

#[cfg(unix)]
#[test]
fn training_says_that_the_disk_is_full_and_keeps_the_checkpoint_before() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(folder.path().join("disk"), "8m") else {
        println!("skipped: mounting a small tmpfs needs root");
        return;
    };
    let run = disk.0.join("run");
    let small = ["--set", "env_copies=4", "--set", "replay_capacity=500", "--threads", "1"];
    godwit(&["train", "quickstart", "--out", text(&run), "--env-steps", "512", "--device", "cpu"])
        .args(["--set", "warm_up_steps=64", "--set", "evaluate_episodes=2"])
        .args(small)
        .assert()
        .success();
    fs::write(disk.0.join("filler"), vec![0; 16 << 20]).unwrap_err();
    let output = godwit(&["train", "--resume", text(&run), "--env-steps", "1024"])
        .args(["--device", "cpu", "--threads", "1"])
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    let last = stderr.lines().last().unwrap();
    assert!(last.starts_with("error: ") && last.contains("No space left"), "{stderr}");
    assert_eq!(half_written(&run), Vec::<String>::new());
    fs::remove_file(disk.0.join("filler")).unwrap();
    godwit(&["train", "--resume", text(&run), "--env-steps", "1024", "--device", "cpu"])
        .args(["--threads", "1"])
        .assert()
        .success()
        .stderr(predicate::str::contains("going on from"));
    let config = fs::read_to_string(run.join("config.toml")).unwrap();
    assert!(config.contains("env_steps = 1024"), "the run's new end is not recorded: {config}");
}
