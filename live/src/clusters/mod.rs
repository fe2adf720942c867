//! The kinds of clusters, each with what it can promise and what it cannot.

pub mod command;
pub mod kubernetes;
pub mod libvirt;
pub mod proxmox;
pub mod qemu;
pub mod simulated;

use std::sync::{Arc, Mutex, PoisonError};

use godwit_envs::scenario::Rules;

use crate::clock::{Clock, WallClock};
use crate::cluster::Cluster;
use crate::config::Settings;
use crate::prometheus;
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
    /// A program of the user's cannot be used.
    #[error(transparent)]
    Command(#[from] command::OpenError),
    /// Kubernetes cannot be used.
    #[error(transparent)]
    Kubernetes(#[from] kubernetes::OpenError),
    /// libvirt cannot be used.
    #[error(transparent)]
    Libvirt(#[from] libvirt::OpenError),
    /// Proxmox VE cannot be used.
    #[error(transparent)]
    Proxmox(#[from] proxmox::OpenError),
    /// QEMU cannot be used.
    #[error(transparent)]
    Qemu(#[from] qemu::OpenError),
    /// A scenario cannot be played.
    #[error(transparent)]
    Simulated(#[from] simulated::OpenError),
    /// Prometheus cannot be used.
    #[error(transparent)]
    Prometheus(#[from] prometheus::OpenError),
}

/// The tables that name a cluster.
const KINDS: [&str; 6] = ["command", "kubernetes", "libvirt", "proxmox", "qemu", "simulated"];

/// Resource kinds that are told of where the rules name none.
const USUAL: [&str; 2] = ["cpu", "memory"];

/// Opens the cluster that the settings name, for a policy with these rules.
///
/// # Errors
/// When they name none or several, or it cannot be opened.
pub fn open(settings: &Settings, rules: &Rules) -> Result<Opened, OpenError> {
    let named = [
        settings.command.is_some(),
        settings.kubernetes.is_some(),
        settings.libvirt.is_some(),
        settings.proxmox.is_some(),
        settings.qemu.is_some(),
        settings.simulated.is_some(),
    ];
    let named: Vec<&str> = KINDS.into_iter().zip(named).filter(|n| n.1).map(|n| n.0).collect();
    if named.len() > 1 {
        return Err(OpenError::Kinds { got: named.join(" and ") });
    }
    let folder = &settings.folder;
    let mut clock: Arc<dyn Clock> = Arc::new(WallClock);
    let mut world = None;
    let mut cluster = if let Some(of) = &settings.command {
        command::open(of, folder)?
    } else if let Some(of) = &settings.kubernetes {
        kubernetes::open(of, &resources(rules))?
    } else if let Some(of) = &settings.libvirt {
        libvirt::open(of, folder)?
    } else if let Some(of) = &settings.proxmox {
        proxmox::open(of, folder)?
    } else if let Some(of) = &settings.qemu {
        qemu::open(of)?
    } else if let Some(of) = &settings.simulated {
        let (cluster, played, played_clock) = simulated::open(of)?;
        (world, clock) = (Some(played), played_clock);
        cluster
    } else {
        return Err(OpenError::Kinds { got: "none".to_owned() });
    };
    if let Some(of) = &settings.prometheus {
        cluster.source = prometheus::measured(cluster.source, of, rules, folder)?;
    }
    Ok(Opened { cluster, clock, world })
}

/// Names of the resource kinds that a policy with these rules decides about.
pub fn resources(rules: &Rules) -> Vec<String> {
    match rules.resources.is_empty() {
        true => USUAL.map(str::to_owned).into(),
        false => rules.resources.iter().map(|kind| kind.name.clone()).collect(),
    }
}

/// How a simulated episode stands.
pub fn standing(world: &Arc<Mutex<World>>) -> Standing {
    world.lock().unwrap_or_else(PoisonError::into_inner).standing()
}

/// Whether a simulated episode is over.
pub fn is_over(world: &Arc<Mutex<World>>) -> bool {
    standing(world).over
}
