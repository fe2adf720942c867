//! From what the cluster says of its nodes and guests to a snapshot.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use godwit_envs::snapshot::{Snapshot, SnapshotNode, SnapshotWorkload};
use godwit_envs::state::cluster::Health;
use serde::Deserialize;

use super::settings::{Demand, Settings};
use crate::cluster::{CallError, Seen};

const GIB: f64 = 1_073_741_824.0;

/// A row of `/cluster/resources`: a node, a guest or a storage.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Resource {
    pub(super) r#type: String,
    pub(super) id: String,
    pub(super) node: String,
    pub(super) name: Option<String>,
    pub(super) status: String,
    pub(super) template: u8,
    /// Cores.
    pub(super) maxcpu: f64,
    /// Bytes.
    pub(super) maxmem: f64,
    /// Share of `maxcpu` that is used.
    pub(super) cpu: f64,
    /// Bytes.
    pub(super) mem: f64,
    pub(super) lock: Option<String>,
    pub(super) tags: Option<String>,
    pub(super) pool: Option<String>,
    pub(super) hastate: Option<String>,
    pub(super) storage: String,
    pub(super) shared: u8,
}

impl Resource {
    pub(super) fn is_guest(&self) -> bool {
        matches!(self.r#type.as_str(), "qemu" | "lxc") && self.template == 0
    }

    /// Whether it uses what it may use, as far as anyone can tell: the guests of a node that does not
    /// answer are of unknown state.
    pub(super) fn is_on(&self) -> bool {
        self.status != "stopped"
    }
}

/// What a guest's configuration says.
pub(super) type Config = BTreeMap<String, serde_json::Value>;

/// What a guest uses on average.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Use {
    /// Share of its cores.
    pub(super) cpu: f64,
    /// Bytes.
    pub(super) mem: f64,
}

/// All that is known of a cluster.
pub(super) struct View<'a> {
    pub(super) resources: &'a [Resource],
    /// What the HA manager says of nodes: `online`, `maintenance`, `fence`, ...
    pub(super) node_states: &'a BTreeMap<String, String>,
    /// Configurations, by the guests' ids.
    pub(super) configs: &'a HashMap<String, Config>,
    /// Averages, by the guests' ids; where there are none, the last ten seconds count.
    pub(super) averages: &'a HashMap<String, Use>,
    pub(super) taken_at_s: f64,
    pub(super) settings: &'a Settings,
}

impl View<'_> {
    /// The snapshot, with what it cannot say.
    ///
    /// # Errors
    /// When what is seen makes no snapshot.
    pub(super) fn seen(&self) -> Result<Seen, CallError> {
        let mut notes = Vec::new();
        let nodes: Vec<SnapshotNode> = self
            .resources
            .iter()
            .filter(|row| row.r#type == "node")
            .map(|row| self.node(row, &mut notes))
            .collect();
        let guests: Vec<&Resource> = self.resources.iter().filter(|row| row.is_guest()).collect();
        let off = guests.iter().filter(|guest| !guest.is_on()).count();
        if off > 0 {
            notes.push(format!("{off} guests are stopped and were left out"));
        }
        let on = guests.iter().filter(|guest| guest.is_on());
        let workloads: Vec<SnapshotWorkload> =
            on.map(|guest| self.workload(guest, &mut notes)).collect();
        let snapshot = Snapshot {
            taken_at_s: Some(self.taken_at_s),
            resources: vec!["cpu".to_owned(), "memory".to_owned()],
            nodes,
            workloads,
            ..Snapshot::default()
        };
        // A token without the right privileges sees an empty cluster.
        snapshot.validate("what Proxmox VE shows").map_err(|error| {
            CallError::Refused(format!("{error} (may the token audit nodes and guests?)"))
        })?;
        Ok(Seen { snapshot, notes })
    }

    fn node(&self, row: &Resource, notes: &mut Vec<String>) -> SnapshotNode {
        let state = self.node_states.get(&row.node).map_or("online", String::as_str);
        let health = match (row.status.as_str(), state) {
            ("online", "maintenance") => Health::Draining,
            ("online", "fence" | "gone") => Health::Failed,
            ("online", _) => Health::Healthy,
            _ => Health::Failed,
        };
        if health != Health::Healthy {
            notes.push(format!("node {} is {}, for the HA manager {state}", row.node, row.status));
        }
        SnapshotNode {
            name: row.node.clone(),
            supply: vec![row.maxcpu as f32, (row.maxmem / GIB) as f32],
            bandwidth_gib_s: self.settings.bandwidth_gib_s,
            health,
            ..SnapshotNode::default()
        }
    }

    fn workload(&self, guest: &Resource, notes: &mut Vec<String>) -> SnapshotWorkload {
        let now = Use { cpu: guest.cpu, mem: guest.mem };
        let used = self.averages.get(&guest.id).copied().unwrap_or(now);
        let known = guest.status == "running";
        let amount = |what, used: f64, most: f64| match what {
            Demand::Used if known => used,
            _ => most,
        };
        let cpu = amount(self.settings.cpu, used.cpu * guest.maxcpu, guest.maxcpu);
        let memory = amount(self.settings.memory, used.mem, guest.maxmem);
        let config = self.configs.get(&guest.id);
        let disks = config.map(|config| self.own_disks(config)).unwrap_or_default();
        let obstacle = self.obstacle(guest, config, &disks);
        if let Some(why) = &obstacle {
            let name = guest.name.as_deref().unwrap_or("no name");
            notes.push(format!("{} ({name}) may not be moved: {why}", guest.id));
        }
        let copied = if guest.r#type == "qemu" { guest.mem / GIB } else { 0.0 };
        SnapshotWorkload {
            name: guest.id.clone(),
            node: Some(guest.node.clone()),
            demand: vec![cpu as f32, (memory / GIB) as f32],
            state_gib: (copied + disks.iter().map(|disk| disk.gib).sum::<f64>()) as f32,
            tenant: self
                .settings
                .tenant_tag
                .as_deref()
                .and_then(|prefix| tagged(guest, prefix))
                .or_else(|| guest.pool.clone()),
            anti_affinity: self
                .settings
                .apart_tag
                .as_deref()
                .and_then(|prefix| tagged(guest, prefix)),
            movable: obstacle.is_none(),
            ..SnapshotWorkload::default()
        }
    }

    /// Why a guest cannot be moved.
    fn obstacle(
        &self,
        guest: &Resource,
        config: Option<&Config>,
        disks: &[Disk],
    ) -> Option<String> {
        if guest.status != "running" {
            return Some(format!("its state is {}", guest.status));
        }
        if let Some(lock) = &guest.lock {
            return Some(format!("it is locked ({lock})"));
        }
        if let Some(state) = guest.hastate.as_deref().filter(|state| *state != "started") {
            return Some(format!("the HA manager has it in the state {state}"));
        }
        if guest.r#type == "lxc" && !self.settings.containers {
            return Some("it is a container, and `containers` is off".to_owned());
        }
        let Some(config) = config else {
            return Some("its configuration could not be read".to_owned());
        };
        let devices: Vec<&str> = config.iter().filter(is_device).map(|(key, _)| &**key).collect();
        if !devices.is_empty() {
            return Some(format!("it uses devices of its node ({})", devices.join(", ")));
        }
        let fixed: BTreeSet<&str> = disks
            .iter()
            .filter(|disk| !self.settings.with_local || !disk.can_be_copied)
            .map(|disk| disk.place.as_str())
            .collect();
        if fixed.is_empty() {
            return None;
        }
        let places = fixed.into_iter().collect::<Vec<_>>().join(", ");
        Some(format!("it has disks that nodes do not share ({places})"))
    }

    /// The disks of a guest that only its node has.
    fn own_disks(&self, config: &Config) -> Vec<Disk> {
        let shared: BTreeSet<&str> = self
            .resources
            .iter()
            .filter(|row| row.r#type == "storage" && row.shared == 1)
            .map(|row| row.storage.as_str())
            .collect();
        let disks = config.iter().filter(|(key, _)| is_disk(key));
        disks.filter_map(|(_, value)| Disk::read(value.as_str()?, &shared)).collect()
    }
}

/// A disk that only the guest's node has.
struct Disk {
    /// Storage or path.
    place: String,
    gib: f64,
    can_be_copied: bool,
}

impl Disk {
    /// Reads `STORAGE:VOLUME,OPTION=VALUE,...`; `None` for no disk, and for one on a shared storage.
    fn read(value: &str, shared: &BTreeSet<&str>) -> Option<Self> {
        let mut parts = value.split(',');
        let volume = parts.next()?.trim_start_matches("volume=").trim_start_matches("file=");
        let options: BTreeMap<&str, &str> = parts.filter_map(|part| part.split_once('=')).collect();
        let is_shared = options.get("shared") == Some(&"1");
        let place = match volume.split_once(':') {
            _ if volume.starts_with('/') => volume,
            Some((storage, _)) if !shared.contains(storage) => storage,
            _ => return None,
        };
        if is_shared {
            return None;
        }
        let cdrom = options.get("media") == Some(&"cdrom");
        let can_be_copied = !cdrom && !volume.starts_with('/');
        let gib = options.get("size").and_then(|size| size_gib(size)).unwrap_or(0.0);
        Some(Self { place: place.to_owned(), gib, can_be_copied })
    }
}

/// `32G`, `512M`, `4T`, `528K`.
fn size_gib(text: &str) -> Option<f64> {
    let at = text.find(|c: char| c.is_ascii_alphabetic())?;
    let amount: f64 = text[..at].parse().ok()?;
    let unit = match &text[at..] {
        "K" => 1.0 / (1024.0 * 1024.0),
        "M" => 1.0 / 1024.0,
        "G" => 1.0,
        "T" => 1024.0,
        _ => return None,
    };
    Some(amount * unit)
}

fn is_disk(key: &str) -> bool {
    const PREFIXES: [&str; 9] =
        ["ide", "sata", "scsi", "virtio", "efidisk", "tpmstate", "unused", "rootfs", "mp"];
    let name = key.trim_end_matches(|c: char| c.is_ascii_digit());
    PREFIXES.contains(&name) && (name == "rootfs" || name.len() < key.len())
}

/// Devices of the node itself; those that are mapped cluster-wide may be elsewhere, too.
fn is_device((key, value): &(&String, &serde_json::Value)) -> bool {
    const PREFIXES: [&str; 5] = ["hostpci", "usb", "serial", "parallel", "dev"];
    let name = key.trim_end_matches(|c: char| c.is_ascii_digit());
    let value = value.as_str().unwrap_or_default();
    // A serial port that is a socket, and USB over SPICE, are no devices.
    let is_virtual = value == "socket" || value.starts_with("spice") || value.contains("mapping=");
    PREFIXES.contains(&name) && name.len() < key.len() && !is_virtual
}

/// What follows a prefix in one of the guest's tags.
fn tagged(guest: &Resource, prefix: &str) -> Option<String> {
    let tags = guest.tags.as_deref()?.split([';', ',', ' ']);
    let mut found = tags.filter_map(|tag| tag.strip_prefix(prefix)).filter(|rest| !rest.is_empty());
    found.next().map(str::to_owned)
}
