//! Settings of the service, checked before anything starts: an unsafe or impossible combination is
//! refused here and nowhere else.

pub mod bounds;
pub mod roles;
pub mod settings_error;
pub mod tokens;

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use godwit_decide::safety::Safety;
use godwit_decide::secret_file::{self, Refused};
use godwit_decide::state_journal::Journal;
use godwit_models::baselines::find;
use prometheus_client::metrics::counter::Counter;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::cli::serve_args::{
    AccessArgs, Choice, DecisionLogArgs, FallbackArgs, LogSync, ModeName, ServeArgs,
};
use crate::decision_log::{Files, Limits, LogError, Rotation};
use crate::serve::settings::bounds::Bounds;
use crate::serve::settings::roles::{Fallback, Mode, Shadow};
use crate::serve::settings::settings_error::SettingsError;
use crate::serve::settings::tokens::Tokens;
use godwit_decide::outcomes::drift::Demotion;

/// Everything that is fixed for the life of the service.
pub struct Settings {
    /// Where the artifact is.
    pub model: PathBuf,
    /// Whether an artifact with other rules may take over.
    pub allow_other_rules: bool,
    /// Where to listen.
    pub listen: SocketAddr,
    /// What answers mean.
    pub mode: Mode,
    /// In shadow mode, who plans next to the policy.
    pub shadow: Option<Shadow>,
    /// Who plans instead of the policy, and when.
    pub fallback: Fallback,
    /// What clients have to show.
    pub tokens: Option<Tokens>,
    /// Names of this service besides those of loopback, where there are no tokens.
    pub hosts: Vec<String>,
    /// Certificate and key.
    pub tls: Option<Arc<ServerConfig>>,
    /// Threads that decide.
    pub workers: usize,
    /// The operator's limits on plans.
    pub safety: Safety,
    /// Counts what may not have been kept of what they remember.
    pub state_lost: Counter,
    /// Where decisions are put down.
    pub log: Option<LogSettings>,
    /// Limits on requests.
    pub bounds: Bounds,
}

/// Where and how decisions are put down.
pub struct LogSettings {
    /// The files.
    pub files: Files,
    /// When they are brought to the disk.
    pub sync: LogSync,
    /// Whether there is no decision without its record.
    pub required: bool,
}

impl Settings {
    /// Reads the files that the arguments name and checks that everything goes together.
    ///
    /// # Errors
    /// The first mistake.
    pub fn new(args: &ServeArgs) -> Result<Self, SettingsError> {
        let tokens = tokens(&args.access)?;
        let tls = match (&args.access.tls_cert, &args.access.tls_key) {
            (Some(certificate), Some(key)) => Some(tls(certificate, key)?),
            _ => None,
        };
        if !args.listen.ip().is_loopback() {
            let encrypted = tls.is_some() || args.access.insecure_no_tls;
            let needed = match (&tokens, encrypted) {
                (None, _) => "--token-file",
                (_, false) => "--tls-cert and --tls-key (or --insecure-no-tls behind a TLS proxy)",
                (Some(_), true) => "",
            };
            if !needed.is_empty() {
                return Err(SettingsError::Exposed { address: args.listen, needed });
            }
        }
        let (mode, shadow) = mode(args)?;
        let safety = Safety::load(args.policy.limits.as_deref())?;
        let fallback = fallback(&args.fallback)?;
        let journal = args.state.folder.as_deref().map(Journal::open).transpose()?;
        let state_lost = journal.as_ref().map(Journal::lost).unwrap_or_default();
        let safety = safety.with_journal(journal);
        let log = log(&args.decision_log, &safety)?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let millis = |ms: u32| Duration::from_millis(u64::from(ms));
        Ok(Self {
            model: args.policy.model.clone(),
            allow_other_rules: args.allow_other_rules,
            listen: args.listen,
            mode,
            shadow,
            fallback,
            safety,
            state_lost,
            log,
            tokens,
            hosts: args.access.allow_host.clone(),
            tls,
            workers: args.workers.map_or(cores, |workers| workers.get().into()),
            bounds: Bounds {
                body_bytes: args.limits.max_body_bytes,
                nodes: args.limits.max_nodes,
                workloads: args.limits.max_workloads,
                header_bytes: args.limits.max_header_bytes,
                headers: args.limits.max_headers.get().into(),
                header_timeout: millis(args.limits.header_timeout_ms),
                request_timeout: millis(args.limits.request_timeout_ms),
                requests: args.limits.max_requests.get(),
                connections: args.limits.max_connections.get(),
                connections_per_client: args
                    .limits
                    .max_connections_per_address
                    .map(NonZeroU32::get),
                drain_delay: millis(args.limits.drain_delay_ms),
                drain: Duration::from_secs(args.limits.drain_s.into()),
                decisions: args.limits.keep_decisions,
                decisions_bytes: args.limits.keep_decisions_bytes,
                max_moves: args.policy.max_moves,
                think: millis(args.policy.think),
                best_of: args.policy.best_of.get(),
                deadline: args.policy.deadline_ms.map(Duration::from_millis),
                per_decision: args.fallback.decision_deadline_ms.map(Duration::from_millis),
            },
        })
    }
}

fn tokens(args: &AccessArgs) -> Result<Option<Tokens>, SettingsError> {
    let Some(file) = &args.token_file else { return Ok(None) };
    let write = tokens::read(file)?;
    let read = args.read_token_file.as_deref().map(tokens::read).transpose()?;
    match (&read, &args.read_token_file) {
        (Some(token), Some(file)) if token.is(&write) => Err(SettingsError::Token {
            path: file.clone(),
            expected: "another token than that of --token-file",
            got: "the same".to_owned(),
        }),
        _ => Ok(Some(Tokens { write, read })),
    }
}

fn mode(args: &ServeArgs) -> Result<(Mode, Option<Shadow>), SettingsError> {
    let refuse =
        |expected: String, got: &str| Err(SettingsError::Mode { expected, got: got.into() });
    match (args.mode, &args.baseline) {
        (ModeName::DryRun | ModeName::Active, None) if args.returned.is_some() => {
            refuse("mode shadow next to --return".into(), "another")
        }
        (ModeName::DryRun, None) => Ok((Mode::DryRun, None)),
        (ModeName::Active, None) => Ok((Mode::Active, None)),
        (ModeName::Shadow, None) => refuse("--baseline in mode shadow".into(), "none"),
        (ModeName::Shadow, Some(name)) => {
            check_baseline("baseline", name)?;
            let returned = args.returned.unwrap_or(Choice::Policy);
            let shadow = Shadow { baseline: name.clone(), returned };
            Ok((Mode::Shadow, Some(shadow)))
        }
        (_, Some(name)) => refuse(format!("mode shadow next to --baseline {name}"), "another"),
    }
}

/// Whether there is such a baseline, and it needs no memory: each request is a case by itself.
fn check_baseline(flag: &'static str, name: &str) -> Result<(), SettingsError> {
    let got = || name.to_owned();
    let Some(found) = find(name) else {
        return Err(SettingsError::Baseline { flag, got: got() });
    };
    match found.remembers {
        Some(remembers) => Err(SettingsError::Remembers { flag, got: got(), remembers }),
        None => Ok(()),
    }
}

fn fallback(args: &FallbackArgs) -> Result<Fallback, SettingsError> {
    let (name, most_missed) = (args.fallback.clone(), args.demote_above);
    let outside_training = args.fallback_outside_training;
    check_baseline("fallback", &name)?;
    // NaN is refused, too.
    if most_missed.is_nan() || most_missed < 0.0 {
        return Err(SettingsError::Share(most_missed));
    }
    let demotion = Demotion { window: args.demote_window, most_missed };
    Ok(Fallback { name, outside_training, demotion })
}

fn log(args: &DecisionLogArgs, safety: &Safety) -> Result<Option<LogSettings>, LogError> {
    let Some(folder) = &args.decision_log else { return Ok(None) };
    let (sync, required) = (args.log_sync, args.log_required);
    let rotation = Rotation {
        max_bytes: args.log_max_bytes,
        max_age: args.log_max_age_s.map(|age| Duration::from_secs(age.get().into())),
        keep: args.log_keep.get().into(),
        keep_for: Duration::from_secs(args.log_keep_s.into()),
    };
    let limits = Limits::new(safety.text());
    let files = Files::open(folder, limits, rotation, sync != LogSync::Never)?;
    Ok(Some(LogSettings { files, sync, required }))
}

fn tls(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>, SettingsError> {
    let pem = |what, path: &Path| {
        let path = path.to_owned();
        move |source| SettingsError::Pem { what, path, source }
    };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(pem("certificate", certificate))?;
    let secret = secret_file::read(key).map_err(|Refused { expected, got }| {
        SettingsError::Key { path: key.to_owned(), expected, got }
    })?;
    let key = PrivateKeyDer::from_pem_slice(&secret).map_err(pem("key", key))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
