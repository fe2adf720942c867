//! Policies as data.

pub mod net;
