//! The world that godwit trains in: a cluster of nodes, the workloads on them, their changing
//! demand, and the migrations between nodes. No libtorch, no terminal, no network.

pub mod bench;
pub mod candidates;
pub mod check;
pub mod churn;
pub mod cluster;
pub mod cluster_env;
pub mod compact;
pub mod constraints;
pub mod demand;
pub mod dynamics;
pub mod encoder;
pub mod env;
pub mod event;
pub mod exact;
pub mod faults;
pub mod features;
pub mod fences;
pub mod importers;
pub mod input;
pub mod live;
pub mod migration;
mod misfit;
pub mod normalisation;
pub mod objective;
pub mod observation;
pub mod outlook;
pub mod placement;
pub mod probes;
pub mod reassigned;
pub mod reassignment;
pub mod replay;
pub mod resources;
pub mod rng;
pub mod scenario;
pub mod schema;
pub mod slots;
pub mod snapshot;
pub mod speed;
pub mod state;
pub mod vector_env;

/// Bytes as lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
