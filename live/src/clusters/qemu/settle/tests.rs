use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;

use godwit_models::plan::Method;
use serde_json::{Value, json};

use super::super::fleet::Fleet;
use super::super::mover::Mover;
use crate::cluster::{Figures, Order, Progress};

/// What a process of QEMU answers, as far as moves ask.
#[derive(Default)]
struct Process {
    status: &'static str,
    migration: &'static str,
    marked: bool,
    /// Why it does not let its guest run.
    refuses_to_run: Option<&'static str>,
    told: Vec<String>,
}

impl Process {
    /// What it answers; nothing where it ends.
    fn answer(&mut self, command: &Value) -> Option<Value> {
        let name = command["execute"].as_str().unwrap_or_default();
        if !name.starts_with("q") || name == "quit" {
            self.told.push(name.to_owned());
        }
        let value = match name {
            "query-status" => json!({ "status": self.status }),
            "query-migrate" => json!({ "status": self.migration }),
            "qom-list" if self.marked => json!([{ "name": "godwit-handed-over" }]),
            "qom-list" => json!([]),
            "cont" => match self.refuses_to_run {
                Some(desc) => return Some(json!({ "error": { "desc": desc } })),
                None => {
                    self.status = "running";
                    json!({})
                }
            },
            _ => {
                self.marked = name == "object-add" || (self.marked && name != "object-del");
                json!({})
            }
        };
        (name != "quit").then(|| json!({ "return": value }))
    }
}

fn begin(folder: &Path, host: &str, process: Process) -> Arc<Mutex<Process>> {
    let path = folder.join(format!("{host}.qmp"));
    let listener = UnixListener::bind(&path).unwrap();
    let process = Arc::new(Mutex::new(process));
    let shared = Arc::clone(&process);
    thread::spawn(move || {
        for stream in listener.incoming() {
            if talk(&stream.unwrap(), &shared).is_none() {
                std::fs::remove_file(path).unwrap();
                return;
            }
        }
    });
    process
}

/// One conversation; nothing where the process is told to quit.
fn talk(mut stream: &UnixStream, process: &Mutex<Process>) -> Option<()> {
    // Whoever has heard enough hangs up.
    let _ = stream.write_all(b"{\"QMP\": {}}\n");
    for line in BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok) {
        let command: Value = serde_json::from_str(&line).unwrap();
        let answer = process.lock().unwrap().answer(&command);
        let text = answer.clone().unwrap_or(json!({ "return": {} }));
        let _ = stream.write_all(format!("{text}\n").as_bytes());
        answer?;
    }
    Some(())
}

fn mover(folder: &Path) -> Arc<Mover> {
    let settings = format!(
        "qmp = 'unix:{}/{{host}}.qmp'\nincoming = 'tcp:x:0'\nguests = [{{name = 'g'}}]\n\
         [[hosts]]\nname = 'a'\nmemory_gib = 1\ncpu_cores = 1\nbandwidth_gib_s = 1\n\
         [[hosts]]\nname = 'b'\nmemory_gib = 1\ncpu_cores = 1\nbandwidth_gib_s = 1\n\
         [[hosts]]\nname = 'c'\nmemory_gib = 1\ncpu_cores = 1\nbandwidth_gib_s = 1\n",
        folder.display()
    );
    let fleet = Fleet::new(&toml::from_str(&settings).unwrap()).unwrap();
    Arc::new(Mover::new(Arc::new(fleet)))
}

fn order() -> Order {
    Order {
        id: "d1.0".to_owned(),
        workload: "g".to_owned(),
        source: "a".to_owned(),
        destination: "b".to_owned(),
        method: Method::Live,
        predicted: Figures::default(),
    }
}

fn finished() -> Process {
    Process { status: "postmigrate", migration: "completed", ..Process::default() }
}

fn arrived() -> Process {
    Process { status: "paused", migration: "completed", ..Process::default() }
}

#[test]
fn the_source_is_marked_before_the_destination_runs_and_ended_after_that() {
    let folder = tempfile::tempdir().unwrap();
    let source = begin(folder.path(), "a", finished());
    let destination = begin(folder.path(), "b", arrived());
    let progress = mover(folder.path()).advance(&order());
    assert!(matches!(progress, Ok(Progress::Done(_))), "{progress:?}");
    assert_eq!(source.lock().unwrap().told, ["object-add", "quit"]);
    assert_eq!(destination.lock().unwrap().told, ["cont"]);
}

#[test]
fn a_guest_that_its_destination_will_not_run_goes_on_at_its_source() {
    let folder = tempfile::tempdir().unwrap();
    let source = begin(folder.path(), "a", finished());
    let refuses_to_run = Some("the disk is locked");
    let destination = begin(folder.path(), "b", Process { refuses_to_run, ..arrived() });
    let progress = mover(folder.path()).advance(&order());
    let why = "the destination would not run: the disk is locked";
    assert_eq!(progress, Ok(Progress::Failed(why.to_owned())));
    assert_eq!(source.lock().unwrap().told, ["object-add", "object-del", "cont"]);
    assert_eq!(destination.lock().unwrap().told, ["cont", "quit"]);
}

#[test]
fn nothing_is_resumed_while_the_guest_runs_on_a_third_host() {
    let folder = tempfile::tempdir().unwrap();
    let source = begin(folder.path(), "a", finished());
    let _third = begin(folder.path(), "c", Process { status: "running", ..Process::default() });
    let told = mover(folder.path()).advance(&order()).unwrap_err();
    let expected = "the guest runs on c: it must not be resumed on a as well; end the wrong \
                    process by hand (`quit`)";
    assert_eq!(told.to_string(), expected);
    assert_eq!(source.lock().unwrap().told, Vec::<String>::new());
}

#[test]
fn a_guest_that_stands_still_at_its_source_is_told_to() {
    let folder = tempfile::tempdir().unwrap();
    let paused = Process { status: "paused", migration: "cancelled", ..Process::default() };
    begin(folder.path(), "a", paused);
    let why = "the migration was given up; at its source, the guest is paused";
    assert_eq!(mover(folder.path()).advance(&order()), Ok(Progress::Failed(why.to_owned())));
}
