//! Bodies of requests, and of answers that are errors.

pub mod api_error;
pub mod request_body;
