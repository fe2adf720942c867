//! Processes of QEMU that only answer, for tests of what they are told.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;

use godwit_models::plan::Method;
use serde_json::{Value, json};

use super::fleet::Fleet;
use super::mover::Mover;
use crate::cluster::{Figures, Order};

/// What a process of QEMU answers, as far as moves ask.
#[derive(Default)]
pub struct Process {
    /// Its state, in QEMU's word.
    pub status: &'static str,
    /// How its last migration is.
    pub migration: &'static str,
    /// Whether its guest was handed over.
    pub marked: bool,
    /// Why it does not let its guest run.
    pub refuses_to_run: Option<&'static str>,
    /// Whether its migration is completed as soon as one question has been answered.
    pub completes: bool,
    /// The commands that were no questions.
    pub commands: Vec<Value>,
}

impl Process {
    /// Names of the commands that were no questions.
    pub fn told(&self) -> Vec<&str> {
        self.commands.iter().filter_map(|command| command["execute"].as_str()).collect()
    }

    /// What it answers; nothing where it ends.
    fn answer(&mut self, command: &Value) -> Option<Value> {
        let name = command["execute"].as_str().unwrap_or_default();
        if !name.starts_with("q") || name == "quit" {
            self.commands.push(command.clone());
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
        if self.completes && name.starts_with("query-") {
            (self.status, self.migration, self.completes) = ("postmigrate", "completed", false);
        }
        (name != "quit").then(|| json!({ "return": value }))
    }
}

/// Lets a process answer at a host.
pub fn begin(folder: &Path, host: &str, process: Process) -> Arc<Mutex<Process>> {
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

/// Three hosts for the guest `g`.
pub fn mover(folder: &Path) -> Arc<Mover> {
    let settings = format!(
        "qmp = 'unix:{}/{{host}}.qmp'\nincoming = 'tcp:x:7'\nguests = [{{name = 'g'}}]\n\
         [[hosts]]\nname = 'a'\nmemory_gib = 1\ncpu_cores = 1\nbandwidth_gib_s = 1\n\
         [[hosts]]\nname = 'b'\nmemory_gib = 1\ncpu_cores = 1\nbandwidth_gib_s = 1\n\
         [[hosts]]\nname = 'c'\nmemory_gib = 1\ncpu_cores = 1\nbandwidth_gib_s = 1\n",
        folder.display()
    );
    let fleet = Fleet::new(&toml::from_str(&settings).unwrap()).unwrap();
    Arc::new(Mover::new(Arc::new(fleet)))
}

/// From the first host to the second.
pub fn order() -> Order {
    Order {
        id: "d1.0".to_owned(),
        workload: "g".to_owned(),
        source: "a".to_owned(),
        destination: "b".to_owned(),
        method: Method::Live,
        predicted: Figures::default(),
    }
}
