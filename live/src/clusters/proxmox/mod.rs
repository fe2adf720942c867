//! Proxmox VE 8 and 9, over its REST interface with an API token.
//!
//! Virtual machines are migrated live; containers are restarted, where the settings say so. What the
//! HA manager looks after is handed to it, and believed only when the guest runs on the other node.

mod api;
mod executor;
mod guest;
mod resources;
mod settings;
mod source;
mod task;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::cluster::Cluster;
use crate::http;
use api::Api;
pub use settings::{Demand, OpenError, Settings};

/// A cluster as the settings say; their files are looked for in `folder`. Nothing is asked of it yet.
///
/// # Errors
/// When the token cannot be read, or a setting makes no sense.
pub fn open(settings: &Settings, folder: &Path) -> Result<Cluster, OpenError> {
    settings::check(settings)?;
    let client = http::Client::new(http::Opening {
        url: &settings.url,
        ca_file: settings.ca_file.as_ref().map(|file| folder.join(file)),
        fingerprint: settings.fingerprint.as_deref(),
        authorization: Some(format!(
            "PVEAPIToken={}",
            settings::token(&folder.join(&settings.token_file))?
        )),
        timeout: Duration::from_secs(settings.timeout_s.into()),
    })?;
    let api = Arc::new(Api::new(client));
    Ok(Cluster {
        source: Box::new(source::ProxmoxSource::new(api.clone(), settings.clone())),
        executor: Some(Arc::new(executor::ProxmoxExecutor::new(api, settings.clone()))),
    })
}
