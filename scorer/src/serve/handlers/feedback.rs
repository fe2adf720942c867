//! `/v1/feedback`: what came out of a plan, against what it predicted.
//!
//! Demand changes while migrations run, so that the objective before and after says little about
//! them. What a move has gained is worked out on the cluster as it is afterwards: the objective with
//! the move undone, minus the objective as it is.

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use godwit_envs::input::parse_json;
use godwit_envs::snapshot::Snapshot;
use godwit_models::plan::{Plan, PlannedMove};
use schemars::JsonSchema;
use serde::Deserialize;

use super::recall::not_kept;
use crate::decision_log::{Event, POLICY};
use crate::serve::app::{App, Arrival, Shared};
use crate::serve::bodies::api_error::{ApiError, json};
use crate::serve::bodies::request_body::{check_size, text};
use crate::serve::settings::roles::Mode;
use crate::serve::workers::pool::Worker;
use godwit_decide::outcomes::came_to::Over;
use godwit_decide::outcomes::evaluation::{Evaluation, Measured, MoveStatus};

/// What was carried out, and how the cluster is since.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Feedback {
    /// The decision.
    pub id: String,
    /// The cluster once the moves that were carried out are complete.
    pub snapshot: Snapshot,
    /// The moves that were begun or given up, and what became of them; left out, those were carried
    /// out whose workload is where the plan wanted it.
    #[schemars(with = "Vec<ExecutedMove>")]
    pub executed: Option<Vec<ExecutedMove>>,
}

/// Longest reason, bytes.
const LONGEST_REASON: usize = 1_000;

/// A move, and what became of it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExecutedMove {
    /// Position in the plan, from 0.
    pub at: usize,
    /// What became of it; left out, it was carried out.
    #[serde(default)]
    pub status: MoveStatus,
    /// Why, in the words of whoever carried it out; kept in the decision log. At most 1,000 bytes.
    #[schemars(with = "String")]
    pub reason: Option<String>,
    /// Length of the transfer, seconds.
    #[schemars(with = "f32")]
    pub transfer_s: Option<f32>,
    /// Time in which the workload did not run, seconds.
    #[schemars(with = "f32")]
    pub downtime_s: Option<f32>,
}

/// What is needed of an answer to evaluate it.
#[derive(Deserialize)]
struct Decided {
    planner: String,
    artifact: Artifact,
    mode: String,
    tick: Option<u64>,
    plan: Plan,
    #[serde(default)]
    returning: Vec<usize>,
}

#[derive(Deserialize)]
struct Artifact {
    sha256: String,
}

/// `POST /v1/feedback`.
pub async fn feedback(
    State(app): State<Shared>,
    Extension(arrival): Extension<Arrival>,
    body: Body,
) -> Result<Response, ApiError> {
    app.work(&arrival, body, evaluate).await
}

fn evaluate(app: &App, worker: &mut Worker, body: &Bytes) -> Result<Response, ApiError> {
    let refuse = |error| ApiError::input(&error, body);
    let Feedback { id, snapshot, executed } = parse_json(text(body)?, "body").map_err(refuse)?;
    let document = app.history.find(&id).map_err(|missing| not_kept(app, missing))?;
    let decided: Decided = serde_json::from_slice(&document).map_err(|_| ApiError::internal())?;
    check_size(&snapshot, &app.settings.bounds, "body.snapshot")?;
    snapshot.validate("body.snapshot").map_err(refuse)?;
    let case = worker.engine.case(snapshot, "body.snapshot");
    let case = case.map_err(|error| ApiError::engine(&error, body))?;
    let Decided { planner, artifact, mode, tick, plan, returning } = decided;
    let fates = fates(plan.moves.len(), executed.as_deref())?;
    // Only now: whoever sent something else may try again.
    if !app.history.evaluate(&id) {
        let message = format!("id: expected a decision that was not evaluated yet, got {id:?}");
        return Err(ApiError::new(StatusCode::CONFLICT, "already_evaluated", message));
    }

    for (planned, fate) in plan.moves.iter().zip(&fates) {
        let Some(status) = fate.filter(|fate| *fate != MoveStatus::Done) else { continue };
        app.metrics.moves_told(status, 1);
        if mode == Mode::Active.name() {
            app.settings.safety.not_made(tick, planned);
        }
    }
    let over = Over { plan: &plan, returning: &returning, fates: &fates };
    let ticks = app.settings.safety.payback_ticks(&case.state.rules);
    let all = over.all(&case.state, ticks);
    app.metrics.moves_told(MoveStatus::Done, all.undone.moves.len() as u64);
    app.settings.safety.sync();
    let by_policy = planner == POLICY && artifact.sha256 == app.model.current().name.sha256;
    let outcome = if by_policy { over.outcome(&case.state, ticks) } else { None };
    let (policy, demoted_now) = match outcome {
        Some(outcome) => app.drift.evaluated(outcome),
        None => (app.drift.standing(), false),
    };
    app.metrics.evaluated(f64::from(all.predicted_gain), f64::from(all.undone.realised_gain));
    app.metrics.standing(&policy);
    let [transfer_s, downtime_s] = measured(&plan.moves, executed.as_deref().unwrap_or_default());
    let evaluation = Evaluation {
        id,
        planner,
        moves: plan.moves.len(),
        evaluated: all.undone.moves.len(),
        not_made: all.not_made,
        returns: all.returns,
        predicted_gain: all.predicted_gain,
        realised_gain: all.undone.realised_gain,
        cost: all.cost,
        net_gain: all.net_gain(),
        transfer_s,
        downtime_s,
        policy,
    };
    app.put_down(Event::Feedback { evaluation: Box::new(evaluation.clone()), sent: body.clone() });
    if demoted_now {
        tracing::error!(missed_share = policy.missed_share, "the policy is demoted");
        app.put_down(Event::Demoted(policy));
    }
    Ok(json(StatusCode::OK, &evaluation))
}

/// What became of each of the plan's moves, as far as was told. Positions must be those of the plan,
/// each at most once, times such, and reasons short.
fn fates(
    moves: usize,
    executed: Option<&[ExecutedMove]>,
) -> Result<Vec<Option<MoveStatus>>, ApiError> {
    let Some(executed) = executed else { return Ok(vec![Some(MoveStatus::Done); moves]) };
    let refuse = |at: usize, expected: &str, got: String| {
        let message = format!("body: executed[{at}]: expected {expected}, got {got}");
        Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_input", message))
    };
    let mut fates = vec![None; moves];
    for (n, executed) in executed.iter().enumerate() {
        let at = executed.at;
        if fates.get(at) != Some(&None) {
            let expected = format!("one of the plan's {moves} positions, once");
            return refuse(n, &expected, at.to_string());
        }
        fates[at] = Some(executed.status);
        for time in [executed.transfer_s, executed.downtime_s].into_iter().flatten() {
            if !(time.is_finite() && time >= 0.0) {
                return refuse(n, "seconds of at least 0", time.to_string());
            }
        }
        let length = executed.reason.as_ref().map_or(0, String::len);
        if length > LONGEST_REASON {
            let expected = format!("a reason of at most {LONGEST_REASON} bytes");
            return refuse(n, &expected, format!("{length}"));
        }
    }
    Ok(fates)
}

/// Sums of transfer times and of downtimes, where they were measured.
fn measured(moves: &[PlannedMove], executed: &[ExecutedMove]) -> [Measured; 2] {
    let mut sums = [Measured::default(); 2];
    for ExecutedMove { at, transfer_s, downtime_s, .. } in executed {
        let planned = &moves[*at];
        let times = [(planned.transfer_s, transfer_s), (planned.downtime_s, downtime_s)];
        for (sum, (predicted, measured)) in sums.iter_mut().zip(times) {
            if let Some(measured) = measured {
                sum.predicted += predicted;
                sum.measured += measured;
            }
        }
    }
    sums
}
