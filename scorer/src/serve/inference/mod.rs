//! The Open Inference Protocol (`/v2`): the bare network, for those who bring their own features.

pub mod binary;
pub mod documents;
pub mod elements;
pub mod infer_routes;
pub mod observation;
pub mod tensor;
