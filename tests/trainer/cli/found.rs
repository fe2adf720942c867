//! Runs whose settings are found.

use super::{read, text};
use crate::godwit;
use predicates::prelude::*;
use std::fs;
use std::path::Path;

/// A scenario for which nobody gave settings: they are found, and the run says what came of it.
#[test]
fn a_run_without_settings_finds_them_and_says_whether_it_is_ahead() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    godwit(&["train", "quickstart", "--minutes", "0.1", "--threads", "2", "--out", text(&run)])
        .assert()
        .success()
        .stderr(predicate::str::contains("heuristics on "))
        .stderr(
            predicate::str::contains("base policy ")
                .or(predicate::str::contains("demonstrations of ")),
        )
        .stderr(predicate::str::contains(" fresh episodes"));
    let config = fs::read_to_string(run.join("config.toml")).unwrap();
    let config: toml::Table = config.parse().unwrap();
    let starts_from = |part: &str| config[part]["baseline"].as_str().unwrap();
    assert!(!starts_from("comparisons").is_empty() || !starts_from("demonstrations").is_empty());
    assert_ne!(config["learner"]["reward_scale"].as_float().unwrap(), 1.0);
    // A run that goes on ends in the same way.
    made_longer(&run, &config).stderr(predicate::str::contains(" fresh episodes"));
    // Also one that was stopped after its last env step.
    let ending = run.join("ending.json");
    let mut document: serde_json::Value = serde_json::from_str(&read(&ending)).unwrap();
    assert!(document["done_at"].as_u64() > Some(0), "{document}");
    document["done_at"] = serde_json::Value::Null;
    fs::write(&ending, document.to_string()).unwrap();
    let again = || godwit(&["train", "--resume", text(&run), "--threads", "2"]).assert().success();
    again().stderr(predicate::str::contains(" fresh episodes"));
    again().stderr(predicate::str::contains("nothing was done"));
    // Who gives a setting of their own gets it, and defaults for all else.
    let plain = folder.path().join("plain");
    godwit(&["train", "quickstart", "--env-steps", "256", "--threads", "1", "--out", text(&plain)])
        .args(["--set", "warm_up_steps=64", "--set", "evaluate_episodes=2"])
        .assert()
        .success()
        .stderr(predicate::str::contains("heuristics on ").not());
}

/// A complete run with this configuration, resumed for a few more env steps.
fn made_longer(run: &Path, config: &toml::Table) -> assert_cmd::assert::Assert {
    let longer = (config["env_steps"].as_integer().unwrap() + 256).to_string();
    godwit(&["train", "--resume", text(run), "--env-steps", &longer, "--minutes", "1"])
        .args(["--threads", "2"])
        .assert()
        .success()
}

/// Several scenarios for which nobody gave settings, one of them for the gate alone.
#[test]
fn scenarios_that_are_held_out_decide_about_the_network_and_are_not_trained_on() {
    let folder = tempfile::tempdir().unwrap();
    let worlds = text(&folder.path().join("worlds")).to_owned();
    godwit(&["scenarios", "draw", "--count", "3", "--largest", "4", "--out", &worlds])
        .assert()
        .success();
    let files: Vec<String> = (0..3).map(|at| format!("{worlds}/world-{at}.toml")).collect();
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    let run = folder.path().join("run");
    let train = [&["train"], &*files, &["--minutes", "0.1", "--threads", "2"]].concat();
    godwit(&[&*train, &["--hold-out", "1", "--out", text(&run)]].concat())
        .assert()
        .success()
        .stderr(predicate::str::contains("mean over 1 scenarios that were held out"));
    let config: toml::Table = read(&run.join("config.toml")).parse().unwrap();
    made_longer(&run, &config)
        .stderr(predicate::str::contains("mean over 1 scenarios that were held out"));
    assert_eq!(config["learner"]["scenario_scales"].as_array().unwrap().len(), 2);
    assert!(run.join("scenario-2.toml").exists() && !run.join("scenario-3.toml").exists());

    let refused = "--hold-out: expected fewer than the 3 scenarios";
    godwit(&[&*train, &["--hold-out", "3", "--out", "never"]].concat())
        .assert()
        .code(2)
        .stderr(predicate::str::contains(refused));
}
