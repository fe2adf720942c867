//! Arguments of `serve`.

use std::net::SocketAddr;
use std::num::{NonZeroU16, NonZeroU32};
use std::path::PathBuf;

use axum::http::uri::Authority;
use clap::{Args, ValueEnum};
use schemars::JsonSchema;
use serde::Serialize;

use super::decide_args::{PolicyArgs, StateArgs};

/// `serve`.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// The policy; both of its limits hold for each request.
    #[command(flatten)]
    pub policy: PolicyArgs,
    /// Address and port; port 0 takes a free one, which is printed
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8980")]
    pub listen: SocketAddr,
    /// What answers mean to whoever carries plans out
    #[arg(long, value_enum, default_value = "dry-run")]
    pub mode: ModeName,
    /// Who plans next to the policy in mode shadow
    #[arg(long, value_name = "NAME")]
    pub baseline: Option<String>,
    /// Whose plan is returned in mode shadow; the policy's if left out
    #[arg(long = "return", value_enum)]
    pub returned: Option<Choice>,
    /// Let a changed artifact take over even if its resources, features or rules are others than
    /// those of the artifact that decides; without this, only
    /// `POST /v1/model/reload?allow_other_rules=true` does
    #[arg(long)]
    pub allow_other_rules: bool,
    /// Threads that decide; one for each core if left out. A quarter of them, and at least one, takes
    /// no body of more than a thirty-second part of --max-body-bytes, so that small clusters do not
    /// wait for large ones; one thread alone takes all, and gets a second beside it for small ones
    #[arg(long, value_name = "N")]
    pub workers: Option<NonZeroU16>,
    /// What is remembered across restarts.
    #[command(flatten)]
    pub state: StateArgs,
    /// Who plans instead of the policy.
    #[command(flatten)]
    pub fallback: FallbackArgs,
    /// Who is let in.
    #[command(flatten)]
    pub access: AccessArgs,
    /// How much is let in.
    #[command(flatten)]
    pub limits: LimitArgs,
    /// What is told about it.
    #[command(flatten)]
    pub log: LogArgs,
    /// What is kept of it.
    #[command(flatten)]
    pub decision_log: DecisionLogArgs,
}

/// What answers mean to whoever carries plans out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ModeName {
    /// Plans are for reading
    DryRun,
    /// Plans are to be carried out
    Active,
    /// Policy and baseline both plan, and one of them is returned
    Shadow,
}

/// One of the two that plan in mode shadow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// The artifact's policy
    Policy,
    /// The baseline
    Baseline,
}

/// Who plans instead of the policy.
#[derive(Debug, Args)]
#[command(next_help_heading = "Fallback")]
pub struct FallbackArgs {
    /// Who plans where the policy cannot be relied on: a baseline that remembers nothing from tick to
    /// tick; `stay` moves nothing
    #[arg(long, value_name = "NAME", default_value = "stay")]
    pub fallback: String,
    /// The fallback plans for a cluster that is far outside of what the policy was trained on (warning
    /// `outside_training`)
    #[arg(long)]
    pub fallback_outside_training: bool,
    /// Longest time of one decision; a policy that takes longer has no plan, and the fallback plans
    #[arg(long, value_name = "MS")]
    pub decision_deadline_ms: Option<u64>,
    /// Demote the policy when more than this share of the gains that its last evaluated plans
    /// predicted was missed, or of the plans gained no more than they cost, or of the moves brought a
    /// workload back (`POST /v1/feedback` tells what came out)
    #[arg(long, value_name = "SHARE", default_value_t = 0.5)]
    pub demote_above: f64,
    /// Number of evaluated plans to look at, and to wait for; 0 demotes never
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub demote_window: u32,
}

/// Who is let in.
#[derive(Debug, Args)]
#[command(next_help_heading = "Access")]
pub struct AccessArgs {
    /// A file with the token that clients must send as `Authorization: Bearer ...`, of at least 16
    /// characters; asked for on every route but /v2/health
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// A file with a second token, which only reads: metrics, model, recent decisions, the interface
    /// itself
    #[arg(long, value_name = "FILE", requires = "token_file")]
    pub read_token_file: Option<PathBuf>,
    /// Without a token, also answer requests that are sent to this name (header host), as a proxy on
    /// this machine sends it; else only localhost, 127.0.0.0/8 and [::1] are answered. May be given
    /// several times
    // The text is the help, too, where an escaped bracket would be seen.
    #[allow(rustdoc::broken_intra_doc_links)]
    #[arg(long, value_name = "NAME", value_parser = host_name)]
    pub allow_host: Vec<String>,
    /// The service's certificate and those that it is signed with, PEM
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// The certificate's key, PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Listen on other addresses than loopback without TLS, for a proxy that does it; the token is
    /// still needed
    #[arg(long)]
    pub insecure_no_tls: bool,
}

/// How much is let in.
#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
pub struct LimitArgs {
    /// Largest body of a request
    #[arg(long, value_name = "BYTES", default_value_t = 8 << 20)]
    pub max_body_bytes: usize,
    /// Most nodes of a snapshot
    #[arg(long, value_name = "N", default_value_t = 2_000)]
    pub max_nodes: usize,
    /// Most workloads of a snapshot
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    pub max_workloads: usize,
    /// Largest headers of a request, together
    #[arg(long, value_name = "BYTES", default_value_t = 16 << 10)]
    pub max_header_bytes: usize,
    /// Most headers of a request
    #[arg(long, value_name = "N", default_value = "64")]
    pub max_headers: NonZeroU16,
    /// Longest time to send the headers of a request, and to leave a connection idle
    #[arg(long, value_name = "MS", default_value_t = 10_000)]
    pub header_timeout_ms: u32,
    /// Longest time to send a body and to answer it
    #[arg(long, value_name = "MS", default_value_t = 10_000)]
    pub request_timeout_ms: u32,
    /// Most requests that are worked on, or wait for a worker, at once; half of them may have bodies
    /// of more than a thirty-second part of --max-body-bytes, or of no stated length
    #[arg(long, value_name = "N", default_value = "64")]
    pub max_requests: NonZeroU32,
    /// Most open connections. Where one more comes, one on which no request is being answered makes
    /// room: who has sent no whole headers yet first, then whoever has been idle for longest
    #[arg(long, value_name = "N", default_value = "1024")]
    pub max_connections: NonZeroU32,
    /// Most open connections from one address (of IPv6, from one /64 network); if left out, a
    /// quarter of --max-connections, and no limit for loopback. Behind a proxy all clients have its
    /// address: give what it opens
    #[arg(long, value_name = "N")]
    pub max_connections_per_address: Option<NonZeroU32>,
    /// Time between saying that it is not ready and refusing connections when told to end: as long
    /// as load balancers need to notice
    #[arg(long, value_name = "MS", default_value_t = 0)]
    pub drain_delay_ms: u32,
    /// Longest time to finish the requests in flight when told to end
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub drain_s: u32,
    /// Decisions to remember for /v1/decisions
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    pub keep_decisions: usize,
    /// Most bytes of their answers; the oldest make room, and an answer that alone is larger is not
    /// kept
    #[arg(long, value_name = "BYTES", default_value_t = 32 << 20)]
    pub keep_decisions_bytes: usize,
}

/// What is told about it.
#[derive(Debug, Args)]
#[command(next_help_heading = "Log")]
pub struct LogArgs {
    /// How log lines are written, to standard error
    #[arg(long, value_enum, default_value = "text")]
    pub log_format: LogFormat,
    /// Least severity that is logged; info logs each request
    #[arg(long, value_enum, default_value = "info")]
    pub log_level: LogLevel,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

/// Least severity that is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogLevel {
    /// Failures
    Error,
    /// And what someone should look at
    Warn,
    /// And each request
    Info,
    /// And each connection that ends early
    Debug,
}

/// What is kept of it.
#[derive(Debug, Args)]
#[command(next_help_heading = "Decision log")]
pub struct DecisionLogArgs {
    /// Append a record of every decision, with its input, to files in this folder, which is made if
    /// it is not there
    #[arg(long, value_name = "FOLDER")]
    pub decision_log: Option<PathBuf>,
    /// When records are brought to the disk
    #[arg(long, value_enum, default_value = "interval", requires = "decision_log")]
    pub log_sync: LogSync,
    /// Begin another file before this size is exceeded
    #[arg(long, value_name = "BYTES", default_value_t = 64 << 20, requires = "decision_log")]
    pub log_max_bytes: u64,
    /// Begin another file when the present one is this old
    #[arg(long, value_name = "SECONDS", requires = "decision_log")]
    pub log_max_age_s: Option<NonZeroU32>,
    /// Most files, and this many times --log-max-bytes on the disk; the oldest makes room
    #[arg(long, value_name = "N", default_value = "16", requires = "decision_log")]
    pub log_keep: NonZeroU16,
    /// Remove no file with a record that is younger, however much is logged. Where these alone take
    /// --log-keep times --log-max-bytes, records are lost, and counted, until the oldest may go
    #[arg(long, value_name = "SECONDS", default_value_t = 3_600, requires = "decision_log")]
    pub log_keep_s: u32,
    /// Answer 503 to decisions whose record cannot be written, and wait until it is
    #[arg(long, requires = "decision_log")]
    pub log_required: bool,
}

/// When records are brought to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogSync {
    /// After each record
    Always,
    /// Every second
    Interval,
    /// When the system likes
    Never,
}

/// The name of `--allow-host`, without a port.
///
/// # Errors
/// When it is none.
pub fn host_name(text: &str) -> Result<String, String> {
    match text.parse::<Authority>() {
        Ok(authority) if authority.host() == text && !text.is_empty() => Ok(text.to_owned()),
        _ => Err("expected a host name or address without a port".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_to_allow_is_a_name_without_a_port() {
        for name in ["scorer.local", "10.0.0.1", "[fd00::1]"] {
            assert_eq!(host_name(name).as_deref(), Ok(name));
        }
        for name in ["", "a b", "scorer.local:80", "http://a", "a/b", "u@a"] {
            assert!(host_name(name).is_err(), "{name}");
        }
    }
}
