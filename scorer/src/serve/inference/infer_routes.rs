//! What the routes of the Open Inference Protocol do.

use axum::Extension;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use godwit_decide::loaded::Loaded;
use godwit_envs::input::parse_json;
use serde::Deserialize;

use super::binary;
use super::documents::{
    InferRequest, InferResponse, ModelMetadata, ModelReady, OutputRequest, ServerMetadata,
};
use super::elements::{Element, Elements};
use super::observation::{inputs, observation};
use super::tensor::{Tensor, TensorInfo};
use crate::serve::app::{App, Arrival, Shared};
use crate::serve::bodies::api_error::{ApiError, json};
use crate::serve::bodies::request_body::text;
use crate::serve::workers::pool::Worker;

/// Name of the one model that is served.
pub const MODEL: &str = "policy";

/// Which model of which version a path names.
#[derive(Debug, Clone, Deserialize)]
pub struct ModelPath {
    model: String,
    version: Option<String>,
}

/// `GET /v2`.
pub async fn server() -> Response {
    let metadata = ServerMetadata {
        name: "godwit-scorer",
        version: env!("CARGO_PKG_VERSION"),
        extensions: ["binary_tensor_data"],
    };
    json(StatusCode::OK, &metadata)
}

/// `GET /v2/models/{model}`, also of a version.
pub async fn model(
    State(app): State<Shared>,
    path: Result<Path<ModelPath>, PathRejection>,
) -> Result<Response, ApiError> {
    let loaded = app.model.current();
    check(path.ok().map(|Path(path)| path), &loaded)?;
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

/// `GET /v2/models/{model}/ready`, also of a version.
pub async fn model_ready(
    State(app): State<Shared>,
    path: Result<Path<ModelPath>, PathRejection>,
) -> Result<Response, ApiError> {
    check(path.ok().map(|Path(path)| path), &app.model.current())?;
    Ok(json(StatusCode::OK, &ModelReady { name: MODEL, ready: true }))
}

/// `POST /v2/models/{model}/infer`, also of a version.
pub async fn infer(
    State(app): State<Shared>,
    Extension(arrival): Extension<Arrival>,
    path: Result<Path<ModelPath>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let path = path.ok().map(|Path(path)| path);
    // Before the body is read; and again with the artifact that answers.
    check(path.clone(), &app.model.current())?;
    let document_bytes = binary::document_bytes(&headers)?;
    let work = move |_: &App, worker: &mut Worker, body: &Bytes| {
        check(path, worker.engine.loaded())?;
        let (document, behind) = binary::split(body, document_bytes)?;
        value_candidates(worker, &document, behind)
    };
    app.work(&arrival, body, work).await
}

/// Refuses every model and version but the one that is served.
fn check(path: Option<ModelPath>, loaded: &Loaded) -> Result<(), ApiError> {
    let refuse = |code, message| Err(ApiError::new(StatusCode::NOT_FOUND, code, message));
    let Some(ModelPath { model, version }) = path.filter(|path| path.model == MODEL) else {
        return refuse("unknown_model", format!("expected the model {MODEL}, got another"));
    };
    let sha256 = &loaded.name.sha256;
    match version {
        Some(version) if version != *sha256 => {
            let message = format!("expected the version {sha256} of {model}, got another");
            refuse("unknown_version", message)
        }
        _ => Ok(()),
    }
}

fn value_candidates(
    worker: &mut Worker,
    document: &Bytes,
    behind: Bytes,
) -> Result<Response, ApiError> {
    let request: InferRequest =
        parse_json(text(document)?, "body").map_err(|error| ApiError::input(&error, document))?;
    let InferRequest { id, mut inputs, outputs, parameters } = request;
    binary::attach(&mut inputs, behind)?;
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
    let q = Tensor {
        name: "q".to_owned(),
        shape: vec![1, q.len()],
        datatype: "FP32".to_owned(),
        data: Some(q.into()),
        ..Tensor::default()
    };
    let action = Tensor {
        name: "action".to_owned(),
        shape: vec![1],
        datatype: "INT64".to_owned(),
        data: Some(Elements(vec![Element::Whole(action as i64)])),
        ..Tensor::default()
    };
    let binary_unless_said = parameters.binary_data_output.unwrap_or(false);
    let (outputs, binary) = chosen(vec![q, action], outputs, binary_unless_said)?;
    let model_version = loaded.name.sha256.clone();
    let response = InferResponse { model_name: MODEL, model_version, id, outputs };
    binary::answer(response, &binary)
}

/// The outputs that are asked for, and whether the elements of each are to be behind the document.
fn chosen(
    mut outputs: Vec<Tensor>,
    asked: Option<Vec<OutputRequest>>,
    binary_unless_said: bool,
) -> Result<(Vec<Tensor>, Vec<bool>), ApiError> {
    // An empty list asks for all, too.
    let Some(asked) = asked.filter(|asked| !asked.is_empty()) else {
        let binary = vec![binary_unless_said; outputs.len()];
        return Ok((outputs, binary));
    };
    let mut chosen = (Vec::new(), Vec::new());
    for OutputRequest { name, parameters } in asked {
        let Some(at) = outputs.iter().position(|output| output.name == name) else {
            let message =
                format!("outputs: expected q and action, each at most once, got {name:?}");
            return Err(ApiError::new(StatusCode::BAD_REQUEST, "invalid_tensor", message));
        };
        chosen.0.push(outputs.remove(at));
        chosen.1.push(parameters.binary_data.unwrap_or(binary_unless_said));
    }
    Ok(chosen)
}
