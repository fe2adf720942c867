//! Compares policies on the same held-out episodes: the judge of the workspace.
//!
//! [`evaluate()`] plays any policy, trained or written by hand, through the same episodes and
//! states by how much one is ahead of another, with intervals. Nothing here needs libtorch.

pub mod before;
#[cfg(feature = "milp")]
pub mod bound;
mod contender;
pub mod external;
pub mod figures;
pub mod hindsight;
pub mod limits;
pub mod narrow;
pub mod oscillation;
pub mod progress;
pub mod results;
pub mod side_by_side;
pub mod stats;
pub mod table;
pub mod tuned_file;

use anyhow::Context;
pub use contender::{Contender, Factory};
use godwit_envs::env::Env;
use godwit_envs::env::cluster_env::ClusterEnv;
use godwit_envs::scenario::{Mode, Phase, Scenario, WorldTemplate};
use godwit_envs::state::term::{LEVEL_TERMS, Term};
use godwit_models::rollout::{Move, Outcome, rollout};
use progress::Progress;
use rayon::prelude::*;
pub use results::{
    AheadOf, Comparison, EpisodeFigures, Evaluation, Parameters, PolicyResult, State,
};
use stats::{bootstrap, mean};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

/// How often a stop is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(20);

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
    let world = World::new(scenario, settings)?;
    let (env, seeds) = (&world.env, &world.seeds);
    let bar = Progress::new(settings.progress, (seeds.len() * contenders.len()) as u64, "episodes");
    let starts = starts(env, seeds)?;
    let played = contenders
        .iter()
        .map(|contender| play(env, contender, seeds, &bar))
        .collect::<anyhow::Result<Vec<_>>>()?;
    bar.finish();
    let contenders: Vec<&Contender> = contenders.iter().collect();
    Ok(sum_up(scenario, settings, &world, &starts, (&contenders, &played)))
}

/// [`evaluate_with`], until a signal comes: `received` is then its number. Policies that have not
/// played all episodes by then have no row; what they are doing is not waited for, and goes on
/// until the process ends.
///
/// # Errors
/// As for [`evaluate_with`].
pub fn evaluate_until(
    scenario: &Scenario,
    contenders: &Arc<Vec<Contender>>,
    settings: &Settings,
    received: &AtomicUsize,
) -> anyhow::Result<Evaluation> {
    let world = World::new(scenario, settings)?;
    let (env, seeds) = (&world.env, &world.seeds);
    let length = (seeds.len() * contenders.len()) as u64;
    let bar = Arc::new(Progress::new(settings.progress, length, "episodes"));
    let starts = starts(env, seeds)?;
    let (sender, receiver) = channel();
    let (all, shown) = (Arc::clone(contenders), Arc::clone(&bar));
    let (env, seeds) = (env.clone(), seeds.clone());
    // Threads of their own: this one, which waits for a signal, may be one of those that others use,
    // and all that there is.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(rayon::current_num_threads()).build()?;
    std::thread::spawn(move || {
        pool.install(|| {
            for contender in all.iter() {
                // Nobody listens any more: stopped.
                if sender.send(play(&env, contender, &seeds, &shown)).is_err() {
                    break;
                }
            }
        });
    });
    let mut played = Vec::with_capacity(contenders.len());
    while played.len() < contenders.len() && received.load(Ordering::Relaxed) == 0 {
        match receiver.recv_timeout(LOOK_EVERY) {
            Ok(episodes) => played.push(episodes?),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => anyhow::bail!("a policy panicked"),
        }
    }
    bar.finish();
    let finished: Vec<&Contender> = contenders[..played.len()].iter().collect();
    let mut evaluation = sum_up(scenario, settings, &world, &starts, (&finished, &played));
    let unfinished = contenders[played.len()..].iter();
    evaluation.unfinished = unfinished.map(|contender| contender.name.clone()).collect();
    Ok(evaluation)
}

/// What is played in, and the seeds of the episodes.
struct World {
    env: ClusterEnv,
    seeds: Vec<u64>,
    single_start: bool,
}

impl World {
    fn new(scenario: &Scenario, settings: &Settings) -> anyhow::Result<Self> {
        let template = Arc::new(WorldTemplate::new(scenario));
        let single_start = template.has_single_start(settings.phase);
        let episodes = if single_start { 1 } else { settings.episodes as u64 };
        let env = ClusterEnv::new(template, settings.phase)?.without_candidates();
        let seeds = (0..episodes).map(|i| settings.first_seed.wrapping_add(i)).collect();
        Ok(Self { env, seeds, single_start })
    }
}

/// What every policy finds at the start.
fn starts(env: &ClusterEnv, seeds: &[u64]) -> anyhow::Result<Vec<Played>> {
    seeds
        .par_iter()
        .map_init(
            || env.clone(),
            |env, &seed| {
                env.reset(seed)?;
                Ok(Played::start(env))
            },
        )
        .collect()
}

/// The rows of policies that have played all episodes.
fn sum_up(
    scenario: &Scenario,
    settings: &Settings,
    world: &World,
    starts: &[Played],
    (contenders, played): (&[&Contender], &[Vec<Played>]),
) -> Evaluation {
    let Settings { first_seed, phase, oscillation_window, .. } = *settings;
    let env = &world.env;
    let returns: Vec<Vec<f64>> = played.iter().map(|episodes| returns_of(episodes)).collect();
    let reference = contenders.iter().position(|contender| contender.trained);
    let against = comparisons(contenders, &returns, first_seed);
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
                share: None,
                comparison: reference.and_then(|reference| against[reference][i]),
                // Filled in once the rows have their order.
                ahead_of: Vec::new(),
                change: None,
                state: Played::mean(env, &played[i]),
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
    let mut order: Vec<usize> = (0..policies.len()).collect();
    order.sort_by(|&a, &b| policies[b].mean_return.value.total_cmp(&policies[a].mean_return.value));
    for (policy, against) in policies.iter_mut().zip(&against) {
        let of = |&other: &usize| {
            let comparison = against.get(other).copied().flatten()?;
            Some(AheadOf { policy: contenders[other].name.clone(), comparison })
        };
        policy.ahead_of = order.iter().filter_map(of).collect();
    }
    policies.sort_by(|a, b| b.mean_return.value.total_cmp(&a.mean_return.value));
    let objective = &env.state().objective;
    let weights = Term::ALL.into_iter().filter(|&term| objective.uses(term));
    Evaluation {
        scenario: scenario.name.clone(),
        online: scenario.rules.episode.mode == Mode::Online,
        episodes: starts.len(),
        first_seed,
        validation: phase == Phase::Validate,
        single_start: world.single_start,
        weights: weights.map(|term| (term.name(), objective.weights[term as usize])).collect(),
        start: Played::mean(env, starts),
        oscillation_window,
        limits: None,
        bound: None,
        hindsight: None,
        best_plans: best_plans(played),
        reference: reference.map(|reference| contenders[reference].name.clone()),
        time_limit_s: None,
        unfinished: Vec::new(),
        policies,
    }
}

/// Moves of who returned most, episode by episode.
fn best_plans(played: &[Vec<Played>]) -> Vec<Vec<Move>> {
    let episodes = played.first().map_or(0, Vec::len);
    let best = |at: usize| {
        let outcomes = played.iter().map(|episodes| &episodes[at].outcome);
        outcomes.max_by(|a, b| a.episode_return.total_cmp(&b.episode_return))
    };
    (0..episodes).filter_map(best).map(|outcome| outcome.moves_made.clone()).collect()
}

/// The returns of one policy in the episodes of these seeds.
///
/// # Errors
/// As for [`evaluate_with`].
pub fn returns(
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

/// Each trained policy against every contender but itself; nothing for a baseline. On this thread
/// alone: after a stop the others may still be busy.
fn comparisons(
    contenders: &[&Contender],
    returns: &[Vec<f64>],
    seed: u64,
) -> Vec<Vec<Option<Comparison>>> {
    let of = |i: usize| {
        let against =
            |other: usize| (other != i).then(|| compare(&returns[i], &returns[other], seed));
        let others = if contenders[i].trained { contenders.len() } else { 0 };
        (0..others).map(against).collect()
    };
    (0..contenders.len()).map(of).collect()
}

fn compare(one: &[f64], other: &[f64], seed: u64) -> Comparison {
    Comparison {
        difference: bootstrap(&stats::paired_difference(one, other), mean, seed),
        probability_of_improvement: bootstrap(&stats::improvements(one, other), mean, seed),
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
        let has_own = env.state().objective.uses(Term::Own);
        let terms = Term::ALL[..LEVEL_TERMS]
            .iter()
            .filter(|&&term| match term {
                Term::Fragmentation => has_slots,
                Term::Own => has_own,
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
