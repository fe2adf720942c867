//! The kinds of clusters, each with what it can promise and what it cannot.

pub mod command;
pub mod libvirt;
pub mod proxmox;
pub mod simulated;

use std::sync::{Arc, Mutex, PoisonError};

use crate::clock::Clock;
use crate::cluster::Cluster;
use crate::config::Settings;
use simulated::{Standing, World};

/// A cluster that was opened.
pub struct Opened {
    /// The cluster.
    pub cluster: Cluster,
    /// The time that it goes by.
    pub clock: Arc<dyn Clock>,
    /// The world behind a simulated one.
    pub world: Option<Arc<Mutex<World>>>,
}

/// Why there is no cluster.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// None is named, or several are.
    #[error("expected one table that says which cluster ([{}]), got {got}", KINDS.join("], ["))]
    Kinds {
        /// What was found.
        got: String,
    },
    /// A scenario cannot be played.
    #[error(transparent)]
    Simulated(#[from] simulated::OpenError),
}

/// The tables that name a cluster.
const KINDS: [&str; 1] = ["simulated"];

/// Opens the cluster that the settings name.
///
/// # Errors
/// When they name none or several, or it cannot be opened.
pub fn open(settings: &Settings) -> Result<Opened, OpenError> {
    let named = [settings.simulated.is_some()];
    let named: Vec<&str> = KINDS.into_iter().zip(named).filter(|n| n.1).map(|n| n.0).collect();
    if named.len() != 1 {
        let got = if named.is_empty() { "none".to_owned() } else { named.join(" and ") };
        return Err(OpenError::Kinds { got });
    }
    if let Some(simulated) = &settings.simulated {
        let (cluster, world, clock) = simulated::open(simulated)?;
        return Ok(Opened { cluster, clock, world: Some(world) });
    }
    Err(OpenError::Kinds { got: "none".to_owned() })
}

/// How a simulated episode stands.
pub fn standing(world: &Arc<Mutex<World>>) -> Standing {
    world.lock().unwrap_or_else(PoisonError::into_inner).standing()
}

/// Whether a simulated episode is over.
pub fn is_over(world: &Arc<Mutex<World>>) -> bool {
    standing(world).over
}
