//! `godwit sweep`: bad files, the same outcome whatever the interruptions and threads, and runs
//! that the other commands accept.

use crate::godwit;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

const SPACE: &str = r#"
scenarios = ["founding-3x3"]
trials = 6
env_steps = 640
halving = 2
rungs = 2
seeds = [0, 5]

[settings]
env_copies = 4
warm_up_steps = 64
evaluate_episodes = 2
evaluate_every = 160
checkpoint_every = 64

[space]
learner.gamma = { values = [0.9, 0.97] }
learner.learning_rate.from = { min = 1e-5, max = 1e-1, log = true }
"network.hidden" = { min = 2, max = 8, integer = true }
"#;

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn space(folder: &Path, content: &str) -> PathBuf {
    let path = folder.join("space.toml");
    fs::write(&path, content).unwrap();
    path
}

fn sweep(space: &Path, out: &Path, threads: &str) {
    godwit(&["sweep", text(space), "--out", text(out), "--device", "cpu", "--threads", threads])
        .assert()
        .success();
}

fn results(out: &Path) -> serde_json::Value {
    serde_json::from_slice(&fs::read(out.join("results.json")).unwrap()).unwrap()
}

#[test]
fn a_bad_file_is_one_line_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    for (from, to, parts) in [
        ("trials = 6", "trails = 6", &["space.toml: ", "`trails`", "`trials`"][..]),
        ("trials = 6", "trials = 0", &["trials: expected 1 to"]),
        ("\"founding-3x3\"", "\"nosuch\"", &["nosuch", "quickstart"]),
        ("[\"founding-3x3\"]", "[\"founding-3x3\", \"founding-3x3\"]", &["different names"]),
        ("seeds = [0, 5]", "seeds = []", &["seeds: expected at least one"]),
        ("rungs = 2", "rungs = 9", &["rungs: expected 1 to 3"]),
        ("env_steps = 640", "env_steps = 100", &["warm_up_steps = 64", "got 50"]),
        ("learner.gamma =", "learner.gama =", &["space.learner.gama", "`gamma`"]),
        ("[0.9, 0.97]", "[0.9, 1.5]", &["space.learner.gamma = 1.5", "expected 0 to 1"]),
        ("max = 1e-1,", "max = \"x\",", &["learning_rate.from.max: expected a number"]),
        ("min = 2, max = 8", "min = 0, max = 8", &["space.network.hidden = 0", "1 to 4096"]),
        ("min = 2, max = 8", "min = 2, max = 5000", &["space.network.hidden = 5000", "1 to 4096"]),
        ("8, integer = true", "8", &["space.network.hidden = 2", "invalid type: floating point"]),
        ("env_copies = 4", "seed = 4", &["settings.seed: expected none", "`seeds`"]),
        ("[settings]", "[settings]\nmax_minutes = 1", &["settings.max_minutes"]),
        ("[settings]", "[settings]\npaired_baseline = \"best-single-move\"", &["rebalance"]),
        ("[space]", "[space", &["line ", "TOML"]),
    ] {
        assert!(SPACE.contains(from), "{from}");
        let space = space(folder.path(), &SPACE.replacen(from, to, 1));
        let args = ["sweep", text(&space), "--out", text(&out), "--device", "cpu"];
        let output = godwit(&args).output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{to}: {message}");
        assert!(message.starts_with("error: ") && message.lines().count() == 1, "{message}");
        for part in parts {
            assert!(message.contains(part), "{to}: expected {part:?} in {message}");
        }
        assert!(!out.exists(), "nothing is written for {to}");
    }
}

#[test]
fn a_folder_of_something_else_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let space = space(folder.path(), SPACE);
    let args = ["sweep", text(&space), "--device", "cpu", "--out"];
    let refused = |out: &Path, part: &str| {
        let output = godwit(&args).arg(out).output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(message.contains(part), "expected {part:?} in {message}");
    };
    refused(folder.path(), "got one with other files");
    refused(&space, "got a file");
    let other = folder.path().join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("sweep.toml"), SPACE.replace("trials = 6", "trials = 5")).unwrap();
    refused(&other, "expected the sweep of");
}

/// Starts a sweep and waits for the first run that ends a rung.
fn begun(space: &Path, out: &Path) -> Child {
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_godwit"))
        .args(["sweep", text(space), "--out", text(out), "--device", "cpu"])
        .args(["--threads", "1"])
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let line = lines.find(|line| line.as_ref().unwrap().contains("return")).unwrap().unwrap();
    assert!(line.starts_with("trial-"), "{line}");
    // The rest is read, or the child would stop at a full pipe.
    std::thread::spawn(move || lines.for_each(drop));
    child
}

#[test]
fn the_outcome_depends_neither_on_kills_nor_on_threads() {
    let folder = tempfile::tempdir().unwrap();
    let space = space(folder.path(), SPACE);
    let (whole, killed, stopped) =
        (folder.path().join("whole"), folder.path().join("killed"), folder.path().join("stopped"));
    sweep(&space, &whole, "3");

    let mut child = begun(&space, &killed);
    child.kill().unwrap();
    assert!(!child.wait().unwrap().success());
    assert!(!killed.join("results.json").exists());
    sweep(&space, &killed, "2");
    assert_eq!(results(&killed), results(&whole));

    let child = begun(&space, &stopped);
    // SAFETY: a signal to a child that has not been waited for, so that its id is still its own.
    assert_eq!(unsafe { libc::kill(child.id() as i32, libc::SIGTERM) }, 0);
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(143));
    sweep(&space, &stopped, "1");
    assert_eq!(results(&stopped), results(&whole));

    // Six trials at half of the env steps, of which the better three go on.
    let results = results(&whole);
    let trials = results["trials"].as_array().unwrap();
    let steps: Vec<u64> = trials.iter().map(|trial| trial["env_steps"].as_u64().unwrap()).collect();
    assert_eq!(steps, [640, 640, 640, 320, 320, 320]);
    let best = &trials[0]["scenarios"]["founding-3x3"];
    let returns = best["returns"].as_array().unwrap();
    assert_eq!((returns.len(), best["runs"].as_array().unwrap().len()), (2, 2));
    for later in &trials[1..3] {
        let mean = |trial: &serde_json::Value| {
            trial["scenarios"]["founding-3x3"]["mean_return"].as_f64().unwrap()
        };
        assert!(mean(&trials[0]) >= mean(later));
    }
}

/// The winner is the very run that `godwit train` makes with its settings.
#[test]
fn a_trial_is_an_ordinary_run() {
    let folder = tempfile::tempdir().unwrap();
    let space = space(folder.path(), SPACE);
    let out = folder.path().join("sweep");
    sweep(&space, &out, "2");
    let results = results(&out);
    let best = &results["trials"][0];
    let run = out.join(best["scenarios"]["founding-3x3"]["runs"][0].as_str().unwrap());
    godwit(&["evaluate", "founding-3x3", "--episodes", "2", "--policy", text(&run)])
        .assert()
        .success();

    let alone = folder.path().join("alone");
    let mut command = godwit(&["train", "founding-3x3", "--out", text(&alone), "--device", "cpu"]);
    command.args(["--threads", "1", "--env-steps", "640"]);
    for set in ["env_copies=4", "warm_up_steps=64", "evaluate_episodes=2", "evaluate_every=160"] {
        command.args(["--set", set]);
    }
    command.args(["--set", "checkpoint_every=64"]);
    for (key, value) in best["settings"].as_object().unwrap() {
        command.args(["--set", &format!("{key}={value}")]);
    }
    command.assert().success();
    let weights = |run: &Path| fs::read(run.join("last/weights.safetensors")).unwrap();
    assert!(weights(&run) == weights(&alone), "the same bits");

    // A trial that was left behind can still go on to its end.
    let left = results["trials"][5]["scenarios"]["founding-3x3"]["runs"][0].as_str().unwrap();
    let left = out.join(left);
    godwit(&["train", "--resume", text(&left), "--device", "cpu"]).assert().success();
    let lines = fs::read_to_string(left.join("metrics.jsonl")).unwrap();
    assert!(lines.lines().last().unwrap().contains("\"env_steps\":640"), "{lines}");
}
