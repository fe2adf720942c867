//! `/v1/decisions/{id}`: what was decided before.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;

use crate::serve::app::{App, Shared};
use crate::serve::bodies::api_error::ApiError;
use crate::serve::leaving::recent_decisions::Missing;
use crate::serve::settings::bounds::Bounds;

/// `GET /v1/decisions/{id}`.
pub async fn find(
    State(app): State<Shared>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let id = id.map_or_else(|_| String::new(), |Path(id)| id);
    app.history.find(&id).map(document).map_err(|missing| not_kept(&app, missing))
}

/// No decision with this id is remembered, or not its answer.
pub fn not_kept(app: &App, missing: Missing) -> ApiError {
    let Bounds { decisions, decisions_bytes, .. } = &app.settings.bounds;
    let (code, message) = match missing {
        Missing::Unknown => (
            "unknown_decision",
            format!(
                "expected the id of one of the last {decisions} decisions, as many as fit into \
                 {decisions_bytes} bytes, got another"
            ),
        ),
        Missing::TooLarge(bytes) => (
            "decision_too_large",
            format!(
                "expected an answer that fits into {decisions_bytes} bytes \
                 (--keep-decisions-bytes), got one of {bytes}, which was not kept"
            ),
        ),
    };
    ApiError::new(StatusCode::NOT_FOUND, code, message)
}

fn document(json: Bytes) -> Response {
    ([(CONTENT_TYPE, "application/json")], json).into_response()
}
