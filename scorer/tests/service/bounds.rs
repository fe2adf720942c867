//! What clients can make the service hold: names, kept answers, the decision log.

#![cfg(unix)] // signals

use std::path::PathBuf;
use std::time::{Duration, SystemTime};
use std::{fs, thread};

use serde_json::{Value, json};

use crate::support::Fixture;
use crate::support::service::{Service, eventually};

#[test]
fn long_names_are_refused_by_field_and_length_and_not_repeated() {
    let fixture = Fixture::new("founding-3x3");
    let service = Service::start(&fixture, &[]);
    let mut snapshot: Value =
        serde_json::from_slice(&fs::read(fixture.snapshot()).unwrap()).unwrap();
    snapshot["workloads"][1]["name"] = "x".repeat(7_000_000).into();
    let before = service.memory_kib("VmRSS");
    for _ in 0..5 {
        let answer = service.post("/v1/plan?stays=list", snapshot.to_string());
        assert_eq!(answer.status, 422);
        let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
        assert_eq!(
            message,
            "body: workloads[1].name: expected a name of at most 253 bytes, got one of 7000000 bytes"
        );
    }
    let grown = service.memory_kib("VmRSS").saturating_sub(before);
    assert!(grown < 100_000, "{grown} KiB for what was refused");
    snapshot["workloads"][1]["name"] = "x".repeat(253).into();
    let answer = service.post("/v1/plan?stays=list", snapshot.to_string()).ok();
    assert!(answer.to_string().contains(&"x".repeat(253)), "{answer}");
}

fn found(service: &Service, id: &str) -> u16 {
    service.get(&format!("/v1/decisions/{id}")).status
}

#[test]
fn kept_answers_are_bounded_in_bytes() {
    let fixture = Fixture::new("founding-10x50");
    let service = Service::start(&fixture, &["--keep-decisions-bytes", "100000"]);
    let body = fs::read(fixture.snapshot()).unwrap();
    let mut sizes = Vec::new();
    let ids: Vec<String> = (0..60)
        .map(|_| {
            let answer = service.post("/v1/plan?stays=list", &body);
            sizes.push(answer.body.len());
            answer.ok()["id"].as_str().unwrap().to_owned()
        })
        .collect();
    let kept = ids.iter().filter(|id| found(&service, id) == 200).count();
    // The newest ones, as many as fit with little more than their length.
    let total: usize = sizes.iter().rev().take(kept).sum();
    assert!(total <= 100_000 && total > 90_000 - sizes[0], "{kept} answers, {total} bytes");
    assert!(ids[60 - kept..].iter().all(|id| found(&service, id) == 200));
}

#[test]
fn an_answer_larger_than_all_that_is_kept_says_so() {
    let fixture = Fixture::new("founding-3x3");
    let service = Service::start(&fixture, &["--keep-decisions-bytes", "400"]);
    let body = fs::read(fixture.snapshot()).unwrap();
    let id = service.post("/v1/plan", &body).ok()["id"].as_str().unwrap().to_owned();
    let answer = service.get(&format!("/v1/decisions/{id}"));
    assert_eq!(answer.error(), (404, "decision_too_large".to_owned()));
    let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("400 bytes (--keep-decisions-bytes)"), "{message}");
    let snapshot: Value = serde_json::from_slice(&body).unwrap();
    let told = json!({"id": id, "snapshot": snapshot}).to_string();
    let answer = service.post("/v1/feedback", told);
    assert_eq!(answer.error(), (404, "decision_too_large".to_owned()));
}

const LOST: &str = "godwit_scorer_decision_log_lost_total";
const FULL: &str = "godwit_scorer_decision_log_full";
const RECORDS: &str = "godwit_scorer_decision_log_records_total";

fn start(fixture: &Fixture, more: &[&str]) -> Service {
    let folder = fixture.path("decisions").display().to_string();
    Service::start(fixture, &[&["--decision-log", &folder], more].concat())
}

/// The log's files, the oldest first.
fn files(fixture: &Fixture) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(fixture.path("decisions"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"))
        .collect();
    files.sort();
    files
}

fn bytes(fixture: &Fixture) -> u64 {
    files(fixture).iter().map(|file| fs::metadata(file).unwrap().len()).sum()
}

fn age(file: &PathBuf, by: Duration) {
    let opened = fs::File::options().write(true).open(file).unwrap();
    opened.set_modified(SystemTime::now() - by).unwrap();
}

#[test]
fn nobody_flushes_the_decision_log_before_its_least_time() {
    let fixture = Fixture::new("founding-3x3");
    let body = fs::read(fixture.snapshot()).unwrap();
    let service = start(&fixture, &["--log-max-bytes", "20000", "--log-keep", "3"]);
    assert_eq!(service.metric("godwit_scorer_decision_log_bound_bytes"), 60_000.0);
    // With its quotation marks: others begin with it.
    let first = service.post("/v1/plan", &body).ok()["id"].to_string();
    eventually("a full log", || {
        service.post("/v1/plan", &body).ok();
        service.metric(FULL) == 1.0
    });
    for _ in 0..20 {
        service.post("/v1/plan", &body).ok();
    }
    // The log may have been found full before anything was lost.
    eventually("losses", || {
        service.post("/v1/plan", &body).ok();
        service.metric(LOST) > 20.0
    });
    assert!(bytes(&fixture) <= 60_000, "{} bytes", bytes(&fixture));
    let oldest = fs::read_to_string(&files(&fixture)[0]).unwrap();
    assert!(oldest.contains(&first), "the first record was flushed");
    assert_eq!(service.log().matches("the decision log is full").count(), 1, "{}", service.log());

    // Once the oldest may go, the log goes on.
    age(&files(&fixture)[0], Duration::from_secs(3_700));
    let (lost, records) = (service.metric(LOST), service.metric(RECORDS));
    service.post("/v1/plan", &body).ok();
    eventually("another record", || service.metric(RECORDS) > records);
    assert_eq!((service.metric(FULL), service.metric(LOST)), (0.0, lost));
    assert!(!fs::read_to_string(&files(&fixture)[0]).unwrap().contains(&first));
    assert!(bytes(&fixture) <= 60_000, "{} bytes", bytes(&fixture));
}

#[test]
fn where_records_are_required_a_full_log_refuses_decisions() {
    let fixture = Fixture::new("founding-3x3");
    let body = fs::read(fixture.snapshot()).unwrap();
    let bounds = ["--log-max-bytes", "20000", "--log-keep", "2", "--log-required"];
    let service = start(&fixture, &bounds);
    eventually("a refusal", || {
        let answer = service.post("/v1/plan", &body);
        if answer.status == 200 {
            return false;
        }
        assert_eq!(answer.error(), (503, "decision_log".to_owned()));
        true
    });
    assert_eq!(service.metric(FULL), 1.0);
    let oldest = files(&fixture)[0].clone();
    age(&oldest, Duration::from_secs(3_700));
    service.post("/v1/plan", &body).ok();
    assert!(!oldest.exists());
}

#[test]
fn restarts_flush_no_young_records() {
    let fixture = Fixture::new("founding-3x3");
    for _ in 0..4 {
        let mut service = start(&fixture, &["--log-keep", "2"]);
        service.signal("TERM");
        service.ended();
    }
    assert_eq!(files(&fixture).len(), 4);
    for file in files(&fixture) {
        age(&file, Duration::from_secs(3_700));
    }
    let _service = start(&fixture, &["--log-keep", "2"]);
    assert_eq!(files(&fixture).len(), 2);
}

#[test]
fn a_file_of_a_stated_age_gets_no_further_records() {
    let fixture = Fixture::new("founding-3x3");
    let body = fs::read(fixture.snapshot()).unwrap();
    let service = start(&fixture, &["--log-max-age-s", "1", "--log-required"]);
    service.post("/v1/plan", &body).ok();
    assert_eq!(files(&fixture).len(), 1);
    thread::sleep(Duration::from_millis(1_100));
    service.post("/v1/plan", &body).ok();
    assert_eq!(files(&fixture).len(), 2);
}
