//! The `godwit` program as its users meet it: exit codes, one-line messages, the whole way from
//! training to a verified artifact.

use crate::{godwit, refuses};
use godwit_models::artifact::Artifact;
use predicates::prelude::*;
use std::fs;
use std::path::Path;

mod evaluating;
mod found;
mod interrupted;
mod mistakes;
mod rows;
mod training;

/// libtorch pads the entries of an archive by the length of its name, and some paddings look like
/// the beginning of an archive within the archive.
#[test]
fn an_artifact_is_read_whatever_the_length_of_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    tiny_run("founding-3x3", &run);
    for length in 1..=16 {
        let out = folder.path().join(format!("{}.pt", "p".repeat(length)));
        godwit(&["export", text(&run), "--out", text(&out)]).assert().success();
        Artifact::read(&out).unwrap();
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The embedded scenario with `from` replaced by `to`, as a file.
fn edited(folder: &Path, name: &str, from: &str, to: &str) -> String {
    let output = godwit(&["scenarios", "show", name]).output().unwrap();
    let scenario = String::from_utf8(output.stdout).unwrap();
    assert!(scenario.contains(from), "{name} has no {from:?}");
    let path = folder.join("edited.toml");
    fs::write(&path, scenario.replacen(from, to, 1)).unwrap();
    text(&path).to_owned()
}

/// Trains for a moment.
fn tiny_run(scenario: &str, out: &Path) {
    godwit(&["train", scenario, "--env-steps", "256", "--device", "cpu", "--out", text(out)])
        .args(["--set", "warm_up_steps=64", "--set", "env_copies=4", "--threads", "1"])
        .args(["--set", "evaluate_episodes=2", "--set", "network.hidden=8"])
        .assert()
        .success()
        .stderr(predicate::str::contains("best validation return"));
}

#[test]
fn one_policy_is_trained_on_two_cluster_sizes_and_serves_both() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let scenarios = Path::new(env!("CARGO_MANIFEST_DIR")).join("benchmarks/scenarios");
    let large = scenarios.join("quickstart-x3.toml");
    let weighted = format!("{}=0.5", text(&large));
    godwit(&["train", "quickstart=1.5", &weighted, "--env-steps", "256", "--threads", "1"])
        .args(["--set", "warm_up_steps=64", "--set", "env_copies=4", "--out", text(&run)])
        .args(["--set", "evaluate_episodes=2", "--set", "network.hidden=8"])
        .assert()
        .success()
        .stderr(predicate::str::contains("quickstart+quickstart-x3: 256 env steps"))
        .stderr(predicate::str::contains(format!("evaluate {} --policy", text(&large))));
    for scenario in ["quickstart", text(&large)] {
        godwit(&["evaluate", scenario, "--policy", text(&run), "--baselines", "none"])
            .args(["--episodes", "2"])
            .assert()
            .success();
    }
    godwit(&["train", "--resume", text(&run), "--env-steps", "320", "--threads", "1"])
        .assert()
        .success()
        .stderr(predicate::str::contains("quickstart+quickstart-x3: 320 env steps"));
    let other = ["train", "quickstart", "--resume", text(&run)];
    refuses(&other, &["expected a run on scenario quickstart", "quickstart+quickstart-x3"]);
}

#[test]
fn a_run_starts_with_the_weights_of_its_initial_policy() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    tiny_run("quickstart", &first);
    let initial = format!("initial_policy={}", text(&first));
    let train = ["train", "quickstart", "--set", &initial, "--env-steps", "256", "--threads", "1"];
    let other = ["--out", text(&second), "--set", "network.hidden=16"];
    refuses(&[&train[..], &other].concat(), &["initial_policy: expected", "hidden: 16"]);
    // Too short for an update.
    godwit(&train)
        .args(["--out", text(&second), "--set", "network.hidden=8", "--set", "seed=7"])
        .args(["--set", "warm_up_steps=1000", "--set", "evaluate_episodes=2"])
        .assert()
        .success();
    assert_play_alike(&first, &second);
}

/// Two policies return the same in each episode, and not the same in all.
fn assert_play_alike(first: &Path, second: &Path) {
    let evaluate = ["evaluate", "quickstart", "--baselines", "none", "--episodes", "4", "--json"];
    let policies = ["--policy", text(first), "--policy", text(second)];
    let output = godwit(&[&evaluate[..], &policies].concat()).output().unwrap();
    let evaluation: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let returns = |at: usize| evaluation["policies"][at]["returns"].clone();
    assert_eq!(returns(0), returns(1));
    assert_ne!(returns(0)[0], returns(0)[1]);
}

/// Trained, resumed, exported and verified; the artifact plays as its run does.
#[test]
fn a_run_on_normalised_observations_becomes_an_ordinary_artifact() {
    let folder = tempfile::tempdir().unwrap();
    let (run, artifact) = (folder.path().join("run"), folder.path().join("policy.pt"));
    godwit(&["train", "quickstart", "--env-steps", "256", "--device", "cpu", "--out", text(&run)])
        .args(["--set", "normalise_observations=true", "--set", "warm_up_steps=64"])
        .args(["--set", "env_copies=4", "--set", "evaluate_episodes=2", "--threads", "1"])
        .assert()
        .success();
    godwit(&["train", "--resume", text(&run), "--env-steps", "512", "--threads", "1"])
        .assert()
        .success();
    godwit(&["export", text(&run), "--out", text(&artifact)]).assert().success();
    godwit(&["verify", text(&artifact)]).assert().success();
    assert_play_alike(&run, &artifact);
}

#[test]
fn every_help_shows_an_example() {
    let commands: &[&[&str]] = &[
        &[],
        &["scenarios"],
        &["baselines"],
        &["train"],
        &["sweep"],
        &["tune-baselines"],
        &["evaluate"],
        &["export"],
        &["verify"],
        &["snapshot"],
        &["import"],
        &["import", "decision-log"],
        &["import", "machine-reassignment"],
        &["import", "openb"],
        &["import", "trace"],
        &["import", "vm-snapshot"],
        &["bench"],
        &["bench", "env"],
        &["bench", "act"],
        &["bench", "decide"],
        &["bench", "learn"],
        &["doctor"],
    ];
    for command in commands {
        godwit(&[command, &["--help"][..]].concat())
            .assert()
            .success()
            .stdout(predicate::str::contains("Example").and(predicate::str::contains("  godwit ")));
    }
}

#[test]
fn files_are_written_into_folders_that_are_made_for_them() {
    let folder = tempfile::tempdir().unwrap();
    let new = |name: &str| folder.path().join(name);
    let run = new("runs/tiny");
    tiny_run("founding-3x3", &run);
    let wanted = |args: &[&str], out: &Path| {
        godwit(&[args, &["--out", text(out)]].concat()).assert().success();
        assert!(out.is_file(), "{args:?}");
    };
    wanted(&["export", text(&run), "--episodes", "0"], &new("a/b/policy.pt"));
    wanted(&["snapshot", "founding-3x3"], &new("c/snapshot.json"));
    let few = ["--baselines", "hold-down", "--trials", "2", "--episodes", "2"];
    wanted(&[&["tune-baselines", "founding-10x50"][..], &few].concat(), &new("d/tuned.toml"));
    let trace = new("trace.csv");
    let row = |tick: u32| format!("{},a,{}\n", 600 * tick, tick % 5);
    fs::write(&trace, "time,id,value\n".to_owned() + &(0..40).map(row).collect::<String>())
        .unwrap();
    wanted(&["import", "trace", text(&trace), "--scenario", "founding-10x50"], &new("e/duty.toml"));
    // Refused before any work: the file that is imported is never looked for.
    let below = trace.join("f/out.toml");
    refuses(
        &["import", "vm-snapshot", "none.json", "--out", text(&below)],
        &["expected a file to write", "cannot be made"],
    );
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

/// The log of three decisions about the cluster of `quickstart`, with the first workload's demand
/// multiplied by 1, 2 and 0, and a last line that was not written to its end.
fn log(folder: &Path) {
    let snapshot = folder.join("snapshot.json");
    godwit(&["snapshot", "quickstart", "--out", text(&snapshot)]).assert().success();
    let snapshot: serde_json::Value = serde_json::from_str(&read(&snapshot)).unwrap();
    let mut lines = String::from("no JSON\n");
    for (tick, factor) in [1.0, 2.0, 0.0].into_iter().enumerate() {
        let mut snapshot = snapshot.clone();
        snapshot["tick"] = tick.into();
        for demand in snapshot["workloads"][0]["demand"].as_array_mut().unwrap() {
            *demand = (demand.as_f64().unwrap() * factor).into();
        }
        let line = serde_json::json!({
            "format": "godwit-decision-log/1", "kind": "decision", "time_s": 1.5, "id": "a",
            "snapshot": snapshot,
        });
        lines += &format!("{line}\n");
    }
    fs::write(folder.join("decisions-1.jsonl"), lines + "{\"format\": \"godwit-dec").unwrap();
}

#[test]
fn a_decision_log_becomes_a_scenario_that_is_evaluated() {
    let folder = tempfile::tempdir().unwrap();
    let logged = folder.path().join("decisions");
    fs::create_dir(&logged).unwrap();
    let out = folder.path().join("live.toml");
    let import = ["import", "decision-log", text(&logged), "--out", text(&out)];
    refuses(&import, &["decisions: log: expected decisions-N.jsonl", "got 0 files"]);

    log(&logged);
    for more in [&[][..], &["--model", "quickstart"]] {
        godwit(&[&import[..], more].concat())
            .assert()
            .success()
            .stderr(predicate::str::contains("3 decisions in 1 files; 3 of 3 ticks"))
            .stderr(predicate::str::contains("skipped: 1 (decisions-1.jsonl line 1"))
            .stderr(predicate::str::contains("middle of a line: 1"));
        let args = ["evaluate", text(&out), "--baselines", "stay,random", "--json"];
        let output = godwit(&args).args(["--episodes", "2"]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let evaluation: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(
            (&evaluation["scenario"], &evaluation["online"]),
            (&"live".into(), &true.into())
        );
        let loads = |at: usize| evaluation["policies"][at]["state"]["terms"]["max_load"].as_f64();
        assert!(loads(0) > Some(0.0) && loads(1) > Some(0.0), "{evaluation}");
    }
    godwit(&[&import[..], &["--model", "quickstart", "--objective", "imbalance"]].concat())
        .assert()
        .code(2);
}

#[test]
fn a_snapshot_is_a_whole_line() {
    let folder = tempfile::tempdir().unwrap();
    let snapshot = folder.path().join("state.json");
    godwit(&["snapshot", "founding-3x3", "--out", text(&snapshot)]).assert().success();
    let written = read(&snapshot);
    assert_eq!(written.find('\n'), Some(written.len() - 1));
}

#[test]
fn a_run_becomes_a_verified_artifact_and_damage_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (run, artifact) = (folder.path().join("run"), folder.path().join("policy.pt"));
    tiny_run("quickstart", &run);
    refuses(&["train", "quickstart", "--out", text(&run)], &["resume it"]);
    godwit(&["export", text(&run), "--out", text(&artifact), "--episodes", "3"]).assert().success();
    godwit(&["verify", text(&artifact)]).assert().success();

    let (run, file) = (text(&run), text(&artifact));
    let evaluate = ["evaluate", "quickstart", "--episodes", "3", "--baselines", "stay"];
    let both = [&evaluate[..], &["--policy", file, "--policy", run, "--json"]].concat();
    let json = godwit(&both).output().unwrap().stdout;
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(json["reference"], "policy");
    let returns = |name: &str| {
        let policies = json["policies"].as_array().unwrap();
        policies.iter().find(|policy| policy["name"] == name).unwrap()["returns"].clone()
    };
    assert_eq!(returns("policy"), returns("run"), "the same weights play the same");
    let stated = godwit_models::artifact::Artifact::read(&artifact).unwrap().manifest.evaluation;
    assert_eq!(stated.len(), 1 + godwit_models::baselines::NAMES.len());
    let seen: Vec<f64> = serde_json::from_value(returns("run")).unwrap();
    assert!((stated[0].mean_return - seen.iter().sum::<f64>() / 3.0).abs() < 1e-9, "{stated:?}");
    for policy in [file, run] {
        godwit(&["evaluate", "founding-3x3", "--policy", policy, "--baselines", "stay"])
            .assert()
            .success();
    }

    let mut bytes = fs::read(&artifact).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&artifact, bytes).unwrap();
    refuses(&[&evaluate[..], &["--policy", file]].concat(), &["policy.pt"]);
    refuses(&["verify", file], &["policy.pt"]);

    let best = Path::new(run).join("best");
    fs::remove_file(best.join("weights.safetensors")).unwrap();
    refuses(&[&evaluate[..], &["--policy", run]].concat(), &["weights.safetensors"]);
    let out = folder.path().join("other.pt");
    refuses(&["export", text(&best), "--out", text(&out)], &["weights.safetensors"]);
    assert!(!out.exists());
    refuses(&["evaluate", "quickstart", "--policy", "/nonexistent.pt"], &["/nonexistent.pt"]);
}

/// Names in a folder that belong to a write that was not finished.
fn half_written(folder: &Path) -> Vec<String> {
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains(".tmp"))
        .collect()
}

#[test]
fn one_json_document_goes_to_standard_output() {
    for args in [
        &["scenarios", "--json"][..],
        &["baselines", "--json"],
        &["bench", "env", "--seconds", "0.05", "--json"],
        &["bench", "decide", "quickstart", "--seconds", "0.05", "--json"],
        &["bench", "learn", "cartpole", "--threads", "1", "--seconds", "0.05", "--json"],
    ] {
        let output = godwit(args).output().unwrap();
        assert!(output.status.success(), "{args:?}");
        assert!(serde_json::from_slice::<serde_json::Value>(&output.stdout).is_ok(), "{args:?}");
    }
}
