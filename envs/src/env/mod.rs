//! Worlds that are stepped: the contract, the cluster behind it, and what checks and measures it.

pub mod checker;
pub mod cluster_env;
mod contract;
pub mod event_replay;
pub mod exact;
pub mod featherweight;
pub mod probes;
pub mod throughput;
pub mod vector;

pub use contract::{ActionError, Env, EpisodeEnd, ResetError, Step};
