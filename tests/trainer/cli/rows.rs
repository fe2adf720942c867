//! What `godwit evaluate` prints: its rows, and what is refused of it.

use super::{edited, half_written, read, text, tiny_run};
use crate::{godwit, refuses};
use predicates::prelude::*;
use std::fs;
use std::path::Path;

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
fn a_program_of_ones_own_is_one_more_row() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/examples/external.py");
    let command = format!("mine=python3 {}", text(&example));
    let known = ["evaluate", "quickstart", "--baselines", "stay", "--episodes", "4", "--json"];
    let played = godwit(&[&known[..], &["--external", &command]].concat()).output().unwrap();
    let told = String::from_utf8(played.stderr).unwrap();
    assert!(told.contains("us from a line to its answer"), "{told}");
    let json: serde_json::Value = serde_json::from_slice(&played.stdout).unwrap();
    assert!(mean_return(&json, "mine") > mean_return(&json, "stay"), "{json}");
    assert_eq!(json["policies"][0]["ahead_of"][0]["policy"], "stay");

    // The first candidate of each line, by its indices, is always allowed.
    let first = "python3 -uc 'import json, sys\nfor line in sys.stdin:\n    \
                 c = json.loads(line)[\"candidates\"]\n    \
                 print(json.dumps(dict(zip((\"workload\", \"destination\"), c[0])) if c else None))'";
    let offered = ["--external", first, "--external-candidates"];
    let json = godwit(&[&known[..], &offered].concat()).output().unwrap().stdout;
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let row = json["policies"].as_array().unwrap().iter().find(|row| row["name"] == "external");
    assert!(row.unwrap()["moves"].as_f64().unwrap() > 0.0, "{json}");

    for (command, expected) in [
        ("true", "the end of the program"),
        ("yes no", "expected {\"workload\""),
        ("yes '{\"workload\": 0}'", "expected both"),
        ("yes '{\"workload\": 0, \"destination\": 99}'", "destination: expected 0 to 7, got 99"),
        ("yes '{\"workload\": \"no\", \"destination\": 0}'", "a name of the snapshot, got \"no\""),
        ("mine=", "expected a command"),
    ] {
        refuses(&[&known[..], &["--external", command]].concat(), &["--external", expected]);
    }
}
