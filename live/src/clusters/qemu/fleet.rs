//! Settings that were checked: which hosts and guests there are, and where everything listens.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use godwit_envs::snapshot::{Snapshot, SnapshotNode};

use super::open_error::OpenError;
use super::qmp::Address;
use super::settings::{Guest, Host, Settings};

/// Resource kinds, in the order of every supply and demand.
pub const RESOURCES: [&str; 2] = ["cpu", "memory"];

/// The longest downtime that QEMU can be given as a limit.
const MOST_DOWNTIME_MS: u32 = 2_000_000;

/// Hosts and guests, checked.
pub struct Fleet {
    /// As they were read.
    pub settings: Settings,
    /// The longest conversation with a monitor.
    pub time_out: Duration,
    /// Where the monitor of each guest is on each host, `[guests][hosts]`.
    monitors: Vec<Vec<Address>>,
    hosts: HashMap<String, usize>,
    guests: HashMap<String, usize>,
}

impl Fleet {
    /// Checks the settings.
    ///
    /// # Errors
    /// The first thing that is wrong with them, with its field.
    pub fn new(settings: &Settings) -> Result<Self, OpenError> {
        for (field, seconds, least) in [
            ("time_out_s", settings.time_out_s, 0.01),
            ("spawn_time_out_s", settings.spawn_time_out_s, 0.01),
            ("dirty_rate_every_s", settings.dirty_rate_every_s, 0.0),
        ] {
            if !(least..=86_400.0).contains(&seconds) {
                let expected = format!("{least} to 86400 seconds");
                return Err(OpenError::new(field, expected, seconds.to_string()));
            }
        }
        if settings.downtime_limit_ms > MOST_DOWNTIME_MS {
            let expected = format!("at most {MOST_DOWNTIME_MS}");
            let got = settings.downtime_limit_ms.to_string();
            return Err(OpenError::new("downtime_limit_ms", expected, got));
        }
        let names = |field: &str, names: Vec<&str>| {
            let mut seen = HashMap::with_capacity(names.len());
            for (i, name) in names.into_iter().enumerate() {
                let field = format!("{field}[{i}].name");
                check_name(&field, name)?;
                if seen.insert(name.to_owned(), i).is_some() {
                    return Err(OpenError::new(
                        field,
                        "a name of its own",
                        format!("{name:?} again"),
                    ));
                }
            }
            Ok(seen)
        };
        let hosts = names("hosts", settings.hosts.iter().map(|host| &*host.name).collect())?;
        let guests = names("guests", settings.guests.iter().map(|guest| &*guest.name).collect())?;
        let fleet = Self {
            monitors: monitors(settings)?,
            settings: settings.clone(),
            time_out: Duration::from_secs_f32(settings.time_out_s),
            hosts,
            guests,
        };
        for guest in &settings.guests {
            for host in &settings.hosts {
                fleet.incoming(guest, host, "order")?;
                fleet.command(guest, host, "order", "")?;
            }
        }
        let numbers = |(i, guest): (usize, &Guest)| {
            let at = |field| format!("guests[{i}].{field}");
            amount(at("cpu_cores"), guest.cpu_cores.unwrap_or(0.0))?;
            amount(at("state_gib"), guest.state_gib.unwrap_or(0.0))?;
            amount(at("dirty_gib_s"), guest.dirty_gib_s)?;
            amount(at("priority"), guest.priority)?;
            match guest.hosts.iter().find(|name| fleet.host(name).is_none()) {
                Some(name) => {
                    Err(OpenError::new(at("hosts"), "names of hosts", format!("{name:?}")))
                }
                None => Ok(()),
            }
        };
        settings.guests.iter().enumerate().try_for_each(numbers)?;
        // What is left are ranges that every snapshot has to keep.
        fleet.empty().validate("[qemu]: as a snapshot").map_err(OpenError::Snapshot)?;
        Ok(fleet)
    }

    /// The cluster without its guests.
    pub fn empty(&self) -> Snapshot {
        let node = |host: &Host| SnapshotNode {
            name: host.name.clone(),
            zone: host.zone.clone(),
            supply: vec![host.cpu_cores, host.memory_gib],
            bandwidth_gib_s: host.bandwidth_gib_s,
            max_workloads: host.max_guests,
            ..SnapshotNode::default()
        };
        Snapshot {
            resources: RESOURCES.map(str::to_owned).to_vec(),
            nodes: self.settings.hosts.iter().map(node).collect(),
            ..Snapshot::default()
        }
    }

    /// Index of a host.
    pub fn host(&self, name: &str) -> Option<usize> {
        self.hosts.get(name).copied()
    }

    /// Index of a guest.
    pub fn guest(&self, name: &str) -> Option<usize> {
        self.guests.get(name).copied()
    }

    /// Where the monitor of a guest would be on a host.
    pub fn monitor(&self, guest: usize, host: usize) -> &Address {
        &self.monitors[guest][host]
    }

    /// Where a destination waits in a move of this name.
    ///
    /// # Errors
    /// When the template holds what it must not.
    pub fn incoming(&self, guest: &Guest, host: &Host, order: &str) -> Result<String, OpenError> {
        let mut fields = fields(guest, host);
        fields.push(("order", order.to_owned()));
        fill("incoming", &self.settings.incoming, &fields)
    }

    /// The command that begins a destination; empty where somebody else does.
    ///
    /// # Errors
    /// When a template holds what it must not.
    pub fn command(
        &self,
        guest: &Guest,
        host: &Host,
        order: &str,
        incoming: &str,
    ) -> Result<Vec<String>, OpenError> {
        let mut fields = fields(guest, host);
        fields.extend([("order", order.to_owned()), ("incoming", incoming.to_owned())]);
        let words = self.settings.spawn.iter().enumerate();
        words.map(|(i, word)| fill(&format!("spawn[{i}]"), word, &fields)).collect()
    }
}

fn monitors(settings: &Settings) -> Result<Vec<Vec<Address>>, OpenError> {
    let mut seen = HashSet::new();
    let mut of = |guest: &Guest, host: &Host| {
        let text = fill("qmp", &settings.qmp, &fields(guest, host))?;
        let address = Address::parse(&text)
            .map_err(|expected| OpenError::new("qmp", expected, format!("{text:?}")))?;
        if !seen.insert(text.clone()) {
            let expected = "an address of its own for each guest on each host";
            return Err(OpenError::new("qmp", expected, format!("{text:?} twice")));
        }
        Ok(address)
    };
    let guests = settings.guests.iter();
    guests.map(|guest| settings.hosts.iter().map(|host| of(guest, host)).collect()).collect()
}

/// Names become parts of paths and of commands.
fn check_name(field: &str, name: &str) -> Result<(), OpenError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let sound = name.chars().all(plain) && name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if sound && name.len() <= 63 {
        return Ok(());
    }
    let expected = "1 to 63 letters, digits, -, _ and ., with a letter or digit first";
    Err(OpenError::new(field, expected, format!("{name:?}")))
}

fn amount(field: String, x: f32) -> Result<(), OpenError> {
    if (0.0..=1e12).contains(&x) {
        return Ok(());
    }
    Err(OpenError::new(field, "a number from 0 to 1e12", x.to_string()))
}

fn fields(guest: &Guest, host: &Host) -> Vec<(&'static str, String)> {
    let mut fields = vec![
        ("guest", guest.name.clone()),
        ("host", host.name.clone()),
        ("address", host.address.clone()),
    ];
    fields.extend(guest.port.map(|port| ("port", port.to_string())));
    fields
}

/// The text with each `{name}` replaced.
fn fill(field: &str, template: &str, fields: &[(&str, String)]) -> Result<String, OpenError> {
    let mut filled = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let known = after.split_once('}').and_then(|(name, after)| {
            let (_, value) = fields.iter().find(|(known, _)| *known == name)?;
            Some((value, after))
        });
        let Some((value, after)) = known else {
            let names: Vec<_> = fields.iter().map(|(name, _)| format!("{{{name}}}")).collect();
            let guest = &fields[0].1;
            let expected = format!("only {} in braces for guest {guest:?}", names.join(", "));
            return Err(OpenError::new(field, expected, format!("{template:?}")));
        };
        filled.push_str(before);
        filled.push_str(value);
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

#[cfg(test)]
mod tests;
