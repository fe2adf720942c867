//! Who takes part in an evaluation, by what the command line names.

use super::super::{BadInput, one_line};
use crate::policies::{baseline_name, blind_spots, load};
use godwit_envs::env::Env;
use godwit_envs::env::cluster_env::ClusterEnv;
use godwit_envs::scenario::{Mode, Phase, Scenario, WorldTemplate};
use godwit_envs::state::objective::Objective;
use godwit_envs::state::term::Term;
use godwit_evaluate::Contender;
use godwit_evaluate::tuned_file::{Setting, TunedFile, default_path};
use godwit_models::baselines::NAMES;
use godwit_models::network_policy::NetworkPolicy;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What `--tuned` names, by baseline; nothing where it is not given.
pub(crate) fn tuned_parameters(
    tuned: Option<&Option<PathBuf>>,
    scenario: &Scenario,
) -> anyhow::Result<BTreeMap<String, Setting>> {
    match tuned {
        Some(Some(path)) => Ok(TunedFile::read(path, scenario)?),
        Some(None) => {
            let path = default_path(scenario);
            if !path.exists() {
                let (path, name) = (path.display(), &scenario.name);
                return Err(BadInput(format!(
                    "--tuned: expected the file {path} (or --tuned FILE), got none; `godwit \
                     tune-baselines {name}` makes it, and `godwit baselines` lists what can be tuned"
                ))
                .into());
            }
            Ok(TunedFile::read(&path, scenario)?)
        }
        None => Ok(BTreeMap::new()),
    }
}

/// A baseline by its name, as `option` gives it.
pub(crate) fn contender_of(
    name: &str,
    tuned: &mut BTreeMap<String, Setting>,
    option: &str,
) -> anyhow::Result<Contender> {
    let name = baseline_name(option, name)?;
    Ok(Contender::baseline(name, tuned.remove(name)))
}

/// The baselines of a list, or all that play the scenario.
pub(super) fn baseline_names(list: &str, scenario: &Scenario) -> anyhow::Result<Vec<&'static str>> {
    match list {
        // Where the exact solver has no program it would only stay.
        "all" => {
            let reassigns =
                scenario.cluster.as_ref().is_some_and(|c| c.machine_reassignment.is_some());
            let own = Objective::new(&scenario.rules).uses(Term::Own);
            let solves = scenario.rules.episode.mode == Mode::Rebalance && !reassigns && !own;
            let plays = |name: &&str| solves || *name != "milp";
            return Ok(NAMES.iter().copied().filter(plays).collect());
        }
        "none" => return Ok(Vec::new()),
        _ => {}
    }
    let find = |name: &str| baseline_name("--baselines (all, none or some)", name.trim());
    Ok(list.split(',').map(find).collect::<Result<_, _>>()?)
}

/// The trained policies, each checked against the scenario.
pub(crate) fn policies(
    scenario: &Scenario,
    paths: &[PathBuf],
) -> anyhow::Result<Vec<NetworkPolicy>> {
    if paths.is_empty() {
        return Ok(Vec::new());
    }
    let env = ClusterEnv::new(Arc::new(WorldTemplate::new(scenario)), Phase::Evaluate)?;
    let space = env.observation_space();
    let policy = |path| {
        let loaded = load(path, &name_of(path, paths), scenario, space);
        let policy = loaded.map_err(|error| BadInput(format!("--policy {}", one_line(&error))))?;
        if let Some(spots) = blind_spots(&policy, scenario) {
            eprintln!("{spots}");
        }
        Ok(policy)
    };
    paths.iter().map(|path| policy(path)).collect()
}

/// File stem or folder name; the whole path where another policy is called the same.
pub(super) fn name_of(path: &Path, all: &[PathBuf]) -> String {
    let short = |path: &Path| {
        let name = if path.is_dir() { path.file_name() } else { path.file_stem() };
        name.map(|name| name.to_string_lossy().into_owned())
    };
    let name = short(path);
    let unique = all.iter().filter(|other| short(other) == name).count() == 1;
    match name {
        Some(name) if unique && !NAMES.contains(&name.as_str()) => name,
        _ => path.display().to_string(),
    }
}
