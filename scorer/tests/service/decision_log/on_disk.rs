//! The log survives what happens to processes, clocks, folders and disks.

use std::process::Command;
use std::time::{Duration, SystemTime};
use std::{fs, thread};

use serde_json::Value;

use super::{end, equal, files, folder, logging, of_kind, records, replay, snapshot, start};
use crate::support::Fixture;
use crate::support::service::{Service, command, eventually};

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
