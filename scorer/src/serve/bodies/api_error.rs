//! What clients are told when something is wrong: a status, a stable code and a sentence.

use axum::extract::rejection::QueryRejection;
use axum::http::header::{
    ACCEPT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE,
};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use godwit_decide::engine::EngineError;
use godwit_decide::error_document::{
    ErrorBody, INVALID_INPUT, MALFORMED_JSON, engine_code, input_code,
};
use godwit_envs::input::InputError;
use schemars::JsonSchema;
use serde::Serialize;

use crate::serve::model::takeover::ReloadError;

/// The body of every error of the Open Inference Protocol (`/v2`). The code is in the header
/// `x-error-code`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct InferenceErrorBody {
    /// What was expected, and what was found; for people.
    pub error: String,
}

/// Header with the code of an error, where the body has no place for it.
const CODE_HEADER: &str = "x-error-code";

/// An error on its way to the client.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
}

/// What an answer says that is an error: for logs, metrics, and other bodies.
#[derive(Debug, Clone)]
pub struct Told {
    /// The code.
    pub code: &'static str,
    message: String,
}

impl ApiError {
    /// An error with this status and code.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    /// Too much is going on: as many of `what` as may be.
    pub fn busy(limit: u32, what: &str) -> Self {
        let message =
            format!("expected at most {limit} {what} at once, got one more (try again later)");
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
        Self::coded(input_code(text), error.to_string())
    }

    /// A cluster that cannot be decided about, or a plan that must not leave the service.
    pub fn engine(error: &EngineError, text: &[u8]) -> Self {
        Self::coded(engine_code(error, text), error.to_string())
    }

    /// An error with one of the codes that `stream` has, too.
    fn coded(code: &'static str, message: String) -> Self {
        let status = match code {
            MALFORMED_JSON => StatusCode::BAD_REQUEST,
            INVALID_INPUT => StatusCode::UNPROCESSABLE_ENTITY,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, code, message)
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
        let mut response = json(status, &ErrorBody::new(code, message.clone()));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if status == StatusCode::UNSUPPORTED_MEDIA_TYPE {
            response.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
        response.extensions_mut().insert(Told { code, message });
        response
    }
}

/// An answer of the Open Inference Protocol: its errors are a sentence.
pub fn for_inference(response: Response) -> Response {
    let Some(Told { code, message }) = response.extensions().get().cloned() else {
        return response;
    };
    let mut answer = json(response.status(), &InferenceErrorBody { error: message });
    let (parts, _) = response.into_parts();
    for (name, value) in parts.headers.iter().filter(|(name, _)| *name != CONTENT_LENGTH) {
        answer.headers_mut().insert(name, value.clone());
    }
    answer.headers_mut().insert(CODE_HEADER, HeaderValue::from_static(code));
    *answer.extensions_mut() = parts.extensions;
    answer
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
