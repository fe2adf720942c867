//! For how long it matters what one does, and how much: what rollouts, discount and rewards are set
//! by.
//!
//! In some states of training episodes another action than the base policy's is taken, and both are
//! followed by the base policy under the same demand, arrivals and faults. What the two earn in each
//! tick differs, by the effect of the action and, the longer the more, by chance: the two clusters
//! go their own ways. Chance has nothing to do with what the action did in its first ticks, so
//! regressing the later differences on the early ones leaves the effect alone.

use crate::experience::comparisons::alternatives;
use crate::experience::paired::reward;
use crate::train::actor::NetChange;
use anyhow::Context;
use godwit_envs::env::cluster_env::ClusterEnv;
use godwit_envs::env::{Env, EpisodeEnd};
use godwit_envs::observe::ObservationBuffer;
use godwit_envs::rng::{Rng, child_seed, stream};
use godwit_envs::scenario::Mode;
use godwit_envs::state::Action;
use godwit_evaluate::stats::quantile;
use godwit_models::policy::Policy;
use rand::RngExt;
use rayon::prelude::*;
use std::time::{Duration, Instant};

/// Episodes from each of which one state is taken, at most.
const MOST_EPISODES: u64 = 96;
/// Episodes that are traced together.
const WAVE: u64 = 16;
/// Other actions that are tried in a state.
const OTHERS: usize = 3;
/// Ticks that are followed up at most.
const MOST_TICKS: usize = 96;
/// Ticks that the policy plays for one state, at most.
pub const TICKS_TRACED: usize = (1 + OTHERS) * MOST_TICKS;
/// Ticks after that of the action whose differences count as early.
const EARLY: usize = 4;
/// Fewest and most ticks of rollouts. Shorter ones have less noise, but policies that were trained on
/// rollouts of 12 ticks gained half as much on `founding-10x50` as on those of 24 or 36.
const TICKS: (f64, f64) = (36.0, 72.0);
/// The discount's bounds. With 0.95 and 24 ticks a run on `founding-10x50` ended 1.0 lower than with
/// 0.97 and 36, all else alike.
const GAMMA: (f64, f64) = (0.97, 0.99);
/// Differences beyond this quantile count as much as it.
const WINSOR: f64 = 0.98;

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fading {
    /// Ticks (rebalance: moves) after which an effect has faded, about.
    pub ticks: u32,
    /// Discount per tick that goes with it.
    pub gamma: f64,
    /// Root mean square of the discounted differences, as rewards are.
    pub gain: f64,
    /// Seconds of one thread for a rollout of so many ticks.
    pub rollout_s: f64,
}

/// Follows actions of training episodes from the seeds that follow from `seed`, for about `limit`, and
/// in so many episodes at `least`.
///
/// # Errors
/// When an episode has no feasible start, or the policy breaks its contract.
pub fn fading(
    env: &ClusterEnv,
    base: &(dyn Fn() -> anyhow::Result<Box<dyn Policy>> + Sync),
    seed: u64,
    limit: Duration,
    least: u64,
) -> anyhow::Result<Fading> {
    let started = Instant::now();
    let mut traced: Vec<Traced> = Vec::new();
    while (traced.len() as u64) < MOST_EPISODES
        && ((traced.len() as u64) < least || started.elapsed() < limit)
    {
        let from = traced.len() as u64;
        let seeds: Vec<u64> =
            (from..from + least.min(WAVE)).map(|episode| child_seed(seed, episode)).collect();
        let more = seeds
            .into_par_iter()
            .with_max_len(1)
            .map(|seed| trace(env.clone(), base()?, seed))
            .collect::<anyhow::Result<Vec<_>>>()?;
        traced.extend(more);
    }
    let rollouts: usize = traced.iter().map(|traced| 1 + traced.differences.len()).sum();
    let seconds: f64 = traced.iter().map(|traced| traced.seconds).sum();
    let whole = seconds / rollouts.max(1) as f64;
    let differences: Vec<Vec<f64>> =
        traced.into_iter().flat_map(|traced| traced.differences).collect();
    let (ticks_until_faded, gamma, rollout_s) = match env.state().rules.episode.mode {
        Mode::Online => {
            let (ticks, gamma) = horizon(&differences);
            (ticks, gamma, whole * f64::from(ticks) / MOST_TICKS as f64)
        }
        // Every move lasts, what comes later is as certain, and rollouts go to the end: searches
        // plan once for all of it.
        Mode::Rebalance => (env.state().rules.episode.move_budget.min(50), 0.99, whole),
    };
    Ok(Fading {
        ticks: ticks_until_faded,
        gamma,
        gain: gain(&differences, ticks_until_faded as usize, gamma),
        rollout_s,
    })
}

/// What one state brought.
struct Traced {
    /// What other actions than the base policy's earn more in each tick.
    differences: Vec<Vec<f64>>,
    /// What following all of them took.
    seconds: f64,
}

fn trace(mut env: ClusterEnv, mut base: Box<dyn Policy>, seed: u64) -> anyhow::Result<Traced> {
    env.reset(seed)?;
    base.reset(seed);
    let mut rng = stream(seed, "fading");
    let rules = &env.state().rules.episode;
    let length = match rules.mode {
        Mode::Online => rules.ticks.saturating_sub(MOST_TICKS as u32 / 2),
        Mode::Rebalance => rules.move_budget / 2,
    };
    let at = rng.random_range(0..=length);
    let mut ticks = 0;
    while ticks < at {
        let action = base.act(env.state());
        if action == Action::Stay && env.state().rules.episode.mode == Mode::Rebalance {
            break;
        }
        let step = env.apply(action).with_context(|| chose(&*base, action))?;
        ticks += step.elapsed_ticks;
        if step.end.is_some() {
            break;
        }
    }
    let usual = base.act(env.state());
    let others = others(&env, usual, &mut rng);
    let started = Instant::now();
    let reference = follow(&env, &mut *base, usual)?;
    let mut differences = Vec::new();
    for other in others {
        let other = follow(&env, &mut *base, other)?;
        differences.push(other.iter().zip(&reference).map(|(a, b)| a - b).collect());
    }
    Ok(Traced { differences, seconds: started.elapsed().as_secs_f64() })
}

fn chose(policy: &dyn Policy, action: Action) -> String {
    format!("rollouts: {} chose {action:?}", policy.name())
}

/// Some of the moves that training would compare with the usual action.
fn others(env: &ClusterEnv, usual: Action, rng: &mut Rng) -> Vec<Action> {
    let mut observation = ObservationBuffer::new(env.observation_space());
    env.observe(&mut observation);
    let change = NetChange::new(env.observation_space());
    let usual = env.index_of(usual).unwrap_or(0);
    let mut others = alternatives(change, &observation, usual, 2 * OTHERS, rng);
    while others.len() > OTHERS {
        others.swap_remove(rng.random_range(0..others.len()));
    }
    others.into_iter().filter_map(|other| env.action(other)).collect()
}

/// What is earned in each tick from an action on that `base` follows up.
fn follow(env: &ClusterEnv, base: &mut dyn Policy, mut action: Action) -> anyhow::Result<Vec<f64>> {
    let mut env = env.clone().without_candidates();
    let (mut earned, mut accrued) = (Vec::with_capacity(MOST_TICKS), 0.0);
    loop {
        let step = env.apply(action).with_context(|| chose(base, action))?;
        accrued += f64::from(reward(&step, true));
        if step.elapsed_ticks > 0 {
            earned.push(std::mem::take(&mut accrued));
        }
        if earned.len() == MOST_TICKS || step.end == Some(EpisodeEnd::Terminated) {
            earned.resize(MOST_TICKS, 0.0);
            return Ok(earned);
        }
        if step.end == Some(EpisodeEnd::Truncated) {
            earned.resize(MOST_TICKS, -f64::from(env.state().level()));
            return Ok(earned);
        }
        action = base.act(env.state());
    }
}

/// Ticks and discount that cover how an effect fades.
fn horizon(differences: &[Vec<f64>]) -> (u32, f64) {
    let early: Vec<f64> = differences.iter().map(|series| series[1..=EARLY].iter().sum()).collect();
    let squares: f64 = early.iter().map(|early| early * early).sum();
    // How much of the early effect, per tick, is left in each later tick.
    let mut lasting = EARLY as f64;
    if squares > 0.0 {
        for tick in EARLY + 1..MOST_TICKS {
            let product: f64 =
                differences.iter().zip(&early).map(|(series, early)| series[tick] * early).sum();
            let left = EARLY as f64 * product / squares;
            if left < 0.05 {
                break;
            }
            lasting += left.min(1.0);
        }
    }
    let ticks = (2.4 * lasting).round().clamp(TICKS.0, TICKS.1);
    (ticks as u32, (1.0 - 0.5 / lasting).clamp(GAMMA.0, GAMMA.1))
}

/// Root mean square of the discounted differences, without what is far beyond all others.
fn gain(differences: &[Vec<f64>], ticks: usize, gamma: f64) -> f64 {
    let mut sizes: Vec<f64> = differences
        .iter()
        .map(|series| {
            let terms = series.iter().take(ticks).enumerate();
            terms.map(|(tick, earned)| earned * gamma.powi(tick as i32)).sum::<f64>().abs()
        })
        .collect();
    sizes.sort_unstable_by(f64::total_cmp);
    let most = quantile(&sizes, WINSOR);
    let squares: f64 = sizes.iter().map(|size| size.min(most).powi(2)).sum();
    (squares / sizes.len().max(1) as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An early effect of `size` that halves every `half` ticks, and noise that has nothing to do
    /// with it.
    fn series(size: f64, half: f64, noise: f64, rng: &mut Rng) -> Vec<f64> {
        let effect = |tick: usize| size * (-(tick as f64) / half).exp2();
        (0..MOST_TICKS).map(|tick| effect(tick) + noise * rng.random_range(-1.0..1.0)).collect()
    }

    #[test]
    fn effects_that_last_longer_are_followed_for_longer() {
        let mut rng = stream(1, "test");
        let mut of = |half: f64, noise: f64| {
            let all: Vec<Vec<f64>> =
                (0..400).map(|at| series(f64::from(at % 7) - 3.0, half, noise, &mut rng)).collect();
            horizon(&all)
        };
        let (short, long) = (of(4.0, 0.0), of(20.0, 0.0));
        assert!(short.0 < long.0 && short.1 < long.1, "{short:?} {long:?}");
        // Noise as large as the effect hardly changes what is found.
        let noisy = of(20.0, 2.0);
        assert!(noisy.0.abs_diff(long.0) < long.0 / 3, "{noisy:?} {long:?}");
    }

    #[test]
    fn gains_are_discounted_and_outliers_cut() {
        let mut all = vec![vec![1.0, 1.0, 5.0]; 99];
        all.push(vec![1e9, 0.0, 0.0]);
        let found = gain(&all, 2, 0.5);
        assert!((found - 1.5).abs() < 1e-9, "{found}");
    }

    #[test]
    fn nothing_that_differs_asks_for_the_shortest_rollouts() {
        assert_eq!(horizon(&vec![vec![0.0; MOST_TICKS]; 5]), (36, 0.97));
    }
}
