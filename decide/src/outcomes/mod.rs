//! What became of plans that were carried out, and how the policy stands by that.

pub mod came_to;
pub mod drift;
pub mod evaluation;
pub mod undone;
