//! The typed log of an episode: every transition of the world's state is one event.

use crate::state::cluster::Health;
use serde::{Deserialize, Serialize};

/// One transition, with when it happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Tick in which it happened.
    pub tick: u32,
    /// Seconds since the start of that tick.
    pub second: f32,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// What can happen.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum EventKind {
    /// The clock enters the event's tick.
    TickStarted,
    /// Transfers go on for this long.
    TimePassed {
        /// Seconds.
        seconds: f32,
    },
    /// The workload's demand becomes its base demand times this factor.
    DemandChanged {
        /// Workload index.
        workload: u32,
        /// Factor on the base demand of the resources that follow the workload's process.
        factor: f32,
    },
    /// A workload enters the cluster and waits for a node.
    Arrived {
        /// Workload index.
        workload: u32,
    },
    /// A waiting workload starts on a node.
    Placed {
        /// Workload index.
        workload: u32,
        /// Node index.
        node: u32,
        /// Whether it had run before and was displaced: it starts cold.
        restart: bool,
    },
    /// A workload ends and leaves the cluster.
    Departed {
        /// Workload index.
        workload: u32,
    },
    /// A workload's node failed: it runs nowhere.
    Displaced {
        /// Workload index.
        workload: u32,
        /// The node that failed.
        node: u32,
    },
    /// A node's health changes.
    HealthChanged {
        /// Node index.
        node: u32,
        /// Its new health.
        health: Health,
        /// Tick at whose start a draining node fails; 0 for others.
        deadline: u32,
    },
    /// A migration begins; the source still holds the demand.
    TransferStarted {
        /// Workload index.
        workload: u32,
        /// Node it leaves.
        source: u32,
        /// Node it goes to.
        destination: u32,
    },
    /// A migration ends; the source is free.
    TransferEnded {
        /// Workload index.
        workload: u32,
        /// Node it left.
        source: u32,
        /// Node it is on.
        destination: u32,
    },
    /// A migration is undone because one of its nodes failed; the workload is on its source as
    /// before.
    TransferRolledBack {
        /// Workload index.
        workload: u32,
        /// Node it stays on.
        source: u32,
        /// Node that it did not reach.
        destination: u32,
    },
}
