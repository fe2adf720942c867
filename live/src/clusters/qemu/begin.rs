//! Beginning a move: everything up to QEMU's `migrate`.

use std::time::{Duration, Instant};

use serde_json::json;

use super::destination;
use super::measure::BYTES_PER_GIB;
use super::mover::{Mover, Route, later, unknown};
use super::presence::{self, Migration, Presence, Sight, State};
use super::qmp::{Monitor, QmpError};
use crate::cluster::{CallError, Order};

impl Mover {
    /// Begins a move; when that was.
    ///
    /// # Errors
    /// When nothing was begun, or nobody knows.
    pub fn begin(&self, route: &Route<'_>, order: &Order) -> Result<Instant, CallError> {
        let refused = |why: String| Err(CallError::Refused(why));
        let source = match self.look(route.from) {
            Presence::There(sight) if sight.state == State::Running => sight,
            Presence::Silent(why) => return Err(later(why)),
            other => {
                let got = other.describe();
                return refused(format!("expected a guest that runs at {}, got {got}", route.from));
            }
        };
        if source.migrates() {
            return Err(later("the guest is being moved already"));
        }
        if let Some(host) = self.elsewhere(route) {
            return refused(format!("the guest runs on {} and on {host}", order.source));
        }
        let waiting = self.destination(route, order)?;
        let prepared = self.prepare(route, &source, &waiting, order);
        let (mut monitor, uri) = prepared.map_err(|why| {
            self.give_up_destination(route);
            later(why)
        })?;
        let started = Instant::now();
        match monitor.execute("migrate", json!({ "uri": uri })) {
            Ok(_) => Ok(started),
            Err(QmpError::Refused(_, why)) => {
                self.give_up_destination(route);
                refused(why)
            }
            Err(error) => Err(unknown(error)),
        }
    }

    /// The destination, waiting.
    fn destination(&self, route: &Route<'_>, order: &Order) -> Result<Sight, CallError> {
        let settings = &self.fleet.settings;
        let spawns = !settings.spawn.is_empty();
        match self.look(route.to) {
            Presence::Absent if spawns => self.spawn(route, order),
            Presence::Absent => {
                Err(later(format!("expected a destination that waits at {}, got none", route.to)))
            }
            Presence::There(sight) if sight.state == State::Waiting && !spawns => Ok(sight),
            // The guest runs on its source: what is here is left over from another move.
            Presence::There(Sight { state: State::Waiting | State::Finished, .. }) => {
                self.end(route.to).map_err(later)?;
                Err(later(format!("a process left over at {} had to be ended first", route.to)))
            }
            Presence::Silent(why) => Err(later(why)),
            other => {
                let got = other.describe();
                let why = format!("expected no process at {}, got one {got}", route.to);
                Err(CallError::Refused(why))
            }
        }
    }

    fn spawn(&self, route: &Route<'_>, order: &Order) -> Result<Sight, CallError> {
        let settings = &self.fleet.settings;
        let guest = &settings.guests[route.guest];
        let host = &settings.hosts[route.destination];
        let command = self
            .fleet
            .incoming(guest, host, &order.id)
            .and_then(|incoming| self.fleet.command(guest, host, &order.id, &incoming))
            .map_err(|error| CallError::Refused(error.to_string()))?;
        let in_all = Duration::from_secs_f32(settings.spawn_time_out_s);
        destination::begin(&command, route.to, self.fleet.time_out, in_all).map_err(|why| {
            self.give_up_destination(route);
            later(why)
        })
    }

    /// Everything before the command that begins the move; where it is to be given, and with what.
    fn prepare(
        &self,
        route: &Route<'_>,
        source: &Sight,
        waiting: &Sight,
        order: &Order,
    ) -> Result<(Monitor, String), String> {
        let settings = &self.fleet.settings;
        let [from, to] = [&settings.hosts[route.source], &settings.hosts[route.destination]];
        let incoming = self.fleet.incoming(&settings.guests[route.guest], to, &order.id);
        let incoming = incoming.map_err(|error| error.to_string())?;
        let uri = with_port(&incoming, &waiting.migration)?;
        let said = |error: QmpError| error.to_string();
        // Without this, it would run as soon as it has everything.
        self.tell(route.to, "stop").map_err(said)?;
        if source.handed_over {
            presence::unmark(route.from, self.fleet.time_out).map_err(said)?;
        }
        let mut monitor = Monitor::connect(route.from, self.fleet.time_out).map_err(said)?;
        let return_path = json!({ "capability": "return-path", "state": true });
        let capabilities = json!({ "capabilities": [return_path] });
        monitor.execute("migrate-set-capabilities", capabilities).map_err(said)?;
        let bandwidth = from.bandwidth_gib_s.min(to.bandwidth_gib_s) * BYTES_PER_GIB;
        let parameters = json!({
            "max-bandwidth": bandwidth as u64,
            "downtime-limit": settings.downtime_limit_ms,
        });
        monitor.execute("migrate-set-parameters", parameters).map_err(said)?;
        Ok((monitor, uri))
    }

    /// Ends a destination that nothing was sent to. One that stays is ended before the next move.
    fn give_up_destination(&self, route: &Route<'_>) {
        if let Err(error) = self.end(route.to) {
            tracing::warn!("a destination may be left over: {error}");
        }
    }
}

/// The address with the port that the system chose, where it was to choose.
fn with_port(incoming: &str, waiting: &Migration) -> Result<String, String> {
    let Some(open) = incoming.strip_suffix(":0").filter(|open| open.starts_with("tcp:")) else {
        return Ok(incoming.to_owned());
    };
    let port = waiting.socket_address.iter().find_map(|address| address.port.as_deref());
    let port =
        port.ok_or_else(|| format!("{incoming}: expected the port that it got, got none"))?;
    Ok(format!("{open}:{port}"))
}

#[cfg(test)]
mod tests;
