//! Decisions are put down, survive what happens to processes and disks, and are made again.

#![cfg(unix)] // signals, and limits on the size of files

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, SystemTime};

use godwit_models::net::Architecture;
use serde_json::{Value, json};

use crate::support::service::{Service, command, eventually};
use crate::support::{Fixture, scorer, write_artifact_with};

/// Folder of the fixture's decision log.
fn folder(fixture: &Fixture) -> PathBuf {
    fixture.path("decisions")
}

/// Arguments of a service that logs there.
fn logging(fixture: &Fixture, more: &[&str]) -> Vec<String> {
    let folder = folder(fixture).display().to_string();
    ["--decision-log", &folder].iter().chain(more).map(|&word| word.to_owned()).collect()
}

fn start(fixture: &Fixture, more: &[&str]) -> Service {
    let arguments = logging(fixture, more);
    Service::start(fixture, &arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

fn end(mut service: Service) {
    service.signal("TERM");
    assert_eq!(service.ended().code(), Some(0), "{}", service.log());
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "jsonl"));
    files.sort();
    files
}

/// All whole lines of all files.
fn records(folder: &Path) -> Vec<Value> {
    let mut records = Vec::new();
    for file in files(folder) {
        let text = fs::read_to_string(file).unwrap();
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let lines = text[..whole].lines();
        records.extend(lines.map(|line| serde_json::from_str::<Value>(line).unwrap()));
    }
    records
}

fn of_kind<'a>(records: &'a [Value], kind: &str) -> Vec<&'a Value> {
    records.iter().filter(|record| record["kind"] == kind).collect()
}

/// Exit code and document of a replay.
fn replay(log: &Path, model: &Path) -> (i32, Value) {
    let mut command = scorer();
    command.arg("replay").arg(log).arg("--model").arg(model).arg("--json");
    let output = command.output().unwrap();
    let summary = serde_json::from_slice(&output.stdout);
    let summary = summary.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code().unwrap(), summary)
}

/// Replays everything, of which each decision must come out the same, and counts decisions.
fn equal(fixture: &Fixture) -> u64 {
    let (code, summary) = replay(&folder(fixture), &fixture.model());
    assert_eq!((code, &summary["equal"]), (0, &summary["decisions"]), "{summary}");
    summary["equal"].as_u64().unwrap()
}

fn snapshot(fixture: &Fixture) -> Value {
    serde_json::from_slice(&fs::read(fixture.snapshot()).unwrap()).unwrap()
}

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

#[test]
fn a_process_that_is_killed_under_load_tears_at_most_the_last_line() {
    let fixture = Fixture::new("founding-3x3");
    let body = fs::read(fixture.snapshot()).unwrap();
    for round in 1..=3 {
        let more = ["--log-max-bytes", "40000", "--log-keep", "9999"];
        let mut service = start(&fixture, &more);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let client = ureq::agent();
                    let url = format!("{}/v1/plan", service.url);
                    while client.post(&url).send(&body[..]).is_ok() {}
                });
            }
            eventually("some records", || records(&folder(&fixture)).len() > round * 60);
            service.signal("KILL");
        });
        service.ended();
    }
    // What kill -9 may leave, and seldom does.
    let last = files(&folder(&fixture)).pop().unwrap();
    let mut text = fs::read_to_string(&last).unwrap();
    text.push_str("{\"format\":\"godwit-decision-lo");
    fs::write(last, text).unwrap();
    let service = start(&fixture, &["--log-keep", "9999"]);
    service.post("/v1/plan", &body).ok();
    end(service);
    let records = records(&folder(&fixture));
    assert_eq!(of_kind(&records, "start").len(), 4);
    assert!(equal(&fixture) > 100);
    let (_, summary) = replay(&folder(&fixture), &fixture.model());
    assert!(summary["torn_lines"].as_u64().unwrap() >= 1, "{summary}");
}

/// Files are in the order of their numbers, whatever the clock says: one that is put back makes
/// neither the newest records the first ones to go, nor anything unreadable.
#[test]
fn a_clock_that_is_put_back_costs_no_record() {
    let fixture = Fixture::new("founding-3x3");
    let body = fs::read(fixture.snapshot()).unwrap();
    for _ in 0..3 {
        let service = start(&fixture, &[]);
        service.post("/v1/plan", &body).ok();
        end(service);
    }
    // All of that was written in a far future, and each process lived earlier than the one before.
    let before = files(&folder(&fixture));
    assert_eq!(before.len(), 3);
    for (age, file) in before.iter().enumerate() {
        let at = Duration::from_secs(4_000_000_000 - 1_000 * age as u64);
        let put_back = |line: &str| {
            let mut record: Value = serde_json::from_str(line).unwrap();
            record["time_s"] = at.as_secs_f64().into();
            if record["kind"] == "decision" {
                record["moment"]["now_us"] = (at.as_micros() as u64).into();
            }
            format!("{record}\n")
        };
        let text = fs::read_to_string(file).unwrap();
        fs::write(file, text.lines().map(put_back).collect::<String>()).unwrap();
        let opened = fs::File::options().write(true).open(file).unwrap();
        opened.set_modified(SystemTime::UNIX_EPOCH + at).unwrap();
    }
    assert_eq!(equal(&fixture), 3);
    let service = start(&fixture, &["--log-keep", "3"]);
    service.post("/v1/plan", &body).ok();
    end(service);
    let after = files(&folder(&fixture));
    assert_eq!((after.len(), &after[..2]), (3, &before[1..]));
    assert!(after[2] > before[2], "{after:?}");
    assert_eq!(equal(&fixture), 3);
}

#[test]
fn rotation_keeps_the_newest_files_and_everything_in_them() {
    let fixture = Fixture::new("founding-3x3");
    let bounds = ["--log-max-bytes", "20000", "--log-keep", "3", "--log-keep-s", "0"];
    let service = start(&fixture, &bounds);
    let body = fs::read(fixture.snapshot()).unwrap();
    let answered: Vec<Value> =
        (0..60).map(|_| service.post("/v1/plan", &body).ok()["id"].clone()).collect();
    end(service);
    let files = files(&folder(&fixture));
    assert_eq!(files.len(), 3, "{files:?}");
    assert!(files.iter().all(|file| fs::metadata(file).unwrap().len() <= 20_000));
    let records = records(&folder(&fixture));
    let kept: Vec<Value> =
        of_kind(&records, "decision").iter().map(|record| record["id"].clone()).collect();
    assert!(kept.len() > 5 && kept.len() < 60, "{}", kept.len());
    assert_eq!(kept, answered[60 - kept.len()..]);
    assert_eq!(of_kind(&records, "file").len(), 3);
    assert_eq!(equal(&fixture), kept.len() as u64);
}

const LOST: &str = "godwit_scorer_decision_log_lost_total";
const WRITTEN: &str = "godwit_scorer_decision_log_records_total";

#[test]
fn a_folder_that_vanishes_costs_records_and_no_decisions() {
    let fixture = Fixture::new("founding-3x3");
    let service = start(&fixture, &["--log-sync", "always"]);
    let body = fs::read(fixture.snapshot()).unwrap();
    service.post("/v1/plan", &body).ok();
    eventually("two records", || service.metric(WRITTEN) == 2.0);
    fs::remove_dir_all(folder(&fixture)).unwrap();
    for _ in 0..3 {
        service.post("/v1/plan", &body).ok();
    }
    eventually("the loss", || service.metric(LOST) == 3.0);
    assert!(service.metric("godwit_scorer_decision_log_bytes_total") > 1000.0);
    assert_eq!(service.metric("godwit_scorer_decision_log_sync_failures_total"), 0.0);
    fs::create_dir(folder(&fixture)).unwrap();
    service.post("/v1/plan", &body).ok();
    end(service);
    let log = fs::read_to_string(fixture.path("log")).unwrap();
    assert_eq!(log.matches("records of decisions are lost").count(), 1, "{log}");
    assert!(log.contains("the decision log is kept again"), "{log}");
    assert_eq!(equal(&fixture), 1);
}

#[test]
fn a_required_log_that_fails_refuses_decisions() {
    let fixture = Fixture::new("founding-3x3");
    let service = start(&fixture, &["--log-required", "--mode", "active"]);
    // The same question would be answered as before.
    let at = |tick: u64| {
        let mut cluster = snapshot(&fixture);
        cluster["tick"] = tick.into();
        cluster.to_string()
    };
    service.post("/v1/plan", at(0)).ok();
    assert_eq!(of_kind(&records(&folder(&fixture)), "decision").len(), 1, "it did not wait");
    fs::remove_dir_all(folder(&fixture)).unwrap();
    for _ in 0..2 {
        assert_eq!(service.post("/v1/plan", at(1)).error(), (503, "decision_log".to_owned()));
    }
    service.post("/v1/halt", "").ok();
    fs::create_dir(folder(&fixture)).unwrap();
    service.post("/v1/plan", at(1)).ok();
    assert_eq!(equal(&fixture), 1);
}

#[test]
fn a_full_disk_leaves_only_whole_lines() {
    let fixture = Fixture::new("founding-3x3");
    let body = fs::read(fixture.snapshot()).unwrap();
    for required in [false, true] {
        let more: &[&str] = if required { &["--log-required"] } else { &[] };
        let arguments = logging(&fixture, more);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        // No file may grow beyond 16 blocks: the write that would is cut short, and the next ones
        // fail, as on a full disk.
        let service = command(&fixture, &arguments);
        let mut shell = Command::new("sh");
        shell.args(["-c", "trap '' XFSZ; ulimit -f 16; exec \"$0\" \"$@\""]);
        shell.arg(service.get_program()).args(service.get_args());
        let service = Service::spawn(&fixture, shell);
        let refused: Vec<u16> = (0..12).map(|_| service.post("/v1/plan", &body).status).collect();
        assert_eq!(refused.contains(&503), required, "{refused:?}");
        eventually("the loss", || service.metric(LOST) > 0.0);
        end(service);
    }
    assert!(files(&folder(&fixture)).iter().all(|file| fs::read(file).unwrap().ends_with(b"\n")));
    assert!(equal(&fixture) > 0);
}

#[test]
fn a_folder_has_one_writer() {
    let fixture = Fixture::new("founding-3x3");
    let _first = start(&fixture, &[]);
    let arguments = logging(&fixture, &[]);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let second = command(&fixture, &arguments).output().unwrap();
    let message = String::from_utf8(second.stderr).unwrap();
    assert_eq!(second.status.code(), Some(2), "{message}");
    assert!(message.contains("expected a folder that no other process logs to"), "{message}");
}
