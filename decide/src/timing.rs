//! Where the time of a decision goes.

use std::time::Instant;

use schemars::JsonSchema;
use serde::Serialize;

/// Microseconds per stage.
#[derive(Debug, Clone, Copy, Default, Serialize, JsonSchema)]
pub struct Timing {
    /// Reading and checking the artifact; 0 where that was done before.
    pub artifact: u64,
    /// Reading and checking the snapshot.
    pub snapshot: u64,
    /// All decisions of the policy, and ordering the moves.
    pub plan: u64,
    /// Checking the hard constraints.
    pub guard: u64,
    /// Saying why workloads stay where they are.
    pub stays: u64,
    /// All of it.
    pub total: u64,
}

/// Microseconds since then.
pub fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}
