//! Who may ask for what.

use axum::http::{HeaderMap, StatusCode, header};
use godwit_decide::bearer_token::Token;
use godwit_decide::loopback::is_loopback;

/// What a route asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// It reads.
    Read,
    /// It changes something.
    Write,
}

/// Status, code and message of a refusal.
type Refusal = (StatusCode, &'static str, &'static str);

/// Whether a request may be answered. With a token, what changes something must show it. Without one,
/// the request must name this machine, so that no name that a web page has made to lead here will do,
/// and what a browser sends must come from the page that is served here itself.
///
/// # Errors
/// Why it may not.
pub fn admit(token: Option<&Token>, headers: &HeaderMap, need: Need) -> Result<(), Refusal> {
    let text = |name| headers.get(name).map(|value: &header::HeaderValue| value.to_str().ok());
    let host = text(header::HOST);
    if let Some(token) = token {
        let shown = headers.get(header::AUTHORIZATION).map(|value| value.as_bytes());
        return match token.is_shown_in(shown) || need == Need::Read && is_here(host) {
            true => Ok(()),
            false => Err((
                StatusCode::UNAUTHORIZED,
                "unauthorized",
                "expected the header authorization: Bearer <token> with the token of web.token_file",
            )),
        };
    }
    if !is_here(host) {
        return Err((
            StatusCode::FORBIDDEN,
            "wrong_host",
            "expected the header host to say localhost, 127.0.0.1 or [::1], got another",
        ));
    }
    let own = host.flatten().map(|host| format!("http://{host}"));
    match text(header::ORIGIN) {
        None => Ok(()),
        Some(origin) if origin.map(str::to_owned) == own => Ok(()),
        Some(_) => Err((
            StatusCode::FORBIDDEN,
            "web_page",
            "expected no request of another web page (header origin)",
        )),
    }
}

/// Whether a host header, if there is one, names this machine.
fn is_here(host: Option<Option<&str>>) -> bool {
    match host {
        // Programs that send none are no browsers.
        None => true,
        Some(None) => false,
        Some(Some(host)) => {
            let authority = host.parse::<axum::http::uri::Authority>();
            authority.is_ok_and(|authority| is_loopback(authority.host()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    fn code(token: Option<&Token>, pairs: &[(&'static str, &str)], need: Need) -> &'static str {
        admit(token, &headers(pairs), need).map_or_else(|refusal| refusal.1, |()| "")
    }

    #[test]
    fn without_a_token_only_this_machine_and_its_own_page_are_answered() {
        let own = ("host", "127.0.0.1:8981");
        assert_eq!(code(None, &[own], Need::Write), "");
        assert_eq!(code(None, &[own, ("origin", "http://127.0.0.1:8981")], Need::Write), "");
        for origin in
            ["http://evil.example", "null", "http://127.0.0.1:80", "https://127.0.0.1:8981"]
        {
            assert_eq!(code(None, &[own, ("origin", origin)], Need::Write), "web_page", "{origin}");
        }
        for host in ["evil.example:8981", "10.0.0.1", "127.0.0.1.evil.example"] {
            assert_eq!(code(None, &[("host", host)], Need::Read), "wrong_host", "{host}");
        }
    }

    #[test]
    fn with_a_token_whatever_changes_something_shows_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "0123456789abcdef").unwrap();
        #[cfg(unix)]
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600))
            .unwrap();
        let token = Token::read(&path).map_err(|refused| refused.got).unwrap();
        let own = ("host", "localhost:8981");
        let shown = ("authorization", "Bearer 0123456789abcdef");
        let wrong = ("authorization", "Bearer 0123456789abcdeg");
        assert_eq!(code(Some(&token), &[own], Need::Read), "");
        assert_eq!(code(Some(&token), &[own], Need::Write), "unauthorized");
        assert_eq!(code(Some(&token), &[own, wrong], Need::Write), "unauthorized");
        assert_eq!(code(Some(&token), &[own, shown], Need::Write), "");
        let other = ("host", "godwit.example");
        assert_eq!(code(Some(&token), &[other], Need::Read), "unauthorized");
        assert_eq!(code(Some(&token), &[other, shown], Need::Read), "");
    }
}
