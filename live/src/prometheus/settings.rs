//! The table `[prometheus]`, and what is wrong with it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use godwit_decide::secret_file::{self, Refused};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::http;

/// Where use is measured: the table `[prometheus]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Address of the server, such as `http://127.0.0.1:9090`, with its path if it has one.
    pub url: String,
    /// File with a bearer token, where the server asks for one. Others must not be able to read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    /// SHA-256 fingerprint of the server's certificate. Either this or `ca_file` is needed for `https`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// File with the certificates, in PEM, that sign the server's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// Longest that a call may take, seconds.
    #[serde(default = "timeout")]
    #[schemars(range(min = 1, max = 600))]
    pub timeout_s: u32,
    /// Label of the results that holds the workload's name. Where none does, `label_join` and
    /// `label_replace` in the queries make one.
    pub workload_label: String,
    /// Label that holds the node's name. With it, a result counts only while the workload runs there:
    /// what its last node still says of it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_label: Option<String>,
    /// What to ask, by the names of resources in the cluster's snapshot. Other resources stay as the
    /// cluster says.
    pub resources: BTreeMap<String, Query>,
}

/// What to ask of one resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Query {
    /// PromQL expression with one result for each workload, such as
    /// `sum by (domain) (rate(libvirt_domain_info_cpu_time_seconds_total[5m]))`.
    pub query: String,
    /// What the results are multiplied by to be in the snapshot's unit: 9.313225746154785e-10 makes GiB
    /// of bytes.
    #[serde(default = "one")]
    pub factor: f64,
}

/// Why Prometheus cannot be asked as the settings say.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// A setting makes no sense.
    #[error("{field}: expected {expected}, got {got}")]
    Setting {
        /// The setting.
        field: String,
        /// What would have been accepted.
        expected: &'static str,
        /// What was found; never a token.
        got: String,
    },
    /// The address, or what is trusted, makes no sense.
    #[error(transparent)]
    Http(#[from] http::OpenError),
}

/// The value of the `Authorization` header.
fn authorization(settings: &Settings, folder: &Path) -> Result<Option<String>, OpenError> {
    let Some(path) = &settings.token_file else { return Ok(None) };
    let path = folder.join(path);
    let refuse = |expected, got: String| OpenError::Setting {
        field: format!("token_file {}", path.display()),
        expected,
        got,
    };
    let bytes =
        secret_file::read(&path).map_err(|Refused { expected, got }| refuse(expected, got))?;
    let token = bytes.trim_ascii();
    match !token.is_empty() && token.iter().all(u8::is_ascii_graphic) {
        true => Ok(Some(format!("Bearer {}", String::from_utf8_lossy(token)))),
        false => Err(refuse("visible ASCII characters on one line", "something else".to_owned())),
    }
}

fn check(settings: &Settings) -> Result<(), OpenError> {
    let refuse = |field: &str, expected, got: String| {
        Err(OpenError::Setting { field: field.to_owned(), expected, got })
    };
    if !(1..=600).contains(&settings.timeout_s) {
        return refuse("timeout_s", "1 to 600 seconds", settings.timeout_s.to_string());
    }
    if settings.resources.is_empty() {
        return refuse("resources", "at least one resource", "none".to_owned());
    }
    for (name, query) in &settings.resources {
        if !(query.factor.is_finite() && query.factor > 0.0) {
            let field = format!("resources.{name}.factor");
            return refuse(&field, "a finite number above 0", query.factor.to_string());
        }
    }
    Ok(())
}

/// The client that the settings ask for.
///
/// # Errors
/// When a setting makes no sense.
pub(super) fn client(settings: &Settings, folder: &Path) -> Result<http::Client, OpenError> {
    check(settings)?;
    Ok(http::Client::new(http::Opening {
        url: &settings.url,
        ca_file: settings.ca_file.as_ref().map(|file| folder.join(file)),
        fingerprint: settings.fingerprint.as_deref(),
        authorization: authorization(settings, folder)?,
        timeout: Duration::from_secs(settings.timeout_s.into()),
    })?)
}

fn timeout() -> u32 {
    30
}
fn one() -> f64 {
    1.0
}
