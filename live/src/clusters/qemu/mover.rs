//! What all parts of a move need: its two places, and a hold on its guest.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use super::fleet::Fleet;
use super::measure::Copied;
use super::presence::{self, Migration, Presence};
use super::qmp::{Address, Monitor, QmpError};
use crate::cluster::{CallError, Order, Progress};

/// Between two looks at a process that is to end.
const PAUSE: Duration = Duration::from_millis(10);

/// Moves the guests of a fleet.
pub struct Mover {
    /// Hosts and guests.
    pub fleet: Arc<Fleet>,
    /// What the last moves copied.
    pub copied: Copied,
    slots: Vec<Mutex<Slot>>,
}

/// What is known of a guest's last move beyond what the monitors say: what is lost with the process
/// at its source, and nothing that a step depends on.
#[derive(Default)]
pub struct Slot {
    /// Name of the move.
    pub order: String,
    /// Whether somebody carries it on.
    pub followed: bool,
    /// When QEMU was told to begin; unknown after a crash.
    pub started: Option<Instant>,
    /// What the source said last.
    pub migration: Migration,
    /// What had been sent when the first round of copying was seen to be over, GiB.
    pub first_round_gib: Option<f32>,
    /// When the guest was resumed at its destination.
    pub resumed_at: Option<Instant>,
    /// Whether it was to be given up. QEMU may call that a broken connection.
    pub given_up: bool,
    /// Why the guest had to be resumed at its source.
    pub went_back: Option<String>,
    /// How it ended.
    pub settled: Option<Progress>,
}

/// The two places of a move.
pub struct Route<'a> {
    /// Index of the guest.
    pub guest: usize,
    /// Index of the host that it leaves.
    pub source: usize,
    /// Index of the host that it goes to.
    pub destination: usize,
    /// The monitor at the source.
    pub from: &'a Address,
    /// The monitor at the destination.
    pub to: &'a Address,
}

impl Mover {
    /// Moves the guests of this fleet.
    pub fn new(fleet: Arc<Fleet>) -> Self {
        let slots = fleet.settings.guests.iter().map(|_| Mutex::default()).collect();
        Self { fleet, copied: Copied::default(), slots }
    }

    /// Where an order leads.
    ///
    /// # Errors
    /// When it names what there is not.
    pub fn route(&self, order: &Order) -> Result<Route<'_>, CallError> {
        let missing = |what: &str, name: &str| {
            CallError::Refused(format!("[qemu]: expected the name of a {what}, got {name:?}"))
        };
        let host = |name: &str| self.fleet.host(name).ok_or_else(|| missing("host", name));
        let guest = self.fleet.guest(&order.workload);
        let guest = guest.ok_or_else(|| missing("guest", &order.workload))?;
        let [source, destination] = [host(&order.source)?, host(&order.destination)?];
        if source == destination {
            let why = format!("expected a move to another host, got one to {:?}", order.source);
            return Err(CallError::Refused(why));
        }
        let [from, to] = [source, destination].map(|host| self.fleet.monitor(guest, host));
        Ok(Route { guest, source, destination, from, to })
    }

    /// A hold on a guest: whoever changes what becomes of it has to have one.
    pub fn slot(&self, guest: usize) -> MutexGuard<'_, Slot> {
        // What a panic may have left half-written are only figures.
        self.slots[guest].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at one place.
    pub fn look(&self, address: &Address) -> Presence {
        presence::look(address, self.fleet.time_out)
    }

    /// Another host than the two of the move on which the guest runs.
    pub fn elsewhere(&self, route: &Route<'_>) -> Option<&str> {
        let hosts = self.fleet.settings.hosts.iter().enumerate();
        let mut others = hosts.filter(|(i, _)| *i != route.source && *i != route.destination);
        let runs = |host: usize| self.look(self.fleet.monitor(route.guest, host)).runs();
        others.find(|(i, _)| runs(*i)).map(|(_, host)| &*host.name)
    }

    /// Gives a command without arguments.
    ///
    /// # Errors
    /// When it is not known to be done.
    pub fn tell(&self, address: &Address, command: &str) -> Result<(), QmpError> {
        let mut monitor = Monitor::connect(address, self.fleet.time_out)?;
        monitor.execute(command, json!({})).map(drop)
    }

    /// Ends a process, and waits until it is gone.
    ///
    /// # Errors
    /// When it is not known to be gone.
    pub fn end(&self, address: &Address) -> Result<(), QmpError> {
        match self.tell(address, "quit") {
            Ok(()) => {}
            Err(QmpError::Absent(_)) => return Ok(()),
            Err(error) => return Err(error),
        }
        let deadline = Instant::now() + self.fleet.time_out;
        while self.look(address) != Presence::Absent {
            if Instant::now() >= deadline {
                let why = "it was told to quit, and is still there".to_owned();
                return Err(QmpError::Silent(address.clone(), why));
            }
            thread::sleep(PAUSE);
        }
        Ok(())
    }
}

/// What a call is answered where nobody knows whether a command took effect.
pub fn unknown(error: QmpError) -> CallError {
    CallError::Unknown(error.to_string())
}

/// What a call is answered where it may be made again.
pub fn later(reason: impl ToString) -> CallError {
    CallError::Later { reason: reason.to_string(), after: None }
}
