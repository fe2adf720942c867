//! Observations to compare the forms of a network on.

use crate::train::mixture::Mixture;
use anyhow::Context;
use godwit_envs::env::Env;
use godwit_envs::env::cluster_env::ClusterEnv;
use godwit_envs::observe::ObservationBuffer;
use godwit_envs::observe::encoder::CLIP;
use godwit_envs::observe::features::schema;
use godwit_envs::observe::ranges::Ranges;
use godwit_envs::rng::{Rng, stream};
use godwit_envs::scenario::{Phase, Scenario, WorldTemplate};
use godwit_envs::state::Action;
use godwit_models::net::{Architecture, NetworkSpec};
use godwit_models::network_policy::NetworkPolicy;
use godwit_models::policy::Policy as _;
use rand::RngExt;
use rand::seq::IndexedRandom;
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

/// Episodes that ranges are measured in, in all scenarios together; at least one in each.
const RANGE_EPISODES: usize = 24;
/// Share of these episodes' decisions that are random moves.
const RANDOM_SHARE: f64 = 0.1;
/// Decisions from one observation to the next.
const RANGE_EVERY: usize = 4;

/// Within which ranges features are in training episodes, played by the policy with some random moves.
///
/// # Errors
/// When an episode has no feasible start.
pub fn ranges(mixture: &Mixture, policy: &NetworkPolicy, seed: u64) -> anyhow::Result<Ranges> {
    let parts = mixture.parts();
    let mut all = Ranges::new(&schema(policy.sections()));
    for part in parts {
        let template = Arc::new(WorldTemplate::new(&part.scenario));
        let mut env = ClusterEnv::new(template, Phase::Train)?;
        let mut policy = policy.clone();
        let mut rng = stream(seed, &part.scenario.name);
        let mut buffer = ObservationBuffer::new(env.observation_space());
        for episode in 0..RANGE_EPISODES.div_ceil(parts.len()) as u64 {
            env.reset(seed + episode)?;
            policy.reset(seed + episode);
            for decision in 0.. {
                let wanders = rng.random_bool(RANDOM_SHARE);
                if wanders || decision % RANGE_EVERY == 0 {
                    env.observe(&mut buffer);
                    all.add(&buffer);
                }
                let action = match wanders {
                    true => random_move(&buffer, &mut rng),
                    false => policy.act(env.state()),
                };
                if env.apply(action).context("a move that the mask allows")?.end.is_some() {
                    break;
                }
            }
        }
    }
    Ok(all.without_gaps())
}

fn random_move(seen: &ObservationBuffer, rng: &mut Rng) -> Action {
    let open: Vec<usize> = (1..seen.actions()).filter(|&a| seen.mask[a]).collect();
    let Some(&at) = open.choose(rng) else { return Action::Stay };
    Action::Migrate {
        workload: seen.candidate_workload[at] as usize,
        destination: seen.candidate_destination[at] as usize,
    }
}

/// Least width of a feature's noise, where it hardly changed in training.
const LEAST_WIDTH: f32 = 0.01;

/// Observations made from given ones, with noise on every feature, other masks and placements,
/// and, where pairs have no fixed index, other candidates. The noise is at most as wide as a feature's
/// range in training, where that is known, else as 1: where a feature hardly changes and a network
/// has learnt from normalised observations, more of it makes sums whose terms are thousands of times
/// larger than what is left of them.
pub fn disturbed(
    spec: &NetworkSpec,
    originals: &[&ObservationBuffer],
    ranges: Option<&Ranges>,
    count: usize,
    seed: u64,
) -> Vec<ObservationBuffer> {
    let mut rng = stream(seed, "disturbed observations");
    let widths = |of: fn(&Ranges) -> &Vec<[f32; 2]>, features: usize| match ranges {
        Some(ranges) => of(ranges).iter().map(|[a, b]| (b - a).clamp(LEAST_WIDTH, 1.0)).collect(),
        None => vec![1.0; features],
    };
    let [node, workload, global, candidate] = [
        widths(|ranges| &ranges.node, spec.node_features),
        widths(|ranges| &ranges.workload, spec.workload_features),
        widths(|ranges| &ranges.global, spec.global_features),
        widths(|ranges| &ranges.candidate, spec.candidate_features),
    ];
    (0..count)
        .map(|i| {
            let mut o = originals[i % originals.len()].clone();
            let [nodes, workloads] =
                [o.nodes.len() / spec.node_features, o.placement.len()].map(|size| size as u32);
            let amplitude = rng.random_range(0.01..1.0);
            let mut disturb = |x: &mut f32, width: f32| {
                let reach = amplitude * width;
                *x = (*x + rng.random_range(-reach..reach)).clamp(-CLIP, CLIP);
            };
            let rows =
                [(&mut o.nodes, &node), (&mut o.workloads, &workload), (&mut o.globals, &global)];
            for (rows, widths) in rows {
                for row in rows.chunks_exact_mut(widths.len()) {
                    row.iter_mut().zip(widths).for_each(|(x, &width)| disturb(x, width));
                }
            }
            // Candidates lie feature by feature.
            for (column, &width) in
                o.candidates.chunks_exact_mut(o.candidate_stride).zip(&candidate)
            {
                column.iter_mut().for_each(|x| disturb(x, width));
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
