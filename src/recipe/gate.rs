//! The gate: a network is followed only where that has shown to pay.
//!
//! On validation episodes that no checkpoint was picked by, the network plays on the base policy with
//! each of some margins. The best of them plays more, fresh ones: only if it is ahead of the base
//! policy in these, with its 95 % interval above zero, the network is followed at all. Where another
//! heuristic is ahead of what comes of it for certain, that heuristic is played in its place. Unless
//! the best heuristic has shown to be behind, the network is tried on that, too: it then takes the
//! heuristic's time, but has only to know where to do something else.

use crate::train::mixture::Mixture;
use crate::train::validation::VALIDATION_SEED;
use godwit_envs::env::cluster_env::ClusterEnv;
use godwit_envs::scenario::{Phase, Scenario, WorldTemplate};
use godwit_evaluate::side_by_side::{Ahead, ahead, returns};
use godwit_evaluate::stats::mean;
use godwit_models::baselines::baseline_with;
use godwit_models::network_policy::{Base, NetworkPolicy};
use godwit_models::policy::Policy;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

/// First of the episodes' seeds, beyond those by which a run picks its best checkpoint.
const FIRST_SEED: u64 = VALIDATION_SEED + (1 << 31);
/// Margins that are tried, in the learner's values.
const MARGINS: [f32; 6] = [0.0, 0.2, 0.5, 1.0, 3.0, 10.0];
/// Those that are tried on the best heuristic, of which an episode may take seconds.
const MARGINS_ON_BEST: [f32; 3] = [0.3, 1.0, 3.0];
/// How many times its own time the gate may take for that: where the fewest episodes take longer, it
/// is not tried.
const FOR_BEST: f64 = 2.0;
/// Fewest and most episodes in which the margins are compared.
const PICKING: (u64, u64) = (12, 64);
/// Fewest and most episodes that decide.
const DECIDING: (u64, u64) = (32, 256);

/// What came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Gated {
    /// The base with the margin by which the network must be ahead, without one where it has not
    /// shown to be better than the base; no base where the network decides alone.
    pub base: Option<Base>,
    /// What the network was held against: the base, or what would be played in its place.
    pub against: String,
    /// By how much it was ahead of that in the episodes that decide, with the best margin.
    pub ahead: Ahead,
    /// Their number.
    pub episodes: usize,
    /// By how much the best heuristic was ahead in these, if it is played in the policy's place: it
    /// is the base then.
    pub replaced: Option<Ahead>,
}

/// An environment of validation episodes, and whether they are all alike.
pub(super) fn validation(scenario: &Scenario) -> anyhow::Result<(ClusterEnv, bool)> {
    let template = Arc::new(WorldTemplate::new(scenario));
    let single = template.has_single_start(Phase::Validate);
    Ok((ClusterEnv::new(template, Phase::Validate)?, single))
}

/// The margin with which most is earned, the first of those that earn the same.
fn best_margin(
    margins: &[f32],
    earned: impl Fn(f32) -> anyhow::Result<f64>,
) -> anyhow::Result<f32> {
    let mut picked = (f64::NEG_INFINITY, margins[0]);
    for &margin in margins {
        let earned = earned(margin)?;
        if earned > picked.0 {
            picked = (earned, margin);
        }
    }
    Ok(picked.1)
}

/// How long the [`gate`] takes at most where there is time for all of its episodes: one of the policy
/// takes `own_s` on all threads, one of the best heuristic `best_s`. Or of one episode alone, where
/// all are alike.
pub fn longest_s(own_s: f64, best_s: f64, single: bool) -> f64 {
    let (picking, deciding) = if single { (1, 1) } else { (PICKING.1, DECIDING.1) };
    let on_base = PICKING.0.min(picking) + MARGINS.len() as u64 * picking + 2 * deciding;
    let on_best = MARGINS_ON_BEST.len() as u64 * picking + 3 * deciding;
    on_base as f64 * own_s + on_best as f64 * best_s
}

/// Finds the margin for a policy on a base, in about `seconds` on all threads; `best` is the best
/// heuristic, of which an episode takes `best_s` on all threads.
///
/// # Errors
/// When an episode has no feasible start, or a policy breaks its contract.
pub fn gate(
    scenario: &Scenario,
    policy: &NetworkPolicy,
    base: &Base,
    best: &Base,
    best_s: f64,
    seconds: f64,
) -> anyhow::Result<Gated> {
    let started = Instant::now();
    let (env, single) = validation(scenario)?;
    let with = |margin: f32| {
        let base = Base { margin: Some(margin), ..base.clone() };
        let policy = policy.clone().on_base(Some(&base))?;
        anyhow::Ok(move || Ok(Box::new(policy.clone()) as Box<dyn Policy>))
    };
    let alone = |base: &Base| {
        let Base { baseline, parameters, .. } = base.clone();
        move || Ok(baseline_with(&baseline, &parameters)?)
    };
    let seeds = |from: u64, count: u64| FIRST_SEED + from..FIRST_SEED + from + count;
    let fits = |share: f64, episode: f64, (fewest, most): (u64, u64)| {
        let count = share * seconds / episode.max(1e-9);
        if single { 1 } else { (count as u64).clamp(fewest, most) }
    };
    let differs = (&best.baseline, &best.parameters) != (&base.baseline, &base.parameters);
    // A few episodes tell how long one takes.
    let first = fits(1.0, f64::INFINITY, PICKING);
    returns(&env, &with(MARGINS[0])?, seeds(0, first))?;
    let episode = started.elapsed().as_secs_f64() / first as f64;
    let count = fits(0.4, MARGINS.len() as f64 * episode, PICKING);
    let earned = |margin| Ok(mean(&returns(&env, &with(margin)?, seeds(0, count))?));
    let picked = best_margin(&MARGINS, earned)?;
    let all = 2.0 * episode + if differs { best_s } else { 0.0 };
    let count = fits(0.6, all, DECIDING);
    let from = if single { 0 } else { PICKING.1 };
    let theirs = returns(&env, &alone(base), seeds(from, count))?;
    let own = returns(&env, &with(picked)?, seeds(from, count))?;
    let found = ahead(&own, &theirs);
    let margin = found.is_certain().then_some(picked);
    let mut gated = Gated {
        base: Some(Base { margin, ..base.clone() }),
        against: base.baseline.clone(),
        ahead: found,
        episodes: own.len(),
        replaced: None,
    };
    if differs {
        let played = if margin.is_some() { own } else { theirs };
        let further = ahead(&returns(&env, &alone(best), seeds(from, count))?, &played);
        if further.is_certain() {
            gated.base = Some(Base { margin: None, ..best.clone() });
            gated.replaced = Some(further);
        }
        if !further.turned().is_certain() && !single {
            return on_best(&env, policy, best, best_s, seconds, gated);
        }
    }
    Ok(gated)
}

/// The network on the best heuristic, if it is ahead of what would be played for certain; else as it
/// was. On episodes that nothing was decided by before.
fn on_best(
    env: &ClusterEnv,
    policy: &NetworkPolicy,
    best: &Base,
    best_s: f64,
    seconds: f64,
    before: Gated,
) -> anyhow::Result<Gated> {
    let fewest = MARGINS_ON_BEST.len() as u64 * PICKING.0 + 2 * DECIDING.0;
    if fewest as f64 * best_s > FOR_BEST * seconds {
        return Ok(before);
    }
    let play = |base: Option<&Base>, seeds: Range<u64>| {
        let policy = policy.clone().on_base(base)?;
        returns(env, &|| Ok(Box::new(policy.clone()) as Box<dyn Policy>), seeds)
    };
    let with = |margin: f32| Base { margin: Some(margin), ..best.clone() };
    let fits = |share: f64, (fewest, most): (u64, u64)| {
        ((share * seconds / best_s.max(1e-9)) as u64).clamp(fewest, most)
    };
    let from = FIRST_SEED + PICKING.1 + DECIDING.1;
    let picking = from..from + fits(0.4 / MARGINS_ON_BEST.len() as f64, PICKING);
    let earned = |margin| Ok(mean(&play(Some(&with(margin)), picking.clone())?));
    let margin = best_margin(&MARGINS_ON_BEST, earned)?;
    let from = from + PICKING.1;
    let deciding = from..from + fits(0.3, DECIDING);
    let own = play(Some(&with(margin)), deciding.clone())?;
    let theirs = play(before.base.as_ref(), deciding)?;
    let found = ahead(&own, &theirs);
    if !found.is_certain() {
        return Ok(before);
    }
    Ok(Gated {
        against: match &before.base {
            Some(Base { baseline, margin: None, .. }) => baseline.clone(),
            Some(Base { baseline, .. }) => format!("the network on {baseline}"),
            None => "the network alone".to_owned(),
        },
        base: Some(with(margin)),
        ahead: found,
        episodes: own.len(),
        replaced: None,
    })
}

/// [`gate`] of a network that improves on no base, but was shown what the best heuristic does: it
/// decides alone, unless that heuristic is ahead of it for certain.
///
/// # Errors
/// As for [`gate`].
pub fn gate_alone(
    scenario: &Scenario,
    policy: &NetworkPolicy,
    best: &Base,
    best_s: f64,
    seconds: f64,
) -> anyhow::Result<Gated> {
    let (env, single) = validation(scenario)?;
    let count = (seconds / best_s.max(1e-9)) as u64;
    let count = if single { 1 } else { count.clamp(DECIDING.0, DECIDING.1) };
    let seeds = FIRST_SEED..FIRST_SEED + count;
    let policy = policy.clone().on_base(None)?;
    let own = returns(&env, &|| Ok(Box::new(policy.clone()) as Box<dyn Policy>), seeds.clone())?;
    let theirs = returns(&env, &|| Ok(baseline_with(&best.baseline, &best.parameters)?), seeds)?;
    let found = ahead(&own, &theirs);
    let replaced = found.turned().is_certain().then(|| found.turned());
    let gated = Gated {
        base: replaced.map(|_| Base { margin: None, ..best.clone() }),
        against: best.baseline.clone(),
        ahead: found,
        episodes: own.len(),
        replaced,
    };
    if found.is_certain() || single {
        return Ok(gated);
    }
    on_best(&env, &policy, best, best_s, seconds, gated)
}

/// Episodes in each of several scenarios in which the margins are compared, and that decide.
const IN_EACH: (u64, u64) = (3, 8);

/// [`gate`] of a policy for several scenarios. Each counts the same: its difference from the base
/// policy, divided by the scenario's of `units`. [`Gated::ahead`] is the mean of these, and its
/// interval is that of scenarios, not of episodes.
///
/// # Errors
/// As for [`gate`].
pub fn gate_several(
    mixture: &Mixture,
    policy: &NetworkPolicy,
    base: &Base,
    units: &[f64],
) -> anyhow::Result<Gated> {
    let envs = mixture
        .parts()
        .iter()
        .map(|part| ClusterEnv::new(Arc::new(WorldTemplate::new(&part.scenario)), Phase::Validate))
        .collect::<Result<Vec<_>, _>>()?;
    let usual = || Ok(baseline_with(&base.baseline, &base.parameters)?);
    let seeds = |from: u64, count: u64| FIRST_SEED + from..FIRST_SEED + from + count;
    let played = |make: &(dyn Fn() -> anyhow::Result<Box<dyn Policy>> + Sync),
                  seeds: Range<u64>| {
        envs.iter()
            .map(|env| Ok(mean(&returns(env, make, seeds.clone())?)))
            .collect::<anyhow::Result<Vec<f64>>>()
    };
    let with = |margin: f32, seeds: Range<u64>| {
        let base = Base { margin: Some(margin), ..base.clone() };
        let policy = policy.clone().on_base(Some(&base))?;
        played(&|| Ok(Box::new(policy.clone()) as Box<dyn Policy>), seeds)
    };
    let gains = |own: &[f64], theirs: &[f64]| -> Vec<f64> {
        let pairs = own.iter().zip(theirs).zip(units);
        pairs.map(|((own, theirs), unit)| (own - theirs) / unit).collect()
    };
    let picking = seeds(0, IN_EACH.0);
    let theirs = played(&usual, picking.clone())?;
    let gain = |margin| Ok(mean(&gains(&with(margin, picking.clone())?, &theirs)));
    let picked = best_margin(&MARGINS, gain)?;
    let deciding = seeds(PICKING.1, IN_EACH.1);
    let theirs = played(&usual, deciding.clone())?;
    let found = gains(&with(picked, deciding)?, &theirs);
    let ahead = ahead(&found, &vec![0.0; found.len()]);
    let margin = ahead.is_certain().then_some(picked);
    let episodes = found.len() * IN_EACH.1 as usize;
    let (against, base) = (base.baseline.clone(), Some(Base { margin, ..base.clone() }));
    Ok(Gated { base, against, ahead, episodes, replaced: None })
}

impl Gated {
    /// What came of it, in a line.
    pub fn sentence(&self) -> String {
        let Self { base, against, ahead, episodes, replaced } = self;
        let interval = ahead.text();
        let on = format!("on {episodes} validation episodes");
        match (base, replaced) {
            (Some(Base { baseline, .. }), Some(further)) => format!(
                "{baseline} is {} better than the network {on}: the policy plays {baseline} as it is",
                further.text()
            ),
            (Some(Base { baseline, margin: Some(margin), .. }), _) => format!(
                "the network is followed where it is ahead of {baseline} by more than {margin}: \
                 {interval} better than {against} {on}"
            ),
            (Some(_), _) => format!(
                "the network is not better than {against} for certain ({interval} {on}): the policy \
                 plays {against} as it is"
            ),
            (None, _) => format!(
                "the network decides alone: {interval} better than {against}, which it was shown, {on}"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use godwit_envs::observe::features::schema;
    use godwit_models::artifact::Artifact;
    use godwit_models::baselines::Assignment;
    use godwit_models::net::{Architecture, Network, NetworkSpec};
    use std::path::Path;

    #[test]
    fn a_network_that_knows_nothing_is_not_followed() {
        let scenario = Scenario::embedded("founding-3x3").expect("an embedded scenario");
        let spec =
            NetworkSpec::new(Architecture::Candidate, &schema(scenario.rules.sections()), None);
        let mut network = Network::new(&spec);
        let weights: Vec<f32> =
            (0..spec.parameter_count()).map(|at| (at as f32 * 0.7).sin() * 0.3).collect();
        network.load_flat(&weights);
        let policy = NetworkPolicy::new("policy", network, scenario.rules.sections());
        let baseline = "best-single-move".to_owned();
        let base = Base { baseline, parameters: Assignment::new(), margin: Some(0.0) };
        let gated = gate(&scenario, &policy, &base, &base, 0.0, 0.5).expect("episodes");
        let of = |gated: &Gated| gated.base.clone().expect("a base");
        assert_eq!((of(&gated).margin, gated.replaced), (None, None));
        assert!(gated.sentence().contains("plays best-single-move as it is"), "{gated:?}");
        let stay = Base { baseline: "stay".to_owned(), ..base.clone() };
        let gated = gate(&scenario, &policy, &stay, &base, 0.0, 0.5).expect("episodes");
        assert_eq!((of(&gated).baseline.as_str(), of(&gated).margin), ("best-single-move", None));
        assert!(gated.replaced.is_some_and(Ahead::is_certain), "{gated:?}");
        // Where it was shown something, it decides alone unless that is better.
        let gated = gate_alone(&scenario, &policy, &base, 0.0, 0.5).expect("episodes");
        assert_eq!(of(&gated).baseline, "best-single-move");
        let gated = gate_alone(&scenario, &policy, &stay, 0.0, 0.5).expect("episodes");
        assert_eq!((gated.base.is_none(), gated.replaced), (true, None), "{gated:?}");
        assert!(gated.sentence().starts_with("the network decides alone"), "{gated:?}");
    }
    #[test]
    fn a_network_is_played_on_the_best_heuristic_where_it_is_ahead_of_that_alone() {
        let mut scenario = Scenario::embedded("founding-10x50").expect("an embedded scenario");
        scenario.rules.episode.ticks = 60;
        let policy =
            Artifact::open(Path::new("founding-10x50")).expect("a policy").policy("policy");
        let (env, _) = validation(&scenario).expect("a start");
        let baseline = "best-single-move".to_owned();
        let best = Base { baseline, parameters: Assignment::new(), margin: None };
        let before = Gated {
            base: Some(best.clone()),
            against: "best-single-move".to_owned(),
            ahead: Ahead { mean: 0.0, reach: 0.0 },
            episodes: 1,
            replaced: Some(Ahead { mean: 1.0, reach: 0.5 }),
        };
        let gated = on_best(&env, &policy, &best, 0.01, 1.0, before.clone()).expect("episodes");
        let base = gated.base.clone().expect("a base");
        assert!(MARGINS_ON_BEST.contains(&base.margin.expect("a margin")), "{gated:?}");
        assert!(gated.ahead.is_certain() && gated.replaced.is_none(), "{gated:?}");
        assert!(gated.sentence().contains("better than best-single-move on"), "{gated:?}");
        // A heuristic that takes too long is left alone.
        let slow = on_best(&env, &policy, &best, 0.03, 1.0, before.clone()).expect("no episodes");
        assert_eq!(slow, before);
        // Where nothing is ahead of what is played, that stays.
        let same = Gated { base: Some(base), ..before };
        let gated = on_best(&env, &policy, &best, 0.01, 1.0, same.clone()).expect("episodes");
        assert_eq!(gated, same);
    }
}
