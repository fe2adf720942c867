//! Who may do what: what routes ask for, what tokens allow, and which names of this service a
//! browser may have been sent to.

use axum::http::header::{AUTHORIZATION, HOST, ORIGIN};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Request, StatusCode};
use godwit_decide::bearer_token::Token;
use godwit_decide::loopback::is_loopback;

use crate::serve::bodies::api_error::ApiError;
use crate::serve::settings::tokens::Tokens;

/// What a route asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Nothing: everybody is answered.
    Open,
    /// A token that reads.
    Read,
    /// The token that changes something, or has something worked out.
    Write,
}

/// Whether this request may be answered at all.
///
/// # Errors
/// When it shows no token that allows it, or may come from a web page.
pub fn admit<B>(
    tokens: Option<&Tokens>,
    hosts: &[String],
    access: Access,
    request: &Request<B>,
) -> Result<(), ApiError> {
    match (access, tokens) {
        (Access::Open, _) => Ok(()),
        (_, Some(tokens)) => tokens.admit(access, request.headers()),
        (_, None) => no_web_page(hosts, request),
    }
}

impl Tokens {
    fn admit(&self, access: Access, headers: &HeaderMap) -> Result<(), ApiError> {
        let shown = headers.get(AUTHORIZATION).map(|value| value.as_bytes());
        let is_shown = |token: &Token| token.is_shown_in(shown);
        if is_shown(&self.write) {
            return Ok(());
        }
        if !self.read.as_ref().is_some_and(is_shown) {
            let message = "expected the header authorization: Bearer <token> with the right token";
            return Err(ApiError::new(StatusCode::UNAUTHORIZED, "unauthorized", message));
        }
        match access {
            Access::Write => {
                let message = "expected the token of --token-file, got the one that only reads";
                Err(ApiError::new(StatusCode::FORBIDDEN, "read_only_token", message))
            }
            Access::Open | Access::Read => Ok(()),
        }
    }
}

/// Any page that someone opens in a browser on this machine could otherwise resume what was halted:
/// from a site of its own, which the browser says, or from a name that the page's owner has made to
/// lead to loopback.
fn no_web_page<B>(hosts: &[String], request: &Request<B>) -> Result<(), ApiError> {
    if request.headers().contains_key(ORIGIN) {
        let message = "expected no request of a web page (header origin) without --token-file";
        return Err(ApiError::new(StatusCode::FORBIDDEN, "web_page", message));
    }
    // Programs that send none are no browsers.
    let sent = request.headers().get_all(HOST).iter();
    let sent = sent.map(|value| value.to_str().ok()?.parse().ok());
    let named = request.uri().authority().map(|authority| Some(authority.clone()));
    let known = |authority: &Option<Authority>| {
        authority.as_ref().is_some_and(|authority| is_known(hosts, authority.host()))
    };
    if named.into_iter().chain(sent).all(|authority| known(&authority)) {
        return Ok(());
    }
    let message = "expected the header host to say localhost, 127.0.0.1, [::1] or a name of \
                   --allow-host, got another (or start the service with --token-file)";
    Err(ApiError::new(StatusCode::FORBIDDEN, "wrong_host", message))
}

fn is_known(hosts: &[String], host: &str) -> bool {
    is_loopback(host) || hosts.iter().any(|known| known.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_admitted(hosts: &[&str], uri: &str, headers: &[&str]) -> bool {
        let hosts: Vec<String> = hosts.iter().map(|&host| host.to_owned()).collect();
        let request = Request::get(uri);
        let request = headers.iter().fold(request, |request, host| request.header(HOST, *host));
        admit(None, &hosts, Access::Read, &request.body(()).unwrap()).is_ok()
    }

    #[test]
    fn without_a_token_only_names_of_this_machine_are_answered() {
        for host in [
            "localhost",
            "LOCALHOST:80",
            "127.0.0.1",
            "127.0.0.1:8980",
            "127.9.8.7:1",
            "[::1]",
            "[::1]:8980",
        ] {
            assert!(is_admitted(&[], "/v1/model", &[host]), "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:8980",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "10.0.0.1",
            "0.0.0.0",
            "[::2]",
            "::1",
            "",
            "localhost:80:80",
            "localhost/",
            "2130706433",
        ] {
            assert!(!is_admitted(&[], "/v1/model", &[host]), "{host}");
        }
        // Each of several, and the address that is asked for, must be known.
        assert!(!is_admitted(&[], "/v1/model", &["localhost", "evil.example"]));
        assert!(!is_admitted(&[], "http://evil.example/v1/model", &["localhost"]));
        assert!(is_admitted(&[], "/v1/model", &[]));
        assert!(is_admitted(&["scorer.local"], "/v1/model", &["Scorer.local:443"]));
        assert!(!is_admitted(&["scorer.local"], "/v1/model", &["other.local"]));
    }
}
