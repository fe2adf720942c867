//! Decisions of the log are made again, and come out the same in every bit.

use std::fs;
use std::path::Path;

use godwit_models::net::Architecture;
use serde_json::{Value, json};

use super::{end, equal, files, folder, of_kind, records, replay, snapshot, start};
use crate::support::{Fixture, scorer, write_artifact_with};

#[test]
fn every_kind_of_decision_is_made_again_bit_for_bit() {
    let fixture = Fixture::new("quickstart");
    // Indented, with an escape and a number that only the text itself tells.
    let body = serde_json::to_string_pretty(&snapshot(&fixture)).unwrap() + "\n";
    let service = start(&fixture, &["--mode", "active", "--max-moves", "4"]);
    let whole = service.post("/v1/plan", &body).ok();
    assert!(whole["plan"]["moves"].as_array().unwrap().len() > 1, "{whole}");
    service.post("/v1/plan?max_moves=2", &body).ok();
    service.post("/v1/decide", &body).ok();
    let late = service.post("/v1/plan?deadline_ms=0", &body).ok();
    assert_eq!(late["plan"]["stop_reason"], "deadline");
    for deadline_ms in 1..4 {
        service.post(&format!("/v1/plan?deadline_ms={deadline_ms}"), &body).ok();
    }
    service.post("/v1/halt", "").ok();
    let halted = service.post("/v1/plan", &body).ok();
    assert_eq!(halted["plan"]["stop_reason"], "halted");
    service.post("/v1/resume", "").ok();
    service.post("/v1/model/reload", "").ok();
    assert_eq!(service.post("/v1/plan", "{").status, 400);
    end(service);

    let records = records(&folder(&fixture));
    assert!(records.iter().all(|record| record["format"] == "godwit-decision-log/1"));
    let others: Vec<&Value> =
        records.iter().map(|record| &record["kind"]).filter(|kind| *kind != "decision").collect();
    assert_eq!(others, ["file", "start", "halt", "resume", "reload", "end"]);
    let first = of_kind(&records, "decision")[0];
    assert_eq!((&first["id"], &first["mode"]), (&whole["id"], &json!("active")));
    assert_eq!((&first["answer"], &first["max_moves"]), (&whole, &json!(4)));
    assert_eq!(first["snapshot"], snapshot(&fixture));
    assert_eq!(equal(&fixture), 8);
}

#[test]
fn the_best_of_several_plans_is_found_again_wherever_a_deadline_fell() {
    let fixture = Fixture::new("quickstart");
    let body = fs::read(fixture.snapshot()).unwrap();
    let service = start(&fixture, &["--best-of", "200", "--fallback", "best-single-move"]);
    let whole = service.post("/v1/plan?stays=list", &body).ok();
    assert!(!whole["stays"]["workloads"].as_array().unwrap().is_empty(), "{whole}");
    for deadline_ms in [1, 2, 3, 5, 8, 13, 21, 34, 55, 89] {
        service.post(&format!("/v1/plan?deadline_ms={deadline_ms}"), &body).ok();
    }
    service.post("/v1/halt", "").ok();
    service.post("/v1/plan?stays=list", &body).ok();
    end(service);
    let records = records(&folder(&fixture));
    let made = of_kind(&records, "decision");
    assert_eq!((&made[0]["best_of"], &made[0]["list_stays"]), (&json!(200), &json!(true)));
    let asked: Vec<u64> = made.iter().map(|record| record["decisions"].as_u64().unwrap()).collect();
    assert!(asked[1] < asked[0], "{asked:?}");
    assert_eq!(equal(&fixture), 12);
}

#[test]
fn what_was_thought_is_thought_again_wherever_the_clock_ended_it() {
    for scenario in ["quickstart", "founding-10x50"] {
        let fixture = Fixture::new(scenario);
        let body = fs::read(fixture.snapshot()).unwrap();
        let service = start(&fixture, &["--think", "40", "--best-of", "3"]);
        let whole = service.post("/v1/plan", &body).ok();
        let simulations = &whole["thought"]["simulations"];
        assert!(simulations.as_u64().unwrap() > 0, "{whole}");
        for deadline_ms in [0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89] {
            service.post(&format!("/v1/plan?deadline_ms={deadline_ms}"), &body).ok();
        }
        let metrics = String::from_utf8(service.get("/metrics").body).unwrap();
        let origin = whole["thought"]["origin"].as_str().unwrap();
        let counted = format!("origin=\"{origin}\"");
        let is_counted = |line: &str| line.contains("thoughts_total") && line.contains(&counted);
        assert!(metrics.lines().any(is_counted), "{metrics}");
        end(service);
        let records = records(&folder(&fixture));
        let first = of_kind(&records, "decision")[0];
        assert_eq!(first["think_ms"], 40);
        assert!(first["simulations"].as_u64() >= simulations.as_u64());
        assert_eq!(equal(&fixture), 12);
    }
}

#[test]
fn what_the_operators_limits_remember_is_a_part_of_the_record() {
    let fixture = Fixture::new("quickstart");
    fs::write(
        fixture.path("limits.toml"),
        "hold_down_ticks = 10\nmax_moves = 1\nmax_age_s = 3600.1\n\
         [backoff]\nfirst_ticks = 2\nfactor = 1.1\nmost_ticks = 9\nforget_ticks = 20",
    )
    .unwrap();
    let limits = fixture.path("limits.toml").display().to_string();
    let service = start(&fixture, &["--mode", "active", "--limits", &limits]);
    let mut cluster = snapshot(&fixture);
    cluster["taken_at_s"] = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs().into();
    let mut held = 0;
    for tick in 0..6 {
        cluster["tick"] = tick.into();
        let answer = service.post("/v1/plan", cluster.to_string()).ok();
        held += answer["left_out"]["resting"].as_u64().unwrap_or(0);
        for planned in answer["plan"]["moves"].as_array().unwrap() {
            let workloads = cluster["workloads"].as_array_mut().unwrap();
            let moved = workloads.iter_mut().find(|w| w["name"] == planned["workload_name"]);
            moved.unwrap()["node"] = planned["destination_name"].clone();
        }
    }
    assert!(held > 0, "nothing was remembered");
    cluster["taken_at_s"] = 1.5.into();
    let refused = service.post("/v1/plan", cluster.to_string()).ok();
    assert_eq!(refused["refusal"]["kind"], "stale");
    end(service);
    assert_eq!(equal(&fixture), 7);

    // Without what was remembered, other plans come out.
    let log = fixture.path("changed.jsonl");
    change(&fixture, &log, |record| record["moment"]["memory"]["moves"] = json!({}));
    let (code, summary) = replay(&log, &fixture.model());
    assert_eq!((code, &summary["decisions"]), (1, &json!(7)), "{summary}");
    assert!(summary["equal"].as_u64().unwrap() > 0, "the first decision remembers nothing");
}

/// Writes the first file of the log with each decision changed.
fn change(fixture: &Fixture, to: &Path, change: impl Fn(&mut Value)) {
    let text = fs::read_to_string(&files(&folder(fixture))[0]).unwrap();
    let changed = text.lines().map(|line| {
        let mut record: Value = serde_json::from_str(line).unwrap();
        if record["kind"] == "decision" {
            change(&mut record);
        }
        format!("{record}\n")
    });
    fs::write(to, changed.collect::<String>()).unwrap();
}

#[test]
fn a_plan_that_another_one_overtook_is_refused_again() {
    let fixture = Fixture::new("quickstart");
    let limits = fixture.path("limits.toml");
    fs::write(&limits, "hold_down_ticks = 9").unwrap();
    let service = start(&fixture, &["--limits", limits.to_str().unwrap()]);
    let mut cluster = snapshot(&fixture);
    cluster["tick"] = 5.into();
    service.post("/v1/plan", cluster.to_string()).ok();
    end(service);
    let log = fixture.path("changed.jsonl");
    let overtaken = |record: &mut Value| {
        let planned = &record["answer"]["plan"]["moves"][0];
        let workload = planned["workload_name"].as_str().unwrap().to_owned();
        let left = json!([{"tick": 4, "source": planned["destination_name"]}]);
        record["memory_at_check"] = json!({"latest": 4, "moves": {workload: left}});
        record["answer"].take();
    };
    change(&fixture, &log, overtaken);
    let (code, summary) = replay(&log, &fixture.model());
    assert_eq!(code, 1, "{summary}");
    let message = summary["differences"][0]["replayed"].as_str().unwrap();
    assert!(message.contains("got it back"), "{message}");
    change(&fixture, &log, |record| {
        overtaken(record);
        record["error"] = message.into();
    });
    let (code, summary) = replay(&log, &fixture.model());
    assert_eq!((code, &summary["equal"]), (0, &json!(1)), "{summary}");
}

#[test]
fn in_shadow_mode_the_plan_that_was_returned_is_made_again() {
    for returned in ["policy", "baseline"] {
        let fixture = Fixture::new("quickstart");
        let shadow = ["--mode", "shadow", "--baseline", "best-single-move", "--return", returned];
        let service = start(&fixture, &shadow);
        service.post("/v1/plan", fs::read(fixture.snapshot()).unwrap()).ok();
        end(service);
        let records = records(&folder(&fixture));
        let planner = &of_kind(&records, "decision")[0]["planner"];
        assert_eq!(*planner, if returned == "policy" { "policy" } else { "best-single-move" });
        assert_eq!(equal(&fixture), 1);
    }
}

#[test]
fn what_is_not_equal_is_told() {
    let fixture = Fixture::new("quickstart");
    let service = start(&fixture, &[]);
    for _ in 0..2 {
        service.post("/v1/plan", fs::read(fixture.snapshot()).unwrap()).ok();
    }
    end(service);
    let other = fixture.path("other.pt");
    write_artifact_with(&other, &fixture.scenario, Architecture::Relational, 1.0, |_| {});
    let (code, summary) = replay(&folder(&fixture), &other);
    assert_eq!((code, &summary["skipped"]["other_artifact"]), (2, &json!(2)), "{summary}");

    let file = &files(&folder(&fixture))[0];
    let text = fs::read_to_string(file).unwrap();
    // The last digit of the first cost.
    let cost = text.split_once("\"cost\":").unwrap().1.split_once(',').unwrap().0;
    let last = cost.len() - 1;
    let digit = if cost.ends_with('7') { "3" } else { "7" };
    let changed = format!("{}{digit}", &cost[..last]);
    let from = format!("\"cost\":{cost},");
    fs::write(file, text.replacen(&from, &format!("\"cost\":{changed},"), 1)).unwrap();
    let (code, summary) = replay(file, &fixture.model());
    assert_eq!((code, &summary["different"], &summary["equal"]), (1, &json!(1), &json!(1)));
    let difference = &summary["differences"][0];
    assert_eq!(difference["field"], "plan.moves[0].cost");
    assert_eq!(difference["logged"].to_string(), changed);
    assert_eq!(difference["replayed"].to_string(), cost);

    fs::write(file, text.replacen("\"decision\"", "\"decision", 1)).unwrap();
    let (code, summary) = replay(file, &fixture.model());
    assert_eq!((code, &summary["skipped"]), (2, &json!({"unreadable": 1})), "{summary}");
    for log in ["/nonexistent", fixture.path("").to_str().unwrap()] {
        let mut command = scorer();
        command.arg("replay").arg(log).arg("--model").arg(fixture.model());
        command.assert().code(2);
    }
}
