//! Policies as data.

pub mod artifact;
pub mod baselines;
pub mod net;
pub mod network_policy;
pub mod policy;
pub mod rollout;
