//! Bodies of requests: reading them within limits, and what every document in them must keep.

use axum::body::{Body, HttpBody};
use axum::http::StatusCode;
use bytes::Buf;
use godwit_envs::snapshot::Snapshot;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::time::{Instant, timeout_at};

use super::api_error::ApiError;
use crate::serve::settings::bounds::Bounds;

/// The whole body, of at most `limit` bytes, if it is there by `until`; in the pieces in which it
/// came: to put large ones together is work that no other connection shall wait for.
///
/// # Errors
/// When it is too large, too slow, or breaks off.
pub async fn read(
    body: Body,
    limit: usize,
    until: Instant,
) -> Result<impl Buf + Send + 'static, ApiError> {
    let too_large = || {
        let message = format!(
            "expected a body of at most {limit} bytes (the service's --max-body-bytes admits \
             more), got more"
        );
        ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message)
    };
    // What states its length is refused before it is sent.
    if body.size_hint().lower() > limit as u64 {
        return Err(too_large());
    }
    match timeout_at(until, Limited::new(body, limit).collect()).await {
        Ok(Ok(body)) => Ok(body.aggregate()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => {
            let message = "expected a whole body, got one that breaks off";
            Err(ApiError::new(StatusCode::BAD_REQUEST, "broken_body", message))
        }
        Err(_elapsed) => {
            let message = "expected a whole body within the request timeout, got a part of it";
            Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, "slow_body", message))
        }
    }
}

/// Refuses a snapshot that is larger than allowed, before anything is made of it; `label` is what
/// errors call it.
///
/// # Errors
/// When it has too many nodes or workloads.
pub fn check_size(snapshot: &Snapshot, bounds: &Bounds, label: &str) -> Result<(), ApiError> {
    for (field, most, got) in [
        ("nodes", bounds.nodes, snapshot.nodes.len()),
        ("workloads", bounds.workloads, snapshot.workloads.len()),
    ] {
        if got > most {
            let message = format!(
                "{label}: {field}: expected at most {most} (the service's --max-{field} admits \
                 more), got {got}"
            );
            return Err(ApiError::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "cluster_too_large",
                message,
            ));
        }
    }
    Ok(())
}

/// The text of a body.
///
/// # Errors
/// When it is not UTF-8.
pub fn text(body: &[u8]) -> Result<&str, ApiError> {
    std::str::from_utf8(body).map_err(|error| {
        let message = format!("body: expected JSON in UTF-8, got {error}");
        ApiError::new(StatusCode::BAD_REQUEST, "malformed_json", message)
    })
}
