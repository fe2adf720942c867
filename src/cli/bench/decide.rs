//! `godwit bench decide`: how long a decision takes, next to the same network in libtorch.

use super::figure::{Figure, figure};
use crate::export::{inputs, load_module};
use crate::policies;
use anyhow::Context;
use godwit_envs::env::Env;
use godwit_envs::env::cluster_env::ClusterEnv;
use godwit_envs::observe::ObservationBuffer;
use godwit_envs::scenario::{Phase, Scenario, WorldTemplate};
use godwit_envs::state::ClusterState;
use godwit_models::artifact::Artifact;
use godwit_models::network_policy::NetworkPolicy;
use godwit_models::policy::Policy;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// States of one held-out episode that decisions are made in, in turn.
const STATES: usize = 64;

/// Times decisions of an artifact on one core, and its network alone, natively and in libtorch, on
/// the observations that the artifact carries.
///
/// # Errors
/// When the artifact or the scenario cannot be used, or they do not fit.
pub(super) fn decide(
    scenario: &Scenario,
    path: &Path,
    seconds: f64,
) -> anyhow::Result<Vec<Figure>> {
    let mut env = ClusterEnv::new(Arc::new(WorldTemplate::new(scenario)), Phase::Evaluate)?;
    let mut policy = policies::load(path, "bench", scenario, env.observation_space())?;
    let mut network = policy.clone().into_network();
    let golden = Artifact::open(path)?.golden;
    let time = Duration::from_secs_f64(seconds / 3.0);

    let (states, open) = states(&mut env, &mut policy)?;
    let decision = Times::measure(&states, time, |state| {
        black_box(policy.act(state));
        Ok(())
    })?;

    let mut q = vec![0.0; env.action_space()];
    let forward = Times::measure(&golden, time, |golden| {
        black_box(network.best_action(&golden.observation, &mut q));
        Ok(())
    })?;

    let module = load_module(path)?;
    let tensors: Vec<_> =
        golden.iter().map(|golden| inputs(network.spec(), &golden.observation)).collect();
    tch::set_num_threads(1);
    let libtorch = Times::measure(&tensors, time, |inputs| {
        let q = tch::no_grad(|| module.forward_ts(inputs)).context("the exported module")?;
        black_box(q.argmax(1, false).int64_value(&[0]));
        Ok(())
    })?;
    Ok(vec![
        figure("allowed actions", open, "mean"),
        figure("decision, p50", decision.at(0.5), "us"),
        figure("decision, p99", decision.at(0.99), "us"),
        figure("its network, p50", forward.at(0.5), "us"),
        figure("its network, p99", forward.at(0.99), "us"),
        figure("the network in libtorch, p50", libtorch.at(0.5), "us"),
        figure("the network in libtorch, p99", libtorch.at(0.99), "us"),
        figure("libtorch in decisions, p50", libtorch.at(0.5) / decision.at(0.5), "times"),
    ])
}

/// States along an episode that the policy plays, and how many actions they allow on average.
fn states(
    env: &mut ClusterEnv,
    policy: &mut NetworkPolicy,
) -> anyhow::Result<(Vec<ClusterState>, f64)> {
    let mut observation = ObservationBuffer::new(env.observation_space());
    let (mut states, mut open) = (Vec::with_capacity(STATES), 0);
    env.reset(0)?;
    while states.len() < STATES {
        env.observe(&mut observation);
        open += observation.mask.iter().filter(|&&open| open).count();
        states.push(env.state().clone());
        let action = policy.act(env.state());
        if env.apply(action)?.end.is_some() {
            break;
        }
    }
    let open = open as f64 / states.len() as f64;
    Ok((states, open))
}

/// Microseconds of single calls, ascending.
struct Times(Vec<f64>);

impl Times {
    /// Calls `work` with the inputs in turn for this long, after every input once to warm up.
    fn measure<T>(
        inputs: &[T],
        time: Duration,
        mut work: impl FnMut(&T) -> anyhow::Result<()>,
    ) -> anyhow::Result<Self> {
        inputs.iter().try_for_each(&mut work)?;
        let mut times = Vec::new();
        let start = Instant::now();
        while start.elapsed() < time {
            for input in inputs {
                let started = Instant::now();
                work(input)?;
                times.push(1e6 * started.elapsed().as_secs_f64());
            }
        }
        times.sort_by(f64::total_cmp);
        Ok(Self(times))
    }

    fn at(&self, quantile: f64) -> f64 {
        self.0[(quantile * (self.0.len() - 1) as f64) as usize]
    }
}
