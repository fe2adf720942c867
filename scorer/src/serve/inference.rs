//! The Open Inference Protocol (`/v2`): the bare network, for those who bring their own features.

use axum::Extension;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use godwit_envs::input::parse_json;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::app::{App, Arrival, Shared};
use super::body::text;
use super::elements::{Element, Elements};
use super::error::{ApiError, json};
use super::pool::Worker;
use super::tensors::{Tensor, TensorInfo, inputs, observation};

/// Name of the one model that is served.
pub const MODEL: &str = "policy";

/// What `GET /v2` says.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ServerMetadata {
    /// Always `godwit-scorer`.
    pub name: &'static str,
    /// Version of the program.
    pub version: &'static str,
    /// Extensions of the protocol: none.
    pub extensions: [&'static str; 0],
}

/// What `GET /v2/models/{model}` says.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ModelMetadata {
    /// Always `policy`.
    pub name: &'static str,
    /// SHA-256 of the artifact that decides now, the only version.
    pub versions: [String; 1],
    /// Always `godwit`.
    pub platform: &'static str,
    /// What it reads.
    pub inputs: Vec<TensorInfo>,
    /// What it gives.
    pub outputs: [TensorInfo; 2],
}

/// What `GET /v2/models/{model}/ready` says.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ModelReady {
    /// Always `policy`.
    pub name: &'static str,
    /// Always true: without an artifact the service does not start.
    pub ready: bool,
}

/// An observation.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct InferRequest {
    /// Is given back.
    pub id: Option<String>,
    /// The network's inputs, each once.
    pub inputs: Vec<Tensor>,
}

/// The value of each candidate.
#[derive(Debug, Serialize, JsonSchema)]
pub struct InferResponse {
    /// Always `policy`.
    pub model_name: &'static str,
    /// SHA-256 of the artifact.
    pub model_version: String,
    /// The request's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// `q [1, A]`, the lowest finite number where a candidate is masked, and `action [1]`, the
    /// index of the first best candidate.
    pub outputs: [Tensor; 2],
}

/// `GET /v2`.
pub async fn server() -> Response {
    let metadata = ServerMetadata {
        name: "godwit-scorer",
        version: env!("CARGO_PKG_VERSION"),
        extensions: [],
    };
    json(StatusCode::OK, &metadata)
}

/// `GET /v2/models/{model}`.
pub async fn model(
    State(app): State<Shared>,
    name: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    check_name(name)?;
    let loaded = app.model.current();
    let metadata = ModelMetadata {
        name: MODEL,
        versions: [loaded.name.sha256.clone()],
        platform: "godwit",
        inputs: inputs(&loaded.artifact.manifest),
        outputs: [
            TensorInfo { name: "q", datatype: "FP32", shape: vec![1, -1] },
            TensorInfo { name: "action", datatype: "INT64", shape: vec![1] },
        ],
    };
    Ok(json(StatusCode::OK, &metadata))
}

/// `GET /v2/models/{model}/ready`.
pub async fn model_ready(name: Result<Path<String>, PathRejection>) -> Result<Response, ApiError> {
    check_name(name)?;
    Ok(json(StatusCode::OK, &ModelReady { name: MODEL, ready: true }))
}

/// `POST /v2/models/{model}/infer`.
pub async fn infer(
    State(app): State<Shared>,
    Extension(arrival): Extension<Arrival>,
    name: Result<Path<String>, PathRejection>,
    body: Body,
) -> Result<Response, ApiError> {
    check_name(name)?;
    app.work(&arrival, body, value_candidates).await
}

fn check_name(name: Result<Path<String>, PathRejection>) -> Result<(), ApiError> {
    match name {
        Ok(Path(name)) if name == MODEL => Ok(()),
        _ => {
            let message = format!("expected the model {MODEL}, got another");
            Err(ApiError::new(StatusCode::NOT_FOUND, "unknown_model", message))
        }
    }
}

fn value_candidates(_: &App, worker: &mut Worker, body: &Bytes) -> Result<Response, ApiError> {
    let InferRequest { id, inputs } =
        parse_json(text(body)?, "body").map_err(|error| ApiError::input(&error, body))?;
    let loaded = worker.engine.loaded();
    let observation = observation(&loaded.artifact.manifest, inputs)?;
    // A copy per request: decisions do not wait for it, and it is small.
    let mut network = loaded.artifact.network.clone();
    let mut q = vec![0.0; observation.actions()];
    let action = network.best_action(&observation, &mut q);
    let lost = q.iter().zip(&observation.mask).position(|(q, allowed)| *allowed && !q.is_finite());
    if let Some(candidate) = lost {
        let got = q[candidate];
        let message = format!(
            "inputs: expected numbers that give each candidate a finite value, got {got} for candidate {candidate}"
        );
        return Err(ApiError::new(StatusCode::BAD_REQUEST, "invalid_tensor", message));
    }
    for q in &mut q {
        // JSON has no infinity, which is what masked candidates have.
        *q = q.max(f32::MIN);
    }
    let response = InferResponse {
        model_name: MODEL,
        model_version: loaded.name.sha256.clone(),
        id,
        outputs: [
            Tensor {
                name: "q".to_owned(),
                shape: vec![1, q.len()],
                datatype: "FP32".to_owned(),
                data: q.into(),
            },
            Tensor {
                name: "action".to_owned(),
                shape: vec![1],
                datatype: "INT64".to_owned(),
                data: Elements(vec![Element::Whole(action as i64)]),
            },
        ],
    };
    Ok(json(StatusCode::OK, &response))
}
