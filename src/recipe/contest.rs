//! Which heuristic does best here: a race of all baselines over training episodes, and a short
//! tuning of the best few.
//!
//! All play the same episodes. After each rung, twice as long as the one before, those leave that
//! are behind the leader for certain (a paired 95 % interval; Hoeffding races: Maron and Moore, NIPS
//! 1994). What is slow leaves once its episodes would take more than its share of the time. The best
//! few are tuned, and all that are left play fresh episodes at the end.

use anyhow::Context;
use godwit_envs::env::Env;
use godwit_envs::env::cluster_env::ClusterEnv;
use godwit_envs::rng::child_seed;
use godwit_envs::scenario::{Mode, Scenario};
use godwit_evaluate::side_by_side::{Ahead, ahead};
use godwit_models::baselines::{Assignment, BASELINES, Baseline, baseline_with, find};
use godwit_models::parameter_search::{Search, tune};
use rayon::prelude::*;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Episodes of the first rung.
const FIRST_RUNG: usize = 4;
/// Episodes of the last one.
const LAST_RUNG: usize = 64;
/// How many of the best are tuned.
const TUNED: usize = 3;
/// How many times quicker than the leader a heuristic that is behind must be to be tuned as well, and
/// the share of the race's time that all of these have for it. Far behind as it is, it may be close
/// once its parameters fit, and rollouts of it are cheap.
const QUICKER: f64 = 8.0;
const TUNING_QUICK: f64 = 0.1;
/// Fresh episodes that the ranking is made of.
const FRESH: usize = 64;

/// A heuristic that took part.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Standing {
    /// Which.
    #[serde(serialize_with = "by_name", deserialize_with = "named")]
    pub baseline: &'static Baseline,
    /// Its parameters; empty for the defaults.
    pub parameters: Assignment,
    /// Returns in the fresh episodes, or, of one that left early, in those that it played.
    pub returns: Vec<f64>,
    /// Why it left before the end.
    pub left: Option<Left>,
    /// Seconds of one thread for a tick (rebalance: a move), environment included.
    pub seconds_per_tick: f64,
}

/// Why a heuristic left the race.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Left {
    /// Behind the leader for certain.
    Behind,
    /// Too slow for the time that the race has.
    Slow,
}

fn by_name<S: Serializer>(baseline: &&'static Baseline, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(baseline.name)
}

fn named<'a, D: Deserializer<'a>>(from: D) -> Result<&'static Baseline, D::Error> {
    let name = String::deserialize(from)?;
    let unknown = || D::Error::custom(format!("expected the name of a baseline, got {name:?}"));
    find(&name).ok_or_else(unknown)
}

impl Standing {
    /// Mean return.
    pub fn mean(&self) -> f64 {
        godwit_evaluate::stats::mean(&self.returns)
    }

    /// Seconds in which all threads play an episode of this scenario.
    pub fn episode_s(&self, scenario: &Scenario) -> f64 {
        let rules = &scenario.rules.episode;
        let online = rules.mode == Mode::Online;
        let ticks = f64::from(if online { rules.ticks } else { rules.move_budget });
        self.seconds_per_tick * ticks / rayon::current_num_threads() as f64
    }

    /// By how much it is ahead of another one in the episodes that both have played.
    pub fn ahead_of(&self, other: &Self) -> Ahead {
        ahead(&self.returns, &other.returns)
    }
}

/// The ranking, best first: those that played to the end, then the others. `limit` is about the
/// time that it takes; `seed` is that of the episodes.
///
/// # Errors
/// When an episode has no feasible start or a baseline breaks its contract.
pub fn contest(
    env: &ClusterEnv,
    limit: Duration,
    seed: u64,
    told: &dyn Fn(&str),
) -> anyhow::Result<Vec<Standing>> {
    let race = Race { env, seed, started: Instant::now(), limit };
    let mut standings = race.begin()?;
    race.run(&mut standings)?;
    race.tune_best(&mut standings, told)?;
    let quick = race.tune_quick(&mut standings, told)?;
    race.rank(standings, &quick)
}

/// The best of those that are left.
fn leader(standings: &[Standing]) -> Option<&Standing> {
    let open = standings.iter().filter(|standing| standing.left.is_none());
    open.max_by(|a, b| a.mean().total_cmp(&b.mean()))
}

struct Race<'a> {
    env: &'a ClusterEnv,
    seed: u64,
    started: Instant,
    limit: Duration,
}

/// Tunes a heuristic in so many seconds at most; nothing happens where that is too little, or where
/// there is nothing to tune.
///
/// # Errors
/// When an episode has no feasible start.
pub fn tune_within(
    seconds: f64,
    standing: &mut Standing,
    env: &ClusterEnv,
    seed: u64,
    told: &dyn Fn(&str),
) -> anyhow::Result<()> {
    if standing.baseline.declaration().is_none() {
        return Ok(());
    }
    let each = standing.episode_s(env.template().scenario());
    let fits = |search: &Search| search.episodes_at_most() as f64 * each <= seconds;
    let seed = child_seed(seed, 1) >> 2;
    let search = [(48, 48), (32, 24), (24, 16), (12, 12), (8, 8)]
        .map(|(trials, episodes)| Search { trials, episodes, seed })
        .into_iter()
        .find(fits);
    let Some(search) = search else { return Ok(()) };
    let name = standing.baseline.name;
    told(&format!("tuning {name}"));
    let tuned =
        tune(env.template(), name, &search, &|_| {}).with_context(|| format!("tuning {name}"))?;
    if tuned.tuned {
        standing.parameters = tuned.parameters;
    }
    Ok(())
}

/// What an episode came to.
struct Played {
    episode_return: f64,
    seconds: f64,
    ticks: f64,
}

impl Race<'_> {
    fn begin(&self) -> anyhow::Result<Vec<Standing>> {
        // The one shows nothing, the other is for bounds.
        let fits = |baseline: &&Baseline| !matches!(baseline.name, "random" | "milp");
        let mut standings: Vec<Standing> = BASELINES
            .iter()
            .filter(fits)
            .map(|baseline| Standing {
                baseline,
                parameters: Assignment::new(),
                returns: Vec::new(),
                left: None,
                seconds_per_tick: 0.0,
            })
            .collect();
        // One episode each, with a time limit: nobody may hold the race up.
        let each =
            self.limit.mul_f64(0.25 / standings.len() as f64).max(Duration::from_millis(200));
        let threads = rayon::current_num_threads() as u32;
        standings.par_iter_mut().with_max_len(1).try_for_each(|standing| {
            let mut env = self.env.clone().without_candidates();
            let played = self.play(&mut env, standing, 0, Some(each * threads))?;
            match played {
                Some(played) => standing.seconds_per_tick = played.seconds / played.ticks,
                None => standing.left = Some(Left::Slow),
            }
            anyhow::Ok(())
        })?;
        Ok(standings)
    }

    fn run(&self, standings: &mut [Standing]) -> anyhow::Result<()> {
        let mut rung = FIRST_RUNG;
        loop {
            for standing in standings.iter_mut().filter(|standing| standing.left.is_none()) {
                let from = standing.returns.len();
                let share = self.limit.mul_f64(0.25).saturating_sub(self.started.elapsed() / 4);
                let expected =
                    standing.episode_s(self.env.template().scenario()) * (rung - from) as f64;
                if expected > share.as_secs_f64().max(0.2) {
                    standing.left = Some(Left::Slow);
                    continue;
                }
                let more = self.play_all(standing, from..rung)?;
                standing.returns.extend(more.iter().map(|played| played.episode_return));
            }
            self.drop_losers(standings);
            let open = standings.iter().filter(|standing| standing.left.is_none()).count();
            let late = self.started.elapsed() > self.limit.mul_f64(0.4);
            if open <= TUNED || rung >= LAST_RUNG || late {
                return Ok(());
            }
            rung *= 2;
        }
    }

    /// Those that are behind the leader beyond the interval leave.
    fn drop_losers(&self, standings: &mut [Standing]) {
        let Some(leader) = leader(standings).cloned() else { return };
        for standing in standings.iter_mut().filter(|standing| standing.left.is_none()) {
            let Ahead { mean, reach } = leader.ahead_of(standing);
            if mean > reach {
                standing.left = Some(Left::Behind);
            }
        }
    }

    /// Tunes the best few, as long as there is time.
    fn tune_best(&self, standings: &mut [Standing], told: &dyn Fn(&str)) -> anyhow::Result<()> {
        let mut order: Vec<usize> =
            (0..standings.len()).filter(|&at| standings[at].left.is_none()).collect();
        order.sort_by(|&a, &b| standings[b].mean().total_cmp(&standings[a].mean()));
        for (done, &at) in order.iter().take(TUNED).enumerate() {
            let left = self.limit.mul_f64(0.65).saturating_sub(self.started.elapsed());
            let share = left.as_secs_f64() / (TUNED - done) as f64;
            tune_within(share, &mut standings[at], self.env, self.seed, told)?;
        }
        Ok(())
    }

    /// Tunes those behind that are much quicker than the leader. Who has found other parameters is
    /// back in the race.
    fn tune_quick(
        &self,
        standings: &mut [Standing],
        told: &dyn Fn(&str),
    ) -> anyhow::Result<Vec<&'static str>> {
        let Some(leader) = leader(standings) else { return Ok(Vec::new()) };
        let most = leader.seconds_per_tick / QUICKER;
        let is_quick = |standing: &&mut Standing| {
            standing.left == Some(Left::Behind)
                && standing.seconds_per_tick <= most
                && standing.baseline.declaration().is_some()
        };
        let mut quick: Vec<&mut Standing> = standings.iter_mut().filter(is_quick).collect();
        let share = TUNING_QUICK * self.limit.as_secs_f64() / quick.len() as f64;
        for standing in &mut quick {
            tune_within(share, standing, self.env, self.seed, told)?;
        }
        quick.retain(|standing| !standing.parameters.is_empty());
        for standing in &mut quick {
            standing.left = None;
        }
        Ok(quick.iter().map(|standing| standing.baseline.name).collect())
    }

    /// Those that are left play fresh episodes, as many as there is time for. The `quick` ones leave
    /// again where they are behind for certain.
    fn rank(&self, mut standings: Vec<Standing>, quick: &[&str]) -> anyhow::Result<Vec<Standing>> {
        let scenario = self.env.template().scenario();
        let open: f64 = standings
            .iter()
            .filter(|standing| standing.left.is_none())
            .map(|standing| standing.episode_s(scenario))
            .sum();
        let time = self.limit.saturating_sub(self.started.elapsed()).as_secs_f64();
        let episodes = (time / open.max(1e-6)) as usize;
        let episodes = episodes.clamp(8, FRESH);
        for standing in standings.iter_mut().filter(|standing| standing.left.is_none()) {
            let played = self.play_all(standing, LAST_RUNG..LAST_RUNG + episodes)?;
            standing.returns = played.iter().map(|played| played.episode_return).collect();
            // A search may take many times longer with the parameters that suit it best.
            let sum = |of: fn(&Played) -> f64| played.iter().map(of).sum::<f64>();
            standing.seconds_per_tick = sum(|played| played.seconds) / sum(|played| played.ticks);
        }
        let order = |a: &Standing, b: &Standing| {
            let place = |standing: &Standing| standing.left.map_or(0, |left| 1 + left as u8);
            place(a).cmp(&place(b)).then(b.mean().total_cmp(&a.mean()))
        };
        standings.sort_by(order);
        let leader = standings[0].clone();
        for standing in &mut standings {
            if quick.contains(&standing.baseline.name) && leader.ahead_of(standing).is_certain() {
                standing.left = Some(Left::Behind);
            }
        }
        standings.sort_by(order);
        Ok(standings)
    }

    fn play_all(
        &self,
        standing: &Standing,
        episodes: std::ops::Range<usize>,
    ) -> anyhow::Result<Vec<Played>> {
        let template = Arc::clone(self.env.template());
        let single = template.has_single_start(godwit_envs::scenario::Phase::Train);
        let episodes: Vec<usize> = if single { vec![0] } else { episodes.collect() };
        episodes
            .into_par_iter()
            .with_max_len(1)
            .map_init(
                || self.env.clone().without_candidates(),
                |env, episode| self.play(env, standing, episode, None),
            )
            // Without a limit, each is played to its end.
            .filter_map(Result::transpose)
            .collect()
    }

    /// Plays a training episode; none where it takes longer than `limit`.
    fn play(
        &self,
        env: &mut ClusterEnv,
        standing: &Standing,
        episode: usize,
        limit: Option<Duration>,
    ) -> anyhow::Result<Option<Played>> {
        let (name, started) = (standing.baseline.name, Instant::now());
        let seed = child_seed(self.seed, episode as u64);
        let mut policy = baseline_with(name, &standing.parameters)?;
        env.reset(seed)?;
        policy.reset(seed);
        // A single decision must not take longer either.
        policy.limit_time(limit);
        let (mut sum, mut ticks) = (0.0, 0.0);
        loop {
            let action = policy.act(env.state());
            let step = env.apply(action).with_context(|| format!("{name} chose {action:?}"))?;
            sum += f64::from(step.reward);
            ticks += f64::from(step.elapsed_ticks);
            if step.end.is_some() {
                let seconds = started.elapsed().as_secs_f64();
                return Ok(Some(Played { episode_return: sum, seconds, ticks }));
            }
            if limit.is_some_and(|limit| started.elapsed() > limit) {
                return Ok(None);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use godwit_envs::scenario::{Phase, WorldTemplate};

    #[test]
    fn a_heuristic_is_timed_with_the_parameters_that_it_has() {
        let scenario = Scenario::embedded("quickstart").expect("an embedded scenario");
        let template = Arc::new(WorldTemplate::new(&scenario));
        let env = ClusterEnv::new(template, Phase::Train).expect("a start");
        let with = |steps: f64| {
            let (baseline, limit) = (find("annealing").expect("a baseline"), Duration::ZERO);
            let parameters = Assignment::from([("steps_per_workload".to_owned(), steps)]);
            let (returns, left, seconds_per_tick) = (Vec::new(), None, 1.0);
            let standing = Standing { baseline, parameters, returns, left, seconds_per_tick };
            let race = Race { env: &env, seed: 1, started: Instant::now(), limit };
            race.rank(vec![standing], &[]).expect("episodes").remove(0)
        };
        let (quick, slow) = (with(20.0), with(400.0));
        assert_eq!((quick.returns.len(), slow.returns.len()), (8, 8));
        // Twenty times the steps; some of the time is everybody's.
        let times = slow.seconds_per_tick / quick.seconds_per_tick;
        assert!((4.0..100.0).contains(&times), "{times}");
    }
}
