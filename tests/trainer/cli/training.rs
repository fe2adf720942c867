//! Runs that end badly, and runs that go on.

use super::{edited, read, text, tiny_run};
use crate::{godwit, refuses};
use predicates::prelude::*;
use std::fs;
use std::path::Path;

/// Env steps and updates of a run's last checkpoint.
pub fn made(run: &Path) -> (u64, u64) {
    let state: serde_json::Value =
        serde_json::from_str(&read(&run.join("last/state.json"))).unwrap();
    let counter = |name: &str| state["counters"][name].as_u64().unwrap();
    (counter("env_steps"), counter("updates"))
}

/// The bytes of every file of a folder, by name.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<(String, Vec<u8>)> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().is_file())
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        .collect();
    files.sort();
    files
}

#[test]
fn training_stops_at_the_first_number_that_is_not_finite_and_keeps_the_checkpoint_before() {
    for backend in ["native", "libtorch"] {
        let folder = tempfile::tempdir().unwrap();
        let (run, next) = (folder.path().join("run"), folder.path().join("next"));
        let backend = format!("learner.backend={backend}");
        let small = ["--threads", "1", "--device", "cpu", "--set", "env_copies=4"];
        let output = godwit(&["train", "quickstart", "--out", text(&run), "--env-steps", "4096"])
            .args(small)
            // One checkpoint before the first update, and one due after it.
            .args(["--set", "warm_up_steps=256", "--set", "checkpoint_every=192"])
            .args(["--set", "evaluate_every=128", "--set", "evaluate_episodes=2"])
            .args(["--set", "learner.learning_rate.from=1e30", "--set", &backend])
            .args(["--set", "learner.learning_rate.to=1e30", "--set", "network.hidden=8"])
            .output()
            .unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{backend}: {stderr}");
        let message = stderr.lines().last().unwrap();
        let last = run.join("last");
        for part in [
            "error: training stopped at update ",
            "expected a finite number, got ",
            &format!("the last good checkpoint is {}, of env step ", text(&last)),
            "try a lower learner.learning_rate (now ",
            &format!("--set initial_policy={}", text(&last)),
        ] {
            assert!(message.contains(part), "{backend}: expected {part:?} in {message}");
        }
        let (steps, _) = made(&run);
        assert!((192..=512).contains(&steps), "{backend}: {steps} {message}");
        let logged = read(&run.join("metrics.jsonl"));
        assert!(logged.lines().last().unwrap().contains("\"kind\":\"error\""), "{logged}");
        for checkpoint in [&last, &run.join("best")] {
            godwit(&["evaluate", "quickstart", "--policy", text(checkpoint)])
                .args(["--episodes", "2", "--baselines", "none"])
                .assert()
                .success();
        }
        // It resumes, to the same end; and what the message advises works.
        let kept = files(&last);
        godwit(&["train", "--resume", text(&run), "--threads", "1"])
            .assert()
            .code(1)
            .stderr(predicate::str::contains("going on from"))
            .stderr(predicate::str::contains("expected a finite number"));
        assert_eq!(files(&last), kept, "{backend}: the good checkpoint was touched");
        let initial = format!("initial_policy={}", text(&last));
        godwit(&["train", "quickstart", "--out", text(&next), "--env-steps", "320"])
            .args(small)
            .args(["--set", "warm_up_steps=64", "--set", "evaluate_episodes=2"])
            .args(["--set", "network.hidden=8", "--set", &initial])
            .assert()
            .success();
    }
}

#[test]
fn rewards_that_are_not_finite_end_a_run_before_they_are_learnt_from() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    godwit(&["train", "quickstart", "--out", text(&run), "--threads", "1"])
        .args(["--set", "learner.reward_scale=1e39"])
        .assert()
        .code(1)
        .stderr(predicate::str::contains("scaled reward of environment copy"))
        .stderr(predicate::str::contains("there was no checkpoint yet"))
        .stderr(predicate::str::contains("learner.reward_scale (now 1e39)"));
    assert!(!run.join("last").exists());
}

#[test]
fn a_run_is_not_resumed_to_fewer_env_steps_than_it_has_made() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    tiny_run("quickstart", &run);
    let before = (files(&run), files(&run.join("last")));
    refuses(
        &["train", "--resume", text(&run), "--env-steps", "255"],
        &["--env-steps: expected at least the 256 env steps", text(&run), "got 255"],
    );
    // A complete run says so, and nothing is written.
    for more in [&[][..], &["--env-steps", "256"]] {
        godwit(&[&["train", "--resume", text(&run)], more].concat())
            .assert()
            .success()
            .stderr(predicate::str::contains("this run is complete with 256 env steps"))
            .stderr(predicate::str::contains("--env-steps 512"));
    }
    assert_eq!((files(&run), files(&run.join("last"))), before);
}

#[test]
fn a_longer_run_says_what_its_schedules_do_and_keeps_the_settings_of_each_stage() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let falling = "learner.learning_rate={ from = 1e-3, to = 1e-5, share = 1.0 }";
    godwit(&["train", "quickstart", "--env-steps", "256", "--set", falling, "--threads", "1"])
        .args(["--set", "warm_up_steps=64", "--set", "env_copies=4", "--out", text(&run)])
        .args(["--set", "evaluate_episodes=2", "--set", "network.hidden=8"])
        .assert()
        .success();
    let first = read(&run.join("config.toml"));
    assert!(first.contains("env_steps = 256\n"), "{first}");
    godwit(&["train", "--resume", text(&run), "--env-steps", "320", "--threads", "1"])
        .assert()
        .success()
        .stderr(predicate::str::contains(
            "length is now 320 env steps instead of 256, and its schedules stretch over all of it: \
             at env step 256 learner.learning_rate goes from 1.000e-5 to 2.080e-4",
        ));
    assert_eq!(read(&run.join("config.until-256.toml")), first);
    let second = read(&run.join("config.toml"));
    assert_eq!(second, first.replace("env_steps = 256\n", "env_steps = 320\n"));
    let metrics = read(&run.join("metrics.jsonl"));
    let resumed = metrics
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .find(|line| line["kind"] == "resume")
        .unwrap();
    assert_eq!((&resumed["env_steps"], &resumed["run_env_steps"]), (&256.into(), &320.into()));
}

/// A run that gets no farther keeps the settings that it has really had.
#[cfg(unix)]
#[test]
fn a_new_end_that_led_nowhere_leaves_the_settings_as_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    tiny_run("quickstart", &run);
    let before = read(&run.join("config.toml"));
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_godwit"))
        .args(["train", "--resume", text(&run), "--env-steps", "100000000"])
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = std::io::BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("schedules stretch") {
        line.clear();
        assert!(std::io::BufRead::read_line(&mut stderr, &mut line).unwrap() > 0);
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(made(&run).0, 256);
    assert_eq!(read(&run.join("config.toml")), before);
}

/// On a scenario that only its file knows, after a resume that does not name it.
#[test]
fn the_commands_that_a_resumed_run_advises_work() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("a run");
    let scenario = edited(folder.path(), "quickstart", "name = \"quickstart\"", "name = \"fleet\"");
    tiny_run(&scenario, &run);
    fs::remove_file(&scenario).unwrap();
    let output = godwit(&["train", "--resume", text(&run), "--env-steps", "320", "--threads", "1"])
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    for (lead, quick) in [
        ("compare it: godwit ", "--episodes 2 --baselines stay"),
        ("explain it: godwit ", "--episodes 1"),
        ("export it: godwit ", "--episodes 1"),
    ] {
        let advice = stderr.lines().find_map(|line| line.strip_prefix(lead)).unwrap();
        let command = format!("{} {advice} {quick}", env!("CARGO_BIN_EXE_godwit"));
        let played = std::process::Command::new("sh").args(["-c", &command]).output().unwrap();
        assert!(played.status.success(), "{command}: {}", String::from_utf8_lossy(&played.stderr));
    }
    assert!(run.join("policy.pt").is_file());
    // What was trained is said before, what it takes on the disk after.
    for part in ["scenario  fleet: 8 nodes, 32 workloads, rebalance", "320 env steps, 256 of them"]
    {
        assert!(stderr.contains(part), "expected {part:?} in {stderr}");
    }
    let disk = stderr.lines().find(|line| line.contains(" MiB on disk, of which ")).unwrap();
    assert!(disk.starts_with(text(&run)) && disk.ends_with(" MiB replay"), "{disk}");
}

#[test]
fn a_run_makes_the_env_steps_that_were_asked_for_and_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    tiny_run("quickstart", &run);
    // Four copies of four steps: the last round makes 13 of 16.
    godwit(&["train", "--resume", text(&run), "--env-steps", "301", "--threads", "1"])
        .assert()
        .success()
        .stderr(predicate::str::contains("quickstart: 301 env steps"));
    assert_eq!(made(&run).0, 301);
    godwit(&["train", "--resume", text(&run), "--env-steps", "320", "--threads", "1"])
        .assert()
        .success();
    assert_eq!(made(&run).0, 320);
}

/// Names of all files below a folder.
fn names_below(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => names.extend(names_below(&path)),
            false => names.push(path.file_name().unwrap().to_string_lossy().into_owned()),
        }
    }
    names
}

#[test]
fn a_complete_run_that_keeps_no_replay_has_none_and_says_so_when_it_is_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let train = |more: &[&str]| {
        let mut command = godwit(&["train", "quickstart", "--threads", "1", "--env-steps", "256"]);
        command.args(["--set", "warm_up_steps=64", "--set", "evaluate_episodes=2"]);
        command.args(["--set", "checkpoint_every=64", "--set", "keep_checkpoints=2"]);
        command.args(["--set", "normalise_observations=true", "--set", "learner.quantiles=3"]);
        command.args(["--set", "network.hidden=8", "--out"]).args(more);
        command
    };
    train(&[text(&run), "--keep-replay", "false"])
        .assert()
        .success()
        .stderr(predicate::str::contains(" MiB on disk\n"));
    let names = names_below(&run);
    assert!(!names.iter().any(|name| name.contains("replay") || name.contains("tmp")), "{names:?}");
    assert!(!run.join("previous").exists());

    // Nothing is lost of what was learnt.
    let kept = folder.path().join("kept");
    train(&[text(&kept)]).assert().success();
    assert!(names_below(&kept).iter().any(|name| name == "replay.bin"));
    let mut played = Vec::new();
    for policy in [run.join("last"), run.join("step-192"), kept.join("last"), kept.join("step-192")]
    {
        let output = godwit(&["evaluate", "quickstart", "--policy", text(&policy), "--json"])
            .args(["--episodes", "2", "--baselines", "none"])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        played.push(json["policies"][0]["mean_return"].clone());
    }
    assert_eq!(played[..2], played[2..]);

    godwit(&["train", "--resume", text(&run)])
        .assert()
        .success()
        .stderr(predicate::str::contains("its replay was not kept"));
    refuses(
        &["train", "--resume", text(&run), "--env-steps", "512"],
        &["expected a checkpoint with its replay", "keep_replay was false"],
    );
}

#[test]
fn demonstrations_that_are_too_few_for_each_of_several_scenarios_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let large =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("benchmarks/scenarios/quickstart-x3.toml");
    let train = |steps: &str| {
        let mut command = godwit(&["train", "quickstart", text(&large), "--out", text(&out)]);
        command
            .args(["--set", "demonstrations.baseline=best-single-move", "--threads", "1"])
            .args(["--set", &format!("demonstrations.steps={steps}")])
            .args(["--set", "demonstrations.pretrain_updates=2", "--set", "learner.n_step=5"])
            .args(["--env-steps", "128", "--set", "warm_up_steps=64", "--set", "env_copies=4"])
            .args(["--set", "evaluate_episodes=2", "--set", "network.hidden=8"]);
        command
    };
    // Enough for one scenario, and one short of enough for two.
    let output = train("25").output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{message}");
    for part in ["demonstrations.steps: expected at least learner.n_step + 8", "12 for each"] {
        assert!(message.contains(part), "{message}");
    }
    assert!(!out.exists());
    train("26").assert().success();
}

#[test]
fn a_file_that_another_program_exported_is_no_policy() {
    let folder = tempfile::tempdir().unwrap();
    let (run, artifact) = (folder.path().join("run"), folder.path().join("policy.pt"));
    tiny_run("founding-3x3", &run);
    godwit(&["export", text(&run), "--out", text(&artifact), "--episodes", "1"]).assert().success();
    // What libtorch itself writes is the same archive without a comment, whose length is stated in
    // the two bytes before it.
    let mut bytes = fs::read(&artifact).unwrap();
    let prefix = b"godwit-sha256:";
    bytes.truncate(bytes.len() - 64 - prefix.len());
    let end = bytes.len();
    bytes[end - 2..].fill(0);
    fs::write(&artifact, bytes).unwrap();
    refuses(
        &["evaluate", "founding-3x3", "--policy", text(&artifact)],
        &["--policy", "policy.pt", "only files of `godwit export`"],
    );
}

#[test]
fn the_baselines_are_listed_with_a_line_each() {
    let output = godwit(&["baselines"]).output().unwrap();
    let list = String::from_utf8(output.stdout).unwrap();
    let names = godwit_models::baselines::NAMES;
    assert_eq!(list.lines().count(), 1 + names.len(), "{list}");
    for (line, name) in list.lines().skip(1).zip(names) {
        let rest = line.strip_prefix(name).unwrap_or_else(|| panic!("{name}: {line}"));
        assert!(rest.starts_with("  ") && rest.trim().len() > 10, "{line}");
    }
    let output = godwit(&["baselines", "--json"]).output().unwrap();
    let list: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let hold_down =
        list.as_array().unwrap().iter().find(|baseline| baseline["name"] == "hold-down").unwrap();
    let parameters = hold_down["parameters"].as_array().unwrap();
    assert!(parameters.iter().any(|parameter| parameter["name"] == "threshold"), "{hold_down}");
}

#[test]
fn a_trial_that_cannot_be_learnt_from_ranks_last_and_the_sweep_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (space, out) = (folder.path().join("space.toml"), folder.path().join("sweep"));
    let content = "
scenarios = [\"founding-3x3\"]
trials = 4
env_steps = 256
halving = 2
rungs = 2
[settings]
env_copies = 4
warm_up_steps = 64
evaluate_episodes = 2
network.hidden = 8
[space]
learner.reward_scale = { values = [1e39, 1.0] }
learner.gamma = { values = [0.9, 0.99] }
";
    fs::write(&space, content).unwrap();
    godwit(&["sweep", text(&space), "--out", text(&out), "--threads", "1"])
        .assert()
        .success()
        .stderr(predicate::str::contains("stopped at a number that is not finite, ranks last"));
    let results: serde_json::Value =
        serde_json::from_str(&read(&out.join("results.json"))).unwrap();
    let trials = results["trials"].as_array().unwrap();
    let scale = |at: usize| trials[at]["settings"]["learner.reward_scale"].as_f64().unwrap();
    assert_eq!((scale(0), scale(trials.len() - 1)), (1.0, 1e39), "{results}");
    assert!(trials[0]["scenarios"]["founding-3x3"]["mean_return"].is_number(), "{results}");
}
