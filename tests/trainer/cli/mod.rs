//! The `godwit` program as its users meet it: exit codes, one-line messages, the whole way from
//! training to a verified artifact.

use crate::{godwit, refuses};
use godwit_models::artifact::Artifact;
use predicates::prelude::*;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

mod evaluating;
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

#[test]
fn committed_parameters_of_baselines_fit_their_scenarios() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("baselines");
    let files: Vec<_> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    assert!(!files.is_empty());
    for file in files {
        let scenario = file.file_stem().unwrap().to_str().unwrap();
        let args = ["--tuned", text(&file), "--baselines", "hold-down", "--episodes", "1"];
        godwit(&[&["evaluate", scenario][..], &args].concat())
            .assert()
            .success()
            .stdout(predicate::str::contains("hold-down"));
    }
}

#[test]
fn hindsight_is_for_online_scenarios() {
    let known = ["evaluate", "bursty", "--baselines", "stay", "--episodes", "2", "--json"];
    let json = godwit(&[&known[..], &["--hindsight", "1"]].concat()).output().unwrap().stdout;
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let (found, stay) = (&json["hindsight"], &json["policies"][0]);
    assert!(found["mean_return"]["value"].as_f64() > stay["mean_return"]["value"].as_f64());
    assert_eq!((found["seconds"].as_u64(), stay["share"].as_f64()), (Some(1), Some(0.0)));
    refuses(&["evaluate", "quickstart", "--hindsight"], &["online", "quickstart", "--bound"]);
    godwit(&["evaluate", "bursty", "--hindsight", "0"]).assert().code(2);
}

#[test]
fn a_bound_is_for_static_scenarios_and_builds_with_a_solver() {
    let bounded = ["evaluate", "founding-3x3", "--baselines", "stay", "--bound", "--json"];
    if cfg!(feature = "milp") {
        let json = godwit(&bounded).output().unwrap().stdout;
        let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
        // The founding example: from 2.8 to 1.3.
        assert!((json["bound"].as_f64().unwrap() - 1.5).abs() < 1e-5, "{json}");
        assert_eq!(json["policies"][0]["gap"], 1.0);
        refuses(&["evaluate", "bursty", "--bound"], &["rebalance", "bursty"]);
    } else {
        refuses(&bounded, &["feature milp"]);
    }
    godwit(&["evaluate", "founding-3x3", "--bound", "0"]).assert().code(2);
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

/// Of a row of `evaluate --json`.
fn mean_return(evaluation: &serde_json::Value, policy: &str) -> f64 {
    let rows = evaluation["policies"].as_array().unwrap();
    let row = rows.iter().find(|row| row["name"] == policy).unwrap();
    row["mean_return"]["value"].as_f64().unwrap()
}

#[test]
fn the_best_of_several_plans_is_one_more_row() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    tiny_run("quickstart", &run);
    let output = godwit(&["evaluate", "quickstart", "--policy", text(&run), "--best-of", "8"])
        .args(["--baselines", "none", "--episodes", "6", "--json"])
        .output()
        .unwrap();
    let evaluation: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let of = |name: &str| mean_return(&evaluation, name);
    assert!(of("run, best of 8") > of("run"), "{evaluation}");
    refuses(
        &["evaluate", "bursty", "--best-of", "8"],
        &["--best-of: expected a scenario with mode = \"rebalance\", got bursty"],
    );
}

#[test]
fn a_policy_that_thinks_is_one_more_row_and_in_a_static_world_never_behind() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    tiny_run("quickstart", &run);
    let output = godwit(&["evaluate", "quickstart", "--policy", text(&run), "--think", "2000"])
        .args(["--baselines", "none", "--episodes", "3", "--json"])
        .output()
        .unwrap();
    let evaluation: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let of = |name: &str| mean_return(&evaluation, name);
    assert!(of("run+think") > of("run"), "{evaluation}");
    godwit(&["evaluate", "bursty", "--think", "0"])
        .assert()
        .code(2)
        .stderr(predicate::str::contains("1..=60000"));
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
fn validation_episodes_are_those_that_training_picks_its_best_by() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    tiny_run("quickstart", &run);
    let metrics = read(&run.join("metrics.jsonl"));
    let logged = metrics
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .rfind(|line| line["kind"] == "evaluation")
        .unwrap();
    let evaluate = ["evaluate", "quickstart", "--policy", text(&run), "--episodes", "2"];
    let output = godwit(&evaluate)
        .args(["--baselines", "none", "--validation", "--unruled", "--json"])
        .output()
        .unwrap();
    let evaluation: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let played = evaluation["policies"][0]["mean_return"]["value"].as_f64().unwrap();
    assert!(
        (played - logged["best_validation_return"].as_f64().unwrap()).abs() < 1e-9,
        "{evaluation} {logged}"
    );
}

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
fn a_policy_plays_a_scenario_of_other_resources_and_what_it_does_not_see_is_said() {
    let play = |scenario: &str, policy: &str| {
        let args = ["evaluate", scenario, "--policy", policy, "--baselines", "stay"];
        godwit(&[&args[..], &["--episodes", "2"]].concat()).assert().success()
    };
    play("diurnal", "founding-10x50").stderr(predicate::str::contains("does not see").not());
    play("faults", "diurnal").stderr(predicate::str::contains(
        "diurnal does not see what scenario faults has: health of nodes, waiting workloads",
    ));
    play("faults", "generalist").stderr(predicate::str::contains("does not see").not());
}

#[test]
fn a_report_is_a_page_and_the_figures_that_json_prints() {
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("new/report");
    let scenario = edited(folder.path(), "founding-3x3", "founding-3x3\"", "<b>\"");
    let args = ["evaluate", &scenario, "--baselines", "stay,best-single-move", "--json"];
    let output = godwit(&args).args(["--report", text(&report)]).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{stderr}");
    assert!(stderr.contains("index.html"), "{stderr}");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), read(&report.join("results.json")));
    let page = read(&report.join("index.html"));
    assert!(page.ends_with("</html>\n") && page.contains("<h1>&lt;b&gt;</h1>"));
    assert!(page.contains("godwit evaluate edited.toml --baselines stay,best-single-move"));
    assert!(!page.contains(text(folder.path())), "a path of this machine");
    assert_eq!(read(&report.join("results.csv")).lines().count(), 3);
    assert_eq!(read(&report.join("episodes.csv")).lines().count(), 3);
    assert_eq!(half_written(&report), Vec::<String>::new());

    // Again into the same folder, with a table on standard output.
    godwit(&args[..4])
        .args(["--report", text(&report)])
        .assert()
        .success()
        .stdout(predicate::str::contains("p50 us"));
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
fn every_policy_is_evaluated_within_the_limits() {
    let folder = tempfile::tempdir().unwrap();
    let limits = folder.path().join("limits.toml");
    fs::write(&limits, "max_moves = 2\nhold_down_ticks = 9\n").unwrap();
    let baselines = ["--baselines", "random,best-single-move", "--episodes", "3"];
    let evaluated = |more: &[&str]| {
        let args = [&["evaluate", "quickstart", "--json"], &baselines[..], more].concat();
        let output = godwit(&args).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()
    };
    let most = |evaluation: &serde_json::Value| {
        let policies = evaluation["policies"].as_array().unwrap();
        policies.iter().map(|policy| policy["moves"].as_f64().unwrap()).fold(0.0, f64::max)
    };
    let (free, within) = (evaluated(&[]), evaluated(&["--limits", text(&limits)]));
    assert!(most(&free) > 2.0 && free["limits"].is_null());
    assert_eq!((most(&within), &within["limits"]["max_moves"]), (2.0, &2.into()));
    assert_eq!(
        (&free["oscillation_window"], &within["oscillation_window"]),
        (&12.into(), &8.into())
    );

    fs::write(&limits, "max_move = 2\n").unwrap();
    refuses(&["evaluate", "quickstart", "--limits", text(&limits)], &["limits.toml", "max_move"]);
}

#[test]
fn the_table_fits_a_terminal_and_wide_shows_the_scenarios_own_terms() {
    let table = |args: &[&str]| {
        let output = godwit(&[&["evaluate"], args].concat()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = [output.stderr, output.stdout].concat();
        String::from_utf8(text).unwrap()
    };
    let baselines = ["--baselines", "stay,random,watcher-workload-balance", "--episodes", "2"];
    for name in ["founding-3x3", "quickstart", "bursty", "gpu-defrag"] {
        let short = table(&[&[name, "--policy", name][..], &baselines].concat());
        let widest = short.lines().map(|line| line.chars().count()).max();
        assert!(widest <= Some(80), "{name}: {widest:?}\n{short}");
        assert!(!short.contains("oscillations"), "{short}");
    }
    let wide = table(&[&["quickstart", "--wide"][..], &baselines].concat());
    let shown = |term: &str| wide.contains(term);
    assert!(shown("max_load") && shown("oscillations"), "{wide}");
    assert!(!shown("displaced") && !shown("unplaced"), "{wide}");
    godwit(&["evaluate", "quickstart", "--wide", "--json"]).assert().code(2);
}

#[test]
fn the_price_of_limits_is_the_change_since_an_evaluation_without_them() {
    let folder = tempfile::tempdir().unwrap();
    let (free, limits) = (folder.path().join("free.json"), folder.path().join("limits.toml"));
    fs::write(&limits, "max_moves = 1\n").unwrap();
    let plain =
        ["evaluate", "quickstart", "--baselines", "stay,best-single-move", "--episodes", "3"];
    let json = godwit(&plain).arg("--json").output().unwrap().stdout;
    fs::write(&free, &json).unwrap();
    let within = [&plain[..], &["--limits", text(&limits), "--before", text(&free)]].concat();
    let output = godwit(&within).arg("--json").output().unwrap();
    let evaluation: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let change = |name: &str| {
        let rows = evaluation["policies"].as_array().unwrap();
        let row = rows.iter().find(|row| row["name"] == name).unwrap();
        row["change"]["difference"]["high"].as_f64().unwrap()
    };
    assert_eq!(change("stay"), 0.0);
    assert!(change("best-single-move") < 0.0, "{evaluation}");
    godwit(&within).assert().success().stdout(predicate::str::contains("change"));
    let other = ["evaluate", "bursty", "--before", text(&free)];
    refuses(&other, &["free.json: scenario: expected bursty, got quickstart"]);
    fs::write(&free, "{").unwrap();
    refuses(&within, &["free.json: line 1: expected valid JSON"]);
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

/// Names in a folder that belong to a write that was not finished.
fn half_written(folder: &Path) -> Vec<String> {
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains(".tmp"))
        .collect()
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
