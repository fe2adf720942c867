//! The table `[libvirt]`, and what is wrong with it.

use std::collections::BTreeSet;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Hosts with libvirt: the table `[libvirt]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The hosts, at least one. Names of domains have to be unique among them.
    pub hosts: Vec<Host>,
    /// The program: a path, or a name to be found on `PATH`.
    #[serde(default = "program")]
    pub virsh: PathBuf,
    /// Longest that a call may take, seconds.
    #[serde(default = "timeout")]
    #[schemars(range(min = 1, max = 600))]
    pub timeout_s: u32,
    /// Whether a domain's processor demand is what it used since the last look, or all its processors.
    #[serde(default)]
    pub cpu: Demand,
    /// Most traffic of one migration, MiB/s; as libvirt has it where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub bandwidth_limit_mib_s: Option<u32>,
    /// Whether disks are copied, too (`--copy-storage-all`). Without it domains need disks that hosts
    /// share.
    #[serde(default)]
    pub copy_storage: bool,
    /// Domains that stay where they are, for example those that use devices of their host.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub fixed: BTreeSet<String>,
}

/// A host with libvirt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Host {
    /// The node's name.
    pub name: String,
    /// How it is reached from here, such as `qemu+ssh://root@kvm1/system?no_tty=1`.
    pub uri: String,
    /// How other hosts reach it; as from here where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer_uri: Option<String>,
    /// Bandwidth of its network for migrations, GiB/s.
    #[serde(default = "bandwidth")]
    #[schemars(range(min = 0.001))]
    pub bandwidth_gib_s: f32,
}

/// What counts as a domain's processor demand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Demand {
    /// What it used since the last look.
    #[default]
    Used,
    /// All its processors.
    Reserved,
}

/// Why the hosts cannot be used as the settings say.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: expected {expected}, got {got}")]
pub struct OpenError {
    field: String,
    expected: &'static str,
    got: String,
}

/// # Errors
/// The first setting that makes no sense.
pub(super) fn check(settings: &Settings) -> Result<(), OpenError> {
    let refuse = |field: String, expected, got: String| Err(OpenError { field, expected, got });
    if settings.hosts.is_empty() {
        return refuse("hosts".to_owned(), "at least one host", "none".to_owned());
    }
    if !(1..=600).contains(&settings.timeout_s) {
        let got = settings.timeout_s.to_string();
        return refuse("timeout_s".to_owned(), "1 to 600 seconds", got);
    }
    if settings.bandwidth_limit_mib_s == Some(0) {
        return refuse("bandwidth_limit_mib_s".to_owned(), "at least 1 MiB/s", "0".to_owned());
    }
    let mut names = BTreeSet::new();
    for (at, host) in settings.hosts.iter().enumerate() {
        let field = |name| format!("hosts[{at}].{name}");
        if host.name.trim().is_empty() || !names.insert(&host.name) {
            return refuse(field("name"), "a name of its own", format!("{:?}", host.name));
        }
        let uris = [("uri", Some(&host.uri)), ("peer_uri", host.peer_uri.as_ref())];
        for (name, uri) in uris.into_iter().filter_map(|(name, uri)| Some((name, uri?))) {
            if !uri.contains("://") {
                return refuse(field(name), "a connection URI of libvirt", format!("{uri:?}"));
            }
        }
        if !(0.001..=1e6).contains(&host.bandwidth_gib_s) {
            let got = host.bandwidth_gib_s.to_string();
            return refuse(field("bandwidth_gib_s"), "0.001 to 1000000 GiB/s", got);
        }
    }
    Ok(())
}

fn program() -> PathBuf {
    PathBuf::from("virsh")
}
fn timeout() -> u32 {
    30
}
fn bandwidth() -> f32 {
    1.25
}
