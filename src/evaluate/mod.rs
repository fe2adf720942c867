//! Compares policies on the same held-out episodes.

#[cfg(feature = "milp")]
pub mod bound;
pub mod limits;
pub mod oscillation;
pub mod stats;
pub mod table;

use crate::machine::progress::Progress;
use anyhow::Context;
use godwit_envs::env::Env;
use godwit_envs::env::cluster_env::ClusterEnv;
use godwit_envs::scenario::{Mode, Phase, Scenario, WorldTemplate};
use godwit_envs::state::objective::{LEVEL_TERMS, Term};
use godwit_models::policy::Policy;
use godwit_models::rollout::{Outcome, rollout};
use godwit_models::shell::ShellRules;
use rayon::prelude::*;
use serde::Serialize;
use stats::{Estimate, bootstrap, mean};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Makes a policy for one worker thread.
pub type Factory = Box<dyn Fn() -> Box<dyn Policy> + Send + Sync>;

/// A policy that takes part.
pub struct Contender {
    /// Name in the table.
    pub name: String,
    /// Whether it is a trained policy, and no baseline.
    pub trained: bool,
    /// Where a baseline's parameters come from; none for a trained policy.
    pub parameters: Option<Parameters>,
    /// Makes it; each worker thread has its own.
    pub factory: Factory,
}

/// Where a baseline's parameters come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Parameters {
    /// Its defaults.
    Default,
    /// The scenario's training episodes.
    Tuned,
}

/// What all policies came to on the same episodes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evaluation {
    /// Name of the scenario.
    pub scenario: String,
    /// Whether the clock runs (terms are means over ticks) or not (terms are those at the end).
    pub online: bool,
    /// Episodes that each policy played.
    pub episodes: usize,
    /// Seed of the first episode; the others follow it.
    pub first_seed: u64,
    /// Whether these are validation episodes rather than held-out ones.
    pub validation: bool,
    /// Whether the scenario has one start only, so that one episode says all.
    pub single_start: bool,
    /// What every policy found at the start, mean over the episodes.
    pub start: State,
    /// A return counts as an oscillation within this many ticks (rebalance: moves).
    pub oscillation_window: u32,
    /// An operator's limits that every policy kept to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<ShellRules>,
    /// The most that any policy can return here, from exact optimisation, mean over the episodes;
    /// only where the scenario is static and a solver looked at it.
    pub bound: Option<f64>,
    /// Name of the policy that the others are compared with: the first trained one.
    pub reference: Option<String>,
    /// Highest mean return first.
    pub policies: Vec<PolicyResult>,
}

/// Level terms of a state, or their mean over several.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct State {
    /// Each level term that the scenario defines, by name.
    pub terms: BTreeMap<&'static str, f64>,
    /// Deployable slots, where the scenario says what a slot is.
    pub slots: Option<f64>,
}

/// What one policy came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PolicyResult {
    /// Its name.
    pub name: String,
    /// Whether it is a trained policy, and no baseline.
    pub trained: bool,
    /// Where a baseline's parameters come from; none for a trained policy.
    pub parameters: Option<Parameters>,
    /// Mean undiscounted return.
    pub mean_return: Estimate,
    /// Inter-quartile mean of the returns.
    pub interquartile_mean: Estimate,
    /// Optimality gap: the share of [`Evaluation::bound`] that the mean return misses.
    pub gap: Option<f64>,
    /// The reference policy against this one; none for the reference itself.
    pub comparison: Option<Comparison>,
    /// Terms and slots: at the end (rebalance), or terms as mean over ticks (online).
    pub state: State,
    /// Migrations per episode.
    pub moves: f64,
    /// Moves per episode that bring a workload back to a node which it left within the window.
    pub oscillations: f64,
    /// Their share of all moves of all episodes; none where nothing moved.
    pub oscillation_share: Option<f64>,
    /// Migration traffic per episode, GiB.
    pub moved_gib: f64,
    /// Cold restarts of displaced workloads per episode.
    pub restarts: f64,
    /// Seconds in which workloads did not run because of migrations and cold restarts, per episode;
    /// not weighted by priority.
    pub downtime_s: f64,
    /// Decisions per second of one core.
    pub decisions_per_s: f64,
    /// Time of a decision that half of them do not exceed, microseconds.
    pub decision_us_p50: f64,
    /// Time of a decision that 99 % of them do not exceed, microseconds.
    pub decision_us_p99: f64,
    /// Return of each episode, in the order of their seeds.
    pub returns: Vec<f64>,
    /// The same episodes in more detail.
    #[serde(skip)]
    pub episodes: Vec<EpisodeFigures>,
}

/// What one policy came to in one episode.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct EpisodeFigures {
    /// Undiscounted return.
    pub episode_return: f64,
    /// Migrations.
    pub moves: u32,
    /// Moves that bring a workload back to a node which it left within the window.
    pub oscillations: u32,
    /// Migration traffic, GiB.
    pub moved_gib: f64,
    /// Seconds in which workloads did not run.
    pub downtime_s: f64,
}

/// How policies are compared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Episodes that each policy plays, but one where the scenario has a single start.
    pub episodes: usize,
    /// Seed of the first episode; the others follow it.
    pub first_seed: u64,
    /// Whether these are episodes of evaluation or of another phase.
    pub phase: Phase,
    /// Ticks (rebalance: moves) within which a return is an oscillation.
    pub oscillation_window: u32,
    /// Whether to show a progress bar.
    pub progress: bool,
}

/// The reference policy against another.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Comparison {
    /// Mean paired difference, reference minus other.
    pub difference: Estimate,
    /// Share of the episodes in which the reference is better; ties count half.
    pub probability_of_improvement: Estimate,
}

/// [`evaluate_with`] the default oscillation window.
///
/// # Errors
/// As for [`evaluate_with`].
pub fn evaluate(
    scenario: &Scenario,
    contenders: &[Contender],
    episodes: usize,
    first_seed: u64,
    progress: bool,
) -> anyhow::Result<Evaluation> {
    let oscillation_window = oscillation::DEFAULT_WINDOW;
    let phase = Phase::Evaluate;
    let settings = Settings { episodes, first_seed, phase, oscillation_window, progress };
    evaluate_with(scenario, contenders, &settings)
}

/// Plays every policy through the same episodes. Results do not depend on the number of threads,
/// but for the decisions per second.
///
/// # Errors
/// When an episode has no feasible start, or a policy breaks its contract.
pub fn evaluate_with(
    scenario: &Scenario,
    contenders: &[Contender],
    settings: &Settings,
) -> anyhow::Result<Evaluation> {
    let Settings { episodes, first_seed, phase, oscillation_window, progress } = *settings;
    let template = Arc::new(WorldTemplate::new(scenario));
    let single_start = template.has_single_start();
    let episodes = if single_start { 1 } else { episodes };
    let env = ClusterEnv::new(template, phase)?;
    let seeds: Vec<u64> = (0..episodes as u64).map(|i| first_seed.wrapping_add(i)).collect();
    let bar = Progress::new(progress, (episodes * contenders.len()) as u64, "episodes");

    let starts = seeds
        .par_iter()
        .map_init(
            || env.clone(),
            |env, &seed| {
                env.reset(seed)?;
                Ok(Played::start(env))
            },
        )
        .collect::<anyhow::Result<Vec<_>>>()?;
    let played = contenders
        .iter()
        .map(|contender| play(&env, contender, &seeds, &bar))
        .collect::<anyhow::Result<Vec<_>>>()?;
    bar.finish();

    let returns: Vec<Vec<f64>> = played.iter().map(|episodes| returns_of(episodes)).collect();
    let reference = contenders.iter().position(|contender| contender.trained);
    let mut policies: Vec<PolicyResult> = contenders
        .iter()
        .enumerate()
        .map(|(i, contender)| {
            let of = |figure: fn(&Outcome) -> f64| {
                mean(&played[i].iter().map(|played| figure(&played.outcome)).collect::<Vec<_>>())
            };
            let mut seconds: Vec<f64> = played[i]
                .iter()
                .flat_map(|played| &played.outcome.decision_seconds)
                .map(|&seconds| f64::from(seconds))
                .collect();
            seconds.sort_unstable_by(f64::total_cmp);
            let figures: Vec<EpisodeFigures> =
                played[i].iter().map(|played| played.figures(oscillation_window)).collect();
            let oscillations: u32 = figures.iter().map(|figures| figures.oscillations).sum();
            let moves: u32 = figures.iter().map(|figures| figures.moves).sum();
            PolicyResult {
                name: contender.name.clone(),
                trained: contender.trained,
                parameters: contender.parameters,
                mean_return: bootstrap(&returns[i], mean, first_seed),
                interquartile_mean: bootstrap(&returns[i], stats::interquartile_mean, first_seed),
                gap: None,
                comparison: reference
                    .filter(|&reference| reference != i)
                    .map(|reference| compare(&returns[reference], &returns[i], first_seed)),
                state: Played::mean(&env, &played[i]),
                moves: of(|outcome| f64::from(outcome.moves)),
                oscillations: f64::from(oscillations) / figures.len() as f64,
                oscillation_share: (moves > 0).then(|| f64::from(oscillations) / f64::from(moves)),
                moved_gib: of(|outcome| outcome.moved_gib),
                restarts: of(|outcome| f64::from(outcome.restarts)),
                downtime_s: of(|outcome| outcome.downtime_s),
                decisions_per_s: seconds.len() as f64 / seconds.iter().sum::<f64>().max(1e-9),
                decision_us_p50: 1e6 * stats::quantile(&seconds, 0.5),
                decision_us_p99: 1e6 * stats::quantile(&seconds, 0.99),
                returns: returns[i].clone(),
                episodes: figures,
            }
        })
        .collect();
    policies.sort_by(|a, b| b.mean_return.value.total_cmp(&a.mean_return.value));
    Ok(Evaluation {
        scenario: scenario.name.clone(),
        online: scenario.rules.episode.mode == Mode::Online,
        episodes,
        first_seed,
        validation: phase == Phase::Validate,
        single_start,
        start: Played::mean(&env, &starts),
        oscillation_window,
        limits: None,
        bound: None,
        reference: reference.map(|reference| contenders[reference].name.clone()),
        policies,
    })
}

impl Evaluation {
    /// States the most that any policy can return, and with it every policy's optimality gap: the
    /// missing share of the bound. A bound of zero leaves nothing to miss a share of.
    #[must_use]
    pub fn with_bound(mut self, bound: Option<f64>) -> Self {
        self.bound = bound;
        for policy in &mut self.policies {
            let share = |bound: f64| (bound - policy.mean_return.value) / bound.abs();
            policy.gap = bound.filter(|bound| *bound != 0.0).map(share);
        }
        self
    }
}

/// The returns of one policy in the episodes of these seeds.
///
/// # Errors
/// As for [`evaluate_with`].
pub(crate) fn returns(
    scenario: &Scenario,
    contender: &Contender,
    seeds: &[u64],
) -> anyhow::Result<Vec<f64>> {
    let env = ClusterEnv::new(Arc::new(WorldTemplate::new(scenario)), Phase::Evaluate)?;
    Ok(returns_of(&play(&env, contender, seeds, &Progress::hidden())?))
}

fn returns_of(episodes: &[Played]) -> Vec<f64> {
    episodes.iter().map(|played| played.outcome.episode_return).collect()
}

fn play(
    env: &ClusterEnv,
    contender: &Contender,
    seeds: &[u64],
    bar: &Progress,
) -> anyhow::Result<Vec<Played>> {
    bar.set_message(contender.name.clone());
    seeds
        .par_iter()
        .map_init(
            || (env.clone(), (contender.factory)()),
            |(env, policy), &seed| {
                let outcome = rollout(env, policy.as_mut(), seed)?;
                bar.inc(1);
                Ok(Played::end(env, outcome))
            },
        )
        .collect::<anyhow::Result<Vec<_>>>()
        .with_context(|| format!("policy {}", contender.name))
}

fn compare(reference: &[f64], other: &[f64], seed: u64) -> Comparison {
    Comparison {
        difference: bootstrap(&stats::paired_difference(reference, other), mean, seed),
        probability_of_improvement: bootstrap(&stats::improvements(reference, other), mean, seed),
    }
}

/// One policy's episode, or the start of one.
struct Played {
    outcome: Outcome,
    slots: f32,
    reassignment_cost: i64,
}

impl Played {
    fn start(env: &ClusterEnv) -> Self {
        let level_terms_mean = env.state().level_terms();
        Self::end(env, Outcome { level_terms_mean, ..Outcome::default() })
    }

    fn end(env: &ClusterEnv, outcome: Outcome) -> Self {
        let state = env.state();
        Self {
            outcome,
            slots: state.now.total_slots(),
            reassignment_cost: state.reassignment_cost(),
        }
    }

    fn figures(&self, oscillation_window: u32) -> EpisodeFigures {
        let Outcome { episode_return, moves, moved_gib, downtime_s, .. } = self.outcome;
        let oscillations =
            oscillation::returns_within(&self.outcome.moves_made, oscillation_window);
        EpisodeFigures { episode_return, moves, oscillations, moved_gib, downtime_s }
    }

    fn mean(env: &ClusterEnv, played: &[Self]) -> State {
        let has_slots = env.state().objective.slot.is_some();
        let reassigns = env.state().reassignment.is_some();
        let terms = Term::ALL[..LEVEL_TERMS]
            .iter()
            .filter(|&&term| match term {
                Term::Fragmentation => has_slots,
                Term::MachineReassignment => reassigns,
                _ => true,
            })
            .map(|&term| {
                let value = |played: &Self| match term {
                    // Only in static scenarios; f32 would round it.
                    Term::MachineReassignment => played.reassignment_cost as f64,
                    _ => f64::from(played.outcome.level_terms_mean[term as usize]),
                };
                (term.name(), mean(&played.iter().map(value).collect::<Vec<_>>()))
            })
            .collect();
        let slots: Vec<f64> = played.iter().map(|played| f64::from(played.slots)).collect();
        State { terms, slots: has_slots.then(|| mean(&slots)) }
    }
}

#[cfg(test)]
mod tests;
