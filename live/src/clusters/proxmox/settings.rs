//! The table `[proxmox]`, and what is wrong with it.

use std::path::{Path, PathBuf};

use godwit_decide::secret_file::{self, Refused};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::http;

/// A Proxmox VE cluster: the table `[proxmox]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Address of any node of the cluster, such as `https://pve1.example:8006`.
    pub url: String,
    /// File with the API token, one line: `USER@REALM!ID=SECRET`. Others must not be able to read it.
    pub token_file: PathBuf,
    /// SHA-256 fingerprint of that node's certificate (`pvenode cert info`). The certificate is then
    /// trusted whoever signed it. Either this or `ca_file` is needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// File with the certificates, in PEM, that sign the node's: for the cluster's own authority a
    /// copy of `/etc/pve/pve-root-ca.pem`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// Longest that a call may take, seconds.
    #[serde(default = "timeout")]
    #[schemars(range(min = 1, max = 600))]
    pub timeout_s: u32,
    /// Processor demand of a guest: what it uses, or what it may use at most.
    #[serde(default)]
    pub cpu: Demand,
    /// Memory demand of a guest: what it may use at most, or what it uses.
    #[serde(default = "reserved")]
    pub memory: Demand,
    /// Use is the average of so many minutes instead of the last ten seconds: one more call for each
    /// guest; 0 for none.
    #[serde(default)]
    #[schemars(range(max = 60))]
    pub average_min: u32,
    /// Whether containers may be moved. They are restarted on the other node: moves then no longer
    /// promise that state is kept.
    #[serde(default)]
    pub containers: bool,
    /// Whether guests with disks that nodes do not share may be moved. Their disks are copied.
    #[serde(default)]
    pub with_local: bool,
    /// Most traffic of one migration, MiB/s; as the cluster has it where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub bwlimit_mib_s: Option<u32>,
    /// Bandwidth of the network that migrations use, GiB/s for each node.
    #[serde(default = "bandwidth")]
    #[schemars(range(min = 0.001))]
    pub bandwidth_gib_s: f32,
    /// A tag that begins like this names the guest's tenant by what follows; without such a tag the
    /// tenant is the guest's pool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant_tag: Option<String>,
    /// A tag that begins like this names a group whose guests must not share a node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub apart_tag: Option<String>,
    /// How long the HA manager may take to begin with a migration that was handed to it, seconds.
    #[serde(default = "ha_wait")]
    #[schemars(range(min = 1, max = 3600))]
    pub ha_wait_s: u32,
}

/// What counts as a guest's demand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Demand {
    /// What it uses.
    #[default]
    Used,
    /// What it may use at most.
    Reserved,
}

/// Why a Proxmox cluster cannot be used as the settings say.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The token is not read.
    #[error("token_file {}: expected {expected}, got {got}", path.display())]
    Token {
        /// The file.
        path: PathBuf,
        /// What would have been accepted.
        expected: &'static str,
        /// What was found; never the token.
        got: String,
    },
    /// A number is out of its range.
    #[error("{field}: expected {expected}, got {got}")]
    Range {
        /// The setting.
        field: &'static str,
        /// What would have been accepted.
        expected: &'static str,
        /// What was found.
        got: String,
    },
    /// The address, or what is trusted, makes no sense.
    #[error(transparent)]
    Http(#[from] http::OpenError),
}

/// # Errors
/// The first setting that makes no sense.
pub(super) fn check(settings: &Settings) -> Result<(), OpenError> {
    for (field, value, [least, most], expected) in [
        ("timeout_s", settings.timeout_s, [1, 600], "1 to 600 seconds"),
        ("average_min", settings.average_min, [0, 60], "0 to 60 minutes"),
        ("ha_wait_s", settings.ha_wait_s, [1, 3600], "1 to 3600 seconds"),
        ("bwlimit_mib_s", settings.bwlimit_mib_s.unwrap_or(1), [1, 1 << 20], "1 to 1048576 MiB/s"),
    ] {
        if !(least..=most).contains(&value) {
            return Err(OpenError::Range { field, expected, got: value.to_string() });
        }
    }
    let bandwidth = settings.bandwidth_gib_s;
    if !(0.001..=1e6).contains(&bandwidth) {
        let (field, expected) = ("bandwidth_gib_s", "0.001 to 1000000 GiB/s");
        return Err(OpenError::Range { field, expected, got: bandwidth.to_string() });
    }
    Ok(())
}

/// The token in a file.
///
/// # Errors
/// When it cannot be read, or is none.
pub(super) fn token(path: &Path) -> Result<String, OpenError> {
    let refuse = |expected, got: String| OpenError::Token { path: path.to_owned(), expected, got };
    let bytes =
        secret_file::read(path).map_err(|Refused { expected, got }| refuse(expected, got))?;
    let text = bytes.trim_ascii();
    let shape = "a token of the form USER@REALM!ID=SECRET";
    if !text.iter().all(u8::is_ascii_graphic) {
        return Err(refuse(shape, "other characters or several lines".to_owned()));
    }
    let text = String::from_utf8_lossy(text);
    let [user, secret] = ["!", "="].map(|mark| text.split(mark).count() == 2);
    match user && secret && text.contains('@') {
        true => Ok(text.into_owned()),
        false => Err(refuse(shape, "something else".to_owned())),
    }
}

fn timeout() -> u32 {
    20
}
fn reserved() -> Demand {
    Demand::Reserved
}
fn bandwidth() -> f32 {
    1.25
}
fn ha_wait() -> u32 {
    60
}
