//! Validation: the episodes by which a run picks its best checkpoint.

use crate::config::TrainConfig;
use crate::distributed::{Group, part};
use crate::train::assemble::ClusterTrainer;
use crate::train::mixture::{Mixture, Part};
use godwit_envs::env::cluster_env::ClusterEnv;
use godwit_envs::scenario::{Phase, WorldTemplate};
use godwit_evaluate::side_by_side::returns;
use godwit_evaluate::stats::mean;
use godwit_models::baselines::{Assignment, NAMES, baseline_with};
use godwit_models::net::Network;
use godwit_models::network_policy::{Base, NetworkPolicy};
use godwit_models::rollout::{Outcome, rollout};
use rayon::prelude::*;
use std::sync::Arc;

/// First seed of the validation episodes: the same for every run, so that runs compare.
pub const VALIDATION_SEED: u64 = 0x7661_6c69;

/// Mean of the plain returns.
pub fn mean_return(outcomes: &[Outcome]) -> f64 {
    outcomes.iter().map(|outcome| outcome.episode_return).sum::<f64>() / outcomes.len() as f64
}

/// How a policy does on validation episodes.
#[derive(Debug, Clone)]
pub struct Validation {
    /// Mean plain return; with several scenarios, the weighted mean over them, each in what its
    /// rewards are divided by.
    pub value: f64,
    /// Standard error of that mean.
    pub standard_error: f64,
    /// Name of each scenario and what came of its episodes.
    pub scenarios: Vec<(String, Vec<Outcome>)>,
    /// The heuristic that the run improves on, with the margin that was best, and its own mean plain
    /// return in the same episodes.
    pub base: Option<(Base, f64)>,
}

/// What returns of each scenario are measured in: where several are added up, in what their rewards
/// are divided by.
fn units(mixture: &Mixture, config: &TrainConfig) -> Vec<f64> {
    match mixture.parts().len() {
        1 => vec![1.0],
        _ => mixture.reward_units(&config.learner.scenario_scales),
    }
}

impl Validation {
    /// Adds up the episodes of each scenario, whose returns are measured in `units`.
    pub fn new(mixture: &Mixture, units: &[f64], outcomes: Vec<Vec<Outcome>>) -> Self {
        let (mut value, mut variance) = (0.0, 0.0);
        for ((share, unit), outcomes) in mixture.shares().into_iter().zip(units).zip(&outcomes) {
            let mean = mean_return(outcomes);
            let squares = outcomes.iter().map(|outcome| (outcome.episode_return - mean).powi(2));
            let count = outcomes.len() as f64;
            let squared_error = squares.sum::<f64>() / count / (count - 1.0).max(1.0);
            value += share * mean / unit;
            variance += (share / unit).powi(2) * squared_error;
        }
        let names = mixture.parts().iter().map(|part| part.scenario.name.clone());
        let scenarios = names.zip(outcomes).collect();
        Self { value, standard_error: variance.sqrt(), scenarios, base: None }
    }

    /// Every episode.
    pub fn outcomes(&self) -> impl Iterator<Item = &Outcome> {
        self.scenarios.iter().flat_map(|(_, outcomes)| outcomes)
    }
}

/// Margins that are tried, in the learner's values.
pub(crate) const MARGINS: [f32; 3] = [0.0, 1.0, 5.0];

/// Runs the current network greedily on fixed validation episodes of each scenario; several ranks
/// share them out. Where the run improves on a heuristic, the network plays on that base, with each
/// of some margins.
pub(crate) struct Validator {
    mixture: Mixture,
    units: Vec<f64>,
    group: Option<Arc<dyn Group>>,
    episodes: usize,
    workers: Vec<Vec<Worker>>,
    base: Option<Usual>,
}

/// A heuristic that a run improves on, and how it does.
#[derive(Clone)]
struct Usual {
    base: Base,
    /// Of all scenarios one after the other.
    returns: Vec<f64>,
    /// What a validation comes to.
    value: f64,
}

/// Plays one episode of a scenario.
struct Worker {
    env: ClusterEnv,
    policy: NetworkPolicy,
    episode: usize,
}

impl Validator {
    pub(crate) fn new(
        mixture: &Mixture,
        trainer: &ClusterTrainer,
        group: Option<Arc<dyn Group>>,
    ) -> anyhow::Result<Self> {
        let spec = trainer.learner.online.spec();
        let episodes = trainer.config.evaluate_episodes;
        let base = match group {
            None => usual(mixture, &trainer.config)?,
            Some(_) => None,
        };
        let mut workers = Vec::new();
        for Part { scenario, .. } in mixture.parts() {
            let template = Arc::new(WorldTemplate::new(scenario));
            let of_scenario = part::share(episodes, group.as_deref())
                .into_iter()
                .map(|episode| {
                    let env = ClusterEnv::new(Arc::clone(&template), Phase::Validate)?;
                    let env = env.without_candidates();
                    let sections = scenario.rules.sections();
                    let policy = NetworkPolicy::new("policy", Network::new(spec), sections)
                        .on_base(base.as_ref().map(|usual| &usual.base))?;
                    Ok(Worker { env, policy, episode })
                })
                .collect::<anyhow::Result<_>>()?;
            workers.push(of_scenario);
        }
        let units = units(mixture, &trainer.config);
        Ok(Self { mixture: mixture.clone(), units, group, episodes, workers, base })
    }

    /// Plays the episodes with the current weights; on a base, with the best of the margins.
    pub(crate) fn run(&mut self, trainer: &mut ClusterTrainer) -> anyhow::Result<Validation> {
        let weights = trainer.weights().to_vec();
        for Worker { policy, .. } in self.workers.iter_mut().flatten() {
            policy.load_flat(&weights);
        }
        let Some(Usual { mut base, value, .. }) = self.base.clone() else { return self.play() };
        let mut best: Option<Validation> = None;
        for margin in MARGINS {
            for Worker { policy, .. } in self.workers.iter_mut().flatten() {
                policy.set_margin(margin);
            }
            let played = self.play()?;
            if best.as_ref().is_none_or(|best| played.value > best.value) {
                base.margin = Some(margin);
                best = Some(Validation { base: Some((base.clone(), value)), ..played });
            }
        }
        Ok(best.expect("there are margins"))
    }

    /// Returns of the heuristic that the run improves on, if it does.
    pub(crate) fn usual(&self) -> Option<Vec<f64>> {
        self.base.as_ref().map(|usual| usual.returns.clone())
    }

    /// Returns of another policy, of all scenarios one after the other.
    pub(crate) fn returns(&mut self, other: &NetworkPolicy) -> anyhow::Result<Vec<f64>> {
        let mut own = Vec::new();
        for Worker { policy, .. } in self.workers.iter_mut().flatten() {
            own.push(std::mem::replace(policy, other.clone()));
        }
        let played = self.play();
        for (Worker { policy, .. }, own) in self.workers.iter_mut().flatten().zip(own) {
            *policy = own;
        }
        Ok(played?.outcomes().map(|outcome| outcome.episode_return).collect())
    }

    fn play(&mut self) -> anyhow::Result<Validation> {
        let mut outcomes = Vec::new();
        for of_scenario in &mut self.workers {
            let played = of_scenario.par_iter_mut().map(|Worker { env, policy, episode }| {
                Ok(rollout(env, policy, VALIDATION_SEED + *episode as u64)?)
            });
            let played = played.collect::<anyhow::Result<Vec<_>>>();
            outcomes.push(match &self.group {
                Some(group) => part::exchange(played, self.episodes, &**group)?,
                None => played?,
            });
        }
        Ok(Validation::new(&self.mixture, &self.units, outcomes))
    }
}

/// How the heuristic that a run improves on does in the validation episodes; where it improves on a
/// trained policy, the one whose rewards are subtracted; none where it starts from nothing.
fn usual(mixture: &Mixture, config: &TrainConfig) -> anyhow::Result<Option<Usual>> {
    let comparisons = &config.comparisons;
    let is_heuristic = |name: &str| NAMES.contains(&name);
    let (name, parameters) = if is_heuristic(&comparisons.baseline) {
        (&comparisons.baseline, &comparisons.parameters)
    } else if is_heuristic(&config.paired_baseline) {
        (&config.paired_baseline, &Assignment::new())
    } else {
        return Ok(None);
    };
    let (mut all, mut value) = (Vec::new(), 0.0);
    let units = units(mixture, config);
    for ((part, share), unit) in mixture.parts().iter().zip(mixture.shares()).zip(units) {
        let env = ClusterEnv::new(Arc::new(WorldTemplate::new(&part.scenario)), Phase::Validate)?;
        let seeds = VALIDATION_SEED..VALIDATION_SEED + config.evaluate_episodes as u64;
        let own = returns(&env, &|| Ok(baseline_with(name, parameters)?), seeds)?;
        value += share * mean(&own) / unit;
        all.extend(own);
    }
    let base = Base { baseline: name.clone(), parameters: parameters.clone(), margin: None };
    Ok(Some(Usual { base, returns: all, value }))
}
