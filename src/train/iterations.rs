//! When the comparisons of a run are made anew, on a better policy
//! ([`iterations`](crate::config::ComparisonConfig::iterations)).

use crate::checkpoint::{self, RunDirectory};
use crate::config::TrainConfig;
use crate::train::validation::{Validation, Validator};
use godwit_evaluate::side_by_side::{Ahead, ahead};
use godwit_models::network_policy::NetworkPolicy;
use std::path::Path;

/// Parts of a run in a row without a better policy after which it ends.
const BARREN_PARTS: u32 = 2;

/// What the run improves on and its best policy so far, in the same validation episodes.
#[derive(Debug, Default)]
pub(super) struct Improvement {
    /// Returns of what is improved on; none where that is not played.
    before: Option<Vec<f64>>,
    best: Option<Vec<f64>>,
    /// Env step of the best policy.
    best_at: u64,
}

/// What is to be done after a part of the run.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Due {
    /// The comparisons are made anew, on the best policy.
    Comparisons(Ahead),
    /// They stay as they are: the best policy is behind for certain.
    Nothing(Ahead),
    /// No better policy has come for some parts.
    End,
}

impl Improvement {
    /// Of a run that begins, or goes on in this folder.
    pub(super) fn begin(
        validator: &mut Validator,
        directory: &RunDirectory,
        config: &TrainConfig,
        env_steps: u64,
    ) -> anyhow::Result<Self> {
        let mut found = Self { before: validator.usual(), ..Self::default() };
        if config.comparisons.iterations > 1 && directory.best_return().is_some() {
            let (best, best_at) = policy(directory.path())?;
            found.best = Some(validator.returns(&best)?);
            found.best_at = best_at;
            if let Some(iteration) = directory.iteration(config, env_steps) {
                found.before = Some(validator.returns(&policy(&iteration.policy)?.0)?);
            }
        }
        Ok(found)
    }

    /// Takes note of a better policy.
    pub(super) fn better(&mut self, validation: &Validation, env_steps: u64) {
        self.best = Some(validation.outcomes().map(|outcome| outcome.episode_return).collect());
        self.best_at = env_steps;
    }

    /// What is due after so many parts; nothing is known where nothing has been validated.
    pub(super) fn due(&self, config: &TrainConfig, parts: u32) -> Option<Due> {
        if parts > BARREN_PARTS && self.best_at <= config.iteration_at(parts - BARREN_PARTS) {
            return Some(Due::End);
        }
        let gain = ahead(self.best.as_ref()?, self.before.as_ref()?);
        // What is level will do: new states, and rollouts of a quicker policy, are worth as much.
        Some(if gain.turned().is_certain() { Due::Nothing(gain) } else { Due::Comparisons(gain) })
    }

    /// From now on the best policy is what is improved on.
    pub(super) fn take(&mut self) {
        self.before.clone_from(&self.best);
    }
}

/// The policy of a checkpoint, or of a run's best one, and its env step.
fn policy(folder: &Path) -> anyhow::Result<(NetworkPolicy, u64)> {
    let loaded = checkpoint::load(folder)?;
    Ok((loaded.policy("policy")?, loaded.counters.env_steps))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> TrainConfig {
        let mut config = TrainConfig { env_steps: 1_000, ..TrainConfig::default() };
        config.comparisons.iterations = 5;
        config
    }

    fn improvement(best: &[f64], best_at: u64) -> Improvement {
        let before = Some(vec![-10.0, -20.0, -30.0]);
        Improvement { before, best: Some(best.to_vec()), best_at }
    }

    #[test]
    fn comparisons_are_made_anew_unless_the_best_policy_is_behind_for_certain() {
        for best in [[-9.0, -19.1, -28.9], [-1.0, -21.0, -31.0], [-10.0, -20.0, -30.0]] {
            let best = improvement(&best, 150);
            assert!(matches!(best.due(&config(), 1), Some(Due::Comparisons(_))), "{best:?}");
        }
        let behind = improvement(&[-11.0, -20.9, -31.1], 150);
        assert!(matches!(behind.due(&config(), 1), Some(Due::Nothing(_))));
        let mut next = improvement(&[-11.0, -20.9, -31.1], 150);
        next.take();
        assert!(matches!(next.due(&config(), 2), Some(Due::Comparisons(_))));
        assert_eq!(Improvement::default().due(&config(), 1), None);
    }

    #[test]
    fn a_run_ends_after_two_parts_without_a_better_policy() {
        // Parts end at env steps 200, 400, 600 and 800.
        let of = |best_at: u64, parts: u32| {
            improvement(&[-9.0, -19.1, -28.9], best_at).due(&config(), parts)
        };
        assert_eq!(of(150, 3), Some(Due::End));
        assert_ne!(of(150, 2), Some(Due::End));
        assert_ne!(of(250, 3), Some(Due::End));
        assert_eq!(of(250, 4), Some(Due::End));
    }
}
