//! Trained policies by the name of a file or folder, or of an embedded scenario.

use crate::checkpoint::load as load_checkpoint;
use godwit_envs::input::nearest_hint;
use godwit_envs::observe::ObservationSpace;
use godwit_envs::observe::features;
use godwit_envs::observe::schema::SAME_FEATURES;
use godwit_envs::scenario::Scenario;
use godwit_models::artifact::Artifact;
use godwit_models::baselines::NAMES;
use godwit_models::net::FixedSize;
use godwit_models::network_policy::NetworkPolicy;
use godwit_models::pretrained::{pretrained_at, pretrained_hint};
use std::path::Path;

pub mod tuned_file;

/// A policy that cannot be used here.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct PolicyError(String);

/// The baseline of this name; `setting` says where the name was given.
///
/// # Errors
/// When there is none; the message says which there are.
pub fn baseline_name(setting: &str, name: &str) -> Result<&'static str, PolicyError> {
    NAMES.iter().find(|known| **known == name).copied().ok_or_else(|| {
        let (names, hint) = (NAMES.join(", "), nearest_hint(name, NAMES.iter().copied()));
        PolicyError(format!(
            "{setting}: expected a baseline ({names}; `godwit baselines` says what each \
             does){hint}, got {name:?}"
        ))
    })
}

/// The policy of an artifact, of a run's folder (its best checkpoint), of a checkpoint's folder, or
/// the one that comes with the program under this name, once it is known to fit the scenario. It is
/// called `name` from then on.
///
/// # Errors
/// When there is nothing, it is damaged, or it was made for other features or another size.
pub fn load(
    path: &Path,
    name: &str,
    scenario: &Scenario,
    space: &ObservationSpace,
) -> anyhow::Result<NetworkPolicy> {
    let label = path.display();
    if !path.exists() && pretrained_at(path).is_none() {
        let hint = pretrained_hint(path);
        let expected =
            format!("an artifact, a checkpoint or the name of a pretrained policy{hint}");
        return Err(PolicyError(format!("{label}: expected {expected}, got nothing")).into());
    }
    let (policy, fixed, schema_hash, schema) = if path.is_dir() {
        let loaded = load_checkpoint(path)?;
        let policy = loaded.policy(name)?;
        let schema = features::schema(&loaded.mixture.first().rules);
        (policy, loaded.spec.fixed, loaded.schema_hash, schema)
    } else {
        let artifact = Artifact::open(path)?;
        let policy = artifact.policy(name);
        let manifest = artifact.manifest;
        (policy, manifest.network.fixed, manifest.schema_hash, manifest.schema)
    };
    let refused = |expected: String, got: String| {
        let name = &scenario.name;
        PolicyError(format!("{label}: expected {expected} of scenario {name}, got {got}"))
    };
    if schema_hash != space.schema.hash() {
        let got = format!(
            "one with {}; train one with `godwit train`, or evaluate it in scenarios with the same \
             {SAME_FEATURES}",
            space.schema.first_differences(&schema)
        );
        return Err(refused("a policy for the features".into(), got).into());
    }
    if let Some(FixedSize { nodes, workloads }) = fixed
        && (nodes, workloads) != (space.nodes, space.workloads)
    {
        let expected =
            format!("a policy for the {} nodes and {} workloads", space.nodes, space.workloads);
        return Err(refused(expected, format!("one for {nodes} and {workloads}")).into());
    }
    Ok(policy)
}
