//! Documents of the Open Inference Protocol, but for the tensors in them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::tensor::{Tensor, TensorInfo};

/// What `GET /v2` says.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ServerMetadata {
    /// Always `godwit-scorer`.
    pub name: &'static str,
    /// Version of the program.
    pub version: &'static str,
    /// Extensions of the protocol that are served: `binary_tensor_data`.
    pub extensions: [&'static str; 1],
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
    /// Which outputs are asked for; both if left out.
    #[schemars(with = "Vec<OutputRequest>")]
    pub outputs: Option<Vec<OutputRequest>>,
    /// What holds for all of them.
    #[serde(default)]
    pub parameters: RequestParameters,
}

/// An output that is asked for.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct OutputRequest {
    /// `q` or `action`.
    pub name: String,
    /// How.
    #[serde(default)]
    pub parameters: OutputParameters,
}

/// How an output is given.
#[derive(Debug, Default, Deserialize, JsonSchema)]
pub struct OutputParameters {
    /// Whether its elements are behind the document rather than in it.
    #[schemars(with = "bool")]
    pub binary_data: Option<bool>,
}

/// What holds for all outputs.
#[derive(Debug, Default, Deserialize, JsonSchema)]
pub struct RequestParameters {
    /// Whether elements are behind the document where the output does not say.
    #[schemars(with = "bool")]
    pub binary_data_output: Option<bool>,
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
    /// index of the first best candidate; those that were asked for, in that order.
    pub outputs: Vec<Tensor>,
}
