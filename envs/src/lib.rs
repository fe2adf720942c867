//! The world that godwit trains in: a cluster of nodes, the workloads on them, their changing
//! demand, and the migrations between nodes. No libtorch, no terminal, no network.
//!
//! An episode is played as in Gymnasium: [`Env::reset`], then [`Env::observe`] and [`Env::step`]
//! until a step says how the episode ended. Action 0 is always `Stay`; every other action is a
//! candidate migration, and the mask says which are allowed.
//!
//! ```
//! use godwit_envs::{ClusterEnv, Env, ObservationBuffer, Phase, Scenario, WorldTemplate};
//! use std::sync::Arc;
//!
//! let scenario = Scenario::embedded("quickstart")?;
//! let mut env = ClusterEnv::new(Arc::new(WorldTemplate::new(&scenario)), Phase::Evaluate)?;
//! let gain = env.observation_space().candidate_feature("objective_change").unwrap();
//! let mut seen = ObservationBuffer::new(env.observation_space());
//! env.reset(7)?;
//! env.observe(&mut seen);
//! // The allowed candidate that lowers the objective most: changes below 0 are improvements.
//! let best = (1..seen.actions())
//!     .filter(|&a| seen.mask[a])
//!     .min_by(|&a, &b| seen.candidate(a, gain).total_cmp(&seen.candidate(b, gain)))
//!     .unwrap_or(0);
//! assert!(env.step(best)?.reward > 0.0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! `examples/own_loop.rs` plays whole episodes this way.
//!
//! # Layout
//!
//! | folder | what it holds |
//! |---|---|
//! | [`scenario`] | scenarios: read, checked, generated, and those that come with the program |
//! | [`snapshot`] | the state of a real cluster as JSON, and the state it becomes |
//! | [`importers`] | scenarios from data sets of real clusters |
//! | [`reassignment`] | the machine-reassignment problem: instances, costs, moves |
//! | [`state`] | the cluster as a policy finds it: loads, constraints, costs, faults, one tick |
//! | [`episode`] | what is drawn before an episode starts: demand, arrivals, faults, first placement |
//! | [`observe`] | observations: features, candidates, masks, normalisation, the compact form |
//! | [`mod@env`] | the environment, its vector form, its checker, probes and timing worlds |
//! | [`lanes`], [`resources`], [`rng`], [`input`] | what all of them stand on |
//!
//! Imports go downwards only: state knows nothing of observations, observations nothing of
//! environments.

pub mod env;
pub mod episode;
pub mod family;
pub mod importers;
pub mod input;
pub mod lanes;
pub mod observe;
pub mod reassignment;
pub mod resources;
pub mod rng;
pub mod scenario;
pub mod snapshot;
pub mod state;

pub use env::cluster_env::ClusterEnv;
pub use env::vector::VectorEnv;
pub use env::{ActionError, Env, EpisodeEnd, ResetError, Step};
pub use observe::{ObservationBuffer, ObservationSpace};
pub use scenario::{Phase, Rules, Scenario, ScenarioError, WorldTemplate};
pub use snapshot::Snapshot;
pub use state::{Action, ClusterState};

/// Bytes as lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
