//! The cluster as a policy finds it, and what moves, time and faults do to it.

pub mod cluster;
mod cluster_state;
pub mod constraints;
pub mod dynamics;
pub mod event;
pub mod expression;
pub mod fences;
mod fingerprint;
mod infeasible;
pub mod members;
pub mod migration;
mod misfit;
mod names;
pub mod objective;
pub mod outlook;
pub mod place_counts;
pub mod places;
pub mod reassignment_view;
pub mod slots;
pub mod term;

pub use cluster::NOWHERE;
pub use cluster_state::{Action, ClusterState, Life, Transfer, full_budget, most_transfers};
pub use infeasible::Infeasible;
