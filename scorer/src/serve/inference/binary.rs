//! The binary tensor extension of the Open Inference Protocol: elements as bytes behind the JSON
//! document, little-endian and row-major, in the order of their tensors.

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use bytes::Bytes;

use super::documents::InferResponse;
use super::elements::{Element, Elements};
use super::tensor::{Tensor, refuse};
use crate::serve::bodies::api_error::{ApiError, json};

/// Header with the length of the document, where something is behind it.
pub const LENGTH_HEADER: &str = "inference-header-content-length";

/// Content type of bodies that are more than a document.
pub const CONTENT: &str = "application/octet-stream";

/// The length of the document, if the request states one.
///
/// # Errors
/// When it is no number.
pub fn document_bytes(headers: &HeaderMap) -> Result<Option<usize>, ApiError> {
    let Some(value) = headers.get(LENGTH_HEADER) else { return Ok(None) };
    let length = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    length.map(Some).ok_or_else(|| invalid_length("a number of bytes", "something else"))
}

/// The document of a body, and what is behind it.
///
/// # Errors
/// When the body is shorter than the document.
pub fn split(body: &Bytes, document_bytes: Option<usize>) -> Result<(Bytes, Bytes), ApiError> {
    let length = document_bytes.unwrap_or(body.len());
    if length > body.len() {
        let expected = format!("at most the {} bytes of the body", body.len());
        return Err(invalid_length(&expected, &length.to_string()));
    }
    Ok((body.slice(..length), body.slice(length..)))
}

/// Gives each tensor its bytes.
///
/// # Errors
/// When there are fewer or more than the tensors state.
pub fn attach(tensors: &mut [Tensor], mut behind: Bytes) -> Result<(), ApiError> {
    for tensor in tensors {
        let Some(size) = tensor.parameters.binary_data_size else { continue };
        if size > behind.len() {
            let expected = format!("{size} bytes behind the document (binary_data_size)");
            return Err(refuse(&tensor.name, &expected, &behind.len().to_string()));
        }
        tensor.bytes = Some(behind.split_to(size));
    }
    if behind.is_empty() {
        return Ok(());
    }
    let message = format!(
        "inputs: expected as many bytes behind the document as binary_data_size states, got {} more",
        behind.len()
    );
    Err(ApiError::new(StatusCode::BAD_REQUEST, "invalid_tensor", message))
}

/// The element that bytes of its width are.
type Decode = fn(&[u8]) -> Option<Element>;

/// The elements that these bytes are; `None` where a part of one is left, or nobody knows the type.
pub fn elements(datatype: &str, bytes: &[u8]) -> Option<impl Iterator<Item = Element>> {
    let (width, decode): (usize, Decode) = match datatype {
        "BOOL" => (1, |bytes| {
            Some(match *bytes {
                [0] => Element::Bool(false),
                [1] => Element::Bool(true),
                [other] => Element::Whole(other.into()),
                _ => return None,
            })
        }),
        "FP32" => {
            (4, |bytes| Some(Element::Number(f32::from_le_bytes(bytes.try_into().ok()?).into())))
        }
        "INT32" => {
            (4, |bytes| Some(Element::Whole(i32::from_le_bytes(bytes.try_into().ok()?).into())))
        }
        _ => return None,
    };
    // Each piece is as wide as its type.
    let elements =
        bytes.chunks_exact(width).map(move |piece| decode(piece).unwrap_or(Element::Null));
    bytes.len().is_multiple_of(width).then_some(elements)
}

/// The answer with the elements of these outputs behind the document.
///
/// # Errors
/// When the document cannot be written; none is known that could not.
pub fn answer(mut response: InferResponse, binary: &[bool]) -> Result<Response, ApiError> {
    if !binary.contains(&true) {
        return Ok(json(StatusCode::OK, &response));
    }
    let mut behind = Vec::new();
    for (output, _) in response.outputs.iter_mut().zip(binary).filter(|(_, binary)| **binary) {
        let Some(Elements(elements)) = output.data.take() else { continue };
        let before = behind.len();
        for element in elements {
            match element {
                Element::Number(number) => behind.extend((number as f32).to_le_bytes()),
                Element::Whole(number) => behind.extend(number.to_le_bytes()),
                // No output has others.
                Element::Bool(_) | Element::Null | Element::Text | Element::Object => {}
            }
        }
        output.parameters.binary_data_size = Some(behind.len() - before);
    }
    let mut body = serde_json::to_vec(&response).map_err(|_| ApiError::internal())?;
    let length = HeaderValue::from(body.len());
    body.append(&mut behind);
    let mut answer = Response::new(Body::from(body));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(CONTENT));
    answer.headers_mut().insert(LENGTH_HEADER, length);
    Ok(answer)
}

fn invalid_length(expected: &str, got: &str) -> ApiError {
    let message = format!("{LENGTH_HEADER}: expected {expected}, got {got}");
    ApiError::new(StatusCode::BAD_REQUEST, "invalid_header", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_the_elements_of_their_type() {
        let list = |datatype, bytes: &[u8]| elements(datatype, bytes).map(Iterator::collect);
        let floats = [1.5_f32.to_le_bytes(), (-0.25_f32).to_le_bytes()].concat();
        let numbers = vec![Element::Number(1.5), Element::Number(-0.25)];
        assert_eq!(list("FP32", &floats), Some(numbers));
        assert_eq!(list("INT32", &[0xfe, 0xff, 0xff, 0xff]), Some(vec![Element::Whole(-2)]));
        let booleans = vec![Element::Bool(false), Element::Bool(true), Element::Whole(2)];
        assert_eq!(list("BOOL", &[0, 1, 2]), Some(booleans));
        assert_eq!(list("FP32", &floats[1..]), None::<Vec<_>>);
        assert_eq!(list("BYTES", &floats), None::<Vec<_>>);
    }
}
