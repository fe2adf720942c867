//! HTTP to the services around a cluster: one time-out for a whole call, no redirects, no proxies, and
//! TLS with a certificate that is pinned or an authority that is named.

mod tls;

use std::path::PathBuf;
use std::time::Duration;

use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{Connector as _, TcpConnector};

/// Most bytes of an answer.
const MOST_BYTES: u64 = 64 << 20;

/// How a service is reached.
pub(crate) struct Opening<'a> {
    /// Begins with `http://` or `https://`.
    pub(crate) url: &'a str,
    /// File with the certificates that sign the service's.
    pub(crate) ca_file: Option<PathBuf>,
    /// SHA-256 of the service's certificate, as hexadecimal digits with or without colons.
    pub(crate) fingerprint: Option<&'a str>,
    /// Value of the `Authorization` header, as long as there is one.
    pub(crate) authorization: Option<String>,
    /// Longest that a call may take.
    pub(crate) timeout: Duration,
}

/// Why a service cannot be called at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: expected {expected}, got {got}")]
pub struct OpenError {
    field: &'static str,
    expected: String,
    got: String,
}

/// A service that answers over HTTP.
pub(crate) struct Client {
    inner: ureq::Agent,
    base: String,
    authorization: Option<String>,
}

/// What a service said.
pub(crate) struct Answer {
    /// Status code.
    pub(crate) status: u16,
    /// The whole text.
    pub(crate) body: String,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    /// The request was never sent.
    NotSent(String),
    /// It may have been sent, and may have taken effect.
    Unclear(String),
}

impl Client {
    /// Prepares calls; nothing is sent yet.
    ///
    /// # Errors
    /// When the address or what is trusted makes no sense.
    pub(crate) fn new(opening: Opening) -> Result<Self, OpenError> {
        let base = opening.url.trim_end_matches('/').to_owned();
        let refuse = |field, expected: &str, got: String| OpenError {
            field,
            expected: expected.into(),
            got,
        };
        let uri: ureq::http::Uri = base.parse().map_err(|error| {
            refuse("url", "an address such as https://pve1:8006", format!("{error}"))
        })?;
        let encrypted = match (uri.scheme_str(), uri.host()) {
            (Some("https"), Some(_)) => true,
            (Some("http"), Some(_)) => false,
            _ => return Err(refuse("url", "http:// or https:// and a host", format!("{base:?}"))),
        };
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(opening.timeout))
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .user_agent("godwit")
            .build();
        let tcp = ().chain(TcpConnector::default());
        let inner = if encrypted {
            let tls = tls::Connector::new(opening.ca_file.as_deref(), opening.fingerprint)?;
            ureq::Agent::with_parts(config, tcp.chain(tls), DefaultResolver::default())
        } else {
            ureq::Agent::with_parts(config, tcp, DefaultResolver::default())
        };
        Ok(Self { inner, base, authorization: opening.authorization })
    }

    /// Asks for `path`, which begins with `/`.
    pub(crate) fn get(&self, path: &str) -> Result<Answer, NoAnswer> {
        answer(self.shown(self.inner.get(self.base.clone() + path)).call())
    }

    /// Sends a form.
    pub(crate) fn post(&self, path: &str, form: &[(&str, &str)]) -> Result<Answer, NoAnswer> {
        let request = self.shown(self.inner.post(self.base.clone() + path));
        answer(request.send_form(form.iter().copied()))
    }

    /// Deletes what `path` names.
    pub(crate) fn delete(&self, path: &str) -> Result<Answer, NoAnswer> {
        answer(self.shown(self.inner.delete(self.base.clone() + path)).call())
    }

    fn shown<B>(&self, request: ureq::RequestBuilder<B>) -> ureq::RequestBuilder<B> {
        match &self.authorization {
            Some(value) => request.header("Authorization", value),
            None => request,
        }
    }
}

fn answer(
    result: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
) -> Result<Answer, NoAnswer> {
    let mut response = result.map_err(no_answer)?;
    let status = response.status().as_u16();
    let body = response.body_mut().with_config().limit(MOST_BYTES).read_to_string();
    // Whoever has begun to answer has got the request.
    let body = body.map_err(|error| NoAnswer::Unclear(error.to_string()))?;
    Ok(Answer { status, body })
}

/// Only where no connection came about is it certain that nothing was sent.
fn no_answer(error: ureq::Error) -> NoAnswer {
    use std::io::ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable};
    let text = error.to_string();
    let unsent = match &error {
        ureq::Error::HostNotFound | ureq::Error::ConnectionFailed => true,
        ureq::Error::Timeout(at) => {
            matches!(at, ureq::Timeout::Resolve | ureq::Timeout::Connect)
        }
        ureq::Error::Io(error) => {
            matches!(error.kind(), ConnectionRefused | HostUnreachable | NetworkUnreachable)
        }
        ureq::Error::Other(error) => error.is::<tls::HandshakeError>(),
        _ => false,
    };
    if unsent { NoAnswer::NotSent(text) } else { NoAnswer::Unclear(text) }
}
