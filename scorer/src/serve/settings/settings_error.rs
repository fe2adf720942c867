//! Why the service does not start.

use std::net::SocketAddr;
use std::path::PathBuf;

use godwit_decide::own_folder::FolderError;
use godwit_envs::input::{InputError, nearest_hint};
use godwit_models::baselines::{NAMES, Remembers};
use tokio_rustls::rustls;
use tokio_rustls::rustls::pki_types::pem;

use crate::decision_log::LogError;

/// Why the service does not start. All of these are mistakes of whoever starts it.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// Everyone could reach the service, or read what is sent.
    #[error("listen: expected {needed} to listen on {address}, which is no loopback address")]
    Exposed {
        /// What was asked for.
        address: SocketAddr,
        /// What is missing.
        needed: &'static str,
    },
    /// A token that protects nothing.
    #[error("token file {}: expected {expected}, got {got}", path.display())]
    Token {
        /// The file.
        path: PathBuf,
        /// What would have been accepted.
        expected: &'static str,
        /// What was found; never the token.
        got: String,
    },
    /// Certificate or key cannot be read.
    #[error("{what} {}: expected a PEM file, got {source}", path.display())]
    Pem {
        /// `certificate` or `key`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the reader said.
        source: pem::Error,
    },
    /// The key could be read by everyone, or by nobody here.
    #[error("key {}: expected {expected}, got {got}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What would have been accepted.
        expected: &'static str,
        /// What was found; never the key.
        got: String,
    },
    /// Certificate and key are no pair that TLS can use.
    #[error("tls: expected a certificate and its key, got {0}")]
    Tls(#[from] rustls::Error),
    /// The operator's limits cannot be read.
    #[error(transparent)]
    Limits(#[from] InputError),
    /// Decisions cannot be put down.
    #[error(transparent)]
    Log(#[from] LogError),
    /// There is no such baseline.
    #[error(
        "{flag}: expected one of {}{}, got {got:?}",
        NAMES.join(", "),
        nearest_hint(got, NAMES.iter().copied())
    )]
    Baseline {
        /// Where it is named.
        flag: &'static str,
        /// What was found.
        got: String,
    },
    /// A baseline that would have to remember what no request tells it.
    #[error(
        "{flag}: expected a baseline that decides about one snapshot by itself, got {got:?}, which \
         remembers {} from tick to tick (take {})",
        .remembers.what,
        .remembers.instead
    )]
    Remembers {
        /// Where it is named.
        flag: &'static str,
        /// What was found.
        got: String,
        /// What it remembers.
        remembers: Remembers,
    },
    /// What is remembered cannot be kept.
    #[error(transparent)]
    State(#[from] FolderError),
    /// A share that is none.
    #[error("demote-above: expected a number of at least 0, got {0}")]
    Share(f64),
    /// Mode, baseline and what is returned do not go together.
    #[error("mode: expected {expected}, got {got}")]
    Mode {
        /// What would have been accepted.
        expected: String,
        /// What was found.
        got: String,
    },
}
