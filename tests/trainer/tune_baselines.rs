//! `godwit tune-baselines` and `godwit evaluate --tuned` as their users meet them.

use crate::{godwit, refuses};
use predicates::prelude::*;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Tunes two baselines for a moment; one of them is known to have a poor default there.
fn tuned(out: &Path, more: &[&str]) -> assert_cmd::assert::Assert {
    godwit(&["tune-baselines", "quickstart", "--baselines", "hold-down,best-single-move"])
        .args(["--trials", "18", "--episodes", "9", "--out", text(out)])
        .args(more)
        .assert()
        .success()
}

fn json(args: &[&str]) -> Value {
    let output = godwit(args).arg("--json").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Names in a folder.
fn names(folder: &Path) -> Vec<String> {
    let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name();
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| name(entry).into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn evaluate_uses_what_was_tuned() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tuned.toml");
    tuned(&file, &[]).stdout(predicate::str::contains("hold-down")).stderr(
        predicate::str::contains("godwit evaluate quickstart --tuned")
            .and(predicate::str::contains("best-single-move: 2 of 2")),
    );
    let evaluate =
        ["evaluate", "quickstart", "--baselines", "hold-down,best-single-move,load-balancer,stay"];
    let evaluate = [&evaluate[..], &["--episodes", "40"]].concat();
    let (before, after) =
        (json(&evaluate), json(&[&evaluate[..], &["--tuned", text(&file)]].concat()));
    let of = |document: &Value, name: &str, field: &str| {
        let rows = document["policies"].as_array().unwrap();
        rows.iter().find(|row| row["name"] == name).unwrap()[field].clone()
    };
    for name in ["hold-down", "best-single-move", "load-balancer", "stay"] {
        assert_eq!(of(&before, name, "parameters"), "default", "{name}");
        let is_tuned = name == "hold-down";
        let expected = if is_tuned { "tuned" } else { "default" };
        assert_eq!(of(&after, name, "parameters"), expected, "{name}");
        let same = of(&before, name, "returns") == of(&after, name, "returns");
        assert_eq!(same, !is_tuned, "{name}");
    }
    let mean = |document: &Value| of(document, "hold-down", "mean_return")["value"].as_f64();
    assert!(mean(&after) > mean(&before), "better on held-out episodes, too");
    godwit(&evaluate)
        .args(["--tuned", text(&file), "--wide"])
        .assert()
        .success()
        .stdout(predicate::str::contains("parameters").and(predicate::str::contains("tuned")));
}

#[test]
fn the_file_is_the_same_for_any_number_of_threads_and_states_its_search() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, threads: &str| {
        let path = folder.path().join(name);
        tuned(&path, &["--threads", threads, "--seed", "3"]);
        fs::read_to_string(path).unwrap()
    };
    let one = file("one.toml", "1");
    assert_eq!(one, file("three.toml", "3"));
    let read: toml::Table = one.parse().unwrap();
    assert_eq!(read["scenario"].as_str(), Some("quickstart"));
    assert_eq!(read["scenario_sha256"].as_str().unwrap().len(), 64);
    let search = read["search"].as_table().unwrap();
    let number = |key: &str| search[key].as_integer().unwrap();
    assert_eq!((number("trials"), number("episodes"), number("first_seed")), (18, 9, 3));
    assert_eq!((number("holdout_episodes"), number("holdout_first_seed")), (18, 12));
    let baselines = read["baselines"].as_table().unwrap();
    assert_eq!(baselines["best-single-move"]["tuned"].as_bool(), Some(false), "the default stays");
    // The document for scripts holds the same.
    let out = folder.path().join("again.toml");
    let args = ["tune-baselines", "quickstart", "--baselines", "hold-down", "--trials", "18"];
    let args = [&args[..], &["--episodes", "9", "--seed", "3", "--out", text(&out)]].concat();
    let document = json(&args);
    let stated = &document["baselines"]["hold-down"]["best_return"];
    assert_eq!(stated.as_f64(), baselines["hold-down"]["best_return"].as_float());
    assert!(document["seconds"]["hold-down"].as_f64().unwrap() > 0.0);
}

#[test]
fn without_a_path_both_commands_mean_the_same_file() {
    let folder = tempfile::tempdir().unwrap();
    godwit(&["tune-baselines", "founding-3x3", "--trials", "3", "--episodes", "2"])
        .current_dir(folder.path())
        .assert()
        .success();
    assert_eq!(names(&folder.path().join("baselines")), ["founding-3x3.toml"]);
    let evaluate = ["evaluate", "founding-3x3", "--tuned"];
    godwit(&evaluate).current_dir(folder.path()).assert().success();
    godwit(&["evaluate", "quickstart", "--tuned"])
        .current_dir(folder.path())
        .assert()
        .code(2)
        .stderr(predicate::str::contains("--tuned: expected the file baselines/quickstart.toml"));
}

#[test]
fn a_file_that_does_not_fit_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tuned.toml");
    tuned(&file, &[]);
    refuses(
        &["evaluate", "founding-3x3", "--tuned", text(&file)],
        &["tuned.toml: scenario_sha256", "tuned on quickstart", "founding-3x3 as it is now"],
    );
    let good = fs::read_to_string(&file).unwrap();
    for (from, to, parts) in [
        (
            "[baselines.hold-down",
            "[baselines.hold-up",
            &["tuned.toml: baselines.hold-up", "hold-down"][..],
        ),
        (
            "hold_ticks = 3",
            "hold_ticks = 99",
            &["hold-down.parameters.hold_ticks", "1 to 12", "99"],
        ),
        ("hold_ticks = 3", "holds = 3", &["hold-down.parameters.holds", "threshold"]),
        ("tuned = ", "tune = ", &["tuned.toml: baselines.", "tuned"]),
    ] {
        assert!(good.contains(from), "{from}");
        fs::write(&file, good.replace(from, to)).unwrap();
        refuses(&["evaluate", "quickstart", "--tuned", text(&file)], parts);
    }
    fs::write(&file, &good[..good.find("[search]").unwrap() - 5]).unwrap();
    refuses(&["evaluate", "quickstart", "--tuned", text(&file)], &["tuned.toml"]);
    refuses(&["evaluate", "quickstart", "--tuned", "/nonexistent.toml"], &["/nonexistent.toml"]);
}

#[test]
fn what_cannot_be_tuned_or_written_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let tune = |more: &[&str], parts: &[&str]| {
        refuses(&[&["tune-baselines", "founding-10x50"], more].concat(), parts);
    };
    let out = folder.path().join("tuned.toml");
    tune(&["--baselines", "stay", "--out", text(&out)], &["--baselines", "stay", "sandpiper"]);
    tune(&["--out", text(folder.path())], &["--out", "a folder"]);
    // A missing folder is made, but not where a file stands in its place.
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    tune(&["--out", text(&file.join("tuned.toml"))], &["--out", "file/tuned.toml"]);
    refuses(&["tune-baselines", "quickstrat", "--out", text(&out)], &["quickstrat"]);
    assert_eq!(names(folder.path()), ["file"]);
}

#[test]
fn a_search_that_is_killed_leaves_the_file_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tuned.toml");
    fs::write(&file, "what was there").unwrap();
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_godwit"))
        .args(["tune-baselines", "founding-10x50", "--out", text(&file)])
        .args(["--baselines", "load-balancer,annealing", "--trials", "60", "--threads", "1"])
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    // In the middle of it: the first baseline is done, the second is not.
    let mut line = String::new();
    let mut stderr = std::io::BufReader::new(child.stderr.take().unwrap());
    let begin = Instant::now();
    while !line.contains("load-balancer: 1 of 2") {
        line.clear();
        std::io::BufRead::read_line(&mut stderr, &mut line).unwrap();
        assert!(begin.elapsed() < Duration::from_secs(120), "the search does not get on");
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(names(folder.path()), ["tuned.toml"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), "what was there");
}
