//! Policies side by side in the same episodes.

use super::stats::{mean, standard_error};
use godwit_envs::env::cluster_env::ClusterEnv;
use godwit_models::policy::Policy;
use godwit_models::rollout::rollout;
use rayon::prelude::*;
use std::ops::Range;

/// The plain return of each episode of these seeds.
///
/// # Errors
/// When an episode has no feasible start, or the policy breaks its contract.
pub fn returns(
    env: &ClusterEnv,
    policy: &(dyn Fn() -> anyhow::Result<Box<dyn Policy>> + Sync),
    seeds: Range<u64>,
) -> anyhow::Result<Vec<f64>> {
    let seeds: Vec<u64> = seeds.collect();
    seeds
        .into_par_iter()
        .with_max_len(1)
        .map_init(
            || env.clone().without_candidates(),
            |env, seed| Ok(rollout(env, policy()?.as_mut(), seed)?.episode_return),
        )
        .collect()
}

/// Mean of paired differences with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ahead {
    /// Mean.
    pub mean: f64,
    /// Half of the interval: 1.96 standard errors.
    pub reach: f64,
}

impl Ahead {
    /// Whether the interval lies above zero. Where there is one episode, all is known.
    pub fn is_certain(self) -> bool {
        self.mean > if self.reach.is_finite() { self.reach } else { 0.0 }
    }

    /// The same from the other side.
    pub fn turned(self) -> Self {
        Self { mean: -self.mean, ..self }
    }

    /// Mean and interval, for people.
    pub fn text(self) -> String {
        let Self { mean, reach } = self;
        format!("{mean:.4} [{:.4}, {:.4}]", mean - reach, mean + reach)
    }
}

/// By how much `a` is ahead of `b`, episode by episode.
pub fn ahead(a: &[f64], b: &[f64]) -> Ahead {
    let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
    Ahead { mean: mean(&differences), reach: 1.96 * standard_error(&differences) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_interval_above_zero_is_certain() {
        assert!(Ahead { mean: 1.1, reach: 1.0 }.is_certain());
        assert!(!Ahead { mean: 0.9, reach: 1.0 }.is_certain());
        assert!(!Ahead { mean: 0.0, reach: 0.0 }.is_certain());
        // One episode has no interval.
        assert!(Ahead { mean: 0.1, reach: f64::NAN }.is_certain());
        assert!(!Ahead { mean: -0.1, reach: f64::NAN }.is_certain());
    }
}
