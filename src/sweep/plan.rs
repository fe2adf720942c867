//! A sweep before it runs: its trials, their runs, and the rungs of successive halving (Jamieson
//! and Talwalkar, AISTATS 2016).

use super::space::{Dimension, Settings, SpaceError};
use crate::config::TrainConfig;
use godwit_envs::scenario::Scenario;

/// Everything that a sweep will do.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What every trial trains on; their names differ.
    pub scenarios: Vec<Scenario>,
    /// Seeds that every trial trains with.
    pub seeds: Vec<u64>,
    /// What is searched.
    pub dimensions: Vec<Dimension>,
    /// The searched settings of each trial.
    pub trials: Vec<Settings>,
    /// All settings of each trial on each scenario, but for the seed.
    pub configs: Vec<Vec<TrainConfig>>,
    /// The rungs, the shortest runs first.
    pub rungs: Vec<Rung>,
}

/// A stage of successive halving.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rung {
    /// Trials that reach it.
    pub trials: usize,
    /// Env steps that its runs have made at its end.
    pub env_steps: u64,
}

/// One training run: a trial on a scenario with a seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// Index of the trial.
    pub trial: usize,
    /// Index of the scenario.
    pub scenario: usize,
    /// Index of the seed.
    pub seed: usize,
}

impl Plan {
    /// The runs of a trial.
    pub fn runs(&self, trial: usize) -> impl Iterator<Item = Run> + use<'_> {
        let seeds = self.seeds.len();
        (0..self.scenarios.len())
            .flat_map(move |scenario| (0..seeds).map(move |seed| Run { trial, scenario, seed }))
    }

    /// Name of a run's directory.
    pub fn folder(&self, run: Run) -> String {
        let scenario = file_name(&self.scenarios[run.scenario].name);
        format!("trial-{:03}-{scenario}-seed-{}", run.trial, self.seeds[run.seed])
    }

    /// Settings of a run.
    pub fn config(&self, run: Run) -> TrainConfig {
        TrainConfig { seed: self.seeds[run.seed], ..self.configs[run.trial][run.scenario].clone() }
    }

    /// Env steps of all runs together.
    pub fn env_steps(&self) -> u64 {
        let runs = (self.scenarios.len() * self.seeds.len()) as u64;
        let mut before = 0;
        let steps = self.rungs.iter().map(|rung| {
            let more = rung.env_steps - before;
            before = rung.env_steps;
            rung.trials as u64 * more
        });
        runs * steps.sum::<u64>()
    }
}

/// The scenario's name as a part of a file name.
pub fn file_name(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    name.chars().map(plain).collect()
}

/// The rungs: of `halving` trials one goes on, with `halving` times the env steps; the last rung
/// has `env_steps`.
///
/// # Errors
/// When the numbers do not make rungs.
pub fn rungs(
    trials: usize,
    halving: usize,
    rungs: Option<usize>,
    env_steps: u64,
) -> Result<Vec<Rung>, SpaceError> {
    let within = |field: &str, value: usize, most: usize| {
        if (1..=most).contains(&value) {
            return Ok(());
        }
        Err(SpaceError::new(field, format!("1 to {most}"), value))
    };
    within("trials", trials, 100_000)?;
    within("halving", halving, 1_000)?;
    let most = if halving == 1 { 1 } else { 1 + trials.ilog(halving) as usize };
    let count = rungs.unwrap_or(most);
    if !(1..=most).contains(&count) {
        let expected = format!("1 to {most}, with halving = {halving} of {trials} trials");
        return Err(SpaceError::new("rungs", expected, count));
    }
    let share = |rung: usize| (halving as u64).pow(rung as u32);
    let shortest = env_steps / share(count - 1);
    if shortest == 0 {
        let expected = format!("at least {} for {count} rungs", share(count - 1));
        return Err(SpaceError::new("env_steps", expected, env_steps));
    }
    Ok((0..count)
        .map(|rung| Rung {
            trials: trials / share(rung) as usize,
            env_steps: env_steps / share(count - 1 - rung),
        })
        .collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed expectation is the point of a test

    use super::*;

    fn list(
        trials: usize,
        halving: usize,
        count: Option<usize>,
        env_steps: u64,
    ) -> Vec<(usize, u64)> {
        let rungs = rungs(trials, halving, count, env_steps).unwrap();
        rungs.iter().map(|rung| (rung.trials, rung.env_steps)).collect()
    }

    #[test]
    fn halving_leaves_one_trial_with_all_env_steps() {
        assert_eq!(list(9, 3, None, 9_000), [(9, 1_000), (3, 3_000), (1, 9_000)]);
        assert_eq!(list(20, 3, None, 9_000), [(20, 1_000), (6, 3_000), (2, 9_000)]);
        assert_eq!(list(16, 4, Some(2), 1_000), [(16, 250), (4, 1_000)]);
        assert_eq!(list(5, 1, None, 1_000), [(5, 1_000)]);
        assert_eq!(list(1, 3, None, 7), [(1, 7)]);
    }

    #[test]
    fn numbers_that_make_no_rungs_are_refused() {
        let message = |trials, halving, count, env_steps| {
            rungs(trials, halving, count, env_steps).unwrap_err().to_string()
        };
        assert_eq!(message(0, 3, None, 9), "trials: expected 1 to 100000, got 0");
        assert_eq!(message(3, 0, None, 9), "halving: expected 1 to 1000, got 0");
        assert_eq!(
            message(9, 3, Some(4), 9_000),
            "rungs: expected 1 to 3, with halving = 3 of 9 trials, got 4"
        );
        assert_eq!(message(9, 3, None, 8), "env_steps: expected at least 9 for 3 rungs, got 8");
    }
}
