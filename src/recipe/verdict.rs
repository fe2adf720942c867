//! What a run came to, against the heuristics at their best: on validation episodes that no
//! decision of the run was made by.

use super::contest::Standing;
use super::gate::validation;
use crate::train::validation::VALIDATION_SEED;
use godwit_envs::scenario::Scenario;
use godwit_evaluate::side_by_side::{Ahead, ahead, returns};
use godwit_evaluate::stats::mean;
use godwit_models::baselines::baseline_with;
use godwit_models::network_policy::NetworkPolicy;
use godwit_models::policy::Policy;

/// First of the episodes' seeds, beyond those by which a run picks its best checkpoint.
const FIRST_SEED: u64 = VALIDATION_SEED + (1 << 32);
/// Fewest and most episodes.
const EPISODES: (u64, u64) = (24, 200);
/// How many of the best heuristics take part.
const HEURISTICS: usize = 3;

/// Of a run's policy.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// Episodes that all played.
    pub episodes: usize,
    /// Mean return of the policy.
    pub policy: f64,
    /// The heuristics, best first: name, whether it was tuned, mean return, and by how much the
    /// policy is ahead.
    pub heuristics: Vec<(&'static str, bool, f64, Ahead)>,
}

/// The best of the heuristics, which take part.
fn rivals(standings: &[Standing]) -> impl Iterator<Item = &Standing> {
    standings.iter().filter(|standing| standing.left.is_none()).take(HEURISTICS)
}

/// How long the [`verdict`] takes at most where there is time for all of its episodes: one of the
/// policy takes `own_s` on all threads. Or of one episode alone, where all are alike.
pub fn longest_s(own_s: f64, standings: &[Standing], scenario: &Scenario, single: bool) -> f64 {
    let theirs: f64 = rivals(standings).map(|rival| rival.episode_s(scenario)).sum();
    let episodes = if single { 1 } else { EPISODES.1 };
    episodes as f64 * (own_s + theirs)
}

/// Plays the policy and the best of `standings` for about `seconds` on all threads.
///
/// # Errors
/// When an episode has no feasible start, or a policy breaks its contract.
pub fn verdict(
    scenario: &Scenario,
    policy: &NetworkPolicy,
    standings: &[Standing],
    seconds: f64,
) -> anyhow::Result<Verdict> {
    let (env, single) = validation(scenario)?;
    let rivals: Vec<&Standing> = rivals(standings).collect();
    let each: f64 = rivals.iter().map(|rival| rival.episode_s(scenario)).sum();
    let fits = (seconds / each.max(1e-9)) as u64;
    let episodes = if single { 1 } else { fits.clamp(EPISODES.0, EPISODES.1) };
    let seeds = FIRST_SEED..FIRST_SEED + episodes;
    let own = returns(&env, &|| Ok(Box::new(policy.clone()) as Box<dyn Policy>), seeds.clone())?;
    let mut heuristics = Vec::new();
    for Standing { baseline, parameters, .. } in rivals {
        let make = || Ok(baseline_with(baseline.name, parameters)?);
        let theirs = returns(&env, &make, seeds.clone())?;
        let tuned = !parameters.is_empty();
        heuristics.push((baseline.name, tuned, mean(&theirs), ahead(&own, &theirs)));
    }
    heuristics.sort_by(|a, b| b.2.total_cmp(&a.2));
    Ok(Verdict { episodes: episodes as usize, policy: mean(&own), heuristics })
}

impl Verdict {
    /// One sentence: what to do with the policy.
    pub fn sentence(&self) -> String {
        let Some((name, tuned, _, ahead)) = self.heuristics.first() else {
            return format!("policy: {:.4} on {} fresh episodes", self.policy, self.episodes);
        };
        let rival = format!("{name}{}", if *tuned { " (tuned)" } else { "" });
        let interval = ahead.text();
        let on = format!("on {} fresh episodes", self.episodes);
        let Ahead { mean, reach } = *ahead;
        if (mean, reach) == (0.0, 0.0) {
            format!(
                "level with {rival}, the best heuristic, in each of {} fresh episodes: train longer \
                 (--minutes), or use that as it is (godwit-scorer --fallback {name})",
                self.episodes
            )
        } else if mean > reach {
            format!("ahead of {rival}, the best heuristic, by {interval} {on}")
        } else if mean < -reach {
            format!(
                "behind {rival} by {interval} {on}: use it as it is (godwit-scorer --fallback \
                 {name}), or train longer (--minutes)"
            )
        } else {
            format!(
                "not ahead of {rival} for certain: {interval} {on}; train longer (--minutes), or \
                 use it as it is (godwit-scorer --fallback {name})"
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sentence(mean: f64, reach: f64) -> String {
        let ahead = Ahead { mean, reach };
        let heuristics = vec![("evacuate", true, -425.0, ahead)];
        Verdict { episodes: 100, policy: -410.0, heuristics }.sentence()
    }

    #[test]
    fn the_sentence_says_what_the_interval_allows() {
        assert_eq!(
            sentence(15.5, 15.0),
            "ahead of evacuate (tuned), the best heuristic, by 15.5000 [0.5000, 30.5000] on 100 \
             fresh episodes"
        );
        assert!(
            sentence(1.0, 2.0).starts_with("not ahead of evacuate (tuned) for certain: 1.0000")
        );
        assert!(sentence(0.0, 0.0).starts_with("level with evacuate (tuned)"));
        assert!(sentence(-5.0, 2.0).starts_with("behind evacuate (tuned) by -5.0000 [-7.0000"));
    }
}
