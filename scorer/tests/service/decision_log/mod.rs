//! Decisions are put down, survive what happens to processes and disks, and are made again.

#![cfg(unix)] // signals, and limits on the size of files

mod made_again;
mod on_disk;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::service::Service;
use crate::support::{Fixture, scorer};

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
