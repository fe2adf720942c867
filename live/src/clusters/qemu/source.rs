//! The cluster as its monitors show it.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use godwit_envs::snapshot::SnapshotWorkload;
use godwit_envs::state::cluster::Health;

use super::fleet::Fleet;
use super::measure::{Copied, Reading, Taken, read};
use super::placing::{Place, place};
use super::presence::{Presence, look};
use crate::clock::now_s;
use crate::cluster::{CallError, Seen, Source};

/// Looks at all guests on all hosts.
pub struct Monitors {
    fleet: Arc<Fleet>,
    copied: Copied,
    measured: Vec<Measured>,
}

/// What looks have measured of a guest so far.
#[derive(Default)]
struct Measured {
    /// When QEMU was last asked to measure its dirty rate.
    dirty_rate_asked: Option<Instant>,
    /// The last dirty rate, GiB/s.
    dirty_gib_s: Option<f32>,
    /// Its memory, GiB.
    memory_gib: Option<f32>,
    /// Its virtual processors.
    processors: Option<usize>,
    /// Processor time at the last look.
    taken: Option<Taken>,
    /// Cores that it took between the last two looks.
    cores: Option<f32>,
}

/// What was seen of one guest.
struct GuestSeen {
    /// At each host.
    places: Vec<Presence>,
    /// Where it is to be shown.
    place: Place,
    /// What it takes, where it answers there.
    reading: Option<Reading>,
}

impl Monitors {
    /// Looks at this fleet.
    pub fn new(fleet: Arc<Fleet>, copied: Copied) -> Self {
        let measured = fleet.settings.guests.iter().map(|_| Measured::default()).collect();
        Self { fleet, copied, measured }
    }

    /// Looks at all guests at once: a host that does not answer holds up each of them only once.
    fn look_everywhere(&mut self) -> Vec<GuestSeen> {
        let every = Duration::from_secs_f32(self.fleet.settings.dirty_rate_every_s);
        let now = Instant::now();
        let mut due = |measured: &mut Measured| {
            let last = measured.dirty_rate_asked;
            let due = !every.is_zero() && last.is_none_or(|last| now - last >= every);
            if due {
                measured.dirty_rate_asked = Some(now);
            }
            due
        };
        let due: Vec<bool> = self.measured.iter_mut().map(&mut due).collect();
        let fleet = &*self.fleet;
        thread::scope(|scope| {
            let looks: Vec<_> = due
                .into_iter()
                .enumerate()
                .map(|(guest, due)| scope.spawn(move || look_at(fleet, guest, due)))
                .collect();
            // It talks to monitors, and reads what they answer: nothing in that panics.
            looks.into_iter().map(|look| look.join().expect("a look does not panic")).collect()
        })
    }

    fn workload(&mut self, guest: usize, host: usize, seen: &GuestSeen) -> SnapshotWorkload {
        let measured = &mut self.measured[guest];
        let measures_cpu = self.fleet.settings.measure_cpu;
        if let Some(reading) = &seen.reading {
            measured.note(reading, measures_cpu);
        }
        let settings = &self.fleet.settings.guests[guest];
        let memory_gib = measured.memory_gib.unwrap_or(0.0);
        let stated = settings.cpu_cores.or(measured.processors.map(|n| n as f32));
        let copied = settings.state_gib.or_else(|| self.copied.of(guest));
        SnapshotWorkload {
            name: settings.name.clone(),
            node: Some(self.fleet.settings.hosts[host].name.clone()),
            nodes: settings.hosts.clone(),
            demand: vec![measured.cores.or(stated).unwrap_or(0.0), memory_gib],
            state_gib: copied.unwrap_or(memory_gib),
            dirty_gib_s: measured.dirty_gib_s.unwrap_or(settings.dirty_gib_s),
            priority: settings.priority,
            anti_affinity: settings.anti_affinity.clone(),
            disruption_group: settings.disruption_group.clone(),
            movable: seen.place.movable,
            ..SnapshotWorkload::default()
        }
    }
}

impl Source for Monitors {
    fn look(&mut self) -> Result<Seen, CallError> {
        let mut snapshot = self.fleet.empty();
        let mut notes = Vec::new();
        let seen = self.look_everywhere();
        for (host, node) in snapshot.nodes.iter_mut().enumerate() {
            let silent = |guest: &GuestSeen| matches!(guest.places[host], Presence::Silent(_));
            if !seen.is_empty() && seen.iter().all(silent) {
                // What may be there cannot be seen, so nothing more may go there.
                node.health = Health::Failed;
                notes.push(format!("{}: no monitor answers there", node.name));
            }
        }
        for (guest, seen) in seen.iter().enumerate() {
            if let Some(note) = &seen.place.note {
                notes.push(format!("{}: {note}", self.fleet.settings.guests[guest].name));
            }
            if let Some(host) = seen.place.host {
                snapshot.workloads.push(self.workload(guest, host, seen));
            }
        }
        snapshot.taken_at_s = Some(now_s());
        snapshot.validate("[qemu]").map_err(|error| CallError::Refused(error.to_string()))?;
        Ok(Seen { snapshot, notes })
    }
}

fn look_at(fleet: &Fleet, guest: usize, measure_dirty_rate: bool) -> GuestSeen {
    let hosts = &fleet.settings.hosts;
    let places: Vec<Presence> =
        (0..hosts.len()).map(|host| look(fleet.monitor(guest, host), fleet.time_out)).collect();
    let place = place(hosts, &places);
    let reading = place.host.and_then(|host| {
        let copies = matches!(&places[host], Presence::There(sight) if sight.migrates());
        let measure = measure_dirty_rate && places[host].runs() && !copies;
        // A guest that does not answer just now is shown with what it took before.
        read(fleet.monitor(guest, host), fleet.time_out, measure).ok()
    });
    GuestSeen { places, place, reading }
}

impl Measured {
    fn note(&mut self, reading: &Reading, measures_cpu: bool) {
        self.memory_gib = Some(reading.memory_gib);
        self.processors = Some(reading.threads.len());
        self.dirty_gib_s = reading.dirty_gib_s.or(self.dirty_gib_s);
        let thread = reading.threads.first().filter(|_| measures_cpu);
        let now = thread.and_then(|thread| Taken::now(*thread));
        let cores = now.zip(self.taken).and_then(|(now, earlier)| now.cores_since(&earlier));
        // After a move, the new process has taken nothing yet.
        self.cores = cores.or(self.cores);
        self.taken = now;
    }
}
