//! How much clients may ask for.

use std::time::Duration;

/// Bounds on what one client, and all of them together, may ask of the service.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// Bytes of a request body.
    pub body_bytes: usize,
    /// Nodes of a snapshot.
    pub nodes: usize,
    /// Workloads of a snapshot.
    pub workloads: usize,
    /// Bytes of all headers of a request.
    pub header_bytes: usize,
    /// Headers of a request.
    pub headers: usize,
    /// Time to send the headers of a request, and for which a connection may be idle.
    pub header_timeout: Duration,
    /// Time to send a body and to answer it.
    pub request_timeout: Duration,
    /// Requests that are worked on, or wait for a worker, at once.
    pub requests: u32,
    /// Open connections.
    pub connections: u32,
    /// Open connections of one client, if they are to be limited otherwise than by default.
    pub connections_per_client: Option<u32>,
    /// Time for which connections are still accepted once the service is told to end.
    pub drain_delay: Duration,
    /// Time for requests in flight once no more connections are accepted.
    pub drain: Duration,
    /// Decisions that are remembered.
    pub decisions: usize,
    /// Bytes of the answers that are remembered.
    pub decisions_bytes: usize,
    /// Moves of a plan.
    pub max_moves: u32,
    /// Time to compare the policy's plan with others.
    pub think: Duration,
    /// Plans of the policy that are compared.
    pub best_of: u32,
    /// Time after which no further decision of a plan is begun.
    pub deadline: Option<Duration>,
    /// Longest time of one decision of the policy.
    pub per_decision: Option<Duration>,
}
