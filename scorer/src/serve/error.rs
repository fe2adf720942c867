//! What clients are told when something is wrong: a status, a stable code and a sentence.

use axum::extract::rejection::QueryRejection;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use godwit_envs::input::InputError;
use schemars::JsonSchema;
use serde::Serialize;

use super::reload::ReloadError;
use crate::engine::EngineError;

/// The body of every answer that is an error.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ErrorBody {
    /// The error.
    pub error: ErrorDetail,
}

/// An error.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ErrorDetail {
    /// Which one; never changes its meaning.
    pub code: &'static str,
    /// What was expected, and what was found; for people.
    pub message: String,
}

/// An error on its way to the client.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
}

/// The code of an answer that is an error, for logs and metrics.
#[derive(Debug, Clone, Copy)]
pub struct ErrorCode(pub &'static str);

impl ApiError {
    /// An error with this status and code.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    /// Too much is going on.
    pub fn busy(limit: u32) -> Self {
        let message =
            format!("expected at most {limit} requests at once, got one more (try again later)");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", message)
    }

    /// The answer took too long.
    pub fn timeout() -> Self {
        let message = "expected an answer within the request timeout, got none";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "timeout", message)
    }

    /// A query that the route does not take.
    pub fn query(rejection: QueryRejection) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_query", rejection.body_text())
    }

    /// The decision could not be put down, and must be.
    pub fn log_failed() -> Self {
        let message = "expected to write the decision's record, got a failure (see the log)";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "decision_log", message)
    }

    /// Other plans came first, twice.
    pub fn overtaken() -> Self {
        let message = "expected a plan that keeps every limit next to the plans that left meanwhile, \
                       got none (try again with a new snapshot)";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "overtaken", message)
    }

    /// Something broke that no client can mend.
    pub fn internal() -> Self {
        let message = "expected an answer, got a failure of the service (see its log)";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
    }

    /// A document that is no JSON (400), or not the one that was expected (422).
    pub fn input(error: &InputError, text: &[u8]) -> Self {
        let is_json = serde_json::from_slice::<serde::de::IgnoredAny>(text).is_ok();
        let (status, code) = match is_json {
            true => (StatusCode::UNPROCESSABLE_ENTITY, "invalid_input"),
            false => (StatusCode::BAD_REQUEST, "malformed_json"),
        };
        Self::new(status, code, error.to_string())
    }

    /// A cluster that cannot be decided about, or a plan that must not leave the service.
    pub fn engine(error: &EngineError, text: &[u8]) -> Self {
        match error {
            EngineError::Input(error) => Self::input(error, text),
            EngineError::TooSlow(_)
            | EngineError::Violations { .. }
            | EngineError::Limits { .. } => {
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "plan_refused", error.to_string())
            }
        }
    }
}

impl From<ReloadError> for ApiError {
    fn from(error: ReloadError) -> Self {
        let code = match error {
            ReloadError::OtherRules { .. } => "other_rules",
            ReloadError::Artifact(_) | ReloadError::Slow(_) => "artifact_refused",
        };
        Self::new(StatusCode::CONFLICT, code, error.to_string())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let Self { status, code, message } = self;
        let mut response = json(status, &ErrorBody { error: ErrorDetail { code, message } });
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response.extensions_mut().insert(ErrorCode(code));
        response
    }
}

/// An answer with a document.
pub fn json(status: StatusCode, document: &impl Serialize) -> Response {
    match serde_json::to_vec(document) {
        Ok(bytes) => (status, [(CONTENT_TYPE, "application/json")], bytes).into_response(),
        Err(error) => {
            tracing::error!(%error, "expected a document that JSON can express");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
