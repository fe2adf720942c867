//! Scenarios: seeded descriptions of a cluster and its dynamics, read from TOML.
//!
//! [`Scenario::load`] and [`Scenario::embedded`] return a validated scenario; every refusal names
//! the file, the field, the value and what was expected.

mod embedded;
mod events;
mod fault_rules;
mod generate;
mod groups;
mod load;
mod rules;
mod schema;
mod script;
mod types;
mod validate;

pub use embedded::{EMBEDDED, EmbeddedScenario};
pub use events::ScriptedEvent;
pub(crate) use events::stays;
pub use fault_rules::FaultRules;
pub use generate::{Episode, Phase, WorldTemplate};
pub use groups::{Amount, DemandProcess, NodeGroup, WorkloadGroup};
pub use load::ScenarioError;
pub use rules::{
    CandidateRules, DEFAULT_PAYBACK_TICKS, EpisodeRules, ForecastRules, Limits, MAX_PAYBACK_TICKS,
    Mode, ObjectiveRules, Rules, Scheduler, SlotRules,
};
pub use types::{Perturb, Scenario, Start, StartPlacement, Windows};

#[cfg(test)]
mod tests;
