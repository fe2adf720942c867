//! A training run: acting and learning side by side, from its assembly to its tidy end.

pub mod actor;
pub mod assemble;
mod iterations;
pub mod mixture;
pub mod normalisation;
pub mod run;
pub mod trainer;
pub mod validation;
