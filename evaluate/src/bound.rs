//! How much any policy could return at most, from exact optimisation.

use crate::progress::Progress;
use anyhow::Context;
use godwit_envs::env::Env;
use godwit_envs::env::cluster_env::ClusterEnv;
use godwit_envs::scenario::{Phase, Scenario, WorldTemplate};
use godwit_models::milp;
use rayon::prelude::*;
use std::sync::Arc;
use std::time::Duration;

/// Mean over the evaluation episodes of a rebalance scenario of the most that any policy can
/// return: the initial objective minus the proven bound on what an episode can end with. Each
/// episode is searched for at most `limit` (twice that where `imbalance` has a weight); one that
/// is cut short gives a weaker, still valid bound.
///
/// # Errors
/// When the scenario is online or its objective has no linear form.
pub fn mean_bound(
    scenario: &Scenario,
    episodes: usize,
    first_seed: u64,
    limit: Duration,
    progress: bool,
) -> anyhow::Result<f64> {
    let template = Arc::new(WorldTemplate::new(scenario));
    let episodes = if template.has_single_start(Phase::Evaluate) { 1 } else { episodes };
    let env = ClusterEnv::new(template, Phase::Evaluate)?;
    let bar = Progress::new(progress, episodes as u64, "bounds");
    let bounds = (0..episodes as u64)
        .into_par_iter()
        .map_init(
            || env.clone(),
            |env, i| {
                env.reset(first_seed.wrapping_add(i))?;
                let state = env.state();
                let best = milp::bound(state, limit).context("--bound")?;
                bar.inc(1);
                Ok(f64::from(state.level()) - best.bound)
            },
        )
        .collect::<anyhow::Result<Vec<f64>>>()?;
    bar.finish();
    Ok(super::stats::mean(&bounds))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed expectation is the point of a test

    use super::*;

    #[test]
    fn the_bound_of_the_founding_example_is_the_optimum_by_hand() {
        // 2.8 at the start, 1.3 at best.
        let scenario = Scenario::embedded("founding-3x3").unwrap();
        let bound = mean_bound(&scenario, 100, 0, Duration::from_secs(60), false).unwrap();
        assert!((bound - 1.5).abs() < 1e-5, "{bound}");
    }

    #[test]
    fn an_online_scenario_has_no_bound() {
        let scenario = Scenario::embedded("bursty").unwrap();
        let error = mean_bound(&scenario, 1, 0, Duration::from_secs(1), false).unwrap_err();
        assert!(format!("{error:#}").contains("expected a rebalance scenario"), "{error:#}");
    }
}
