//! What operators ask for: halt, resume, the artifact, health, metrics.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::decision_log::Event;
use crate::serve::app::Shared;
use crate::serve::bodies::api_error::{ApiError, json};
use crate::serve::metrics::CONTENT_TYPE as METRICS_TYPE;
use crate::serve::model::live_model::ModelInfo;

/// Whether migrations are halted.
#[derive(Debug, Serialize, JsonSchema)]
pub struct HaltState {
    /// While this is true every plan is empty, with the stop reason `halted`.
    pub halted: bool,
}

/// Whether the process is alive.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Live {
    /// Always true.
    pub live: bool,
}

/// Whether requests should be sent here.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Ready {
    /// False, with status 503, once the service is told to end.
    pub ready: bool,
}

/// `POST /v1/halt`.
pub async fn halt(State(app): State<Shared>) -> Response {
    set_halted(&app, true).await
}

/// `POST /v1/resume`.
pub async fn resume(State(app): State<Shared>) -> Response {
    set_halted(&app, false).await
}

/// `GET /v1/model`.
pub async fn model(State(app): State<Shared>) -> Response {
    json(StatusCode::OK, &ModelInfo::new(&app.model.current(), app.drift.standing()))
}

/// How the artifact is read again.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ReloadQuery {
    /// Take an artifact with other resources, features or rules than the one that decides.
    pub allow_other_rules: bool,
}

/// `POST /v1/model/reload`.
pub async fn reload(
    State(app): State<Shared>,
    query: Result<Query<ReloadQuery>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(ReloadQuery { allow_other_rules }) = query.map_err(ApiError::query)?;
    let model = Arc::clone(&app.model);
    let reloaded = tokio::task::spawn_blocking(move || model.reload(allow_other_rules));
    let reloaded = reloaded.await.map_err(|_| ApiError::internal())?;
    app.reloaded("request", &reloaded);
    let loaded = reloaded?;
    tracing::info!(sha256 = loaded.name.sha256, "another artifact decides from now on");
    Ok(json(StatusCode::OK, &ModelInfo::new(&loaded, app.drift.standing())))
}

/// `POST /v1/model/promote`.
pub async fn promote(State(app): State<Shared>) -> Response {
    app.clear_record();
    app.put_down(Event::Promoted);
    tracing::warn!("the policy decides again, without a record");
    json(StatusCode::OK, &app.drift.standing())
}

/// `GET /v2/health/live`.
pub async fn live() -> Response {
    json(StatusCode::OK, &Live { live: true })
}

/// `GET /v2/health/ready`.
pub async fn ready(State(app): State<Shared>) -> Response {
    let ready = !app.draining.load(Relaxed);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    json(status, &Ready { ready })
}

/// `GET /metrics`.
pub async fn metrics(State(app): State<Shared>) -> Result<Response, ApiError> {
    let text = app.metrics.text().map_err(|_| ApiError::internal())?;
    Ok(([(CONTENT_TYPE, METRICS_TYPE)], text).into_response())
}

async fn set_halted(app: &Shared, halted: bool) -> Response {
    app.halt(halted).await;
    tracing::warn!(halted, "migrations were halted or resumed");
    json(StatusCode::OK, &HaltState { halted })
}
