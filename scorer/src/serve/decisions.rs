//! `/v1/decide`, `/v1/plan` and `/v1/decisions/{id}`: a snapshot in, a plan out, and what was
//! decided before.

use std::time::{Duration, Instant};

use axum::Extension;
use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use godwit_envs::input::InputError;
use godwit_envs::snapshot::Snapshot;
use godwit_models::plan::StopReason;
use godwit_models::shell::Memory;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::app::{App, Arrival, Shared};
use super::body::{check_size, text};
use super::error::ApiError;
use super::history::Missing;
use super::planning::{self, Comparison, FallbackReason, Outcome};
use super::pool::Worker;
use super::settings::{Bounds, Mode, Shadow};
use crate::cli::Choice;
use crate::decision::{Decision, Timing};
use crate::decision_log::{Event, Made};
use crate::engine::{EngineError, Loaded, PlanLimits, micros};
use crate::safety::Moment;

/// What `/v1/decide` and `/v1/plan` answer.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ServedDecision {
    /// Names the decision, for `/v1/decisions/{id}`.
    pub id: String,
    /// What the plan means to whoever carries plans out.
    pub mode: Mode,
    /// Who planned: `policy` or a baseline; `halt` where nobody was asked.
    pub planner: String,
    /// Why it was the fallback.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback: Option<FallbackReason>,
    /// What `decide` prints.
    #[serde(flatten)]
    pub decision: Decision,
    /// In shadow mode, policy and baseline next to each other; absent while halted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comparison: Option<Comparison>,
}

/// Limits of one plan, next to those of the service.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PlanQuery {
    /// At most this many migrations.
    #[schemars(with = "u32")]
    pub max_moves: Option<u32>,
    /// Begin no further decision this many milliseconds after the request came.
    #[schemars(with = "u64")]
    pub deadline_ms: Option<u64>,
    /// What is told of the workloads that stay where they are.
    pub stays: StaysQuery,
}

/// What is told of the workloads that stay where they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StaysQuery {
    /// How many stay for each reason.
    #[default]
    Counts,
    /// And the reason of each.
    List,
}

/// `POST /v1/decide`: at most one migration.
pub async fn decide(
    State(app): State<Shared>,
    Extension(arrival): Extension<Arrival>,
    body: Body,
) -> Result<Response, ApiError> {
    answer(app, arrival, PlanQuery { max_moves: Some(1), ..PlanQuery::default() }, body).await
}

/// `POST /v1/plan`.
pub async fn plan(
    State(app): State<Shared>,
    Extension(arrival): Extension<Arrival>,
    query: Result<Query<PlanQuery>, QueryRejection>,
    body: Body,
) -> Result<Response, ApiError> {
    let Query(query) = query.map_err(ApiError::query)?;
    answer(app, arrival, query, body).await
}

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

async fn answer(
    app: Shared,
    arrival: Arrival,
    query: PlanQuery,
    body: Body,
) -> Result<Response, ApiError> {
    let job = arrival.clone();
    let work = move |app: &App, worker: &mut Worker, body: &Bytes| {
        decide_about(app, worker, &job, &query, body)
    };
    app.work(&arrival, body, work).await.map(document)
}

fn document(json: Bytes) -> Response {
    ([(CONTENT_TYPE, "application/json")], json).into_response()
}

/// What one plan is asked for with.
pub struct Question<'a> {
    /// Names the request.
    pub id: &'a str,
    /// The snapshot as it was sent.
    pub body: &'a Bytes,
    /// How far the plan may go.
    pub limits: PlanLimits,
    /// When, and what is remembered.
    pub moment: Moment,
}

fn decide_about(
    app: &App,
    worker: &mut Worker,
    arrival: &Arrival,
    query: &PlanQuery,
    body: &Bytes,
) -> Result<Bytes, ApiError> {
    let (started, bounds, mode) = (Instant::now(), &app.settings.bounds, app.settings.mode);
    let refuse = |error: &InputError| ApiError::input(error, body);
    let snapshot = Snapshot::from_json(text(body)?, "body").map_err(|error| refuse(&error))?;
    check_size(&snapshot, bounds, "body")?;
    let case = worker.engine.case(snapshot, "body").map_err(|e| ApiError::engine(&e, body))?;
    app.metrics.input();
    let timing = Timing { snapshot: micros(started), ..Timing::default() };

    let limits = limits(bounds, arrival, query);
    let moment = app.settings.safety.moment(&case.snapshot);
    let question = Question { id: &arrival.id, body, limits, moment };
    let outcome = match app.is_halted() {
        true => Ok(planning::halted(&case, limits.list_stays)),
        false => planning::plan(app, worker, &case, &question),
    };
    let loaded = worker.engine.loaded();
    let outcome = outcome.map_err(|error| {
        app.metrics.decision_failed();
        tracing::error!(id = arrival.id, %error, "a plan was refused");
        // There is no plan either way.
        let _ = put_down(app, &question, loaded, last_word(app), Err(&error));
        ApiError::engine(&error, body)
    })?;
    let finish = |outcome: Outcome| {
        let Outcome { planned, planner, fallback, comparison } = outcome;
        let (id, decisions) = (arrival.id.clone(), planned.decisions);
        let timing = Timing { total: micros(started), ..timing };
        let decision = Decision::new(loaded, &case, planned, timing);
        let served = ServedDecision { id, mode, planner, fallback, decision, comparison };
        let json = Bytes::from(serde_json::to_vec(&served).map_err(|_| ApiError::internal())?);
        put_down(app, &question, loaded, &served.planner, Ok((&json, decisions)))?;
        Ok::<_, ApiError>((served, json))
    };
    let (mut served, mut json) = finish(outcome)?;
    // Whoever halts counts on it that no plan leaves from then on.
    if app.is_halted() && !is_halted(&served) {
        (served, json) = finish(planning::halted(&case, limits.list_stays))?;
    }
    let plan = &served.decision.plan;
    if mode == Mode::Active {
        app.metrics.returning(app.returns.count(case.snapshot.tick, plan));
        app.settings.safety.carried_out(case.snapshot.tick, plan);
    }
    record(app, &served.decision, served.comparison.as_ref());
    app.history.push(served.id, &json);
    Ok(json)
}

/// Puts a decision down in the decision log, if there is one.
pub fn put_down(
    app: &App,
    question: &Question<'_>,
    loaded: &Loaded,
    planner: &str,
    planned: Result<(&Bytes, u32), &EngineError>,
) -> Result<(), ApiError> {
    let Some(log) = &app.log else { return Ok(()) };
    let (answer, decisions, memory_at_check) = match planned {
        Ok((json, decisions)) => (Ok(json.clone()), decisions, None),
        Err(error) => {
            let (decisions, memory) = match error {
                EngineError::Limits { decisions, memory, .. } => (*decisions, Some(memory)),
                EngineError::Violations { decisions, .. } => (*decisions, None),
                EngineError::TooSlow(_) | EngineError::Input(_) => (0, None),
            };
            (Err(error.to_string()), decisions, memory.map(|memory| Memory::clone(memory)))
        }
    };
    let made = Made {
        id: question.id.to_owned(),
        mode: app.settings.mode.name(),
        planner: planner.to_owned(),
        artifact: loaded.name.sha256.clone(),
        max_moves: question.limits.max_moves,
        best_of: question.limits.best_of,
        list_stays: question.limits.list_stays,
        decisions,
        moment: question.moment.clone(),
        memory_at_check,
        snapshot: question.body.clone(),
        answer,
    };
    log.decision(Event::Decision(Box::new(made))).map_err(|_| ApiError::log_failed())
}

/// Who had no plan that may leave where there is none at all.
fn last_word(app: &App) -> &str {
    match &app.settings.shadow {
        Some(Shadow { baseline, returned: Choice::Baseline }) => baseline,
        _ => &app.settings.fallback.name,
    }
}

fn is_halted(served: &ServedDecision) -> bool {
    served.decision.plan.stop_reason == StopReason::Halted
}

/// The tightest of what the request, the service and the request timeout allow.
fn limits(bounds: &Bounds, arrival: &Arrival, query: &PlanQuery) -> PlanLimits {
    let asked = query.deadline_ms.map(Duration::from_millis);
    let deadline = [asked, bounds.deadline, Some(bounds.request_timeout)].into_iter().flatten();
    let max_moves = query.max_moves.unwrap_or(u32::MAX).min(bounds.max_moves);
    let limits = PlanLimits {
        max_moves,
        per_decision: bounds.per_decision,
        best_of: bounds.best_of,
        list_stays: query.stays == StaysQuery::List,
        ..PlanLimits::NONE
    };
    limits.until(arrival.at.into_std(), deadline.min())
}

fn record(app: &App, decision: &Decision, comparison: Option<&Comparison>) {
    let metrics = &app.metrics;
    metrics.decided(&decision.plan);
    let timing = &decision.timing_us;
    for (stage, micros) in [
        ("snapshot", timing.snapshot),
        ("plan", timing.plan),
        ("guard", timing.guard),
        ("stays", timing.stays),
    ] {
        metrics.stage(stage, micros);
    }
    if let Some(difference) = comparison.and_then(|comparison| comparison.difference) {
        metrics.compared(difference.moves, difference.objective_after);
    }
}
