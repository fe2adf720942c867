//! Which heuristic a run improves on, and how much time its rollouts leave.

use super::contest::{Left, Standing};
use super::fading::{Fading, TICKS_TRACED, fading};
use godwit_envs::env::cluster_env::ClusterEnv;
use godwit_envs::rng::child_seed;
use godwit_envs::scenario::Mode;
use godwit_evaluate::side_by_side::Ahead;
use godwit_models::baselines::baseline_with;
use std::time::Duration;

/// Share of the time that the first comparisons (or demonstrations) take.
pub const ROLLOUTS: f64 = 0.15;
/// States that are compared: fewer teach next to nothing, more than the last teach little more.
pub const STATES: (usize, usize) = (100, 80_000);
/// Numbers of them that are to be wished for, the best first, and how far behind the best heuristic a
/// base policy may be for that: a share of what the best one gains over staying. Online, a search
/// that is far ahead of the base policy is [shown](is_far_ahead) to the network, so that the base
/// policy had better be quick; elsewhere it should be good.
const ONLINE: &[(usize, f64)] = &[
    (16_000, FAR_AHEAD),
    (4_000, FAR_AHEAD),
    (2_000, FAR_AHEAD),
    (4_000, f64::INFINITY),
    (STATES.0, f64::INFINITY),
];
const STATIC: &[(usize, f64)] =
    &[(16_000, FAR_AHEAD), (4_000, 0.1), (1_000, 0.3), (STATES.0, f64::INFINITY)];
/// Share of the time in which it is measured how effects fade, for each base policy that comes into
/// question, and how many of these are measured.
pub const FADING: f64 = 0.03;
const BASES: usize = 4;
/// Episodes in which that is measured at least, and under a heuristic that is slow.
pub const TRACED: u64 = 16;
const FEWEST_TRACED: u64 = 4;
/// Actions that are compared with the base policy's in a state. As many rollouts in more states teach
/// more: on `founding-10x50`, 4 actions in each of 40,000 states ended 0.6 above 9 in 20,000.
pub const ACTIONS: usize = 4;
/// A search is far ahead of the base policy if this share of what the base policy gains over
/// staying is missing.
const FAR_AHEAD: f64 = 0.05;
/// How many times more states there may be time for than episodes tell.
const MAY_BE_OFF: f64 = 2.0;

/// Index of the base policy, and how effects fade under it: the best whose rollouts leave time for
/// many states, or for some, or for a few. A network learns more from many rollouts of a good
/// heuristic than from few of the best one; where it then is behind that, the [gate](super::gate) has
/// the last word. Never `stay`.
pub fn choose(
    env: &ClusterEnv,
    standings: &[Standing],
    seconds: f64,
    seed: u64,
) -> anyhow::Result<(usize, Fading)> {
    let measure = |at: usize| measure(env, &standings[at], seconds, seed, TRACED);
    let mut measured: Vec<(usize, Fading)> = Vec::new();
    let wishes = match env.state().rules.episode.mode {
        Mode::Online => ONLINE,
        Mode::Rebalance => STATIC,
    };
    for &(states, behind) in wishes {
        for (at, standing) in standings.iter().enumerate() {
            if !is_within(behind, standing, standings) {
                continue;
            }
            let known = measured.iter().find(|(known, _)| *known == at).copied();
            let found = match known {
                Some((_, fading)) => fading,
                None if measured.len() == BASES
                    || standing.baseline.name == "stay"
                    || standing.left == Some(Left::Slow)
                    || expected_states(env, standing, seconds) < states as f64 / MAY_BE_OFF =>
                {
                    continue;
                }
                None => {
                    let fading = measure(at)?;
                    measured.push((at, fading));
                    fading
                }
            };
            if affordable_states(seconds, found.rollout_s) >= states as f64 {
                return Ok((at, found));
            }
        }
    }
    let fastest = measured.iter().min_by(|(_, a), (_, b)| a.rollout_s.total_cmp(&b.rollout_s));
    fastest.copied().map_or_else(|| Ok((0, measure(0)?)), Ok)
}

/// How effects fade under a heuristic that is [shown](is_far_ahead): in fewer episodes, if it is slow.
/// Under a base policy that is far behind, what it neglects would be all that counts.
pub fn fading_of_shown(
    env: &ClusterEnv,
    shown: &Standing,
    seconds: f64,
    seed: u64,
) -> anyhow::Result<Fading> {
    let threads = rayon::current_num_threads() as f64;
    let episode = TICKS_TRACED as f64 * shown.seconds_per_tick / threads;
    let least = (FADING * seconds / episode.max(1e-9)) as u64;
    measure(env, shown, seconds, seed, least.clamp(FEWEST_TRACED, TRACED))
}

fn measure(
    env: &ClusterEnv,
    standing: &Standing,
    seconds: f64,
    seed: u64,
    least: u64,
) -> anyhow::Result<Fading> {
    let Standing { baseline, parameters, .. } = standing;
    let policy = || Ok(baseline_with(baseline.name, parameters)?);
    let limit = Duration::from_secs_f64(FADING * seconds);
    fading(env, &policy, child_seed(seed, (1 << 36) + 1), limit, least)
}

/// States for which a base policy's rollouts leave time, by what its episodes took: those that plan
/// once for many ticks take longer.
fn expected_states(env: &ClusterEnv, standing: &Standing, seconds: f64) -> f64 {
    let rules = &env.state().rules.episode;
    // As if effects lasted for so long: what they do is measured with a base policy.
    let ticks = match rules.mode {
        Mode::Online => 36,
        Mode::Rebalance => rules.move_budget,
    };
    affordable_states(seconds, f64::from(ticks) * standing.seconds_per_tick)
}

/// States for whose comparisons there is time on all threads.
pub fn affordable_states(seconds: f64, rollout_s: f64) -> f64 {
    ROLLOUTS * seconds / comparing_s(1, rollout_s).max(1e-9)
}

/// Seconds that the comparisons in so many states take on all threads.
pub fn comparing_s(states: usize, rollout_s: f64) -> f64 {
    (states * (1 + ACTIONS)) as f64 * rollout_s / rayon::current_num_threads() as f64
}

/// Whether a heuristic is behind the best of the ranking by at most this share of what that gains
/// over staying.
fn is_within(share: f64, standing: &Standing, ranking: &[Standing]) -> bool {
    let Some(best) = ranking.iter().find(|standing| standing.left.is_none()) else { return true };
    let behind = best.ahead_of(standing).mean;
    share.is_infinite() || behind <= share * gained(best, ranking)
}

/// Whether `best` is ahead of `base` for certain, and by more than [`FAR_AHEAD`].
pub fn is_far_ahead(best: &Standing, base: &Standing, all: &[Standing]) -> bool {
    let Ahead { mean, reach } = best.ahead_of(base);
    best.left.is_none() && mean > reach && mean > FAR_AHEAD * gained(base, all)
}

/// What a heuristic gains over staying.
fn gained(standing: &Standing, all: &[Standing]) -> f64 {
    let stay = all.iter().find(|standing| standing.baseline.name == "stay");
    stay.map_or(0.0, |stay| standing.mean() - stay.mean())
}

#[cfg(test)]
mod tests {
    use super::*;
    use godwit_models::baselines::{Assignment, find as baseline};

    fn standing(name: &str, returns: &[f64]) -> Standing {
        let baseline = baseline(name).expect("a baseline");
        let returns = returns.to_vec();
        let parameters = Assignment::new();
        Standing { baseline, parameters, returns, left: None, seconds_per_tick: 1e-5 }
    }

    #[test]
    fn a_base_policy_with_many_states_must_not_be_far_behind() {
        let best = standing("chains", &[-40.0, -42.0, -38.0]);
        let close = standing("best-single-move", &[-41.0, -43.0, -39.0]);
        let fast = standing("load-balancer", &[-43.0, -45.0, -41.0]);
        let stay = standing("stay", &[-100.0, -102.0, -98.0]);
        let ranking = [best.clone(), close.clone(), fast.clone(), stay];
        // 2 % of 60 are 1.2.
        assert!(is_within(0.02, &best, &ranking) && is_within(0.02, &close, &ranking));
        assert!(!is_within(0.02, &fast, &ranking));
        assert!(is_within(f64::INFINITY, &fast, &ranking));
    }

    #[test]
    fn a_search_is_far_ahead_only_for_certain_and_by_a_share_of_the_gain() {
        let stay = standing("stay", &[-100.0, -102.0, -98.0]);
        let base = standing("best-single-move", &[-50.0, -52.0, -48.0]);
        let of = |returns: &[f64]| {
            let best = standing("genetic", returns);
            is_far_ahead(&best, &base, &[best.clone(), base.clone(), stay.clone()])
        };
        assert!(of(&[-40.0, -42.0, -38.0]));
        // A fiftieth of what the base policy gains.
        assert!(!of(&[-49.0, -51.0, -47.0]));
        // As much in the mean, but of one episode alone.
        assert!(!of(&[-50.0, -52.0, -18.0]));
        assert!(!is_far_ahead(&base, &base, &[base.clone(), stay]));
    }
}
