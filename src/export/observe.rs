//! Observations to compare the forms of a network on.

use anyhow::Context;
use godwit_envs::env::Env;
use godwit_envs::env::cluster_env::ClusterEnv;
use godwit_envs::observe::ObservationBuffer;
use godwit_envs::observe::encoder::CLIP;
use godwit_envs::rng::stream;
use godwit_envs::scenario::{Phase, Scenario, WorldTemplate};
use godwit_models::net::{Architecture, NetworkSpec};
use rand::RngExt;
use std::sync::Arc;

/// Most env steps taken from one episode: online episodes are long and alike.
const STEPS_PER_EPISODE: usize = 16;

/// Observations of a scenario's held-out episodes, from the start of each on, along random moves.
///
/// # Errors
/// When an episode has no feasible start.
pub fn observations(
    scenario: &Scenario,
    count: usize,
    seed: u64,
) -> anyhow::Result<Vec<ObservationBuffer>> {
    let mut env = ClusterEnv::new(Arc::new(WorldTemplate::new(scenario)), Phase::Evaluate)?;
    let mut rng = stream(seed, "exported observations");
    let mut found = Vec::with_capacity(count);
    let mut buffer = ObservationBuffer::new(env.observation_space());
    for episode in seed.. {
        env.reset(episode)?;
        for _ in 0..STEPS_PER_EPISODE {
            if found.len() == count {
                return Ok(found);
            }
            env.observe(&mut buffer);
            found.push(buffer.clone());
            let open: Vec<usize> = (1..buffer.actions()).filter(|&a| buffer.mask[a]).collect();
            let action = if open.is_empty() { 0 } else { open[rng.random_range(0..open.len())] };
            if env.step(action).context("a move that the mask allows")?.end.is_some() {
                break;
            }
        }
    }
    Ok(found)
}

/// Observations made from given ones, with noise on every feature, other masks and placements,
/// and, where pairs have no fixed index, other candidates.
pub fn disturbed(
    spec: &NetworkSpec,
    originals: &[&ObservationBuffer],
    count: usize,
    seed: u64,
) -> Vec<ObservationBuffer> {
    let mut rng = stream(seed, "disturbed observations");
    (0..count)
        .map(|i| {
            let mut o = originals[i % originals.len()].clone();
            let [nodes, workloads] =
                [o.nodes.len() / spec.node_features, o.placement.len()].map(|size| size as u32);
            let amplitude = rng.random_range(0.01..1.0);
            for features in [&mut o.nodes, &mut o.workloads, &mut o.globals, &mut o.candidates] {
                for x in features.iter_mut() {
                    *x = (*x + rng.random_range(-amplitude..amplitude)).clamp(-CLIP, CLIP);
                }
            }
            for node in &mut o.placement {
                *node = rng.random_range(0..nodes);
            }
            let share = rng.random::<f32>();
            for a in 1..o.actions() {
                o.mask[a] = rng.random::<f32>() < share;
                if spec.architecture != Architecture::Mlp && workloads > 0 {
                    o.candidate_workload[a] = rng.random_range(0..workloads);
                    o.candidate_source[a] = rng.random_range(0..nodes);
                    o.candidate_destination[a] = rng.random_range(0..nodes);
                }
            }
            o
        })
        .collect()
}
