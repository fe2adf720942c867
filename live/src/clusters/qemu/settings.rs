//! The table `[qemu]`: hosts, guests, and where their monitors are.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Guests of QEMU on a few hosts, seen and moved through their monitors (QMP). Templates may hold
/// `{guest}`, `{host}`, `{address}` (of the host) and `{port}` (of the guest).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where the monitor of a guest listens on a host: `unix:` and a path, or `tcp:` and an address
    /// with a port. For example `unix:/run/godwit/{host}/{guest}.qmp`. Where nothing listens, godwit
    /// takes it that the guest is not there: no tunnels or forwarded sockets, please.
    pub qmp: String,
    /// Where a destination waits for the guest, as QEMU's `-incoming` reads it: `unix:` and a path,
    /// or `tcp:` with an address and a port. `{order}` stands for the name of the move. Port 0 lets
    /// the system choose one. For example `tcp:{address}:0`.
    pub incoming: String,
    /// The command that begins a destination, run without a shell; it has to end with status 0 once
    /// QEMU listens (`-daemonize` does that). `{incoming}` is where it has to wait, and `{order}` the
    /// name of the move. Left out where a destination that waits is there before each move.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub spawn: Vec<String>,
    /// The longest that `spawn` may take until the destination answers, seconds.
    #[serde(default = "spawn_time_out")]
    pub spawn_time_out_s: f32,
    /// The longest that one conversation with a monitor may take, seconds.
    #[serde(default = "time_out")]
    pub time_out_s: f32,
    /// The longest that a guest may stand still in a move as far as QEMU can foresee it,
    /// milliseconds: QEMU copies on until the rest takes less.
    #[serde(default = "downtime_limit")]
    pub downtime_limit_ms: u32,
    /// Seconds between two measurements of a guest's dirty rate, which cost it a little time; 0 takes
    /// the stated rates alone.
    #[serde(default = "dirty_rate_every")]
    pub dirty_rate_every_s: f32,
    /// Whether all guests run on the machine of godwit, so that the processor time they take can be
    /// read from `/proc`. Otherwise it is the stated one.
    #[serde(default)]
    pub measure_cpu: bool,
    /// The hosts; at least one.
    pub hosts: Vec<Host>,
    /// The guests. On which host each is, their monitors say.
    pub guests: Vec<Guest>,
}

/// A machine that guests run on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Host {
    /// Unique name: letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// What `{address}` stands for: a name or an address at which the other hosts reach it.
    #[serde(default = "loopback")]
    pub address: String,
    /// Memory for guests, GiB.
    pub memory_gib: f32,
    /// Processor cores for guests.
    pub cpu_cores: f32,
    /// What a move may take of its link, GiB/s. A move takes the smaller one of both hosts.
    pub bandwidth_gib_s: f32,
    /// Most guests at a time; no limit where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_guests: Option<u32>,
    /// Zone or rack.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub zone: String,
}

/// A virtual machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Guest {
    /// Unique name: letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// What `{port}` stands for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Processor cores that it takes; the number of its virtual ones where left out. Measured instead
    /// with `measure_cpu`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_cores: Option<f32>,
    /// What the first round of a move copies of it, GiB: memory that is in use. Where left out, what
    /// the last move copied, and all its memory before the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_gib: Option<f32>,
    /// Rate at which it dirties its memory, GiB/s, until it is measured.
    #[serde(default)]
    pub dirty_gib_s: f32,
    /// Weight of its downtime.
    #[serde(default = "one")]
    pub priority: f32,
    /// Names of the hosts that it may run on, for example those that see its disks; all where left
    /// out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// Guests that name the same group never share a host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anti_affinity: Option<String>,
    /// Guests that name the same group are one service, of which only so many may be moved at a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disruption_group: Option<String>,
}

fn spawn_time_out() -> f32 {
    20.0
}
fn time_out() -> f32 {
    5.0
}
fn downtime_limit() -> u32 {
    300
}
fn dirty_rate_every() -> f32 {
    300.0
}
fn loopback() -> String {
    "127.0.0.1".to_owned()
}
fn one() -> f32 {
    1.0
}
