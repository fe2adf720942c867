//! The kinds of clusters, each with what it can promise and what it cannot.

pub mod kubernetes;
