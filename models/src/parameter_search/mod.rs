//! Tunes a baseline's parameters on a scenario's training episodes.
//!
//! A policy that was trained for hours beats a heuristic with somebody's default numbers easily
//! enough; the fair opponent is the heuristic at its best. Objective: the mean undiscounted return.
//!
//! 1. *Random search.* The defaults are the first trial, the others are drawn over the declared
//!    ranges. With few parameters that matter, random draws beat a grid of the same size (Bergstra
//!    and Bengio, "Random search for hyper-parameter optimization", JMLR 2012).
//! 2. *Successive halving* (Jamieson and Talwalkar, AISTATS 2016). All trials play the same few
//!    episodes; the better third plays three times as many, and so on to the full number.
//! 3. *Local refinement.* Two rounds of steps around the best so far, the second of half the size.
//!    The best is replaced only by a trial that is ahead over the full number of episodes.
//! 4. *Hold-out.* The best of many is best partly by luck. It and the defaults play fresh training
//!    episodes, which no trial has seen, and the defaults are kept unless it is ahead there, too.
//!
//! Episodes are always of [`Phase::Train`], and shared by all trials, so that differences between
//! trials do not drown in those between episodes. Nothing depends on the number of threads.

mod space;
#[cfg(test)]
mod tests;

use crate::baselines::parameters::{Assignment, ParameterError, Tunable};
use crate::baselines::registry::{Baseline, find};
use crate::rollout::{RolloutError, rollout};
use godwit_envs::env::ResetError;
use godwit_envs::env::cluster_env::ClusterEnv;
use godwit_envs::rng::stream;
use godwit_envs::scenario::{Phase, WorldTemplate};
use rayon::prelude::*;
use space::Space;
use std::ops::Range;
use std::sync::Arc;

/// Of this many trials one goes on to the next rung, with this many times the episodes.
const ETA: usize = 3;

/// Radius of the steps in each round of the refinement, as a share of the ranges.
const RADII: [f64; 2] = [0.2, 0.1];

/// How much is searched, and on which episodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Search {
    /// Settings that are tried, the defaults included.
    pub trials: usize,
    /// Training episodes that the last rung plays.
    pub episodes: usize,
    /// Seed of the first episode and of all draws; the other episodes follow it.
    pub seed: u64,
}

impl Search {
    /// Episodes that the trials play.
    pub fn seeds(&self) -> Range<u64> {
        self.seed..self.seed.saturating_add(self.episodes as u64)
    }

    /// Fresh episodes that decide between the best trial and the defaults: twice as many.
    pub fn holdout_seeds(&self) -> Range<u64> {
        let first = self.seeds().end;
        first..first.saturating_add(2 * self.episodes as u64)
    }

    /// Episodes that are played in all, at most: for progress bars.
    pub fn episodes_at_most(&self) -> usize {
        let (drawn, rounds) = self.shares();
        let race = |trials: usize, rungs: &[usize]| {
            let mut alive = trials;
            let mut played = (0, 0);
            for &rung in rungs {
                played = (played.0 + alive * (rung - played.1), rung);
                alive = alive.div_ceil(ETA);
            }
            played.0
        };
        let rungs = self.rungs();
        let refined: usize = rounds.iter().map(|&steps| race(steps, tail(&rungs))).sum();
        race(drawn, &rungs) + refined + 4 * self.episodes
    }

    /// Trials of the random search, and of each round of the refinement.
    fn shares(&self) -> (usize, [usize; 2]) {
        let refined = self.trials / 3;
        (self.trials - refined, [refined - refined / 2, refined / 2])
    }

    /// Episodes of each rung, ascending.
    fn rungs(&self) -> Vec<usize> {
        let mut rungs = vec![self.episodes];
        while rungs.len() < 3 && rungs[0] > ETA {
            rungs.insert(0, rungs[0].div_ceil(ETA));
        }
        rungs
    }
}

/// The rungs of the refinement: without the first, which tells little between near neighbours.
fn tail(rungs: &[usize]) -> &[usize] {
    &rungs[usize::from(rungs.len() > 1)..]
}

/// What came of tuning a baseline.
#[derive(Debug, Clone, PartialEq)]
pub struct Tuned {
    /// Whether the best trial takes the place of the defaults.
    pub tuned: bool,
    /// The parameters to use: the best trial's, or the defaults.
    pub parameters: Assignment,
    /// Mean return of the defaults over the fresh episodes.
    pub default_return: f64,
    /// Mean return of the best trial over the same episodes, whether it is used or not.
    pub best_return: f64,
    /// Standard error of the mean paired difference between the two.
    pub standard_error: f64,
    /// Settings that were tried, the defaults included; fewer than asked for where the parameters
    /// allow no more.
    pub trials: usize,
}

/// Why a baseline could not be tuned.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TuneError {
    /// There is no such baseline, or it has no parameters.
    #[error(transparent)]
    Parameter(#[from] ParameterError),
    /// The scenario has no feasible start.
    #[error(transparent)]
    Reset(#[from] ResetError),
    /// An episode could not be played.
    #[error("{baseline} with {parameters:?}: {source}")]
    Rollout {
        /// Name of the baseline.
        baseline: String,
        /// The parameters that it had.
        parameters: Assignment,
        /// What happened.
        source: RolloutError,
    },
}

/// Tunes the baseline with this name. `played` is told how many episodes have just been played.
///
/// # Errors
/// When the baseline has no parameters, or an episode cannot be played.
pub fn tune(
    template: &Arc<WorldTemplate>,
    name: &str,
    search: &Search,
    played: &(dyn Fn(usize) + Sync),
) -> Result<Tuned, TuneError> {
    let declaration = find(name).and_then(Baseline::declaration).ok_or_else(|| ParameterError {
        baseline: name.to_owned(),
        parameter: None,
        expected: "a baseline with parameters".into(),
        got: "none".into(),
    })?;
    tune_declared(template, name, declaration.as_ref(), search, played)
}

/// [`tune`], with another declaration than the baseline's own.
///
/// # Errors
/// As for [`tune`].
pub fn tune_declared(
    template: &Arc<WorldTemplate>,
    name: &str,
    declaration: &dyn Tunable,
    search: &Search,
    played: &(dyn Fn(usize) + Sync),
) -> Result<Tuned, TuneError> {
    let env = ClusterEnv::new(Arc::clone(template), Phase::Train)?;
    let play_one =
        |env: &mut ClusterEnv, values: &Assignment, seed: u64| {
            let mut policy = declaration.build(values).map_err(|refusal| ParameterError {
                baseline: name.to_owned(),
                parameter: Some(refusal.parameter),
                expected: refusal.expected,
                got: refusal.got,
            })?;
            let outcome = rollout(env, policy.as_mut(), seed).map_err(|source| {
                TuneError::Rollout { baseline: name.to_owned(), parameters: values.clone(), source }
            })?;
            played(1);
            Ok(outcome.episode_return)
        };
    // Short pieces: one slow setting must not keep the other threads waiting.
    let play = |jobs: &[(&Assignment, u64)]| {
        jobs.par_iter()
            .with_max_len(4)
            .map_init(|| env.clone(), |env, (values, seed)| play_one(env, values, *seed))
            .collect::<Result<Vec<f64>, TuneError>>()
    };
    let space = Space::new(declaration, env.state().rules.episode.mode);
    Tuner::new(&space, &play, name, search)?.run()
}

/// Plays one episode for each setting and seed, and returns their returns in the same order.
type Play<'a> = dyn Fn(&[(&Assignment, u64)]) -> Result<Vec<f64>, TuneError> + 'a;

/// A setting and what it earned in the first so many episodes.
struct Trial {
    values: Assignment,
    returns: Vec<f64>,
}

struct Tuner<'a> {
    space: &'a Space<'a>,
    play: &'a Play<'a>,
    search: &'a Search,
    rng: godwit_envs::rng::Rng,
    /// The defaults first.
    trials: Vec<Trial>,
}

impl<'a> Tuner<'a> {
    fn new(
        space: &'a Space<'a>,
        play: &'a Play<'a>,
        name: &str,
        search: &'a Search,
    ) -> Result<Self, TuneError> {
        // A stream of its own for each baseline: what one draws does not depend on the others.
        let rng = stream(search.seed, &format!("tune {name}"));
        let trials = vec![Trial { values: space.defaults(), returns: Vec::new() }];
        Ok(Self { space, play, search, rng, trials })
    }

    fn run(mut self) -> Result<Tuned, TuneError> {
        let best = if self.space.is_empty() { 0 } else { self.best_trial()? };
        let seeds = self.search.holdout_seeds();
        let defaults = self.holdout(0, seeds.clone())?;
        let (default_return, trials) = (mean(&defaults), self.trials.len());
        if best == 0 {
            return Ok(Tuned {
                tuned: false,
                parameters: self.trials.swap_remove(0).values,
                default_return,
                best_return: default_return,
                standard_error: 0.0,
                trials,
            });
        }
        let found = self.holdout(best, seeds)?;
        let gains: Vec<f64> = found.iter().zip(&defaults).map(|(a, b)| a - b).collect();
        let tuned = mean(&gains) > 0.0;
        Ok(Tuned {
            tuned,
            parameters: self.trials.swap_remove(if tuned { best } else { 0 }).values,
            default_return,
            best_return: mean(&found),
            standard_error: standard_error(&gains),
            trials,
        })
    }

    fn best_trial(&mut self) -> Result<usize, TuneError> {
        let rungs = self.search.rungs();
        let (drawn, rounds) = self.search.shares();
        while self.trials.len() < drawn {
            let trials = &self.trials;
            let is_known = |values: &Assignment| trials.iter().any(|known| known.values == *values);
            let Some(values) = self.space.draw(&mut self.rng, &is_known) else { break };
            self.trials.push(Trial { values, returns: Vec::new() });
        }
        let mut best = self.race((0..self.trials.len()).collect(), &rungs)?;
        for (steps, radius) in rounds.into_iter().zip(RADII) {
            let first = self.trials.len();
            for _ in 0..steps {
                let trials = &self.trials;
                let is_known =
                    |values: &Assignment| trials.iter().any(|known| known.values == *values);
                let center = &trials[best].values;
                let values = self.space.step(center, radius, &mut self.rng, &is_known);
                let Some(values) = values else { break };
                self.trials.push(Trial { values, returns: Vec::new() });
            }
            if self.trials.len() == first {
                break;
            }
            let rival = self.race((first..self.trials.len()).collect(), tail(&rungs))?;
            if mean(&self.trials[rival].returns) > mean(&self.trials[best].returns) {
                best = rival;
            }
        }
        Ok(best)
    }

    /// Successive halving; of equals the earlier trial goes on.
    fn race(&mut self, mut alive: Vec<usize>, rungs: &[usize]) -> Result<usize, TuneError> {
        for (i, &episodes) in rungs.iter().enumerate() {
            self.extend(&alive, episodes)?;
            let score = |trial: &usize| mean(&self.trials[*trial].returns[..episodes]);
            alive.sort_by(|a, b| score(b).total_cmp(&score(a)).then(a.cmp(b)));
            if i + 1 < rungs.len() {
                alive.truncate(alive.len().div_ceil(ETA));
            }
        }
        Ok(alive[0])
    }

    /// Has these trials play on until each has played so many episodes.
    fn extend(&mut self, trials: &[usize], episodes: usize) -> Result<(), TuneError> {
        let first = self.search.seed;
        let jobs: Vec<(usize, u64)> = trials
            .iter()
            .flat_map(|&trial| {
                let from = self.trials[trial].returns.len().min(episodes);
                (from..episodes).map(move |i| (trial, first.saturating_add(i as u64)))
            })
            .collect();
        let played: Vec<(&Assignment, u64)> =
            jobs.iter().map(|&(trial, seed)| (&self.trials[trial].values, seed)).collect();
        let returns = (self.play)(&played)?;
        for ((trial, _), value) in jobs.into_iter().zip(returns) {
            self.trials[trial].returns.push(value);
        }
        Ok(())
    }

    fn holdout(&self, trial: usize, seeds: Range<u64>) -> Result<Vec<f64>, TuneError> {
        let values = &self.trials[trial].values;
        (self.play)(&seeds.map(|seed| (values, seed)).collect::<Vec<_>>())
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

fn standard_error(values: &[f64]) -> f64 {
    let (mean, n) = (mean(values), values.len() as f64);
    if n < 2.0 {
        return 0.0;
    }
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (squares / (n - 1.0) / n).sqrt()
}
