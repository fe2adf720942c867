//! Evaluations whose decisions are given a time, and evaluations that are stopped.

use super::text;
use crate::godwit;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

#[test]
fn a_time_limit_is_stated_and_held_to() {
    let args = ["evaluate", "quickstart", "--episodes", "2", "--baselines", "chains,genetic"];
    let limited = [&args[..], &["--time-limit", "0.5"]].concat();
    let output = godwit(&[&limited[..], &["--json"]].concat()).output().unwrap();
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["time_limit_s"], 0.5);
    assert!(document.get("unfinished").is_none());
    let output = godwit(&limited).output().unwrap();
    let heading = String::from_utf8(output.stderr).unwrap();
    assert!(heading.contains("searches had 0.5 s for each decision"), "{heading}");
    let plain = godwit(&[&args[..], &["--json"]].concat()).output().unwrap();
    let document: serde_json::Value = serde_json::from_slice(&plain.stdout).unwrap();
    assert!(document.get("time_limit_s").is_none());
    for wrong in ["0", "-1", "soon", "inf"] {
        let time_limit = format!("--time-limit={wrong}");
        godwit(&[&args[..], &[&time_limit]].concat())
            .assert()
            .code(2)
            .stderr(predicates::str::contains("expected seconds above 0, up to 86400"));
    }
}

/// An evaluation of one policy that is done at once and one that takes hours.
fn begun(folder: &Path, more: &[&str]) -> Child {
    let founding = concat!(env!("CARGO_MANIFEST_DIR"), "/envs/scenarios/founding-10x50.toml");
    let larger = |line: &str| match line.strip_prefix("count = ") {
        Some(count) => format!("count = {}\n", 40 * count.parse::<u32>().unwrap()),
        None => format!("{line}\n"),
    };
    let path = folder.join("large.toml");
    let scenario = fs::read_to_string(founding).unwrap();
    fs::write(&path, scenario.lines().map(larger).collect::<String>()).unwrap();
    Command::new(env!("CARGO_BIN_EXE_godwit"))
        .args(["evaluate", text(&path), "--baselines", "stay,genetic,random", "--unruled"])
        .args(["--episodes", "1", "--threads", "1"])
        .args(more)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Sends a signal once the first policy has surely been played.
fn stopped(mut child: Child, signal: &str) -> Output {
    sleep(Duration::from_secs(8));
    assert!(child.try_wait().unwrap().is_none(), "genetic search takes hours");
    let pid = child.id().to_string();
    assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    let sent = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if sent.elapsed() > Duration::from_secs(20) {
            child.kill().unwrap();
            panic!("still running");
        }
        sleep(Duration::from_millis(50));
    }
    child.wait_with_output().unwrap()
}

#[cfg(unix)]
#[test]
fn a_signal_ends_an_evaluation_with_the_rows_that_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let output = stopped(begun(folder.path(), &["--json"]), "-TERM");
    assert_eq!(output.status.code(), Some(143));
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let rows = document["policies"].as_array().unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0]["name"], "stay");
    assert_eq!(document["unfinished"], serde_json::json!(["genetic", "random"]));

    let report = folder.path().join("report");
    let output = stopped(begun(folder.path(), &["--report", text(&report)]), "-INT");
    assert_eq!(output.status.code(), Some(130));
    let (table, said) = (String::from_utf8(output.stdout), String::from_utf8(output.stderr));
    let (table, said) = (table.unwrap(), said.unwrap());
    assert!(table.contains("stay") && !table.contains("genetic"), "{table}");
    assert!(said.ends_with("stopped by a signal; not finished: genetic, random\n"), "{said}");
    assert!(!report.join("index.html").exists());
}

#[test]
fn one_thread_is_enough() {
    let args = ["evaluate", "quickstart", "--baselines", "stay,best-single-move"];
    godwit(&[&args[..], &["--episodes", "2", "--threads", "1"]].concat())
        .timeout(Duration::from_secs(120))
        .assert()
        .success();
}
