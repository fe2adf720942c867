//! Policies as data.

pub mod baselines;
pub mod net;
pub mod policy;
pub mod rollout;
