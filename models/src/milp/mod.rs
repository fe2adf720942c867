//! Exact optima of static scenarios, and proven bounds, by mixed-integer linear programming.
//!
//! The founding problem is a mixed-integer linear program: with x_ki = 1 where workload k runs on
//! node i, minimise `max_i L_i` subject to one node per workload, `sum_k x_ki D_kj <= R_ij`,
//! allowed classes, anti-affinity groups, pinned workloads and at most B moves. Counting
//! interchangeable workloads ([`kinds`]) makes it small: one integer for the workloads of a kind
//! that leave a node, one for those that arrive at a node. Deployable slots are one more integer
//! per node.
//!
//! Linear are `max_load`, `overload`, `moved_gib`, `downtime_s`, and `fragmentation` as long as no
//! node holds more than its supply of the slot's resource (the free supply is then the same in
//! every placement). `imbalance`, a standard deviation over a mean, has no linear form: it is
//! left out, or stands in as a mean absolute deviation ([`Imbalance`]). A scenario's own terms may be
//! negative and of any form: where one has a weight, there is no program.
//!
//! A program says where to, not how to get there: [`crate::order`] puts the moves in an order in which
//! each is feasible in its turn, or says that there is none. [`Options::transient`] asks only for
//! placements that every order of moves leads to. No solution moves a workload twice.
//!
//! Sets of allowed nodes are kept. Limits of workloads per node and rules about zones are not in the
//! program: there is none for clusters that have them.
//!
//! Solver: HiGHS (Huangfu and Hall, "Parallelizing the dual revised simplex method",
//! Mathematical Programming Computation 2018), branch and bound on one thread.

pub mod kinds;
mod links;
mod model;
mod options;
mod room;
mod solver;

pub use options::{Imbalance, MilpError, Options, Status};

use crate::order::{self, Move, Ordering};
use godwit_envs::scenario::Mode;
use godwit_envs::state::ClusterState;
use std::time::Duration;

/// A placement, what it is worth and what is proven about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Solution {
    /// How the search ended.
    pub status: Status,
    /// Weighted objective of the placement, all level terms plus what the moves cost, by the
    /// world's own arithmetic.
    pub objective: f64,
    /// No placement within the budget has a lower weighted objective; `None` where nothing is
    /// proven ([`Imbalance::Deviation`]).
    pub bound: Option<f64>,
    /// Whether the program held every weighted term: the bound is then not only valid but tight.
    pub covers_all_terms: bool,
    /// Deployable slots in the placement; 0 without a slot.
    pub slots: u32,
    /// Node of each workload, `[K]`.
    pub placement: Vec<u32>,
    /// The moves to it, each feasible in its turn: all, or as many as could be ordered.
    pub moves: Vec<Move>,
    /// The moves that could not be ordered; empty where the order is complete.
    pub blocked: Vec<Move>,
    /// Whether there is an order of all moves.
    pub ordering: Ordering,
}

/// The best placement within the moves that are left.
///
/// # Errors
/// When the scenario is online, has no linear form, or the solver fails.
pub fn solve(state: &ClusterState, options: &Options) -> Result<Solution, MilpError> {
    if state.rules.episode.mode == Mode::Online {
        return Err(MilpError::Online);
    }
    if state.spec.reassignment.is_some() {
        return Err(MilpError::Reassignment);
    }
    if state.spec.places.as_ref().is_some_and(|places| places.counts_anything()) {
        return Err(MilpError::Places);
    }
    if let Some(own) = state.objective.own.iter().find(|own| own.weight != 0.0) {
        return Err(MilpError::OwnTerm { term: own.name.clone() });
    }
    let nodes = state.spec.nodes();
    if let Some(k) = state.placement.iter().position(|&node| node as usize >= nodes) {
        return Err(MilpError::Waiting { workload: state.spec.workload_names[k].clone() });
    }
    let found = model::Model::new(state, options)?.solve(state, options)?;
    let mut after = state.clone();
    let mut cost = 0.0;
    for &(k, to) in &found.moves {
        after.placement[k] = to as u32;
        let price = state.migration_cost(k, to);
        cost += f64::from(state.objective.value(&state.flow_terms(k, &price)));
    }
    after.rebuild();
    let objective = f64::from(after.level()) + cost;
    let ordered = order::order(state, &found.moves);
    Ok(Solution {
        status: found.status,
        objective,
        // Rounding must not put the bound above what was reached.
        bound: found.bound.map(|bound| bound.min(objective)),
        covers_all_terms: found.covers_all_terms,
        slots: after.now.total_slots() as u32,
        placement: after.placement,
        moves: ordered.moves,
        blocked: ordered.blocked,
        ordering: ordered.ordering,
    })
}

/// How well a static episode can end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bound {
    /// Best weighted objective found: level terms plus what the moves cost. The undiscounted
    /// return of an episode is its initial level minus this.
    pub objective: f64,
    /// No policy ends lower.
    pub bound: f64,
    /// Whether `objective` is the optimum: proven, with all weighted terms in the program.
    pub optimal: bool,
    /// Whether an order of moves that reaches `objective` is known.
    pub reachable: bool,
}

/// The best that any policy can reach from this state of a rebalance scenario, after at most
/// `time_limit` (twice that with `imbalance`).
///
/// With `imbalance` in the objective the bound is valid but not tight, and `optimal` is false.
///
/// # Errors
/// When the scenario is online or has no linear form, or the solver proves nothing.
pub fn bound(state: &ClusterState, time_limit: Duration) -> Result<Bound, MilpError> {
    let options = Options { time_limit, ..Options::default() };
    let solution = solve(state, &options)?;
    let mut best = Bound {
        objective: solution.objective,
        bound: solution.bound.ok_or_else(|| MilpError::Solver("no bound".into()))?,
        optimal: solution.status == Status::Optimal && solution.covers_all_terms,
        reachable: solution.ordering == Ordering::Complete,
    };
    if !solution.covers_all_terms {
        // The program was blind to imbalance: one that sees some of it finds better placements.
        let guided = Options { imbalance: Imbalance::Deviation, relative_gap: 1e-4, ..options };
        let guided = solve(state, &guided)?;
        let reachable = guided.ordering == Ordering::Complete;
        let stay = f64::from(state.level());
        for (objective, reachable) in [(guided.objective, reachable), (stay, true)] {
            if objective < best.objective {
                best = Bound { objective, reachable, ..best };
            }
        }
    }
    Ok(best)
}

#[cfg(test)]
mod tests;
