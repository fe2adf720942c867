//! The settings of a training run, found instead of written: what `godwit train` does with a
//! scenario for which nobody gave any.
//!
//! 1. All baselines [race](mod@contest) over training episodes, and the best few are tuned.
//! 2. Of those whose rollouts leave time for many states, the best is the *base policy*, which is
//!    tuned, too. From how the effects of other actions than its own [fade](mod@fading) follow the
//!    length of rollouts, the discount, and what rewards are multiplied by.
//! 3. The run's [pace](mod@pace) is measured: how many states are compared, how many updates and env
//!    steps fit into the time.
//!
//! The run then improves on the base policy by rollouts and is paid what it earns beyond it. Where a
//! search that is too slow for rollouts is far ahead of the base policy, the run starts from
//! demonstrations of that search instead. After each third of the run comparisons are made again, on
//! its own best policy. At the end the [gate](mod@gate) decides whether the network
//! is followed, by what margin it must be ahead of the base policy, and whether the best heuristic is
//! played in its place; the [verdict](mod@verdict) says what came of it.
//!
//! What is found depends on the speed of the machine. The run's `config.toml` states it all: a run
//! with that file repeats it to the bit, unless the time limit cuts one of them short.

mod base;
pub mod contest;
pub mod fading;
pub mod gate;
pub mod pace;
pub mod several;
pub mod verdict;

use crate::config::TrainConfig;
use crate::config::schedule::Schedule;
use crate::train::mixture::Mixture;
use crate::train::validation::MARGINS;
use anyhow::Context;
use base::{ACTIONS, ROLLOUTS, STATES, affordable_states, comparing_s, is_far_ahead};
use contest::{Standing, contest, tune_within};
use fading::Fading;
use godwit_envs::env::cluster_env::ClusterEnv;
use godwit_envs::rng::child_seed;
use godwit_envs::scenario::{Mode, Phase, Rules, Scenario, WorldTemplate};
use godwit_models::net::Architecture;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tch::Device;

/// Minutes of a run for which nobody said how many.
pub const DEFAULT_MINUTES: f64 = 10.0;

/// Share of the time that the race of baselines has, and its bounds in seconds.
const CONTEST: (f64, f64, f64) = (0.12, 3.0, 150.0);
/// Share of the time in which the base policy is tuned at most.
const TUNING: f64 = 0.03;
/// Share of the time that updates before the first env step take at most.
const PRETRAINING: f64 = 0.05;
/// Share of what is then left that env steps with their updates take: some of it is for what takes
/// longer than was measured. And the least share of the whole time.
const STEPS: (f64, f64) = (0.85, 0.2);
/// Share of the time that the gate takes at most.
pub const GATE: f64 = 0.07;
/// Share of the time that the verdict takes at most.
pub const VERDICT: f64 = 0.07;
/// Share of the time that validation takes at most, how often that is, and by how few episodes.
const VALIDATION: f64 = 0.08;
const VALIDATIONS: (f64, f64) = (3.0, 12.0);
const FEWEST_EPISODES: f64 = 12.0;
/// How often comparisons are made: after the first time on the policy that came of those before.
/// Share of the time that each of the later ones takes, from how many states on they are made (6,500
/// brought nothing on `hetero`, 14,000 did on `founding-10x50`), and by what factor a network's rollouts take longer than its decisions.
const ITERATIONS: u32 = 3;
const LATER: f64 = 0.15;
const FEWEST_LATER: usize = 10_000;
const BESIDE_DECISIONS: f64 = 1.25;
/// Demonstrated env steps.
const DEMONSTRATED: (usize, usize) = (1_000, 15_000);
/// Nodes and workloads up to which the network looks at all of them.
const MOST_ENTITIES: usize = 1_500;
/// What the root mean square of gains becomes by scaling rewards.
const GAIN: f64 = 1.5;
/// Where Huber's loss becomes linear: gains that are rare and large count nearly in full.
const HUBER_DELTA: f64 = 5.0;

/// Settings that were found, and what they follow from.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// The settings.
    pub config: TrainConfig,
    /// How effects fade.
    pub fading: Fading,
    /// Whom the policy has to beat.
    pub rivals: Rivals,
}

/// The heuristics that a run's policy is held against at its end.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Rivals {
    /// Time of the whole run in seconds.
    pub seconds: f64,
    /// Their ranking, best first.
    pub standings: Vec<Standing>,
    /// Index of the base policy among them.
    pub base: usize,
}

impl Rivals {
    /// The base policy.
    pub fn base(&self) -> &Standing {
        &self.standings[self.base]
    }
}

/// Why no settings could be found.
#[derive(Debug, thiserror::Error)]
#[error(
    "scenario {scenario}: expected a baseline that plays an episode within {seconds:.0} s, got none; \
     give the run more time (--minutes)"
)]
pub struct NothingFast {
    scenario: String,
    seconds: f64,
}

/// Settings for a run of `minutes` on this scenario with all threads of the pool. `told` is given
/// lines about what is under way.
///
/// # Errors
/// When an episode has no feasible start, or no baseline is fast enough.
pub fn find(
    scenario: &Scenario,
    minutes: f64,
    seed: u64,
    device: Device,
    told: &dyn Fn(&str),
) -> anyhow::Result<Recipe> {
    let started = Instant::now();
    let seconds = 60.0 * minutes;
    let template = Arc::new(WorldTemplate::new(scenario));
    let env = ClusterEnv::new(template, Phase::Train)?;
    let (share, least, most) = CONTEST;
    let limit = Duration::from_secs_f64((share * seconds).clamp(least, most));
    told("racing the baselines over training episodes");
    let race = child_seed(seed, 1 << 36);
    let mut standings = contest(&env, limit, race, told)?;
    let Some(best) = standings.iter().position(|standing| standing.left.is_none()) else {
        let (scenario, seconds) = (scenario.name.clone(), limit.as_secs_f64());
        return Err(NothingFast { scenario, seconds }.into());
    };
    let threads = rayon::current_num_threads() as f64;
    told("measuring how long the effects of actions last");
    let (base, mut fading) = base::choose(&env, &standings, seconds, seed)?;
    // Where nothing happens by itself, comparisons are exact, and worth more than any demonstration.
    let online = scenario.rules.episode.mode == Mode::Online;
    let far_ahead = online && is_far_ahead(&standings[best], &standings[base], &standings);
    if far_ahead {
        fading = base::fading_of_shown(&env, &standings[best], seconds, seed)?;
    } else if standings[base].parameters.is_empty() {
        // What is quick is seldom among the best, which have been tuned.
        tune_within(TUNING * seconds, &mut standings[base], &env, race, told)?;
    }
    let best = &standings[best];
    let mut config = settings(&env, &fading);
    config.seed = seed;
    config.max_minutes = minutes;
    let base_name = standings[base].baseline.name;
    // A quick heuristic that leaves jobs waiting would only add the noise of their price.
    if online && !(far_ahead && scenario.rules.has_queue()) {
        config.paired_baseline = base_name.to_owned();
    }
    if !far_ahead {
        let comparisons = &mut config.comparisons;
        comparisons.baseline = base_name.to_owned();
        comparisons.parameters = standings[base].parameters.clone();
        comparisons.actions = ACTIONS;
        comparisons.ticks = fading.ticks;
    }
    told("measuring the pace of training");
    let pace = pace::pace(&Mixture::from(scenario.clone()), &config, !far_ahead, device)?;
    let rollouts_s = if far_ahead {
        let steps = ROLLOUTS * seconds * threads / best.seconds_per_tick.max(1e-6);
        config.demonstrations.baseline = best.baseline.name.to_owned();
        config.demonstrations.steps = (steps as usize).clamp(DEMONSTRATED.0, DEMONSTRATED.1);
        config.demonstrations.steps as f64 * best.seconds_per_tick / threads
    } else {
        let states = affordable_states(seconds, fading.rollout_s) as usize;
        config.comparisons.states = states.clamp(STATES.0, STATES.1);
        comparing_s(config.comparisons.states, fading.rollout_s)
            + iterations(&mut config, 1, seconds, later_rollout_s(&pace, &fading))
    };
    let episode = &scenario.rules.episode;
    let ticks = f64::from(episode.ticks.max(episode.move_budget));
    let tick = (standings[base].seconds_per_tick + BESIDE_DECISIONS * pace.decision_s) / threads;
    // Quick episodes leave some of the shares of gate, verdict and validation to the training.
    let (own_s, best_s) = (ticks * tick, best.episode_s(scenario));
    let single = env.template().has_single_start(Phase::Validate);
    let gate_s = (GATE * seconds).min(gate::longest_s(own_s, best_s, single));
    let verdict_s = verdict::longest_s(own_s, &standings, scenario, single).min(VERDICT * seconds);
    // What finding the settings took is part of the run's time, and so is what comes after it.
    let training = seconds - gate_s - verdict_s;
    let validation = validation(&config, seconds, MARGINS.len() as f64 * own_s);
    let left = training - started.elapsed().as_secs_f64() - rollouts_s - validation.seconds;
    lengths(&mut config, seconds, left, pace, far_ahead);
    validation.set(&mut config);
    config.max_minutes = ((training - started.elapsed().as_secs_f64()) / 60.0).max(0.1);
    config.validate().context("the settings that were found")?;
    Ok(Recipe { config, fading, rivals: Rivals { seconds, standings, base } })
}

/// What does not depend on time.
fn settings(env: &ClusterEnv, fading: &Fading) -> TrainConfig {
    let rules: &Rules = &env.state().rules;
    let mut config = TrainConfig { normalise_observations: true, ..TrainConfig::default() };
    let spec = &env.state().spec;
    if spec.nodes() + spec.workloads() > MOST_ENTITIES {
        config.network.architecture = Architecture::Candidate;
    }
    config.exploration.epsilon = Schedule { from: 0.5, to: 0.02, share: 0.15 };
    config.exploration.greedy_share = 0.3;
    config.exploration.stay_share = 0.5;
    let learner = &mut config.learner;
    learner.gamma = fading.gamma;
    learner.n_step = if rules.faults.is_some() { 10 } else { 5 };
    learner.learning_rate = Schedule { from: 1e-3, to: 1e-5, share: 1.0 };
    learner.huber_delta = HUBER_DELTA;
    let unit = f64::from(env.state().objective.unit);
    learner.reward_scale = rounded(GAIN * unit / fading.gain.max(1e-3 * unit)).clamp(1e-3, 1e3);
    if rules.has_queue() {
        // Chance dwarfs the effect of one move in TD errors: comparisons have the last word.
        config.comparisons.share = Schedule { from: 0.5, to: 0.9, share: 1.0 };
    }
    config
}

/// Seconds of one thread for a rollout of the network on its base policy.
fn later_rollout_s(pace: &pace::Pace, fading: &Fading) -> f64 {
    BESIDE_DECISIONS * pace.decision_s * f64::from(fading.ticks) + fading.rollout_s
}

/// Has the comparisons in so many scenarios made again, if there is time for enough of those whose
/// rollouts take so long; seconds that they take.
fn iterations(config: &mut TrainConfig, scenarios: usize, seconds: f64, rollout_s: f64) -> f64 {
    let later = (LATER * seconds / comparing_s(1, rollout_s).max(1e-9)) as usize;
    if later < FEWEST_LATER {
        return 0.0;
    }
    let in_each = later.min(STATES.1).div_ceil(scenarios);
    config.comparisons.iterations = ITERATIONS;
    config.comparisons.later_states = in_each;
    f64::from(ITERATIONS - 1) * comparing_s(in_each * scenarios, rollout_s)
}

/// How many updates and env steps there is time for in a run of `seconds`, of which `left` are left
/// for them.
fn lengths(
    config: &mut TrainConfig,
    seconds: f64,
    left: f64,
    pace: pace::Pace,
    demonstrated: bool,
) {
    let updates = (PRETRAINING * seconds * pace.updates_per_s) as u64;
    let updates = updates.clamp(200, 30_000);
    let stepping = STEPS.0 * (left - updates as f64 / pace.updates_per_s.max(1e-9));
    let steps = stepping.max(STEPS.1 * seconds) * pace.env_steps_per_s;
    config.env_steps = (steps as u64).clamp(2_000, 5_000_000) / 1_000 * 1_000;
    config.warm_up_steps = (config.env_steps / 10).min(4_000);
    config.replay_capacity = (config.env_steps as usize).clamp(10_000, 100_000);
    config.checkpoint_every = (config.env_steps / 4).max(1_000);
    if demonstrated {
        config.demonstrations.pretrain_updates = updates;
    } else {
        config.comparisons.pretrain_updates = updates;
    }
}

/// How often a run validates, and on how many episodes.
struct Validations {
    times: f64,
    episodes: usize,
    /// What that takes.
    seconds: f64,
}

/// Those for which there is time in a run of `seconds`, where an episode takes so long.
fn validation(config: &TrainConfig, seconds: f64, episode: f64) -> Validations {
    let afford = VALIDATION * seconds / episode.max(1e-9);
    let episodes = (afford / VALIDATIONS.0).clamp(FEWEST_EPISODES, config.evaluate_episodes as f64);
    let times = (afford / episodes).clamp(VALIDATIONS.0, VALIDATIONS.1);
    Validations { times, episodes: episodes as usize, seconds: times * episodes * episode }
}

impl Validations {
    fn set(&self, config: &mut TrainConfig) {
        config.evaluate_episodes = self.episodes;
        config.evaluate_every = ((config.env_steps as f64 / self.times) as u64).max(500);
    }
}

/// To two digits: a number that people read.
fn rounded(value: f64) -> f64 {
    format!("{value:.1e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::contest::Left;

    #[test]
    fn longer_runs_do_more_of_everything() {
        let pace = pace::Pace { env_steps_per_s: 1_000.0, updates_per_s: 250.0, decision_s: 5e-5 };
        let of = |seconds: f64, left: f64| {
            let mut config = TrainConfig::default();
            lengths(&mut config, seconds, left * seconds, pace, false);
            config.validate().expect("settings in their ranges");
            config
        };
        // 85 % of what is left: 60 % of the time, but for 5 % for updates.
        let (short, long) = (of(60.0, 0.6), of(1_200.0, 0.6));
        assert_eq!((short.env_steps, long.env_steps), (28_000, 561_000));
        assert!(short.comparisons.pretrain_updates < long.comparisons.pretrain_updates);
        // However little time there is, or is left.
        assert!(of(0.1, 0.6).env_steps >= 2_000);
        assert_eq!(of(1_200.0, -0.3).env_steps, 240_000);
    }

    #[test]
    fn comparisons_are_made_again_where_there_is_time_for_enough() {
        let of = |seconds: f64, scenarios: usize| {
            let mut config = TrainConfig::default();
            let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().expect("threads");
            let took = pool.install(|| iterations(&mut config, scenarios, seconds, 2e-3));
            (config.comparisons.iterations, config.comparisons.later_states, took)
        };
        // 5 rollouts of 2 ms in a state on two threads: 5 ms, for which 15 % of the time are left,
        // twice.
        assert_eq!(of(300.0, 1), (1, 0, 0.0));
        assert_eq!(of(400.0, 1), (3, 12_000, 120.0));
        assert_eq!(of(400.0, 4), (3, 3_000, 120.0));
        assert_eq!(of(1e4, 1), (3, 80_000, 800.0));
    }

    #[test]
    fn slow_episodes_are_validated_less_often_and_then_by_fewer() {
        let of = |episode: f64| {
            let mut config = TrainConfig { env_steps: 120_000, ..TrainConfig::default() };
            let found = validation(&config, 600.0, episode);
            found.set(&mut config);
            (config.evaluate_every, config.evaluate_episodes, found.seconds.round())
        };
        // 48 s for all: 12 times 32 episodes take 38 s, 3 times 26.7 take 48 s, 3 times 12 more.
        assert_eq!(of(0.1), (10_000, 32, 38.0));
        assert_eq!(of(0.6), (40_000, 26, 48.0));
        assert_eq!(of(6.0), (40_000, 12, 216.0));
    }

    #[test]
    fn numbers_for_people_have_two_digits() {
        for (value, expected) in [(0.4321, 0.43), (17.6, 18.0), (1234.0, 1200.0), (0.0996, 0.1)] {
            assert!((rounded(value) - expected).abs() < 1e-9 * expected, "{value}");
        }
    }

    #[test]
    fn the_race_leaves_those_behind_that_are_behind_for_certain() {
        let scenario = Scenario::embedded("bursty").expect("an embedded scenario");
        let env = ClusterEnv::new(Arc::new(WorldTemplate::new(&scenario)), Phase::Train);
        let env = env.expect("a start");
        let standings = contest(&env, Duration::from_secs(8), 3, &|_| {}).expect("a ranking");
        let of = |name: &str| {
            standings.iter().find(|standing| standing.baseline.name == name).expect("a standing")
        };
        assert_eq!(of("stay").left, Some(Left::Behind));
        assert!(standings[0].left.is_none() && standings[0].mean() > of("stay").mean());
        let means: Vec<f64> = standings
            .iter()
            .filter(|standing| standing.left.is_none())
            .map(Standing::mean)
            .collect();
        assert!(means.is_sorted_by(|a, b| a >= b), "{means:?}");
        // Tuned ones have played the fresh episodes, whether they are still behind or not.
        for standing in standings.iter().filter(|standing| !standing.parameters.is_empty()) {
            assert_eq!(standing.returns.len(), standings[0].returns.len(), "{standing:?}");
        }
    }
}
