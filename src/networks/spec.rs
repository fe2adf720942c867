//! The network that a configuration asks for.

use crate::config::TrainConfig;
use anyhow::bail;
use godwit_envs::env::Env;
use godwit_envs::env::cluster_env::ClusterEnv;
use godwit_models::net::{Architecture, FixedSize, NetworkSpec};

/// The network that a configuration asks for in this world.
pub fn network_spec(config: &TrainConfig, env: &ClusterEnv) -> anyhow::Result<NetworkSpec> {
    let space = env.observation_space();
    let fixed = match config.network.architecture {
        Architecture::Relational | Architecture::Candidate => None,
        Architecture::Mlp if space.fixed_pairs => {
            Some(FixedSize { nodes: space.nodes, workloads: space.workloads })
        }
        Architecture::Mlp => bail!(
            "network.architecture: expected `relational` or `candidate`, got `mlp`, which needs a fixed index for \
             each of {} pairs and candidates.max is {}",
            space.nodes * space.workloads,
            space.actions
        ),
    };
    let mut spec = NetworkSpec::new(config.network.architecture, &space.schema, fixed);
    spec.hidden = config.network.hidden;
    spec.head_hidden = config.network.head_hidden;
    spec.dueling = config.network.dueling;
    Ok(spec)
}
