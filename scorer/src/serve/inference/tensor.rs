//! Tensors of the Open Inference Protocol, with and without their elements.

use axum::http::StatusCode;
use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::elements::Elements;
use crate::serve::bodies::api_error::ApiError;

/// A tensor with its elements.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Tensor {
    /// Name.
    pub name: String,
    /// Sizes; the first is the batch and always 1.
    pub shape: Vec<usize>,
    /// `FP32`, `INT32`, `INT64` or `BOOL`.
    pub datatype: String,
    /// The elements, row-major, flat or nested; absent where they are behind the document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Value")]
    pub data: Option<Elements>,
    /// Where else they are.
    #[serde(default, skip_serializing_if = "TensorParameters::is_empty")]
    pub parameters: TensorParameters,
    /// The elements as they were behind the document.
    #[serde(skip)]
    pub bytes: Option<Bytes>,
}

/// Where the elements of a tensor are, if they are not in the document.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct TensorParameters {
    /// So many bytes behind the document, little-endian and row-major, after those of the tensors
    /// before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "usize")]
    pub binary_data_size: Option<usize>,
}

impl TensorParameters {
    fn is_empty(&self) -> bool {
        self.binary_data_size.is_none()
    }
}

/// A tensor without its elements.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TensorInfo {
    /// Name.
    pub name: &'static str,
    /// `FP32`, `INT32`, `INT64` or `BOOL`.
    pub datatype: &'static str,
    /// Sizes; -1 where any is taken.
    pub shape: Vec<i64>,
}

/// What is wrong with a tensor.
pub fn refuse(tensor: &str, expected: &str, got: &str) -> ApiError {
    let message = format!("inputs: {tensor}: expected {expected}, got {got}");
    ApiError::new(StatusCode::BAD_REQUEST, "invalid_tensor", message)
}
