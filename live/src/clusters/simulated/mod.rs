//! A scenario that is played: nothing is moved but numbers. For trying settings, training operators
//! and tests.
//!
//! Ticks pass with the clock. A move begins a transfer in the simulator, which takes its time, shares
//! links and is rolled back when a node fails, as in training. What a move cannot be here is cancelled:
//! the simulator knows no such thing.

mod world;

use std::sync::{Arc, Mutex};

use godwit_envs::env::ResetError;
use godwit_envs::scenario::{Mode, Phase, Scenario, ScenarioError, WorldTemplate};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::clock::{Clock, PlayedClock};
use crate::cluster::Cluster;
use world::{Hands, Window};
pub use world::{Standing, World};

/// A scenario that is played.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// An embedded scenario's name, or a scenario file; an online one.
    pub scenario: String,
    /// Which episode; the same as `godwit evaluate` plays with that seed.
    #[serde(default)]
    pub seed: u64,
    /// How many times faster than the clock on the wall time passes.
    #[serde(default = "real_time")]
    #[schemars(range(min = 0.001))]
    pub speed: f64,
}

fn real_time() -> f64 {
    1.0
}

/// Why a scenario cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It is none, or one that cannot be read.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// Its episode cannot begin.
    #[error(transparent)]
    Episode(#[from] ResetError),
    /// Time stands still in it.
    #[error("simulated.scenario: expected an online scenario, got {0}, in which time stands still")]
    StandsStill(String),
    /// Time would not pass.
    #[error("simulated.speed: expected a number above 0, got {0}")]
    Speed(f64),
}

/// A played cluster, the world behind it, and the clock that it runs by.
pub type Played = (Cluster, Arc<Mutex<World>>, Arc<dyn Clock>);

/// A scenario as a cluster.
///
/// # Errors
/// When the scenario cannot be played.
pub fn open(settings: &Settings) -> Result<Played, OpenError> {
    if settings.speed.is_nan() || settings.speed <= 0.0 {
        return Err(OpenError::Speed(settings.speed));
    }
    let scenario = Scenario::resolve(&settings.scenario)?;
    let template = Arc::new(WorldTemplate::new(&scenario));
    if template.rules.episode.mode == Mode::Rebalance {
        return Err(OpenError::StandsStill(settings.scenario.clone()));
    }
    let clock: Arc<dyn Clock> = Arc::new(PlayedClock::new(crate::clock::now_s(), settings.speed));
    let world = World::new(template, Phase::Evaluate, settings.seed, Arc::clone(&clock))?;
    let world = Arc::new(Mutex::new(world));
    let cluster = Cluster {
        source: Box::new(Window(Arc::clone(&world))),
        executor: Some(Arc::new(Hands(Arc::clone(&world)))),
    };
    Ok((cluster, world, clock))
}
