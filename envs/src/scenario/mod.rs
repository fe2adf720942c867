//! Scenarios: seeded descriptions of a cluster and its dynamics, read from TOML.
//!
//! [`Scenario::load`] and [`Scenario::embedded`] return a validated scenario; every refusal names
//! the file, the field, the value and what was expected.

mod embedded;
mod fault_rules;
mod generate;
mod load;
mod schema;
mod types;
mod validate;

pub use embedded::{EMBEDDED, EmbeddedScenario};
pub use fault_rules::FaultRules;
pub use generate::{Episode, Phase, WorldTemplate};
pub use load::ScenarioError;
pub use types::*;

#[cfg(test)]
mod tests;
