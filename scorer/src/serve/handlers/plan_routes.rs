//! `/v1/decide` and `/v1/plan`: a snapshot in, a plan out.

use axum::Extension;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use bytes::Bytes;

use super::one_plan::{IDEMPOTENCY_KEY, Job, PlanQuery, decide_about};
use crate::serve::app::{App, Arrival, Shared};
use crate::serve::bodies::api_error::ApiError;
use crate::serve::leaving::caller::Caller;
use crate::serve::leaving::desk::Answer;
use crate::serve::workers::pool::Worker;

/// Longest name of a question.
const LONGEST_KEY: usize = 255;

/// `POST /v1/decide`: at most one migration.
pub async fn decide(
    State(app): State<Shared>,
    Extension(arrival): Extension<Arrival>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let query = PlanQuery { max_moves: Some(1), ..PlanQuery::default() };
    answer(app, arrival, query, &headers, body).await
}

/// `POST /v1/plan`.
pub async fn plan(
    State(app): State<Shared>,
    Extension(arrival): Extension<Arrival>,
    query: Result<Query<PlanQuery>, QueryRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let Query(query) = query.map_err(ApiError::query)?;
    answer(app, arrival, query, &headers, body).await
}

async fn answer(
    app: Shared,
    arrival: Arrival,
    query: PlanQuery,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let key = idempotency_key(headers)?;
    // Before the body is there: plans that leave from now on are not to be seen in it.
    let plans = app.settings.safety.plans();
    let job = Job { arrival: arrival.clone(), query, key, plans };
    let work = move |app: &App, worker: &mut Worker, body: &Bytes, caller: &Caller| {
        decide_about(app, worker, &job, body, caller)
    };
    app.work_for(&arrival, body, work).await.map(Answer::into_response)
}

/// What the client calls its question, if it does.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let Some(key) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    let visible = |key: &&str| !key.is_empty() && key.len() <= LONGEST_KEY;
    match key.to_str().ok().filter(visible) {
        Some(key) => Ok(Some(key.to_owned())),
        None => {
            let message = format!(
                "header {IDEMPOTENCY_KEY}: expected 1 to {LONGEST_KEY} visible ASCII characters, \
                 got something else"
            );
            Err(ApiError::new(StatusCode::BAD_REQUEST, "invalid_idempotency_key", message))
        }
    }
}
