//! `/v1/simulate`: what a given plan would do to a cluster, and which constraints it would break.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Display;
use std::time::Instant;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use godwit_envs::input::parse_json;
use godwit_envs::scenario::Mode;
use godwit_envs::snapshot::Snapshot;
use godwit_envs::state::ClusterState;
use godwit_envs::state::migration::MigrationCost;
use godwit_envs::state::term::{LEVEL_TERMS, TERMS, Term};
use godwit_models::guard::violations;
use godwit_models::plan::{LevelChange, Method, PlannedMove, ReasonCode, tick_end_s};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::serve::app::{App, Arrival, Shared};
use crate::serve::bodies::api_error::{ApiError, json};
use crate::serve::bodies::request_body::{check_size, text};
use crate::serve::workers::pool::Worker;

/// Most moves of a plan that is simulated: each is checked against all workloads.
const MOST_MOVES: usize = 4096;

/// A cluster, and a plan for it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SimulateRequest {
    /// The cluster.
    pub snapshot: Snapshot,
    /// The plan's moves in order: those of a decision as they are, or any others.
    pub moves: Vec<ProposedMove>,
}

/// A migration to be judged. Of the moves of a decision, fields that are not named here are
/// computed anew.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ProposedMove {
    /// The workload's name.
    pub workload_name: String,
    /// Name of the node it leaves; where it is by then if left out.
    pub source_name: Option<String>,
    /// Name of the node it goes to.
    pub destination_name: String,
    /// Wave, from 0: moves of a wave run at the same time.
    #[serde(default)]
    pub wave: u32,
}

/// What a plan would do.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Simulation {
    /// Whether every hard constraint and every limit of the operator's holds.
    pub valid: bool,
    /// Those that do not, constraints first.
    pub violations: Vec<BrokenConstraint>,
    /// Weighted level terms before the plan.
    pub objective_before: f32,
    /// Weighted level terms once every move is complete; costs not included.
    pub objective_after: f32,
    /// The level terms before, not weighted. Where the artifact's scenario has terms of its own, each
    /// is among them, and `own` is their weighted sum.
    pub terms_before: BTreeMap<String, f32>,
    /// The same after.
    pub terms_after: BTreeMap<String, f32>,
    /// Traffic and downtime of all moves together, not weighted.
    pub flow: BTreeMap<&'static str, f32>,
    /// Weighted traffic and downtime of all moves together.
    pub cost: f32,
    /// What each move does. A move of an unknown workload or node does nothing and is left out.
    pub effects: Vec<Effect>,
    /// Node of each workload in the end, by name, in the order of the snapshot.
    pub placement: Vec<Placed>,
}

/// A constraint or limit that a plan breaks.
#[derive(Debug, Serialize, JsonSchema)]
pub struct BrokenConstraint {
    /// Which one.
    pub kind: String,
    /// Position of the move in the plan, where one move is to blame.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<u64>,
    /// What was expected, and what was found.
    pub message: String,
}

/// What one move does, given those before it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Effect {
    /// Position of the move in the plan.
    pub at: usize,
    /// Decrease of the weighted objective; the cost is not taken off.
    pub predicted_gain: f32,
    /// Weighted cost: traffic and downtime.
    pub cost: f32,
    /// Traffic, GiB.
    pub moved_gib: f32,
    /// Length of the transfer, seconds.
    pub transfer_s: f32,
    /// Time in which the workload does not run, seconds.
    pub downtime_s: f32,
    /// Earliest start, seconds after the snapshot.
    pub earliest_start_s: f32,
}

/// Where a workload is.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Placed {
    /// The workload's name.
    pub workload: String,
    /// The node's name.
    pub node: String,
}

/// `POST /v1/simulate`.
pub async fn simulate(
    State(app): State<Shared>,
    Extension(arrival): Extension<Arrival>,
    body: Body,
) -> Result<Response, ApiError> {
    let until = arrival.until.into_std();
    let work = move |app: &App, worker: &mut Worker, body: &Bytes| judge(app, worker, body, until);
    app.work(&arrival, body, work).await
}

fn judge(
    app: &App,
    worker: &mut Worker,
    body: &Bytes,
    until: Instant,
) -> Result<Response, ApiError> {
    let request: SimulateRequest =
        parse_json(text(body)?, "body").map_err(|error| ApiError::input(&error, body))?;
    let SimulateRequest { snapshot, moves } = request;
    check_size(&snapshot, &app.settings.bounds, "body.snapshot")?;
    if moves.len() > MOST_MOVES {
        let message = format!("body: moves: expected at most {MOST_MOVES}, got {}", moves.len());
        return Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "plan_too_long", message));
    }
    snapshot.validate("body.snapshot").map_err(|error| ApiError::input(&error, body))?;
    let mut case = worker
        .engine
        .case(snapshot, "body.snapshot")
        .map_err(|error| ApiError::engine(&error, body))?;
    let safety = &app.settings.safety;
    let memory = safety.moment(&mut case, safety.plans()).memory;
    let ends = [safety.expires_s(&case.snapshot), tick_end_s(&case.state.rules)];
    let expires_s = ends.into_iter().flatten().reduce(f32::min);
    let mut moves = resolve(&case.state, moves, expires_s);
    let mut simulation = play(&case.state, &mut moves, until)?;
    let limits = safety.broken(&case.snapshot, &memory, &moves);
    simulation.violations.extend(limits.iter().map(broken_constraint));
    simulation.valid = simulation.violations.is_empty();
    Ok(json(StatusCode::OK, &simulation))
}

/// The moves as the guard reads them: names become indices, unknown names an index that no node or
/// workload has. They expire like those of a plan; when they may start is not known yet.
fn resolve(
    state: &ClusterState,
    proposed: Vec<ProposedMove>,
    expires_s: Option<f32>,
) -> Vec<PlannedMove> {
    let index =
        |names: &[String]| -> HashMap<String, usize> { names.iter().cloned().zip(0..).collect() };
    let (workloads, nodes) = (index(&state.spec.workload_names), index(&state.spec.node_names));
    let at = |names: &HashMap<String, usize>, name: &str| names.get(name).copied();
    let mut node_of: Vec<usize> = state.placement.iter().map(|&node| node as usize).collect();
    let mut resolved = Vec::with_capacity(proposed.len());
    for ProposedMove { workload_name, source_name, destination_name, wave } in proposed {
        let workload = at(&workloads, &workload_name);
        let destination = at(&nodes, &destination_name);
        let is_at = workload.map(|k| node_of[k]);
        let name_of = |node: usize| state.spec.node_names.get(node).cloned().unwrap_or_default();
        let source = source_name.as_ref().map_or(is_at, |name| at(&nodes, name));
        if let (Some(k), Some(node)) = (workload, destination) {
            node_of[k] = node;
        }
        resolved.push(PlannedMove {
            workload: workload.unwrap_or(usize::MAX),
            source: source.unwrap_or(usize::MAX),
            source_name: source_name.unwrap_or_else(|| is_at.map(name_of).unwrap_or_default()),
            destination: destination.unwrap_or(usize::MAX),
            workload_name,
            destination_name,
            wave,
            after: Vec::new(),
            predicted_gain: 0.0,
            change: LevelChange::default(),
            cost: 0.0,
            moved_gib: 0.0,
            transfer_s: 0.0,
            downtime_s: 0.0,
            earliest_start_s: 0.0,
            expires_s,
            method: source.map_or_else(Method::default, |node| Method::of(state, node)),
            reason: ReasonCode::MakesRoom,
        });
    }
    resolved
}

/// Carries the moves out on copies of the cluster, allowed or not, and notes in them how long they
/// take and when they may start.
///
/// # Errors
/// When that takes until nobody waits for it any more.
fn play(
    state: &ClusterState,
    moves: &mut [PlannedMove],
    until: Instant,
) -> Result<Simulation, ApiError> {
    // Prices depend on the transfers under way, gains are measured with all of them complete.
    let (mut running, mut settled) = (state.clone(), state.clone());
    let mut flow = [0.0; TERMS];
    let mut effects = Vec::new();
    let (mut wave, mut start_s, mut longest_s) = (0, 0.0, 0.0_f32);
    for (at, planned) in moves.iter_mut().enumerate() {
        if planned.wave != wave {
            wave = planned.wave;
            start_s += std::mem::take(&mut longest_s);
        }
        planned.earliest_start_s = start_s;
        let &mut PlannedMove { workload, destination, .. } = planned;
        if workload >= state.spec.workloads() || destination >= state.spec.nodes() {
            continue;
        }
        if Instant::now() >= until {
            return Err(ApiError::timeout());
        }
        let price = carry_out(&mut running, workload, destination);
        planned.transfer_s = price.transfer_s;
        longest_s = longest_s.max(price.transfer_s);
        let terms = running.flow_terms(workload, &price);
        flow.iter_mut().zip(terms).for_each(|(sum, term)| *sum += term);
        let before = settled.level();
        place(&mut settled, workload, destination);
        effects.push(Effect {
            at,
            predicted_gain: before - settled.level(),
            cost: state.objective.value(&terms),
            moved_gib: price.moved_gib,
            transfer_s: price.transfer_s,
            downtime_s: price.downtime_s,
            earliest_start_s: start_s,
        });
    }
    let broken = violations(state, moves);
    let name = |node: &u32| state.spec.node_names[*node as usize].clone();
    Ok(Simulation {
        valid: broken.is_empty(),
        violations: broken.iter().map(broken_constraint).collect(),
        objective_before: state.level(),
        objective_after: settled.level(),
        terms_before: level_terms(state),
        terms_after: level_terms(&settled),
        flow: Term::ALL[LEVEL_TERMS..].iter().map(|t| (t.name(), flow[*t as usize])).collect(),
        cost: state.objective.value(&flow),
        effects,
        placement: (state.spec.workload_names.iter().zip(&settled.placement))
            .map(|(workload, node)| Placed { workload: workload.clone(), node: name(node) })
            .collect(),
    })
}

/// Moves the workload as the planner does, or by force where that is not allowed.
fn carry_out(state: &mut ClusterState, workload: usize, destination: usize) -> MigrationCost {
    if state.moves_left > 0
        && let Ok(price) = state.migrate(workload, destination)
    {
        if state.rules.episode.mode == Mode::Rebalance {
            state.start_tick();
        }
        return price;
    }
    let price = state.migration_cost(workload, destination);
    place(state, workload, destination);
    price
}

fn place(state: &mut ClusterState, workload: usize, node: usize) {
    state.placement[workload] = node as u32;
    state.rebuild();
}

fn level_terms(state: &ClusterState) -> BTreeMap<String, f32> {
    let shown = |term: &Term| *term != Term::Own || state.objective.uses(Term::Own);
    let terms = Term::ALL.into_iter().zip(state.level_terms()).filter(|(term, _)| shown(term));
    let own = state.now.own_terms(&state.objective);
    let own = own.map(|(term, value)| (term.name.clone(), value));
    terms.map(|(term, value)| (term.name().to_owned(), value)).chain(own).collect()
}

fn broken_constraint(violation: &(impl Serialize + Display)) -> BrokenConstraint {
    let fields = serde_json::to_value(violation).unwrap_or_default();
    BrokenConstraint {
        kind: fields["kind"].as_str().unwrap_or_default().to_owned(),
        at: fields["at"].as_u64(),
        message: violation.to_string(),
    }
}
