//! The search on made-up returns, where the right answer is known, and on real episodes.

use super::*;
use crate::baselines::declaration::Declaration;
use crate::baselines::greedy::load_balancer::LoadBalancer;
use godwit_envs::scenario::{Mode, Scenario};
use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

fn template(name: &str) -> Arc<WorldTemplate> {
    Arc::new(WorldTemplate::new(&Scenario::embedded(name).unwrap()))
}

/// A load balancer whose default moves next to nothing.
fn bad_default() -> Declaration<f32> {
    Declaration::new(1.0_f32, LoadBalancer::new).real("least", "a load", 0.0..=1.0, |r| r.into())
}

const SMALL: Search = Search { trials: 18, episodes: 9, seed: 5 };

#[test]
fn a_bad_default_is_recovered() {
    let template = template("quickstart");
    let found = tune_declared(&template, "bad", &bad_default(), &SMALL, &|_| {}).unwrap();
    assert!(found.tuned);
    let least = found.parameters["least"];
    assert!(least < 0.4, "{found:?}");
    assert!(found.best_return > found.default_return + 0.1, "{found:?}");
    assert!(found.standard_error > 0.0);
    assert_eq!(found.trials, 18);
}

#[test]
fn the_result_does_not_depend_on_the_number_of_threads() {
    let template = template("quickstart");
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let tune = |name: &str| tune(&template, name, &SMALL, &|_| {}).unwrap();
        pool.install(|| {
            let bad = tune_declared(&template, "bad", &bad_default(), &SMALL, &|_| {}).unwrap();
            let [rules, annealing] = ["threshold-rules", "annealing"].map(tune);
            [rules, annealing, bad]
        })
    };
    let one = run(1);
    assert_eq!(one, run(3));
    assert!(one.iter().any(|found| found.tuned), "{one:?}");
    let other = Search { seed: 6, ..SMALL };
    let differs = tune(&template, "annealing", &other, &|_| {}).unwrap();
    assert_ne!(one[1], differs, "another seed is another search");
}

#[test]
fn what_does_nothing_in_a_scenario_is_not_varied() {
    let found = tune(&template("quickstart"), "best-single-move", &SMALL, &|_| {}).unwrap();
    assert_eq!((found.tuned, found.trials), (false, 1));
    assert_eq!(found.default_return, found.best_return);
    assert_eq!(found.parameters["ticks"], 18.0, "the defaults are stated");
}

#[test]
fn progress_counts_every_episode_and_the_forecast_of_it_holds() {
    for (trials, episodes) in [(1, 1), (2, 1), (18, 9), (7, 4)] {
        let search = Search { trials, episodes, seed: 0 };
        let count = AtomicUsize::new(0);
        let played = |n| {
            count.fetch_add(n, Ordering::Relaxed);
        };
        tune(&template("founding-3x3"), "sandpiper", &search, &played).unwrap();
        let count = count.into_inner();
        let most = search.episodes_at_most();
        assert!(0 < count && count <= most, "{search:?}: {count} of {most}");
    }
}

#[test]
fn what_has_no_parameters_is_refused() {
    let refused = |name| tune(&template("founding-3x3"), name, &SMALL, &|_| {}).unwrap_err();
    assert!(refused("stay").to_string().contains("a baseline with parameters"));
    assert!(refused("greedy").to_string().contains("greedy"));
}

/// Tunes one number on made-up returns of value and seed.
fn tune_function(search: &Search, value_of: impl Fn(f64, u64) -> f64) -> Tuned {
    let declaration = bad_default();
    let space = Space::new(&declaration, Mode::Rebalance);
    let play = |jobs: &[(&Assignment, u64)]| {
        Ok(jobs.iter().map(|(values, seed)| value_of(values["least"], *seed)).collect())
    };
    Tuner::new(&space, &play, "function", search).unwrap().run().unwrap()
}

/// Noise between -1 and 1, the same for a seed.
fn noise(seed: u64) -> f64 {
    (seed as f64 * 12.9898).sin()
}

#[test]
fn refinement_closes_in_on_the_best_value() {
    let search = Search { trials: 60, episodes: 27, seed: 1 };
    let found = tune_function(&search, |x, seed| noise(seed) - (x - 0.37).powi(2));
    assert!((found.parameters["least"] - 0.37).abs() < 0.02, "{found:?}");
    // Episodes are shared: their noise, a hundred times the differences, cancels out.
    assert!(found.standard_error < 1e-9, "{found:?}");
}

#[test]
fn what_is_ahead_on_seen_episodes_only_is_not_used() {
    let search = Search { trials: 30, episodes: 9, seed: 100 };
    let seen = search.seeds();
    let lucky = |x: f64, seed: u64| if seen.contains(&seed) { 1.0 - x } else { x };
    let found = tune_function(&search, lucky);
    assert!(!found.tuned);
    assert_eq!(found.parameters["least"], 1.0, "the default is kept");
    assert!(found.best_return < found.default_return, "{found:?}");
    // Level is not ahead.
    let level = |x: f64, seed: u64| if seen.contains(&seed) { 1.0 - x } else { 0.0 };
    assert!(!tune_function(&search, level).tuned);
    // And with the same sign on both it is used: the test can fail.
    assert!(tune_function(&search, |x, _| 1.0 - x).tuned);
}

#[test]
fn the_search_never_sees_a_held_out_episode() {
    let search = Search { trials: 30, episodes: 9, seed: 100 };
    let jobs = Mutex::new(Vec::new());
    tune_function(&search, |x, seed| {
        jobs.lock().unwrap().push((x.to_bits(), seed));
        1.0 - x
    });
    let jobs = jobs.into_inner().unwrap();
    let settings = |seeds: &Range<u64>| -> BTreeSet<u64> {
        jobs.iter().filter(|job| seeds.contains(&job.1)).map(|job| job.0).collect()
    };
    assert_eq!(settings(&search.seeds()).len(), 30, "every trial is its own");
    assert_eq!(settings(&search.holdout_seeds()).len(), 2, "the best and the defaults");
    assert_eq!(jobs.iter().collect::<BTreeSet<_>>().len(), jobs.len(), "nothing is played twice");
    let known = |job: &&(u64, u64)| {
        search.seeds().contains(&job.1) || search.holdout_seeds().contains(&job.1)
    };
    assert_eq!(jobs.iter().filter(known).count(), jobs.len());
    assert_eq!(search.seeds().end, search.holdout_seeds().start);
    assert!(jobs.len() <= search.episodes_at_most());
}

#[test]
fn steps_stay_near_and_draws_go_everywhere() {
    let declaration = bad_default();
    let space = Space::new(&declaration, Mode::Online);
    let mut rng = stream(1, "test");
    let center: Assignment = [("least".to_owned(), 0.5)].into();
    let mut drawn: Vec<f64> = Vec::new();
    for _ in 0..200 {
        let near = space.step(&center, 0.1, &mut rng, &|_| false).unwrap()["least"];
        assert!((near - 0.5).abs() <= 0.1 + 1e-9, "{near}");
        drawn.push(space.draw(&mut rng, &|_| false).unwrap()["least"]);
    }
    drawn.sort_by(f64::total_cmp);
    assert!(drawn[0] < 0.05 && drawn[199] > 0.95);
    assert!(space.draw(&mut rng, &|_| true).is_none(), "an exhausted space ends the search");
}
