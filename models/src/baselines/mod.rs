//! Heuristic policies: what a trained one has to beat.
//!
//! [`registry`] is the one list of them. A new baseline is a file in one of the three folders, with
//! its rules, its parameters and its source in the doc comment, and a row there:
//!
//! - [`greedy`]: looks at single moves or exchanges and takes the best,
//! - [`published`]: rules of systems and papers, as near to the original as this world allows,
//! - [`search`]: looks for a placement or a sequence of moves, and plays the way to it.
//!
//! What they share lies here: [`scan`] values moves, `utilisation` adds loads up, `declaration` and
//! [`parameters`] make their parameters data.

pub mod declaration;
pub mod greedy;
mod large;
pub mod parameters;
pub mod published;
pub mod registry;
pub mod scan;
pub mod search;
mod utilisation;

pub use parameters::{Assignment, ParameterError};
pub use registry::{BASELINES, Baseline, NAMES, Remembers, baseline, baseline_with, find};

#[cfg(test)]
mod tests;
