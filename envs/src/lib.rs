//! The world that godwit trains in: a cluster of nodes, the workloads on them, their changing
//! demand, and the migrations between nodes. No libtorch, no terminal, no network.

pub mod env;
pub mod episode;
pub mod importers;
pub mod input;
pub mod lanes;
pub mod observe;
pub mod reassignment;
pub mod resources;
pub mod rng;
pub mod scenario;
pub mod snapshot;
pub mod state;

/// Bytes as lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
