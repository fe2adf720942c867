//! One plan, from the body of a request to the answer that may leave.

use std::time::{Duration, Instant};

use axum::http::StatusCode;
use bytes::Bytes;
use godwit_decide::case::Case;
use godwit_decide::decision::Decision;
use godwit_decide::engine::{EngineError, PlanLimits};
use godwit_decide::given_answers::{Asked, NameTaken, Wanted};
use godwit_decide::safety::Overtaken;
use godwit_decide::timing::{Timing, micros};
use godwit_envs::input::InputError;
use godwit_envs::snapshot::Snapshot;
use godwit_models::plan::StopReason;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::planners::{self, Comparison, Outcome};
use super::question::{Question, put_down};
use crate::cli::serve_args::Choice;
use crate::serve::app::{App, Arrival};
use crate::serve::bodies::api_error::ApiError;
use crate::serve::bodies::request_body::{check_size, text};
use crate::serve::leaving::caller::Caller;
use crate::serve::leaving::desk::{Answer, Departure, Verdict};
use crate::serve::settings::bounds::Bounds;
use crate::serve::settings::roles::{FallbackReason, Mode, Shadow};
use crate::serve::workers::pool::Worker;

/// Header with what the client calls its question.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// Most of the request timeout that is kept from planning.
const MOST_RESERVED: Duration = Duration::from_millis(500);

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
    /// Moves, by position in the plan, that bring a workload back to a node that it left a short
    /// while ago.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub returning: Vec<usize>,
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

/// What a worker is asked.
pub struct Job {
    /// The request.
    pub arrival: Arrival,
    /// How far the plan may go.
    pub query: PlanQuery,
    /// What the client calls it.
    pub key: Option<String>,
    /// Plans that had left when it came.
    pub plans: u64,
}

/// Judges a snapshot and has the plan leave: planning takes no lock, and what it depended on is asked
/// again where plans leave. A plan that another one has overtaken is made a second time.
pub fn decide_about(
    app: &App,
    worker: &mut Worker,
    job: &Job,
    body: &Bytes,
    caller: &Caller,
) -> Result<Answer, ApiError> {
    let (started, bounds, mode) = (Instant::now(), &app.settings.bounds, app.settings.mode);
    let (arrival, safety) = (&job.arrival, &app.settings.safety);
    let refuse = |error: &InputError| ApiError::input(error, body);
    let snapshot = Snapshot::from_json(text(body)?, "body").map_err(|error| refuse(&error))?;
    check_size(&snapshot, bounds, "body")?;
    let mut case = worker.engine.case(snapshot, "body").map_err(|e| ApiError::engine(&e, body))?;
    app.metrics.input();
    let timing = Timing { snapshot: micros(started), ..Timing::default() };
    let limits = limits(bounds, arrival, &job.query);
    let asked = asked(app, worker, job, body, &case, limits);

    let mut overtaken_before = false;
    loop {
        let moment = safety.moment(&mut case, job.plans);
        // What was answered before may not be worth anything any more.
        if safety.around(&case.snapshot, &moment).is_ok()
            && let Some(answer) = app.desk.find(&asked).map_err(|NameTaken| name_taken())?
        {
            safety.sync();
            return Ok(answer);
        }
        let question = Question { id: &arrival.id, body, limits, moment };
        let outcome = match app.desk.is_halted() {
            true => Ok(planners::halted(&case, limits.list_stays)),
            false => planners::plan(app, worker, &case, &question),
        };
        let loaded = worker.engine.loaded();
        let failed = |planner: &str, error: &EngineError| {
            app.metrics.decision_failed();
            tracing::error!(id = arrival.id, %error, "a plan was refused");
            // There is no plan either way.
            let _ = put_down(app, &question, loaded, planner, Err(error));
        };
        let outcome = outcome.map_err(|error| {
            failed(last_word(app), &error);
            ApiError::engine(&error, body)
        })?;
        let Outcome { planned, planner, fallback, comparison } = outcome;
        let (id, effort) = (arrival.id.clone(), planned.effort);
        let timing = Timing { total: micros(started), ..timing };
        let moves = &planned.plan.moves;
        let returning = safety.returning(case.snapshot.tick, &question.moment.memory, moves);
        let decision = Decision::new(loaded, &case, planned, timing);
        let served =
            ServedDecision { id, mode, planner, fallback, decision, returning, comparison };
        let json = Bytes::from(serde_json::to_vec(&served).map_err(|_| ApiError::internal())?);
        let plan = &served.decision.plan;
        let departure = Departure {
            document: &json,
            moves: !plan.moves.is_empty(),
            halted: plan.stop_reason == StopReason::Halted,
        };
        let remember = || match mode {
            Mode::Active => safety.carried_out(&case, job.plans, plan),
            Mode::DryRun | Mode::Shadow => Ok(()),
        };
        match app.desk.leave(caller, &asked, &departure, remember) {
            Verdict::Leaves(answer) => {
                let put = put_down(app, &question, loaded, &served.planner, Ok((&json, effort)));
                if let Err(error) = put {
                    take_back(app, &asked, &served);
                    return Err(error);
                }
                if mode == Mode::Active {
                    app.metrics.returning(served.returning.len() as u64);
                    safety.sync();
                }
                record(app, &served.decision, served.comparison.as_ref());
                app.history.push(served.id, &json);
                return Ok(answer);
            }
            Verdict::Repeated(answer) => {
                safety.sync();
                return Ok(answer);
            }
            Verdict::NameTaken(NameTaken) => return Err(name_taken()),
            Verdict::Gone => return Err(ApiError::timeout()),
            // Now it is made as for a halted service.
            Verdict::Halted => {}
            Verdict::Overtaken(_) if !overtaken_before && !limits.is_over() => {
                app.metrics.overtaken("again");
                overtaken_before = true;
            }
            Verdict::Overtaken(Overtaken { broken, memory }) => {
                app.metrics.overtaken("refused");
                let memory = Box::new(memory);
                failed(&served.planner, &EngineError::Limits { broken, effort, memory });
                return Err(ApiError::overtaken());
            }
        }
    }
}

/// What the question is known by. An answer is given again because of its content only where it is
/// remembered as carried out: elsewhere the same is decided again.
fn asked(
    app: &App,
    worker: &Worker,
    job: &Job,
    body: &Bytes,
    case: &Case,
    limits: PlanLimits,
) -> Asked {
    let PlanLimits { max_moves, list_stays, .. } = limits;
    let wanted = Wanted { max_moves, list_stays, deadline_ms: job.query.deadline_ms };
    let name = |key: &String| (key.clone(), wanted.fingerprint(&[body]));
    Asked {
        named: job.key.as_ref().map(name),
        content: match app.settings.mode {
            Mode::Active => wanted.of_content(&case.snapshot, &worker.engine.loaded().name.sha256),
            Mode::DryRun | Mode::Shadow => None,
        },
    }
}

/// A plan does not leave although it is remembered.
fn take_back(app: &App, asked: &Asked, served: &ServedDecision) {
    app.desk.take_back(asked);
    if served.mode == Mode::Active {
        for planned in &served.decision.plan.moves {
            app.settings.safety.not_made(served.decision.tick, planned);
        }
    }
}

fn name_taken() -> ApiError {
    let message = format!(
        "header {IDEMPOTENCY_KEY}: expected a key of its own for each question, got one that was \
         used with another body or query"
    );
    ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused", message)
}

/// Who had no plan that may leave where there is none at all.
fn last_word(app: &App) -> &str {
    match &app.settings.shadow {
        Some(Shadow { baseline, returned: Choice::Baseline }) => baseline,
        _ => &app.settings.fallback.name,
    }
}

/// The tightest of what the request, the service and the request timeout allow. A part of the latter
/// is left for checking the plan and for bringing it to the client: what comes too late is of no use.
fn limits(bounds: &Bounds, arrival: &Arrival, query: &PlanQuery) -> PlanLimits {
    let asked = query.deadline_ms.map(Duration::from_millis);
    let timeout = bounds.request_timeout;
    let in_time = timeout - (timeout / 10).min(MOST_RESERVED);
    let deadline = [asked, bounds.deadline, Some(in_time)].into_iter().flatten();
    let max_moves = query.max_moves.unwrap_or(u32::MAX).min(bounds.max_moves);
    let limits = PlanLimits {
        max_moves,
        per_decision: bounds.per_decision,
        think: bounds.think,
        best_of: bounds.best_of,
        list_stays: query.stays == StaysQuery::List,
        ..PlanLimits::NONE
    };
    limits.until(arrival.at.into_std(), deadline.min())
}

fn record(app: &App, decision: &Decision, comparison: Option<&Comparison>) {
    let metrics = &app.metrics;
    metrics.decided(&decision.plan);
    if let Some(thought) = &decision.thought {
        metrics.thought(thought);
    }
    metrics.found(&decision.findings);
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
