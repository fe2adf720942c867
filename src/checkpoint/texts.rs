//! The texts of a run: its settings and its scenarios.

use super::error::CheckpointError;
use super::names;
use crate::config::TrainConfig;
use crate::train::mixture::{Mixture, Part};
use godwit_envs::scenario::Scenario;
use std::path::Path;

/// The resolved configuration as a file.
pub(super) fn config_text(config: &TrainConfig, path: &Path) -> Result<String, CheckpointError> {
    // TOML's integers end at 2^63 - 1; a larger seed is the only way here.
    toml::to_string(config)
        .map_err(|error| CheckpointError::content(path, "settings that TOML can express", error))
}

/// The scenarios as files that can be read on their own: snapshots lie beside them.
pub(super) fn scenario_files(mixture: &Mixture) -> Vec<(String, String)> {
    let mut files = Vec::new();
    for (at, Part { scenario, .. }) in mixture.parts().iter().enumerate() {
        let name = names::scenario(at);
        let Some(cluster) = &scenario.cluster else {
            files.push((name, scenario.to_toml()));
            continue;
        };
        let snapshot = names::snapshot(at);
        let local = Scenario { snapshot: Some(snapshot.clone().into()), ..scenario.clone() };
        files.push((name, local.to_toml()));
        files.push((snapshot, cluster.to_json()));
    }
    files
}
