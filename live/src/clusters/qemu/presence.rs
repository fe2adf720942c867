//! What the monitor of a guest on one host says of it.

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use super::qmp::{Address, Monitor, QmpError};

/// Name of the object that marks a source whose guest was handed over: from then on, the guest may
/// have run elsewhere. It lives in the process, as nothing beside it could be lost with it.
const MARK: &str = "godwit-handed-over";

/// A guest at one host.
#[derive(Debug, Clone, PartialEq)]
pub enum Presence {
    /// No process of it is there.
    Absent,
    /// Nobody can tell; the reason.
    Silent(String),
    /// A process of it is there.
    There(Sight),
}

/// What a process says of itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Sight {
    /// What it does.
    pub state: State,
    /// The last migration from here or to here.
    pub migration: Migration,
    /// Whether it was marked by [`mark`].
    pub handed_over: bool,
}

/// What a process does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// The guest runs here.
    Running,
    /// It waits for a guest to come.
    Waiting,
    /// It holds a guest that stands still.
    Paused,
    /// The guest has just stopped here, and the end of its migration is about to show.
    Leaving,
    /// The guest has left, as far as this process is concerned.
    Finished,
    /// Anything else, as QEMU calls it.
    Other(String),
}

/// A migration as `query-migrate` shows it; empty where there was none.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Migration {
    /// As QEMU calls it.
    pub status: String,
    /// Why it failed.
    pub error_desc: Option<String>,
    /// Its length so far, milliseconds.
    pub total_time: Option<f32>,
    /// How long the source had stopped when it was over, milliseconds.
    pub downtime: Option<f32>,
    /// Traffic.
    pub ram: Option<Ram>,
    /// Where a destination waits.
    pub socket_address: Vec<SocketAddress>,
}

/// Traffic of a migration, in bytes.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Ram {
    /// Sent so far.
    pub transferred: u64,
    /// What is still to be sent.
    pub remaining: u64,
    /// All of the guest's memory.
    pub total: u64,
    /// The round that copying is in, from 1.
    pub dirty_sync_count: u64,
}

/// Where a destination waits; Unix sockets have no port.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct SocketAddress {
    /// The port that the system chose, as text.
    pub port: Option<String>,
}

#[derive(Deserialize)]
struct Status {
    status: String,
}

#[derive(Deserialize)]
struct Property {
    name: String,
}

impl Sight {
    /// Whether the state is being copied, or the end of that is not known yet.
    pub fn migrates(&self) -> bool {
        self.state == State::Leaving
            || !matches!(
                &*self.migration.status,
                "" | "none" | "completed" | "failed" | "cancelled"
            )
    }

    /// Whether the last migration, from here or to here, was a success.
    pub fn completed(&self) -> bool {
        self.migration.status == "completed"
    }
}

impl Presence {
    /// Whether the guest runs here.
    pub fn runs(&self) -> bool {
        matches!(self, Self::There(Sight { state: State::Running, .. }))
    }

    /// One or two words for it.
    pub fn describe(&self) -> String {
        match self {
            Self::Absent => "no process".to_owned(),
            Self::Silent(why) => why.clone(),
            Self::There(sight) => match &sight.state {
                State::Running => "running".to_owned(),
                State::Waiting => "waiting for a guest".to_owned(),
                State::Paused => "paused".to_owned(),
                State::Leaving => "about to be finished with its guest".to_owned(),
                State::Finished => "finished with its guest".to_owned(),
                State::Other(name) => format!("in state {name:?}"),
            },
        }
    }
}

/// Looks at a guest at one place.
pub fn look(address: &Address, time_out: Duration) -> Presence {
    match sight(address, time_out) {
        Ok(sight) => Presence::There(sight),
        Err(QmpError::Absent(_)) => Presence::Absent,
        Err(error) => Presence::Silent(error.to_string()),
    }
}

fn sight(address: &Address, time_out: Duration) -> Result<Sight, QmpError> {
    let mut monitor = Monitor::connect(address, time_out)?;
    // In this order: a source that is asked the other way round could show as running, with a
    // migration that was completed in between.
    let migration: Migration = monitor.ask("query-migrate", json!({}))?;
    let status: Status = monitor.ask("query-status", json!({}))?;
    let objects: Vec<Property> = monitor.ask("qom-list", json!({ "path": "/objects" }))?;
    let state = match &*status.status {
        "running" => State::Running,
        "inmigrate" => State::Waiting,
        "paused" => State::Paused,
        "finish-migrate" => State::Leaving,
        "postmigrate" => State::Finished,
        _ => State::Other(status.status),
    };
    let handed_over = objects.iter().any(|object| object.name == MARK);
    Ok(Sight { state, migration, handed_over })
}

/// Marks a source whose guest is about to run elsewhere.
///
/// # Errors
/// When it is not known to be marked now.
pub fn mark(address: &Address, time_out: Duration) -> Result<(), QmpError> {
    let arguments = json!({ "qom-type": "secret", "id": MARK, "data": "handed over" });
    Monitor::connect(address, time_out)?.execute("object-add", arguments).map(drop)
}

/// Takes the mark away from a process whose guest runs there again.
///
/// # Errors
/// When it is not known to be gone now.
pub fn unmark(address: &Address, time_out: Duration) -> Result<(), QmpError> {
    Monitor::connect(address, time_out)?.execute("object-del", json!({ "id": MARK })).map(drop)
}
