//! Policies as data: what decides which workload migrates where, and what turns decisions into
//! plans that can be carried out. No libtorch: trained networks are plain files here, valued by a
//! native forward pass.
//!
//! # Example
//!
//! An episode of an embedded scenario under a baseline:
//!
//! ```
//! use godwit_envs::env::cluster_env::ClusterEnv;
//! use godwit_envs::scenario::{Phase, Scenario, WorldTemplate};
//! use godwit_models::{baseline, rollout};
//! use std::sync::Arc;
//!
//! let scenario = Scenario::embedded("quickstart")?;
//! let template = Arc::new(WorldTemplate::new(&scenario));
//! let mut env = ClusterEnv::new(template, Phase::Evaluate)?;
//! let mut policy = baseline("best-single-move").ok_or("no such baseline")?;
//! let outcome = rollout(&mut env, policy.as_mut(), 0)?;
//! println!("return {:.3} with {} moves", outcome.episode_return, outcome.moves);
//! assert!(outcome.episode_return > 0.0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! `examples/own_baseline.rs` compares a heuristic of one's own with these.
//!
//! # Layout
//!
//! What decides:
//!
//! - [`policy`]: the trait that all of them implement.
//! - [`baselines`]: heuristics, one row each in [`baselines::registry`].
//! - [`network_policy`]: a trained network as a policy; [`best_of`]: the best of several tries.
//! - [`think`]: a policy whose plan is compared with others before it is taken.
//! - [`net`]: the networks themselves, forward and backward.
//!
//! Where trained networks come from:
//!
//! - [`artifact`]: files of `godwit export`, read with every check.
//! - [`pretrained`]: the ones that come with the programs.
//! - [`onnx`]: the same networks for other runtimes.
//!
//! From decisions to plans:
//!
//! - [`plan`](mod@plan): an ordered list of migrations that pay, in waves.
//! - [`order`]: an order of moves that keeps every constraint.
//! - [`duties`]: migrations that have to be made whatever they cost.
//! - [`shell`]: an operator's limits around it, and what is remembered of earlier plans.
//! - [`guard`]: recounts every hard constraint on a finished plan.
//!
//! Looking at policies:
//!
//! - [`rollout`](mod@rollout): plays an episode and adds up what it earned.
//! - [`recording`]: the same, written down step by step.
//! - [`explain`]: what a policy chose and what else there was.
//!
//! Searching:
//!
//! - [`parameter_search`]: tunes a baseline's parameters on training episodes.
//! - [`reassignment_search`]: solves instances of the machine-reassignment problem.
//! - `milp` (feature `milp`): best placements of static worlds, and bounds on them.

pub mod artifact;
pub mod baselines;
pub mod best_of;
mod deadline;
pub mod duties;
pub mod explain;
pub mod guard;
#[cfg(feature = "milp")]
pub mod milp;
pub mod net;
pub mod network_policy;
pub mod onnx;
pub mod order;
pub mod parameter_search;
pub mod plan;
pub mod policy;
pub mod pretrained;
pub mod reassignment_search;
pub mod recording;
pub mod rollout;
pub mod shell;
pub mod think;

pub use artifact::{Artifact, ArtifactError};
pub use baselines::{BASELINES, Baseline, baseline, baseline_with};
pub use guard::violations;
pub use net::Network;
pub use network_policy::NetworkPolicy;
pub use plan::{Plan, PlannedMove, plan};
pub use policy::Policy;
pub use rollout::{Outcome, rollout};
pub use shell::{Memory, Shell, ShellRules};

#[cfg(test)]
mod testing;
