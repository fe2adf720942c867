//! Ranges of the settings.

use super::TrainConfig;
use crate::config::schedule::Schedule;
use godwit_models::net::Architecture;

/// A setting that is out of its range.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{field}: expected {expected}, got {got}")]
pub struct ConfigError {
    /// Path of the setting.
    pub field: &'static str,
    /// What would have been accepted.
    pub expected: &'static str,
    /// What was given.
    pub got: String,
}

/// Key of a setting, whether it is within its range, the range, and what was given.
type Check = (&'static str, bool, &'static str, String);

fn share(x: f64) -> bool {
    (0.0..=1.0).contains(&x)
}

fn shares(s: &Schedule) -> bool {
    share(s.from) && share(s.to) && share(s.share)
}

fn positive(x: f64) -> bool {
    x.is_finite() && x > 0.0
}

impl TrainConfig {
    /// Checks every range.
    ///
    /// # Errors
    /// The first setting that is out of its range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        first_failure(&self.checks())
    }

    /// What each setting accepts, by its key, as far as that is not plain from its type; several
    /// conditions on one setting follow each other.
    pub fn ranges() -> Vec<(&'static str, &'static str)> {
        let checks = Self::default().checks();
        checks.into_iter().map(|(field, _, expected, _)| (field, expected)).collect()
    }

    fn checks(&self) -> Vec<Check> {
        [
            self.run_checks(),
            self.exploration_checks(),
            self.learner_checks(),
            self.demonstration_checks(),
            self.comparison_checks(),
            self.variant_checks(),
        ]
        .concat()
    }

    /// Length and shape of the run, and the network.
    fn run_checks(&self) -> Vec<Check> {
        let l = &self.learner;
        vec![
            ("env_steps", self.env_steps > 0, "at least 1", self.env_steps.to_string()),
            (
                "max_minutes",
                (0.0..=1e7).contains(&self.max_minutes),
                "0 to 1e7",
                self.max_minutes.to_string(),
            ),
            (
                "env_copies",
                (1..=4096).contains(&self.env_copies),
                "1 to 4096",
                self.env_copies.to_string(),
            ),
            (
                "round_steps",
                (1..=4096).contains(&self.round_steps),
                "1 to 4096",
                self.round_steps.to_string(),
            ),
            (
                "steps_per_update",
                positive(self.steps_per_update),
                "more than 0",
                self.steps_per_update.to_string(),
            ),
            (
                "replay_capacity",
                self.replay_capacity >= self.env_copies * (l.n_step + 8),
                "room for at least n_step + 8 states per environment copy",
                self.replay_capacity.to_string(),
            ),
            (
                "evaluate_episodes",
                self.evaluate_episodes > 0,
                "at least 1",
                self.evaluate_episodes.to_string(),
            ),
            (
                "network.hidden",
                (1..=4096).contains(&self.network.hidden),
                "1 to 4096",
                self.network.hidden.to_string(),
            ),
            (
                "network.head_hidden",
                (1..=4096).contains(&self.network.head_hidden),
                "1 to 4096",
                self.network.head_hidden.to_string(),
            ),
        ]
    }

    /// Exploration.
    fn exploration_checks(&self) -> Vec<Check> {
        let e = &self.exploration;
        vec![
            (
                "exploration.epsilon",
                shares(&e.epsilon),
                "from, to and share within 0 to 1",
                format!("{:?}", e.epsilon),
            ),
            (
                "exploration.greedy_share",
                share(e.greedy_share),
                "0 to 1",
                e.greedy_share.to_string(),
            ),
            (
                "exploration.noisy_sigma",
                (0.0..=100.0).contains(&e.noisy_sigma),
                "0 to 100",
                e.noisy_sigma.to_string(),
            ),
            ("exploration.stay_share", share(e.stay_share), "0 to 1", e.stay_share.to_string()),
        ]
    }

    /// The update.
    fn learner_checks(&self) -> Vec<Check> {
        let l = &self.learner;
        vec![
            (
                "learner.batch_size",
                (1..=65_536).contains(&l.batch_size),
                "1 to 65536",
                l.batch_size.to_string(),
            ),
            ("learner.gamma", share(l.gamma), "0 to 1", l.gamma.to_string()),
            ("learner.n_step", (1..=1000).contains(&l.n_step), "1 to 1000", l.n_step.to_string()),
            (
                "learner.huber_delta",
                positive(l.huber_delta),
                "more than 0",
                l.huber_delta.to_string(),
            ),
            (
                "learner.learning_rate",
                positive(l.learning_rate.from)
                    && l.learning_rate.to >= 0.0
                    && l.learning_rate.to.is_finite()
                    && share(l.learning_rate.share),
                "from above 0, to at least 0, share within 0 to 1",
                format!("{:?}", l.learning_rate),
            ),
            (
                "learner.weight_decay",
                l.weight_decay >= 0.0 && l.weight_decay.is_finite(),
                "0 or more",
                l.weight_decay.to_string(),
            ),
            (
                "learner.max_gradient_norm",
                positive(l.max_gradient_norm),
                "more than 0",
                l.max_gradient_norm.to_string(),
            ),
            ("learner.target_tau", share(l.target_tau), "0 to 1", l.target_tau.to_string()),
            (
                "learner.reward_scale",
                positive(l.reward_scale),
                "more than 0",
                l.reward_scale.to_string(),
            ),
            (
                "learner.scenario_scales",
                l.scenario_scales.iter().all(|&scale| positive(scale)),
                "each more than 0",
                format!("{:?}", l.scenario_scales),
            ),
        ]
    }

    /// Demonstrations.
    fn demonstration_checks(&self) -> Vec<Check> {
        let (d, l) = (&self.demonstrations, &self.learner);
        vec![
            (
                "demonstrations.steps",
                d.baseline.is_empty() || (l.n_step + 8..=100_000_000).contains(&d.steps),
                "n_step + 8 to 100000000",
                d.steps.to_string(),
            ),
            (
                "demonstrations.share",
                shares(&d.share),
                "from, to and share within 0 to 1",
                format!("{:?}", d.share),
            ),
            (
                "demonstrations.margin",
                (0.0..=1e6).contains(&d.margin),
                "0 to 1e6",
                d.margin.to_string(),
            ),
            (
                "demonstrations.margin_weight",
                (0.0..=1e6).contains(&d.margin_weight),
                "0 to 1e6",
                d.margin_weight.to_string(),
            ),
        ]
    }

    /// Comparisons.
    fn comparison_checks(&self) -> Vec<Check> {
        let c = &self.comparisons;
        vec![
            (
                "comparisons.states",
                (1..=100_000_000).contains(&c.states),
                "1 to 100000000",
                c.states.to_string(),
            ),
            (
                "comparisons.actions",
                (1..=10_000).contains(&c.actions),
                "1 to 10000",
                c.actions.to_string(),
            ),
            (
                "comparisons.ticks",
                (1..=1_000_000).contains(&c.ticks),
                "1 to 1000000",
                c.ticks.to_string(),
            ),
            (
                "comparisons.iterations",
                (1..=1_000).contains(&c.iterations),
                "1 to 1000",
                c.iterations.to_string(),
            ),
            (
                "comparisons.later_states",
                (0..=100_000_000).contains(&c.later_states),
                "0 to 100000000",
                c.later_states.to_string(),
            ),
            (
                "comparisons.share",
                shares(&c.share),
                "from, to and share within 0 to 1",
                format!("{:?}", c.share),
            ),
            (
                "comparisons.weight",
                (0.0..=1e6).contains(&c.weight),
                "0 to 1e6",
                c.weight.to_string(),
            ),
        ]
    }

    /// Variants of the update, and what they do not go with.
    fn variant_checks(&self) -> Vec<Check> {
        let (e, l, c) = (&self.exploration, &self.learner, &self.comparisons);
        vec![
            (
                "learner.quantiles",
                l.quantiles == 1 || !c.are_made(),
                "1 with comparisons",
                l.quantiles.to_string(),
            ),
            (
                "learner.priority_exponent",
                share(l.priority_exponent),
                "0 to 1",
                l.priority_exponent.to_string(),
            ),
            (
                "learner.quantiles",
                (1..=1000).contains(&l.quantiles),
                "1 to 1000",
                l.quantiles.to_string(),
            ),
            (
                "learner.quantiles",
                l.quantiles == 1 || self.network.architecture != Architecture::Mlp,
                "1 for an mlp",
                l.quantiles.to_string(),
            ),
            (
                "learner.quantiles",
                l.quantiles == 1 || e.noisy_sigma == 0.0,
                "1 with exploration.noisy_sigma above 0",
                l.quantiles.to_string(),
            ),
            (
                "learner.priority_beta",
                shares(&l.priority_beta),
                "from, to and share within 0 to 1",
                format!("{:?}", l.priority_beta),
            ),
        ]
    }

    /// [`TrainConfig::validate`], for a run on so many scenarios: what they share in equal parts
    /// has to be enough for each.
    ///
    /// # Errors
    /// The first setting that is out of its range.
    pub fn validate_for(&self, scenarios: usize) -> Result<(), ConfigError> {
        self.validate()?;
        let d = &self.demonstrations;
        let each = d.steps / scenarios.max(1);
        let scales = &self.learner.scenario_scales;
        first_failure(&[
            (
                "demonstrations.steps",
                d.baseline.is_empty() || each >= self.learner.n_step + 8,
                "at least learner.n_step + 8 for each scenario",
                format!("{} for {scenarios} scenarios, {each} for each", d.steps),
            ),
            (
                "learner.scenario_scales",
                scales.is_empty() || scales.len() == scenarios,
                "one for each scenario, or none",
                format!("{} for {scenarios} scenarios", scales.len()),
            ),
        ])
    }
}

fn first_failure(checks: &[Check]) -> Result<(), ConfigError> {
    match checks.iter().find(|(_, good, _, _)| !good) {
        Some((field, _, expected, got)) => Err(ConfigError { field, expected, got: got.clone() }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn demonstrations_are_enough_for_each_scenario() {
        let mut config = TrainConfig::default();
        config.demonstrations.baseline = "stay".to_owned();
        config.learner.n_step = 5;
        config.demonstrations.steps = 38;
        assert_eq!(config.validate_for(1), Ok(()));
        assert_eq!(config.validate_for(2), Ok(()));
        let error = config.validate_for(3).expect_err("12 steps for each");
        assert_eq!(
            error.to_string(),
            "demonstrations.steps: expected at least learner.n_step + 8 for each scenario, got 38 \
             for 3 scenarios, 12 for each"
        );
        config.demonstrations.baseline.clear();
        assert_eq!(config.validate_for(3), Ok(()));
    }
}
