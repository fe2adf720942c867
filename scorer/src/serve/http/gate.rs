//! What every request passes: a name, the token, counting, one line in the log.

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{CONTENT_ENCODING, TRANSFER_ENCODING};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use prometheus_client::metrics::gauge::Gauge;
use tokio::time::Instant;

use super::access::{self, Access};
use super::routes::{Route, is_inference, route};
use crate::serve::app::{App, Arrival, Shared};
use crate::serve::bodies::api_error::{ApiError, Told, for_inference};
use crate::serve::settings::Settings;

/// Header with the name of the request.
const REQUEST_ID: &str = "x-request-id";

/// The middleware around all routes.
pub async fn gate(State(app): State<Shared>, mut request: Request, next: Next) -> Response {
    let at = Instant::now();
    let id = app.ids.next();
    let _in_flight = InFlight::new(&app.metrics.in_flight);
    let path = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let route = path.and_then(route);
    let method = request.method().clone();
    let is_inference = is_inference(request.uri().path());
    let mut response = match admit(&app, route, &request) {
        Ok(()) => {
            let until = at + app.settings.bounds.request_timeout;
            request.extensions_mut().insert(Arrival { id: id.clone(), at, until });
            next.run(request).await
        }
        Err(error) => error.into_response(),
    };
    let status = response.status().as_u16();
    let path = route.map_or("unknown", |route| route.path);
    let code = response.extensions().get().map(|Told { code, .. }| *code);
    if is_inference {
        response = for_inference(response);
    }
    app.metrics.answered(path, status, at.elapsed());
    if let Some(code) = code {
        app.metrics.refused(code);
    }
    let micros = at.elapsed().as_micros() as u64;
    tracing::info!(id, %method, route = path, status, micros, code, "request");
    if let Ok(id) = HeaderValue::try_from(id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

/// Whether this request may be answered at all.
fn admit(app: &App, route: Option<&Route>, request: &Request) -> Result<(), ApiError> {
    // Paths that are no route tell nobody anything before a token is shown.
    let access = route.map_or(Access::Read, |route| route.access);
    let Settings { tokens, hosts, .. } = &app.settings;
    access::admit(tokens.as_ref(), hosts, access, request)?;
    match access {
        Access::Open => Ok(()),
        Access::Read | Access::Write => encodings(request.headers()),
    }
}

/// Refuses bodies that would have to be decoded before they can be read.
fn encodings(headers: &HeaderMap) -> Result<(), ApiError> {
    for (name, served) in [(CONTENT_ENCODING, "identity"), (TRANSFER_ENCODING, "chunked")] {
        let values = headers.get_all(&name).iter();
        let mut values = values.map(|value| String::from_utf8_lossy(value.as_bytes()));
        if let Some(got) = values.find(|value| !value.trim().eq_ignore_ascii_case(served)) {
            let message = format!("{name}: expected none or {served}, got {got:?}");
            let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return Err(ApiError::new(status, "unsupported_encoding", message));
        }
    }
    Ok(())
}

/// Counts a request as being answered, until it is answered or its connection is gone.
struct InFlight(Gauge);

impl InFlight {
    fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}
