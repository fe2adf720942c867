//! What cannot be done is refused in one line that says why.

use super::{edited, text};
use crate::{godwit, refuses};
use predicates::prelude::*;
use std::fs;

#[test]
fn scenarios_that_cannot_share_a_network_are_refused() {
    refuses(
        &["train", "founding-10x50", "quickstart=2"],
        &["scenario quickstart: expected rules.episode.mode as in scenario founding-10x50"],
    );
    refuses(&["train", "quickstart=0"], &["expected a weight above 0, got 0"]);
    let folder = tempfile::tempdir().unwrap();
    let large = edited(folder.path(), "quickstart", "name = \"quickstart\"", "name = \"other\"");
    refuses(
        &["train", "quickstart", &large, "--set", "network.architecture=mlp"],
        &["expected `relational` or `candidate` for several scenarios, got `mlp`"],
    );
}

#[test]
fn a_mistake_in_a_scenario_is_one_line() {
    let folder = tempfile::tempdir().unwrap();
    for (from, to, parts) in [
        ("move_budget = 4", "move_bugdet = 4", &["edited.toml", "move_bugdet", "move_budget"][..]),
        ("{ cpu = 100,", "{ cpu = -100,", &["supply.cpu", "-100"]),
        ("{ cpu = 20,", "{ cpus = 20,", &["cpus"]),
        ("{ cpu = 20,", "{ cpu = 101,", &["workloads[0]", "101"]),
        ("[rules.episode]", "[rules.episode", &["line ", "TOML"]),
    ] {
        let path = edited(folder.path(), "founding-3x3", from, to);
        refuses(&["evaluate", &path], parts);
        let out = folder.path().join("run");
        refuses(&["train", &path, "--out", text(&out)], parts);
        assert!(!out.exists(), "nothing is written for {to:?}");
    }
    refuses(&["evaluate", "quickstrat"], &["quickstrat", "quickstart", "founding-10x50"]);
}

#[test]
fn a_mistake_in_the_settings_is_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let train = |more: &[&str], parts: &[&str]| {
        refuses(&[&["train", "quickstart", "--out", text(&out)], more].concat(), parts);
        assert!(!out.exists(), "nothing is written for {more:?}");
    };
    train(&["--set", "learner.gama=0.9"], &["--set: learner.gama", "`gamma`"]);
    train(&["--set", "learner.gamma=1.5"], &["learner.gamma: expected 0 to 1, got 1.5"]);
    train(&["--set", "learner.gamma"], &["KEY=VALUE"]);
    train(&["--device", "cuda:99"], &["cuda:99", "CUDA"]);
    train(&["--config", "/nonexistent.toml"], &["/nonexistent.toml"]);
    train(&["--set", "paired_baseline=best"], &["paired_baseline", "best-single-move"]);
    let config = folder.path().join("config.toml");
    fs::write(&config, "seed = 1\n[learner]\nbatch = 3\n").unwrap();
    train(&["--config", text(&config)], &["config.toml: learner.batch", "`batch_size`"]);

    let scenario =
        edited(folder.path(), "founding-3x3", "[[nodes]]", "[train]\nenv_step = 5\n\n[[nodes]]");
    refuses(&["train", &scenario, "--out", text(&out)], &["train: env_step", "`env_steps`"]);
    let known = ["greedy", "best-single-move", "`godwit baselines`"];
    refuses(&["evaluate", "quickstart", "--baselines", "greedy"], &known);
    refuses(&["tune-baselines", "quickstart", "--baselines", "greedy"], &known);
    train(&["--set", "demonstrations.baseline=greedy"], &known);
    train(&["--set", "comparisons.baseline=greedy"], &["greedy", "`godwit baselines`"]);
    // No file of tuned parameters comes with the program where it is run from.
    let output =
        godwit(&["evaluate", "quickstart", "--tuned"]).current_dir(folder.path()).output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{message}");
    for part in ["--tuned: expected the file", "tune-baselines quickstart", "`godwit baselines`"] {
        assert!(message.contains(part), "{message}");
    }
    refuses(&["evaluate", "quickstart", "--baselines", "none"], &["--policy"]);
}

#[test]
fn an_unwritable_output_is_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    // Below a file, since permissions do not stop a superuser.
    let below = file.join("out");
    refuses(&["train", "quickstart", "--device", "cpu", "--out", text(&below)], &["file/out"]);
    refuses(&["snapshot", "quickstart", "--out", text(&below)], &["file/out"]);
    refuses(&["import", "vm-snapshot", "x.json", "--out", text(&below)], &["file/out"]);
    refuses(&["snapshot", "quickstart", "--out", text(folder.path())], &["a folder"]);
    let report = ["evaluate", "founding-3x3", "--report"];
    refuses(&[&report[..], &[text(&file)]].concat(), &["--report", "expected a folder", "a file"]);
    refuses(&[&report[..], &[text(&below)]].concat(), &["--report", "file/out"]);
    fs::create_dir_all(folder.path().join("taken/index.html")).unwrap();
    let taken = folder.path().join("taken");
    refuses(&[&report[..], &[text(&taken)]].concat(), &["--report", "index.html is a folder"]);
}

#[test]
fn names_that_nobody_knows_are_answered_with_the_nearest() {
    refuses(&["evaluate", "quickstrat"], &["(nearest: quickstart)"]);
    refuses(&["evaluate", "quickstart", "--baselines", "anealing"], &["(nearest: annealing)"]);
    refuses(
        &["tune-baselines", "quickstart", "--baselines", "anealing"],
        &["(nearest: annealing)"],
    );
    refuses(&["evaluate", "quickstart", "--policy", "quickstrat"], &["(nearest: quickstart)"]);
    let train = ["train", "quickstart", "--out", "none", "--set"];
    refuses(&[&train[..], &["learner.lerning_rate=1"]].concat(), &["(nearest: learning_rate)"]);
    let folder = tempfile::tempdir().unwrap();
    let resource = edited(folder.path(), "quickstart", ", memory = [", ", memroy = [");
    refuses(&["evaluate", &resource], &["(nearest: memory)", "memroy"]);
}

#[test]
fn a_damaged_snapshot_is_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let snapshot = folder.path().join("state.json");
    godwit(&["snapshot", "founding-3x3", "--out", text(&snapshot)]).assert().success();
    let shown = godwit(&["scenarios", "show", "founding-3x3"]).output().unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    let (rules, _) = shown.split_once("[[nodes]]").unwrap();
    let path = folder.path().join("live.toml");
    let reference = "snapshot = \"state.json\"\n\n[rules]\n";
    fs::write(&path, rules.replacen("[rules]\n", reference, 1)).unwrap();
    let evaluate = ["evaluate", text(&path), "--baselines", "stay,best-single-move"];
    godwit(&evaluate).assert().success().stderr(predicate::str::contains("1 episode"));

    let good = fs::read_to_string(&snapshot).unwrap();
    fs::write(&snapshot, &good[..good.len() / 2]).unwrap();
    refuses(&evaluate, &["state.json", "the end of the input"]);
    fs::write(&snapshot, good.replacen("100.0", "NaN", 1)).unwrap();
    refuses(&evaluate, &["state.json", "supply", "NaN"]);
    fs::remove_file(&snapshot).unwrap();
    refuses(&evaluate, &["state.json"]);
}

#[cfg(not(feature = "mpi"))]
#[test]
fn several_processes_need_a_build_with_mpi() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let args = ["train", "quickstart", "--device", "cpu", "--out", text(&out)];
    let output = godwit(&args).env("OMPI_COMM_WORLD_SIZE", "2").output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(message.contains("feature mpi") && message.lines().count() == 1, "{message}");
    assert!(!out.exists());
}
