//! Kubernetes clusters, from their API's answers to what is done to them.

#![allow(clippy::unwrap_used)] // a failed expectation is the point of a test

#[path = "../support/kubernetes/mod.rs"]
mod support;

mod constructs;
mod demand;
mod identity;
mod objects;
mod real;
mod real_sequences;
mod refusals;
mod rights;
mod sequences;
mod source;
mod speed;
