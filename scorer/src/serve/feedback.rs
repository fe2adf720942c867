//! `/v1/feedback`: what came out of a plan, against what it predicted.
//!
//! Demand changes while migrations run, so that the objective before and after says little about
//! them. What a move has gained is worked out on the cluster as it is afterwards: the objective with
//! the move undone, minus the objective as it is.

use std::collections::HashMap;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use godwit_envs::input::parse_json;
use godwit_envs::snapshot::Snapshot;
use godwit_envs::state::ClusterState;
use godwit_models::plan::{Plan, PlannedMove};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::app::{App, Arrival, Shared};
use super::body::{check_size, text};
use super::decisions::not_kept;
use super::drift::Standing;
use super::error::{ApiError, json};
use super::pool::Worker;
use crate::decision_log::{Event, POLICY};

/// What was carried out, and how the cluster is since.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Feedback {
    /// The decision.
    pub id: String,
    /// The cluster once the moves that were carried out are complete.
    pub snapshot: Snapshot,
    /// The moves that were carried out; left out, all those whose workload is where the plan wanted
    /// it.
    #[schemars(with = "Vec<ExecutedMove>")]
    pub executed: Option<Vec<ExecutedMove>>,
}

/// A move that was carried out.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExecutedMove {
    /// Position in the plan, from 0.
    pub at: usize,
    /// Length of the transfer, seconds.
    #[schemars(with = "f32")]
    pub transfer_s: Option<f32>,
    /// Time in which the workload did not run, seconds.
    #[schemars(with = "f32")]
    pub downtime_s: Option<f32>,
}

/// What a plan came to.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Evaluation {
    /// The decision.
    pub id: String,
    /// Who planned.
    pub planner: String,
    /// Moves of the plan.
    pub moves: usize,
    /// Moves that were carried out and whose workload is still where it went.
    pub evaluated: usize,
    /// Predicted gain of those, costs not taken off.
    pub predicted_gain: f32,
    /// What they gain given the demand that came: the objective of the snapshot with these moves
    /// undone, minus the objective of the snapshot.
    pub realised_gain: f32,
    /// Lengths of the transfers that were measured, together.
    pub transfer_s: Measured,
    /// Times without the workload that were measured, together.
    pub downtime_s: Measured,
    /// How the artifact that decides now stands; this plan counts if its policy made it.
    pub policy: Standing,
}

/// A sum over the moves of which it was measured, seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, JsonSchema)]
pub struct Measured {
    /// As the plan said.
    pub predicted: f32,
    /// As it was told.
    pub measured: f32,
}

/// What is needed of an answer to evaluate it.
#[derive(Deserialize)]
struct Decided {
    planner: String,
    artifact: Artifact,
    plan: Plan,
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
    let Decided { planner, artifact, plan } = decided;
    let carried_out = carried_out(plan.moves.len(), executed.as_deref())?;
    let undone = undone(&case.state, &plan.moves, &carried_out);
    // Only now: whoever sent something else may try again.
    if !app.history.evaluate(&id) {
        let message = format!("id: expected a decision that was not evaluated yet, got {id:?}");
        return Err(ApiError::new(StatusCode::CONFLICT, "already_evaluated", message));
    }

    let (predicted, realised) = (undone.predicted_gain, undone.realised_gain);
    let by_policy = planner == POLICY && artifact.sha256 == app.model.current().name.sha256;
    let (policy, demoted_now) = match by_policy && undone.moves > 0 {
        true => app.drift.evaluated(f64::from(predicted), f64::from(realised)),
        false => (app.drift.standing(), false),
    };
    app.metrics.evaluated(f64::from(predicted), f64::from(realised));
    app.metrics.standing(&policy);
    let [transfer_s, downtime_s] = measured(&plan.moves, executed.as_deref().unwrap_or_default());
    let evaluation = Evaluation {
        id,
        planner,
        moves: plan.moves.len(),
        evaluated: undone.moves,
        predicted_gain: predicted,
        realised_gain: realised,
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

/// Which of the plan's moves were carried out, as far as was told. Positions must be those of the
/// plan, each at most once, and times such.
fn carried_out(moves: usize, executed: Option<&[ExecutedMove]>) -> Result<Vec<bool>, ApiError> {
    let Some(executed) = executed else { return Ok(vec![true; moves]) };
    let refuse = |at: usize, expected: &str, got: String| {
        let message = format!("body: executed[{at}]: expected {expected}, got {got}");
        Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_input", message))
    };
    let mut seen = vec![false; moves];
    for (n, executed) in executed.iter().enumerate() {
        let at = executed.at;
        if seen.get(at) != Some(&false) {
            let expected = format!("one of the plan's {moves} positions, once");
            return refuse(n, &expected, at.to_string());
        }
        seen[at] = true;
        for time in [executed.transfer_s, executed.downtime_s].into_iter().flatten() {
            if !(time.is_finite() && time >= 0.0) {
                return refuse(n, "seconds of at least 0", time.to_string());
            }
        }
    }
    Ok(seen)
}

/// Moves that were undone on the cluster as it is afterwards.
#[derive(Debug, PartialEq)]
struct Undone {
    moves: usize,
    predicted_gain: f32,
    realised_gain: f32,
}

/// Undoes moves, the last one first; those whose workload is gone, or is not where it went, stay out.
fn undone(state: &ClusterState, moves: &[PlannedMove], carried_out: &[bool]) -> Undone {
    let (workloads, nodes) = (index(&state.spec.workload_names), index(&state.spec.node_names));
    let mut before = state.clone();
    let mut undone = Undone { moves: 0, predicted_gain: 0.0, realised_gain: 0.0 };
    for (planned, _) in moves.iter().zip(carried_out).rev().filter(|(_, done)| **done) {
        let workload = workloads.get(planned.workload_name.as_str());
        let [source, destination] =
            [&planned.source_name, &planned.destination_name].map(|name| nodes.get(name.as_str()));
        let (Some(&k), Some(&source), Some(&destination)) = (workload, source, destination) else {
            continue;
        };
        if before.placement[k] as usize == destination {
            before.placement[k] = source as u32;
            undone.moves += 1;
            undone.predicted_gain += planned.predicted_gain;
        }
    }
    before.rebuild();
    undone.realised_gain = before.level() - state.level();
    undone
}

fn index(names: &[String]) -> HashMap<&str, usize> {
    names.iter().map(String::as_str).zip(0..).collect()
}

/// Sums of transfer times and of downtimes, where they were measured.
fn measured(moves: &[PlannedMove], executed: &[ExecutedMove]) -> [Measured; 2] {
    let mut sums = [Measured::default(); 2];
    for ExecutedMove { at, transfer_s, downtime_s } in executed {
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
