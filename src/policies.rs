//! Policies by the name of a file or folder, or of an embedded scenario.

use crate::checkpoint::load as load_checkpoint;
use godwit_envs::input::nearest_hint;
use godwit_envs::observe::ObservationSpace;
use godwit_envs::scenario::Scenario;
use godwit_models::artifact::Artifact;
use godwit_models::baselines::NAMES;
use godwit_models::net::FixedSize;
use godwit_models::network_policy::NetworkPolicy;
use godwit_models::policy::Policy as _;
use godwit_models::pretrained::{is_pretrained, pretrained_hint};
use std::path::Path;

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
/// When there is nothing, it is damaged, or it was made for another size.
pub fn load(
    path: &Path,
    name: &str,
    scenario: &Scenario,
    space: &ObservationSpace,
) -> anyhow::Result<NetworkPolicy> {
    let label = path.display();
    if !path.exists() && !is_pretrained(path) {
        let hint = pretrained_hint(path);
        let expected =
            format!("an artifact, a checkpoint or the name of a pretrained policy{hint}");
        return Err(PolicyError(format!("{label}: expected {expected}, got nothing")).into());
    }
    let policy = if path.is_dir() {
        load_checkpoint(path)?.policy(name)?
    } else {
        Artifact::open(path)?.policy(name)
    };
    if let Some(FixedSize { nodes, workloads }) = policy.fixed_size()
        && (nodes, workloads) != (space.nodes, space.workloads)
    {
        let (of, n, k) = (&scenario.name, space.nodes, space.workloads);
        return Err(PolicyError(format!(
            "{label}: expected a policy for the {n} nodes and {k} workloads of scenario {of}, got \
             one for {nodes} and {workloads}"
        ))
        .into());
    }
    Ok(policy)
}

/// What a scenario has that a policy does not see, in words; none if it sees all.
pub fn blind_spots(policy: &NetworkPolicy, scenario: &Scenario) -> Option<String> {
    let lacks = policy.sections().lacks(scenario.rules.sections());
    let name = policy.name();
    (!lacks.is_empty()).then(|| {
        format!("{name} does not see what scenario {} has: {}", scenario.name, lacks.join(", "))
    })
}
