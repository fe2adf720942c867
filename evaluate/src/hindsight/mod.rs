//! What could be had online by who knew each episode beforehand: demand, arrivals and faults.
//!
//! The best plan of the evaluated policies is annealed in the simulator, episode by episode. What
//! comes of it is no bound, as better plans may exist; but it says which share of a gain that
//! surely exists a policy takes without knowing the future. (`bound.rs` proves how much
//! static scenarios hold.)

mod search;

use super::results::Hindsight;
use super::stats::{bootstrap, mean};
use super::{Evaluation, Settings, World};
use crate::progress::Progress;
use godwit_envs::env::Env;
use godwit_envs::scenario::Scenario;
use rayon::prelude::*;
use search::{Annealer, Planned, play};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Searches for better plans than the policies made in the episodes of an online evaluation, for so
/// many seconds each; nothing where a signal ends that early, whose number `received` then is.
/// Depends on the speed of the machine.
///
/// # Errors
/// When an episode has no feasible start.
pub fn hindsight(
    scenario: &Scenario,
    evaluation: &Evaluation,
    settings: &Settings,
    seconds: u32,
    received: &AtomicUsize,
) -> anyhow::Result<Option<Hindsight>> {
    let World { env, seeds, .. } = unforeseen(scenario, settings)?;
    let bar = Progress::new(settings.progress, seeds.len() as u64, "episodes");
    bar.set_message("hindsight");
    let limit = Duration::from_secs(seconds.into());
    let found = seeds
        .par_iter()
        .enumerate()
        .map_init(
            || env.clone(),
            |env, (at, &seed)| {
                env.reset(seed)?;
                let stay = play(&mut env.clone(), &[], |_, _| {});
                let plan = evaluation.best_plans.get(at).into_iter().flatten();
                let plan: Vec<Planned> = plan.map(Planned::from).collect();
                let (best, tried) = Annealer::new(env, plan).anneal(limit, received);
                bar.inc(1);
                Ok((best.max(stay), stay, tried as f64))
            },
        )
        .collect::<anyhow::Result<Vec<(f64, f64, f64)>>>()?;
    bar.finish();
    if received.load(Ordering::Relaxed) != 0 {
        return Ok(None);
    }
    let column = |of: fn(&(f64, f64, f64)) -> f64| found.iter().map(of).collect::<Vec<f64>>();
    let returns = column(|found| found.0);
    Ok(Some(Hindsight {
        seconds,
        mean_return: bootstrap(&returns, mean, settings.first_seed),
        stay: mean(&column(|found| found.1)),
        plans: mean(&column(|found| found.2)),
        returns,
    }))
}

/// The episodes without forecasts, which take most of a step: nobody looks at them here.
fn unforeseen(scenario: &Scenario, settings: &Settings) -> anyhow::Result<World> {
    let mut scenario = scenario.clone();
    scenario.rules.forecast.horizons.clear();
    World::new(&scenario, settings)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed expectation is the point of a test

    use super::*;
    use crate::{Contender, evaluate_with, oscillation};
    use godwit_envs::scenario::Phase;
    use godwit_models::baselines::baseline;

    const SETTINGS: Settings = Settings {
        episodes: 3,
        first_seed: 40,
        phase: Phase::Evaluate,
        oscillation_window: oscillation::DEFAULT_WINDOW,
        progress: false,
    };

    fn evaluation(scenario: &Scenario, names: &[&'static str]) -> Evaluation {
        let contenders: Vec<Contender> = names
            .iter()
            .map(|&name| Contender {
                name: name.to_owned(),
                trained: false,
                parameters: None,
                factory: Box::new(move || baseline(name).unwrap()),
            })
            .collect();
        evaluate_with(scenario, &contenders, &SETTINGS).unwrap()
    }

    /// Faults, arrivals, displaced workloads and several moves a tick among them.
    #[test]
    fn the_moves_of_a_policy_played_again_earn_what_it_earned() {
        for name in ["founding-10x50", "faults", "churn"] {
            let mut scenario = Scenario::embedded(name).unwrap();
            scenario.rules.episode.ticks = 48;
            let evaluation = evaluation(&scenario, &["best-single-move"]);
            let World { mut env, seeds, .. } = unforeseen(&scenario, &SETTINGS).unwrap();
            for (at, &seed) in seeds.iter().enumerate() {
                env.reset(seed).unwrap();
                let plan: Vec<Planned> =
                    evaluation.best_plans[at].iter().map(Planned::from).collect();
                assert!(!plan.is_empty(), "{name}");
                let earned = play(&mut env, &plan, |_, _| {});
                let expected = evaluation.policies[0].returns[at];
                assert!((earned - expected).abs() < 1e-9, "{name}: {earned} for {expected}");
            }
        }
    }

    #[test]
    fn shares_are_of_what_the_best_plans_gain_over_staying() {
        let mut scenario = Scenario::embedded("bursty").unwrap();
        scenario.rules.episode.ticks = 36;
        let evaluation = evaluation(&scenario, &["best-single-move", "stay"]);
        let search = |signal| {
            let received = AtomicUsize::new(signal);
            hindsight(&scenario, &evaluation, &SETTINGS, 1, &received).unwrap()
        };
        assert_eq!(search(2), None);
        let found = search(0).unwrap();
        let evaluation = evaluation.clone().with_hindsight(Some(found.clone()));
        let of = |name: &str| evaluation.policies.iter().find(|row| row.name == name).unwrap();
        let (stay, best) = (of("stay"), of("best-single-move"));
        assert!((stay.mean_return.value - found.stay).abs() < 1e-9);
        assert_eq!(stay.share.map(|share| share.abs() < 1e-9), Some(true));
        for (at, most) in found.returns.iter().enumerate() {
            assert!(best.returns[at] <= *most && stay.returns[at] <= *most);
        }
        assert!(best.share.unwrap() <= 1.0);
    }
}
