//! The results that an artifact states about itself.

use godwit_envs::scenario::Scenario;
use godwit_evaluate::{Contender, evaluate, limits, stats};
use godwit_models::artifact::Evaluation;
use godwit_models::baselines::NAMES;
use godwit_models::network_policy::NetworkPolicy;
use godwit_models::policy::Policy;
use std::sync::Arc;

/// Name of the exported policy's row.
pub(super) const POLICY: &str = "network";

/// Seed of the first episode: that of `godwit evaluate`, which then shows the same numbers.
const FIRST_SEED: u64 = 0;

/// Plays the policy and every baseline, each under the net-gain rule, through so many held-out
/// episodes of its scenario (one where the scenario has a single start); nothing for 0.
///
/// # Errors
/// When an episode cannot be played.
pub fn results(
    scenario: &Scenario,
    policy: NetworkPolicy,
    episodes: usize,
    progress: bool,
) -> anyhow::Result<Vec<Evaluation>> {
    if episodes == 0 {
        return Ok(Vec::new());
    }
    let own = Box::new(move || Box::new(policy.clone()) as Box<dyn Policy>);
    let mut contenders = vec![Contender::of(POLICY.to_owned(), own)];
    contenders.extend(NAMES.iter().map(|&name| Contender::baseline(name, None)));
    // As the scorer would keep them to it.
    let rules = Arc::default();
    let within = |contender| limits::within(contender, &rules, scenario);
    let contenders: Vec<Contender> = contenders.into_iter().map(within).collect();
    if progress {
        eprintln!(
            "comparing the policy with every baseline in {episodes} held-out episodes, for the \
             table in the artifact (--episodes 0 leaves it out)"
        );
    }
    let evaluation = evaluate(scenario, &contenders, episodes, FIRST_SEED, progress)?;
    let rows = evaluation.policies.iter().map(|row| Evaluation {
        scenario: scenario.name.clone(),
        policy: row.name.clone(),
        seeds: row.returns.len() as u64,
        first_seed: FIRST_SEED,
        mean_return: row.mean_return.value,
        standard_error: stats::standard_error(&row.returns),
        terms: row.state.terms.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect(),
    });
    let mut rows: Vec<Evaluation> = rows.collect();
    // The artifact's own row first; the baselines stay ordered by their returns.
    rows.sort_by_key(|row| row.policy != POLICY);
    Ok(rows)
}
