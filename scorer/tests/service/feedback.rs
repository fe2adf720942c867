//! Who plans where the policy cannot be relied on, and what is learned from what came out.

#![cfg(unix)] // signals

use std::cell::Cell;
use std::fs;

use godwit_envs::observe::ranges::Ranges;
use godwit_models::artifact::Manifest;
use godwit_models::net::Architecture;
use serde_json::{Value, json};

use crate::support::service::Service;
use crate::support::{Fixture, scorer, write_artifact};

const BASELINE: &[&str] = &["--fallback", "best-single-move"];

fn snapshot(fixture: &Fixture) -> Value {
    serde_json::from_slice(&fs::read(fixture.snapshot()).unwrap()).unwrap()
}

/// The snapshot with the first moves of a plan complete.
fn after(snapshot: &Value, plan: &Value, moves: usize) -> Value {
    let mut after = snapshot.clone();
    for planned in &plan["moves"].as_array().unwrap()[..moves] {
        workload(&mut after, planned)["node"] = planned["destination_name"].clone();
    }
    after
}

/// The workload that a move is about.
fn workload<'a>(snapshot: &'a mut Value, planned: &Value) -> &'a mut Value {
    let workloads = snapshot["workloads"].as_array_mut().unwrap();
    workloads.iter_mut().find(|workload| workload["name"] == planned["workload_name"]).unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value}"))
}

fn near(left: &Value, right: f64) {
    assert!((number(left) - right).abs() < 1e-4, "{left} and {right}");
}

fn standing(evaluations: usize, missed: f64, worthless: f64, demoted: bool) -> Value {
    json!({
        "evaluations": evaluations, "missed_share": missed, "worthless_share": worthless,
        "return_share": 0.0, "demoted": demoted,
    })
}

#[test]
fn the_fallback_plans_instead_of_a_policy_that_is_too_slow() {
    let fixture = Fixture::new("quickstart");
    let folder = fixture.path("decisions").display().to_string();
    let logged = ["--decision-log", &folder, "--decision-deadline-ms", "0"];
    let mut service = Service::start(&fixture, &[BASELINE, &logged].concat());
    let body = snapshot(&fixture).to_string();
    let slow = service.post("/v1/plan", &body).ok();
    assert_eq!(
        (&slow["planner"], &slow["fallback"]),
        (&json!("best-single-move"), &json!("too_slow"))
    );
    assert!(!slow["plan"]["moves"].as_array().unwrap().is_empty());
    let fallbacks = "godwit_scorer_fallbacks_total{reason=\"too_slow\",to=\"best-single-move\"}";
    assert_eq!(service.metric(fallbacks), 1.0);

    let baseline = ["--mode", "shadow", "--baseline", "best-single-move", "--return", "baseline"];
    let shadow = Service::start(&fixture, &baseline).post("/v1/plan", &body).ok();
    assert_eq!(shadow["planner"], "best-single-move");
    assert_eq!(shadow["fallback"], Value::Null);
    assert_eq!(shadow["plan"], slow["plan"]);

    service.signal("TERM");
    assert!(service.ended().success());
    scorer().args(["replay", &folder, "--model"]).arg(fixture.model()).assert().success();
}

#[test]
fn the_fallback_plans_for_a_cluster_unlike_those_of_the_training_where_that_is_asked_for() {
    let fixture = Fixture::new("quickstart");
    let trained_on_nothing = |manifest: &mut Manifest| {
        manifest.ranges = Ranges::new(&manifest.schema).without_gaps();
    };
    write_artifact(
        &fixture.model(),
        &fixture.scenario,
        Architecture::Relational,
        trained_on_nothing,
    );
    let body = snapshot(&fixture).to_string();
    let plain = Service::start(&fixture, BASELINE).post("/v1/plan", &body).ok();
    assert_eq!((&plain["planner"], &plain["fallback"]), (&json!("policy"), &Value::Null));

    let asked = [BASELINE, &["--fallback-outside-training"]].concat();
    let service = Service::start(&fixture, &asked);
    let answer = service.post("/v1/plan", &body).ok();
    assert_eq!(
        (&answer["planner"], &answer["fallback"]),
        (&json!("best-single-move"), &json!("outside_training"))
    );
    let fallbacks =
        "godwit_scorer_fallbacks_total{reason=\"outside_training\",to=\"best-single-move\"}";
    assert_eq!(service.metric(fallbacks), 1.0);
}

#[test]
fn without_a_named_fallback_nothing_moves() {
    let fixture = Fixture::new("quickstart");
    let service = Service::start(&fixture, &["--decision-deadline-ms", "0"]);
    let slow = service.post("/v1/plan", snapshot(&fixture).to_string()).ok();
    assert_eq!((&slow["planner"], &slow["fallback"]), (&json!("stay"), &json!("too_slow")));
    assert_eq!(slow["plan"]["moves"], json!([]));
}

#[test]
fn moves_gain_what_undoing_them_would_cost() {
    let fixture = Fixture::new("quickstart");
    let service = Service::start(&fixture, &["--mode", "active", "--max-moves", "3"]);
    let before = snapshot(&fixture);
    let decision = service.post("/v1/plan", before.to_string()).ok();
    let (id, plan) = (&decision["id"], &decision["plan"]);
    let moves = plan["moves"].as_array().unwrap();
    assert_eq!(moves.len(), 3);

    // As predicted, and both moves that were not carried out are seen to be missing.
    let told = json!({"id": id, "snapshot": after(&before, plan, 1)});
    let evaluation = service.post("/v1/feedback", told.to_string()).ok();
    assert_eq!((&evaluation["moves"], &evaluation["evaluated"]), (&json!(3), &json!(1)));
    near(&evaluation["predicted_gain"], number(&moves[0]["predicted_gain"]));
    near(&evaluation["realised_gain"], number(&moves[0]["predicted_gain"]));
    near(&evaluation["cost"], number(&moves[0]["cost"]));
    near(&evaluation["net_gain"], number(&moves[0]["predicted_gain"]) - number(&moves[0]["cost"]));
    let policy = &evaluation["policy"];
    assert_eq!((&policy["evaluations"], &policy["demoted"]), (&json!(1), &json!(false)));
    near(&policy["missed_share"], 0.0);
    near(&policy["worthless_share"], 0.0);
    let again = service.post("/v1/feedback", told.to_string());
    assert_eq!(again.error(), (409, "already_evaluated".to_owned()));

    // The first workload needs nothing any more: its move gains nothing. In the same tick the same
    // question would have the same answer.
    let mut next = before.clone();
    next["tick"] = json!(1);
    let id = &service.post("/v1/plan", next.to_string()).ok()["id"];
    let mut idle = after(&before, plan, 3);
    let demand = &mut workload(&mut idle, &moves[0])["demand"];
    for value in demand.as_array_mut().unwrap() {
        *value = json!(0.0);
    }
    let executed = json!([{"at": 0, "transfer_s": 7.5}]);
    let told = json!({"id": id, "snapshot": idle, "executed": executed});
    let evaluation = service.post("/v1/feedback", told.to_string()).ok();
    assert_eq!(evaluation["evaluated"], 1);
    near(&evaluation["realised_gain"], 0.0);
    near(&evaluation["transfer_s"]["measured"], 7.5);
    near(&evaluation["transfer_s"]["predicted"], number(&moves[0]["transfer_s"]));
    assert_eq!(evaluation["downtime_s"], json!({"predicted": 0.0, "measured": 0.0}));
    near(&evaluation["policy"]["missed_share"], 0.5);
    near(&evaluation["policy"]["worthless_share"], 0.5);
    assert_eq!(service.metric("godwit_scorer_feedback_total"), 2.0);
    assert!((service.metric("godwit_scorer_gain_missed_share") - 0.5).abs() < 1e-4);
}

#[test]
fn feedback_that_fits_no_plan_is_refused_and_may_be_sent_again() {
    let fixture = Fixture::new("quickstart");
    let service = Service::start(&fixture, &["--max-moves", "1"]);
    let before = snapshot(&fixture);
    let id = service.post("/v1/plan", before.to_string()).ok()["id"].clone();
    let send = |told: Value| service.post("/v1/feedback", told.to_string());
    let unknown = send(json!({"id": "0-0", "snapshot": before}));
    assert_eq!(unknown.error(), (404, "unknown_decision".to_owned()));
    for executed in [
        json!([{"at": 1}]),
        json!([{"at": 0}, {"at": 0}]),
        json!([{"at": 0, "transfer_s": -1.0}]),
        json!([{"at": 0, "downtime_s": 1e39}]),
        json!([{"at": 0, "seconds": 1.0}]),
        json!([{"at": 0, "status": "lost"}]),
        json!([{"at": 0, "status": "failed", "reason": "r".repeat(1_001)}]),
    ] {
        let answer = send(json!({"id": id, "snapshot": before, "executed": executed}));
        assert_eq!(answer.error().0, 422, "{executed}");
    }
    let mut wrong = before.clone();
    wrong["workloads"][0]["node"] = json!("nowhere");
    assert_eq!(send(json!({"id": id, "snapshot": wrong})).error().0, 422);
    assert_eq!(send(json!({"id": id, "snapshot": before})).ok()["evaluated"], 0);
    assert_eq!(service.metric("godwit_scorer_panics_total"), 0.0);
}

#[test]
fn a_policy_that_misses_its_gains_is_demoted_until_someone_promotes_it() {
    let fixture = Fixture::new("quickstart");
    let folder = fixture.path("decisions").display().to_string();
    let log = ["--mode", "active", "--demote-window", "2", "--decision-log", &folder];
    let mut service = Service::start(&fixture, &[BASELINE, &log].concat());
    let before = snapshot(&fixture);
    let tick = Cell::new(0);
    let plan = || {
        let mut cluster = before.clone();
        cluster["tick"] = json!(tick.replace(tick.get() + 1));
        service.post("/v1/plan?max_moves=1", cluster.to_string()).ok()
    };
    let mut found = Value::Null;
    for evaluations in 1..=2 {
        let decision = plan();
        assert_eq!(decision["planner"], "policy", "after {evaluations} evaluations");
        let mut idle = after(&before, &decision["plan"], 1);
        let demand = &mut workload(&mut idle, &decision["plan"]["moves"][0])["demand"];
        demand.as_array_mut().unwrap().fill(json!(0.0));
        let told = json!({"id": decision["id"], "snapshot": idle});
        found = service.post("/v1/feedback", told.to_string()).ok()["policy"].clone();
    }
    near(&found["missed_share"], 1.0);
    assert_eq!((&found["evaluations"], &found["demoted"]), (&json!(2), &json!(true)));
    assert_eq!(service.get("/v1/model").ok()["standing"], found);
    assert_eq!(service.metric("godwit_scorer_policy_demoted"), 1.0);

    let demoted = plan();
    assert_eq!(demoted["planner"], "best-single-move");
    assert_eq!(demoted["fallback"], "demoted");
    // What a baseline comes to is not held against the policy.
    let told = json!({"id": demoted["id"], "snapshot": after(&before, &demoted["plan"], 1)});
    assert_eq!(service.post("/v1/feedback", told.to_string()).ok()["policy"], found);

    let promoted = service.post("/v1/model/promote", "").ok();
    assert_eq!(promoted, standing(0, 0.0, 0.0, false));
    assert_eq!(plan()["planner"], "policy");

    service.signal("TERM");
    assert!(service.ended().success());
    let log = fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path());
    let log: String = log.filter_map(|path| fs::read_to_string(path).ok()).collect();
    for kind in ["feedback", "demoted", "promoted"] {
        assert!(log.contains(&format!("\"kind\":\"{kind}\"")), "{kind}");
    }
    scorer().args(["replay", &folder, "--model"]).arg(fixture.model()).assert().success();
}

/// Three moves: one is carried out, one fails and one is given up before it begins.
#[test]
fn moves_that_were_not_made_count_and_are_not_remembered() {
    let fixture = Fixture::new("quickstart");
    let limits = fixture.path("limits.toml");
    let rest = "[backoff]\nfirst_ticks = 9\nfactor = 1.0\nmost_ticks = 9\nforget_ticks = 20";
    fs::write(&limits, rest).unwrap();
    let arguments = ["--mode", "active", "--max-moves", "3", "--limits", limits.to_str().unwrap()];
    let service = Service::start(&fixture, &arguments);
    let before = snapshot(&fixture);
    let decision = service.post("/v1/plan", before.to_string()).ok();
    let moves = decision["plan"]["moves"].as_array().unwrap();
    let after = after(&before, &decision["plan"], 1);
    let rests = |tick: u64| {
        let mut later = after.clone();
        later["tick"] = json!(tick);
        let asked = service.post("/v1/plan?max_moves=0", later.to_string()).ok();
        asked["left_out"]["resting"].as_u64().unwrap_or(0)
    };
    assert_eq!(rests(1), 3);
    let executed = json!([
        {"at": 0},
        {"at": 1, "status": "failed", "reason": "no route to the destination"},
        {"at": 2, "status": "cancelled"},
    ]);
    let told = json!({"id": decision["id"], "snapshot": after, "executed": executed});
    let evaluation = service.post("/v1/feedback", told.to_string()).ok();
    assert_eq!((&evaluation["evaluated"], &evaluation["not_made"]), (&json!(1), &json!(2)));
    let predicted: f64 = moves.iter().map(|planned| number(&planned["predicted_gain"])).sum();
    near(&evaluation["predicted_gain"], predicted);
    near(&evaluation["realised_gain"], number(&moves[0]["predicted_gain"]));
    near(&evaluation["cost"], number(&moves[0]["cost"]) + number(&moves[1]["cost"]));
    let missed = 1.0 - number(&moves[0]["predicted_gain"]) / predicted;
    near(&evaluation["policy"]["missed_share"], missed);
    for (status, moves) in [("done", 1.0), ("failed", 1.0), ("cancelled", 1.0), ("timed_out", 0.0)]
    {
        let name = format!("godwit_scorer_feedback_moves_total{{status=\"{status}\"}}");
        assert_eq!(service.metric(&name), moves, "{status}");
    }
    assert_eq!(rests(2), 1);
}

#[test]
fn plans_that_fail_altogether_demote_a_policy() {
    let fixture = Fixture::new("quickstart");
    let service = Service::start(&fixture, &["--mode", "active", "--demote-window", "2"]);
    let before = snapshot(&fixture);
    let mut standing = Value::Null;
    for tick in 0..2 {
        let mut cluster = before.clone();
        cluster["tick"] = json!(tick);
        let decision = service.post("/v1/plan?max_moves=1", cluster.to_string()).ok();
        let executed = json!([{"at": 0, "status": "timed_out"}]);
        let told = json!({"id": decision["id"], "snapshot": cluster, "executed": executed});
        standing = service.post("/v1/feedback", told.to_string()).ok()["policy"].clone();
    }
    assert_eq!(standing, self::standing(2, 1.0, 1.0, true));
}

#[test]
fn moves_that_had_to_be_made_are_told_but_not_held_against_the_policy() {
    let fixture = Fixture::new("quickstart");
    let arguments = ["--mode", "active", "--max-moves", "2", "--demote-window", "1"];
    let service = Service::start(&fixture, &arguments);
    let mut before = snapshot(&fixture);
    before["nodes"][0]["health"] = json!("draining");
    let decision = service.post("/v1/plan", before.to_string()).ok();
    let moves = decision["plan"]["moves"].as_array().unwrap();
    let reasons: Vec<&Value> = moves.iter().map(|planned| &planned["reason"]).collect();
    assert_eq!(reasons, ["evacuates", "evacuates"]);
    // Neither workload needs anything any more: nothing is gained.
    let mut idle = after(&before, &decision["plan"], 2);
    for planned in moves {
        workload(&mut idle, planned)["demand"].as_array_mut().unwrap().fill(json!(0.0));
    }
    let told = json!({"id": decision["id"], "snapshot": idle});
    let evaluation = service.post("/v1/feedback", told.to_string()).ok();
    assert_eq!(evaluation["evaluated"], 2);
    assert!(number(&evaluation["net_gain"]) < 0.0, "{evaluation}");
    assert_eq!(evaluation["policy"], standing(0, 0.0, 0.0, false));
}

#[test]
fn another_artifact_begins_without_a_record() {
    let fixture = Fixture::new("quickstart");
    let service = Service::start(&fixture, &["--max-moves", "1"]);
    let before = snapshot(&fixture);
    let decision = service.post("/v1/plan", before.to_string()).ok();
    let told = json!({"id": decision["id"], "snapshot": after(&before, &decision["plan"], 1)});
    assert_eq!(service.post("/v1/feedback", told.to_string()).ok()["policy"]["evaluations"], 1);
    let reloaded = service.post("/v1/model/reload", "").ok();
    assert_eq!(reloaded["standing"]["evaluations"], 0);
}

#[test]
fn moves_that_bring_a_workload_back_are_counted_in_mode_active() {
    let returning = |mode: &str| {
        let fixture = Fixture::new("quickstart");
        let service = Service::start(&fixture, &["--mode", mode, "--max-moves", "1"]);
        let mut cluster = snapshot(&fixture);
        cluster["tick"] = json!(1);
        let first = &service.post("/v1/plan", cluster.to_string()).ok()["plan"]["moves"][0];
        assert_eq!(service.metric("godwit_scorer_returning_moves_total"), 0.0);
        // With the names of both nodes exchanged, the same move leads back.
        let (source, destination) = (&first["source_name"], &first["destination_name"]);
        let exchanged = |name: &mut Value| match &*name {
            old if old == source => *name = destination.clone(),
            old if old == destination => *name = source.clone(),
            _ => {}
        };
        cluster["tick"] = json!(2);
        for node in cluster["nodes"].as_array_mut().unwrap() {
            exchanged(&mut node["name"]);
        }
        for workload in cluster["workloads"].as_array_mut().unwrap() {
            exchanged(&mut workload["node"]);
        }
        let second = &service.post("/v1/plan", cluster.to_string()).ok()["plan"]["moves"][0];
        assert_eq!(second["workload_name"], first["workload_name"]);
        assert_eq!(&second["destination_name"], source);
        service.metric("godwit_scorer_returning_moves_total")
    };
    assert_eq!(returning("active"), 1.0);
    // In other modes nobody is expected to carry plans out.
    assert_eq!(returning("dry-run"), 0.0);
}

#[test]
fn a_fallback_that_cannot_be_is_refused_at_the_start() {
    let fixture = Fixture::new("founding-3x3");
    for (flag, value, message) in [
        ("--fallback", "nobody", "error: fallback: expected one of stay, random,"),
        (
            "--fallback",
            "iqr-mmt",
            "error: fallback: expected a baseline that decides about one snapshot by itself, got \
             \"iqr-mmt\", which remembers the nodes' utilisation in earlier ticks from tick to tick \
             (take thr-mmt)",
        ),
        ("--demote-above", "NaN", "error: demote-above: expected a number of at least 0, got NaN"),
        ("--demote-above", "-1", "error: demote-above: expected a number of at least 0, got -1"),
    ] {
        let mut command = scorer();
        command.args(["serve", "--listen", "127.0.0.1:0", "--model"]).arg(fixture.model());
        let refused = command.arg(format!("{flag}={value}")).assert().code(2);
        refused.stderr(predicates::str::starts_with(message));
    }
}
