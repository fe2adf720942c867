//! The page to look at, and the routes behind it.
//!
//! Reading is open to this machine. Halting, resuming and aborting ask for the token, where there is
//! one; without one they are open to this machine's programs, and to the page that it serves itself.

mod access;
mod view;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use godwit_decide::bearer_token::Token;
use serde::Deserialize;
use serde_json::json;
use tokio::net::TcpListener;

use crate::control::{Control, Request};
use access::Need;

/// The page: one file, which loads nothing else.
const PAGE: &str = include_str!("page.html");

/// Why the page cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    /// The address is none.
    #[error("web.listen: expected an address such as 127.0.0.1:8981, got {0:?}")]
    Address(String),
    /// Others could halt and resume.
    #[error(
        "web.token_file: expected one where web.listen is not this machine's own address, got none"
    )]
    NoToken,
    /// The token.
    #[error("web.token_file {path}: expected {expected}, got {got}")]
    Token {
        /// The file.
        path: String,
        /// What would have been accepted.
        expected: &'static str,
        /// What was found.
        got: String,
    },
    /// The address cannot be listened on.
    #[error("web.listen {address}: expected to listen there, got {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the operating system said.
        source: std::io::Error,
    },
}

/// What the routes share.
struct Shared {
    control: Arc<Control>,
    token: Option<Token>,
}

/// Serves the page from a thread of its own, for as long as the process lives. Gives the address that
/// it is on.
///
/// # Errors
/// When it cannot be served there, or must not be.
pub fn serve(settings: &crate::config::Web, control: Arc<Control>) -> Result<SocketAddr, WebError> {
    let asked = &settings.listen;
    let address: SocketAddr = asked.parse().map_err(|_| WebError::Address(asked.clone()))?;
    let token = settings.token_file.as_deref().map(|path| {
        Token::read(path).map_err(|refused| WebError::Token {
            path: path.display().to_string(),
            expected: refused.expected,
            got: refused.got,
        })
    });
    let token = token.transpose()?;
    if token.is_none() && !address.ip().is_loopback() {
        return Err(WebError::NoToken);
    }
    let refuse = |source| WebError::Listen { address, source };
    let listener = std::net::TcpListener::bind(address).map_err(refuse)?;
    listener.set_nonblocking(true).map_err(refuse)?;
    let bound = listener.local_addr().map_err(refuse)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(refuse)?;
    let router = router(Arc::new(Shared { control, token }));
    std::thread::spawn(move || {
        runtime.block_on(async move {
            let served = match TcpListener::from_std(listener) {
                Ok(listener) => axum::serve(listener, router).await,
                Err(error) => Err(error),
            };
            if let Err(error) = served {
                tracing::error!(%error, "the page is not served any more");
            }
        });
    });
    Ok(bound)
}

fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/", get(page))
        .route("/v1/status", get(status))
        .route("/v1/snapshot", get(snapshot))
        .route("/v1/halt", post(halt))
        .route("/v1/resume", post(resume))
        .route("/v1/abort", post(abort))
        .with_state(shared)
}

async fn page() -> Response {
    let policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
                  connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    ([(header::CONTENT_SECURITY_POLICY, policy)], Html(PAGE)).into_response()
}

async fn status(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    answer(&shared, &headers, Need::Read, |control| match control.status() {
        Some(status) => Json(view::View::of(&status)).into_response(),
        None => error(StatusCode::SERVICE_UNAVAILABLE, "starting", "the first turn is not over"),
    })
}

async fn snapshot(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    answer(&shared, &headers, Need::Read, |control| {
        match control.status().and_then(|status| status.snapshot.clone()) {
            Some(snapshot) => Json(snapshot).into_response(),
            None => {
                error(StatusCode::SERVICE_UNAVAILABLE, "unseen", "the cluster was not seen yet")
            }
        }
    })
}

async fn halt(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    ask(&shared, &headers, Request::Halt("a request".to_owned()))
}

async fn resume(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    ask(&shared, &headers, Request::Resume("a request".to_owned()))
}

#[derive(Deserialize)]
struct Abort {
    order: String,
}

async fn abort(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Query(Abort { order }): Query<Abort>,
) -> Response {
    let known = shared.control.status().is_some_and(|status| {
        status.ledger.of_order(&order).is_some_and(|planned| planned.is_open())
    });
    answer(&shared, &headers, Need::Write, |control| {
        if !known {
            let message = "expected the id of a move that is not over";
            return error(StatusCode::NOT_FOUND, "unknown_order", message);
        }
        control.ask(Request::Abort { order, by: "a request".to_owned() });
        (StatusCode::ACCEPTED, Json(json!({"asked": true}))).into_response()
    })
}

fn ask(shared: &Shared, headers: &HeaderMap, request: Request) -> Response {
    answer(shared, headers, Need::Write, |control| {
        control.ask(request);
        (StatusCode::ACCEPTED, Json(json!({"asked": true}))).into_response()
    })
}

fn answer(
    shared: &Shared,
    headers: &HeaderMap,
    need: Need,
    answer: impl FnOnce(&Control) -> Response,
) -> Response {
    match access::admit(shared.token.as_ref(), headers, need) {
        Ok(()) => answer(&shared.control),
        Err((status, code, message)) => error(status, code, message),
    }
}

fn error(status: StatusCode, code: &str, message: &str) -> Response {
    (status, Json(json!({"error": {"code": code, "message": message}}))).into_response()
}
