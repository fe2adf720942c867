//! The command line.

use std::net::SocketAddr;
use std::num::{NonZeroU16, NonZeroU32};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use schemars::JsonSchema;
use serde::Serialize;

use crate::serve::host_name;

/// Decides migrations for live clusters with a trained policy. Needs no libtorch.
#[derive(Debug, Parser)]
#[command(name = "godwit-scorer", version, about, long_about = None)]
#[command(after_help = "Exit codes: 0 done, 1 failed, 2 bad usage or bad input.")]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Read one snapshot, print one plan
    #[command(after_help = "Example:
  godwit-scorer decide --model policy.pt --snapshot cluster.json --max-moves 5 --pretty")]
    Decide(DecideArgs),
    /// Read one snapshot per line from standard input, print one plan (or error) per line
    #[command(after_help = "Example:
  godwit-scorer stream --model policy.pt < snapshots.jsonl > plans.jsonl

A line that cannot be decided about gets {\"line\": N, \"error\": {\"code\": ..., \"message\": ...}}, the
error as serve answers it, and the next line is read. Blank lines are skipped.")]
    Stream(StreamArgs),
    /// Answer requests over HTTP
    #[command(after_help = SERVE_HELP)]
    Serve(Box<ServeArgs>),
    /// Make the decisions of a decision log again and compare
    #[command(after_help = REPLAY_HELP)]
    Replay(ReplayArgs),
    /// Print what an artifact says about itself
    #[command(after_help = "Example:
  godwit-scorer inspect policy.pt")]
    Inspect(InspectArgs),
    /// Print the JSON Schema of snapshots, or of what `decide` prints
    #[command(after_help = "Example:
  godwit-scorer schema > snapshot.schema.json")]
    Schema(SchemaArgs),
}

const SERVE_HELP: &str = "\
Examples:
  godwit-scorer serve --model policy.pt
  curl --data-binary @cluster.json http://127.0.0.1:8980/v1/plan?max_moves=5

  # Policy and baseline side by side; the baseline's plans are returned
  godwit-scorer serve --model policy.pt --mode shadow --baseline best-single-move --return baseline

  # A baseline plans where the policy is too slow, refused or demoted
  godwit-scorer serve --model policy.pt --fallback best-single-move --decision-deadline-ms 50

  # Plans are carried out, and remembered across restarts
  godwit-scorer serve --model policy.pt --mode active --limits limits.toml --state state

  # Keep enough of every decision to make it again
  godwit-scorer serve --model policy.pt --decision-log decisions
  godwit-scorer replay decisions --model policy.pt

  # For other machines: tokens and TLS
  head -c 24 /dev/urandom | base64 > token && chmod 600 token
  godwit-scorer serve --model policy.pt --mode active --listen 0.0.0.0:8980 \\
    --token-file token --read-token-file read-token --tls-cert server.pem --tls-key server.key

GET /openapi.json describes every route. SIGTERM and SIGINT finish the requests in flight; a
second one ends at once. POST /v1/halt makes every plan empty until POST /v1/resume. A changed
artifact file is loaded within about a second if it passes every check: a regular file of at most
256 MiB, read within 10 seconds, with the resources, features and rules of the one that decides.

The decision log is JSON lines, each appended whole with one write. With --log-sync always a
decision's record is on the disk before the next one is written (before the answer, with
--log-required); with interval, a loss of power costs about the last second; with never, what the
system has not written by itself. A killed process costs what was still queued, and at most tears
the last line: readers skip it, and a new file is begun at each start. When records cannot be
written decisions go on, the loss is counted in /metrics and logged once, unless --log-required is
given. Nobody can flush the log: records of the last --log-keep-s seconds stay, and a log that they
fill takes no more (godwit_scorer_decision_log_full), so that with --log-required decisions are
answered 503 until there is room. Inputs that are refused as malformed are no decisions and are not kept.";

const REPLAY_HELP: &str = "\
Example:
  godwit-scorer replay decisions --model policy.pt

Each record is decided again with the artifact, limits, time and memory that it names; the answer
must be the same in every bit, but for timing. Plans that a deadline cut short are made again with
as many decisions as there was time for. Torn last lines are counted and skipped.

Exit codes: 0 every decision was made again and is equal, 1 some differ, 2 some could not be made
again (another artifact, unreadable lines) or bad usage.";

/// The policy and how far it may go.
#[derive(Debug, Args)]
pub struct PolicyArgs {
    /// The policy: an artifact that `godwit export` wrote, or the name of an embedded scenario for
    /// the policy that comes with the program
    #[arg(long, value_name = "FILE.pt|NAME")]
    pub model: PathBuf,
    /// At most this many migrations, next to the budget of the artifact's rules
    #[arg(long, value_name = "N", default_value_t = u32::MAX, hide_default_value = true)]
    pub max_moves: u32,
    /// Begin no further decision this many milliseconds after the snapshot was there
    #[arg(long, value_name = "MS")]
    pub deadline_ms: Option<u64>,
    /// Simulate so many plans on a copy of the cluster and take the one that gains most, costs
    /// taken off: the policy's own, and others whose moves are drawn by the policy's values from
    /// fixed seeds. Takes N times as long; with a deadline, the best of those that there was time
    /// for. In rebalance scenarios only: in online ones the policy's own plan is taken, whatever N is
    #[arg(long, value_name = "N", default_value = "1")]
    pub best_of: NonZeroU32,
    /// Limits on every plan, as TOML: moves per node and tenant, disruption budgets, hold-down,
    /// back-off, windows, lifetime of moves, age of the input, least gain (`godwit-scorer schema limits` lists them).
    /// Those that look back count the plans of `stream`, and of `serve` in mode active, as carried
    /// out
    #[arg(long, value_name = "FILE.toml")]
    pub limits: Option<PathBuf>,
}

/// `decide`.
#[derive(Debug, Args)]
pub struct DecideArgs {
    /// The policy.
    #[command(flatten)]
    pub policy: PolicyArgs,
    /// The cluster as it stands, as JSON; `-` for standard input
    #[arg(long, value_name = "FILE.json|-")]
    pub snapshot: PathBuf,
    /// What is told.
    #[command(flatten)]
    pub tell: TellArgs,
    /// Print JSON on several lines, indented
    #[arg(long)]
    pub pretty: bool,
}

/// `stream`.
#[derive(Debug, Args)]
pub struct StreamArgs {
    /// The policy.
    #[command(flatten)]
    pub policy: PolicyArgs,
    /// What is remembered across restarts.
    #[command(flatten)]
    pub state: StateArgs,
    /// Longest line; of a longer one nothing is kept, and it gets an error
    #[arg(long, value_name = "BYTES", default_value_t = 8 << 20)]
    pub max_line_bytes: usize,
    /// What is told.
    #[command(flatten)]
    pub tell: TellArgs,
}

/// What is remembered across restarts.
#[derive(Debug, Args)]
pub struct StateArgs {
    /// Keep what is remembered of earlier plans (hold-down, back-off, cool-downs, a halt) in this
    /// folder, which is made if it is not there, and go on from it. Each plan is on the disk before
    /// it is answered
    #[arg(long = "state", value_name = "FOLDER")]
    pub folder: Option<PathBuf>,
}

/// What is told of decisions.
#[derive(Debug, Args)]
pub struct TellArgs {
    /// Name each workload that stays where it is, and why, next to how many stay for each reason
    #[arg(long)]
    pub stays: bool,
}

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

/// Who plans instead of the policy.
#[derive(Debug, Args)]
#[command(next_help_heading = "Fallback")]
pub struct FallbackArgs {
    /// Who plans where the policy cannot be relied on: a baseline that remembers nothing from tick to
    /// tick; `stay` moves nothing
    #[arg(long, value_name = "NAME", default_value = "stay")]
    pub fallback: String,
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

/// `replay`.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// Files of a decision log, or folders with them
    #[arg(value_name = "LOG", required = true)]
    pub logs: Vec<PathBuf>,
    /// The artifact that decided, as for `serve`; once for each where there were several
    #[arg(long = "model", value_name = "FILE.pt|NAME", required = true)]
    pub models: Vec<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
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

/// `inspect`.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// The artifact
    #[arg(value_name = "FILE.pt")]
    pub artifact: PathBuf,
    /// Print the whole manifest as JSON
    #[arg(long)]
    pub json: bool,
}

/// `schema`.
#[derive(Debug, Args)]
pub struct SchemaArgs {
    /// Which format
    #[arg(default_value = "snapshot")]
    pub format: Format,
}

/// A format that other programs read or write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// What `decide` reads
    Snapshot,
    /// What `decide` prints
    Plan,
    /// What `--limits` reads
    Limits,
}
