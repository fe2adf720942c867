//! Looking at hosts with libvirt.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use godwit_envs::snapshot::{Snapshot, SnapshotNode, SnapshotWorkload};

use super::parse::{self, Domain, State};
use super::settings::{Demand, Host};
use super::virsh::Virsh;
use crate::cluster::{CallError, Seen, Source};

/// Sees hosts one after another. What a host said last stands, with its age, while it does not answer.
pub(super) struct LibvirtSource {
    virsh: Arc<Virsh>,
    last: BTreeMap<String, Sight>,
}

/// What a host said.
struct Sight {
    at: Instant,
    processors: f64,
    memory_gib: f64,
    domains: Vec<Domain>,
    /// Processors that each running domain used on average since the sight before.
    used: HashMap<String, f64>,
}

impl LibvirtSource {
    pub(super) fn new(virsh: Arc<Virsh>) -> Self {
        Self { virsh, last: BTreeMap::new() }
    }

    fn sight(&self, host: &Host) -> Result<Sight, CallError> {
        let info = self.virsh.ask(host, &["nodeinfo"])?;
        let (processors, memory_gib) = parse::node(&info).ok_or_else(|| {
            CallError::Unknown(format!(
                "nodeinfo on {}: expected CPU(s) and Memory size",
                host.name
            ))
        })?;
        let stats =
            self.virsh.ask(host, &["domstats", "--state", "--cpu-total", "--balloon", "--vcpu"])?;
        let at = Instant::now();
        let mut domains = parse::domains(&stats);
        for domain in domains.iter_mut().filter(|domain| domain.state != State::Off) {
            if domain.processors.is_none() || domain.memory_gib.is_none() {
                let info = self.virsh.ask(host, &["dominfo", "--domain", &domain.name])?;
                parse::complete(domain, &info);
            }
        }
        let used =
            self.last.get(&host.name).map(|before| used(before, &domains, at)).unwrap_or_default();
        Ok(Sight { at, processors, memory_gib, domains, used })
    }
}

/// Processors that each domain used since the sight before.
fn used(before: &Sight, domains: &[Domain], at: Instant) -> HashMap<String, f64> {
    let passed = at.duration_since(before.at).as_secs_f64();
    let then: HashMap<&str, u64> = before
        .domains
        .iter()
        .filter_map(|domain| Some((domain.name.as_str(), domain.cpu_ns?)))
        .collect();
    let use_of = |domain: &Domain| {
        // A domain that began anew counts from nothing again.
        let spent = domain.cpu_ns?.checked_sub(*then.get(domain.name.as_str())?)?;
        let most = domain.processors.unwrap_or(f64::MAX);
        (passed > 0.0).then(|| (domain.name.clone(), (spent as f64 / 1e9 / passed).min(most)))
    };
    domains.iter().filter_map(use_of).collect()
}

impl Source for LibvirtSource {
    fn look(&mut self) -> Result<Seen, CallError> {
        let mut notes = Vec::new();
        let virsh = self.virsh.clone();
        for host in &virsh.settings().hosts {
            match self.sight(host) {
                Ok(sight) => {
                    self.last.insert(host.name.clone(), sight);
                }
                Err(error) if self.last.contains_key(&host.name) => {
                    notes.push(format!("{} does not answer, and is as it was: {error}", host.name));
                }
                Err(error) => return Err(error),
            }
        }
        let nodes = virsh.settings().hosts.iter().filter_map(|host| {
            let sight = self.last.get(&host.name)?;
            Some(SnapshotNode {
                name: host.name.clone(),
                supply: vec![sight.processors as f32, sight.memory_gib as f32],
                bandwidth_gib_s: host.bandwidth_gib_s,
                // Whole seconds: what was said during this look has no age.
                metrics_age_s: sight.at.elapsed().as_secs() as f32,
                ..SnapshotNode::default()
            })
        });
        let snapshot = Snapshot {
            // A clock before 1970 is as good as none.
            taken_at_s: Some(
                SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64(),
            ),
            resources: vec!["cpu".to_owned(), "memory".to_owned()],
            nodes: nodes.collect(),
            workloads: self.workloads(&mut notes),
            ..Snapshot::default()
        };
        snapshot
            .validate("what virsh shows")
            .map_err(|error| CallError::Refused(error.to_string()))?;
        Ok(Seen { snapshot, notes })
    }
}

impl LibvirtSource {
    fn workloads(&self, notes: &mut Vec<String>) -> Vec<SnapshotWorkload> {
        let mut all: BTreeMap<&str, Vec<(&str, &Domain)>> = BTreeMap::new();
        let (mut off, mut fresh) = (0, 0);
        for (node, sight) in &self.last {
            for domain in &sight.domains {
                match domain.state {
                    State::Off => off += 1,
                    _ => all.entry(&domain.name).or_default().push((node, domain)),
                }
            }
        }
        let settings = self.virsh.settings();
        let mut workloads = Vec::new();
        for (name, mut places) in all {
            // While a domain is migrated, it waits, paused, on its destination.
            places.sort_by_key(|(_, domain)| domain.state != State::Running);
            let (node, domain) = places[0];
            let running =
                places.iter().filter(|(_, domain)| domain.state == State::Running).count();
            if running > 1 {
                notes.push(format!("{name} runs on {running} hosts at once, and may not be moved"));
            }
            let processors = domain.processors.unwrap_or(0.0);
            let used = self.last[node].used.get(name).copied();
            fresh += u32::from(used.is_none() && settings.cpu == Demand::Used);
            let cpu = match settings.cpu {
                Demand::Used => used.unwrap_or(processors),
                Demand::Reserved => processors,
            };
            let memory_gib = domain.memory_gib.unwrap_or(0.0) as f32;
            let alone = places.len() == 1 && domain.state == State::Running;
            workloads.push(SnapshotWorkload {
                name: name.to_owned(),
                node: Some(node.to_owned()),
                demand: vec![cpu as f32, memory_gib],
                state_gib: memory_gib,
                movable: alone && !settings.fixed.contains(name),
                ..SnapshotWorkload::default()
            });
        }
        if off > 0 {
            notes.push(format!("{off} domains are off and were left out"));
        }
        if fresh > 0 {
            let why = "until a second look shows what they use";
            notes.push(format!("{fresh} domains count with all their processors {why}"));
        }
        workloads
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn use_is_time_of_processors_over_time_that_passed() {
        let domain = |name: &str, cpu_ns| Domain {
            name: name.to_owned(),
            state: State::Running,
            cpu_ns: Some(cpu_ns),
            processors: Some(2.0),
            memory_gib: None,
        };
        let at = Instant::now();
        let before = Sight {
            at,
            processors: 8.0,
            memory_gib: 8.0,
            domains: vec![domain("a", 1_000_000_000), domain("b", 9_000_000_000), domain("c", 0)],
            used: HashMap::new(),
        };
        // In ten seconds: five seconds' worth, a new beginning, more than it has, and a new one.
        let now = [
            domain("a", 6_000_000_000),
            domain("b", 1),
            domain("c", 90_000_000_000),
            domain("d", 5),
        ];
        let used = used(&before, &now, at + Duration::from_secs(10));
        assert_eq!(used, [("a".to_owned(), 0.5), ("c".to_owned(), 2.0)].into());
    }
}
