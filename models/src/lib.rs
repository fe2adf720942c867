//! Policies as data.

pub mod artifact;
pub mod baselines;
pub mod best_of;
pub mod duties;
pub mod explain;
pub mod guard;
#[cfg(feature = "milp")]
pub mod milp;
pub mod net;
pub mod network_policy;
pub mod order;
pub mod parameter_search;
pub mod plan;
pub mod policy;
pub mod pretrained;
pub mod reassignment_search;
pub mod recording;
pub mod rollout;
pub mod shell;

#[cfg(test)]
mod testing;
