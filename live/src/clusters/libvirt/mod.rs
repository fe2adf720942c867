//! Hosts with libvirt, through the program `virsh`: live migration of domains between them.

mod executor;
mod parse;
mod settings;
mod source;
mod virsh;

use std::path::Path;
use std::sync::Arc;

use crate::cluster::Cluster;
pub use settings::{Demand, Host, OpenError, Settings};
use virsh::Virsh;

/// A cluster as the settings say; a path to `virsh` is relative to `folder`. Nothing is asked of the
/// hosts yet.
///
/// # Errors
/// When a setting makes no sense.
pub fn open(settings: &Settings, folder: &Path) -> Result<Cluster, OpenError> {
    settings::check(settings)?;
    let virsh = Arc::new(Virsh::new(settings.clone(), folder));
    Ok(Cluster {
        source: Box::new(source::LibvirtSource::new(virsh.clone())),
        executor: Some(Arc::new(executor::LibvirtExecutor::new(virsh))),
    })
}
