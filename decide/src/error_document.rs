//! What is told when something is wrong: a stable code and a sentence. One document for the answers
//! of `serve` and the lines of `stream`.

use schemars::JsonSchema;
use serde::Serialize;

use super::engine::EngineError;

/// Text that is no JSON, or not in UTF-8.
pub const MALFORMED_JSON: &str = "malformed_json";

/// JSON that is not the document that was expected.
pub const INVALID_INPUT: &str = "invalid_input";

/// A plan that must not leave the program.
pub const PLAN_REFUSED: &str = "plan_refused";

/// A line that is longer than allowed.
pub const LINE_TOO_LARGE: &str = "line_too_large";

/// Whatever there is instead of an answer.
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

impl ErrorBody {
    /// The document of this error.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { error: ErrorDetail { code, message: message.into() } }
    }
}

/// The code of input that cannot be decided about.
pub fn input_code(text: &[u8]) -> &'static str {
    match serde_json::from_slice::<serde::de::IgnoredAny>(text) {
        Ok(_) => INVALID_INPUT,
        Err(_) => MALFORMED_JSON,
    }
}

/// The code of this error about a snapshot of this text.
pub fn engine_code(error: &EngineError, text: &[u8]) -> &'static str {
    match error {
        EngineError::Input(_) => input_code(text),
        EngineError::TooSlow(_) | EngineError::Violations { .. } | EngineError::Limits { .. } => {
            PLAN_REFUSED
        }
    }
}
