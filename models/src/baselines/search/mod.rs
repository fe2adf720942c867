//! Searches over placements and sequences of moves.
//!
//! Most try placements out in a [`trial`] and play the way to the best one as [`planned`] says.

pub mod annealing;
pub mod best_fit_decreasing;
pub mod chains;
pub(crate) mod foreseen;
pub mod genetic;
#[cfg(feature = "milp")]
pub mod integer_programming;
pub mod large_neighbourhood;
pub mod particle_swarm;
pub mod planned;
pub mod receding_horizon;
mod totals;
pub mod trial;
