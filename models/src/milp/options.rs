//! How to solve, how a search ends, and why there is none.

use std::time::Duration;

/// What becomes of the term `imbalance`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Imbalance {
    /// Left out. It is never negative, so the bound on the rest bounds the whole.
    #[default]
    Omit,
    /// Replaced by the mean absolute deviation of the loads from their present mean, over that
    /// mean. A guide to good placements; nothing is proven about them.
    Deviation,
}

/// How to solve.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// A workload that moves holds its demand on its source too, as while a transfer runs: all
    /// moves may then be made at once.
    pub transient: bool,
    /// Time after which the best placement found counts.
    pub time_limit: Duration,
    /// Nodes of the search tree after which the best placement found counts; `None` for no limit.
    /// Where time does not run out first, the same state gives the same placement on any machine.
    pub node_limit: Option<u32>,
    /// Gap between the placement found and the bound, as a share of the objective, that counts as
    /// none.
    pub relative_gap: f64,
    /// What becomes of the term `imbalance`.
    pub imbalance: Imbalance,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            transient: false,
            time_limit: Duration::from_secs(60),
            node_limit: None,
            relative_gap: 1e-6,
            imbalance: Imbalance::Omit,
        }
    }
}

/// How a search ended. It is never infeasible: moving nothing is always allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// The best value of the program is proven, up to the gap asked for.
    Optimal,
    /// Time is up, or the search tree is as large as it may be: a feasible placement and a bound.
    Limit,
}

/// Why a cluster could not be optimised.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum MilpError {
    /// Time passes: the objective depends on more than a placement.
    #[error("milp: expected a rebalance scenario, got an online one")]
    Online,
    /// A workload waits for a node, and what that is worth is not in the program.
    #[error("milp: expected every workload on a node, got {workload} on none")]
    Waiting {
        /// Name of the workload.
        workload: String,
    },
    /// Spread, dependencies and balance costs are not in the program.
    #[error("milp: expected a cluster without machine_reassignment, got one with it")]
    Reassignment,
    /// What is counted by node and zone is not in the program.
    #[error(
        "milp: expected nodes without max_workloads and workloads without spread and \
         zone_anti_affinity, got some with them"
    )]
    Places,
    /// A term of the scenario's own need not have a linear form.
    #[error(
        "milp: expected an objective of linear terms, got one with rules.objective.terms.{term}"
    )]
    OwnTerm {
        /// Its name.
        term: String,
    },
    /// The free supply depends on the placement.
    #[error(
        "milp: fragmentation is linear only where no node holds more than its supply, got node \
         {node} over it"
    )]
    Overfull {
        /// Name of the node.
        node: String,
    },
    /// The solver gave no placement.
    #[error("milp: expected an optimum or a time limit from the solver, got {0}")]
    Solver(String),
}
