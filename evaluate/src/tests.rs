//! Evaluations: determinism, bounds, oscillations.

#![allow(clippy::unwrap_used)] // a failed expectation is the point of a test

use super::before::Before;
use super::*;
use godwit_envs::scenario::Perturb;
use godwit_models::baselines::{NAMES, baseline};
use godwit_models::shell::ShellRules;

fn baselines(names: &[&'static str]) -> Vec<Contender> {
    names
        .iter()
        .map(|&name| Contender {
            name: name.to_owned(),
            trained: name == "best-single-move",
            parameters: None,
            factory: Box::new(move || baseline(name).unwrap()),
        })
        .collect()
}

/// What must not depend on the machine.
fn numbers(mut evaluation: Evaluation) -> Evaluation {
    for policy in &mut evaluation.policies {
        policy.decisions_per_s = 0.0;
        (policy.decision_us_p50, policy.decision_us_p99) = (0.0, 0.0);
    }
    evaluation
}

#[test]
fn numbers_do_not_depend_on_the_number_of_threads() {
    let scenario = Scenario::embedded("quickstart").unwrap();
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| evaluate(&scenario, &baselines(NAMES), 12, 5, false)).unwrap()
    };
    let (one, three) = (numbers(run(1)), numbers(run(3)));
    assert_eq!(one, three);
    assert_eq!(one.policies.len(), NAMES.len());
    assert!(one.policies.is_sorted_by(|a, b| a.mean_return.value >= b.mean_return.value));
    let stay = one.policies.iter().find(|policy| policy.name == "stay").unwrap();
    assert_eq!((stay.moves, stay.mean_return.value), (0.0, 0.0));
    assert_eq!(stay.state, one.start, "who moves nothing ends where it began");
    let comparison = stay.comparison.unwrap();
    assert!(comparison.difference.low > 0.0, "{comparison:?}");
}

#[test]
fn what_episodes_leave_behind_does_not_depend_on_threads_either() {
    for name in ["faults", "churn"] {
        let mut scenario = Scenario::embedded(name).unwrap();
        scenario.rules.episode.ticks = 36;
        let names = ["hold-down", "lr-mmt", "best-move-or-swap", "evacuate", "random"];
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let played = || evaluate(&scenario, &baselines(&names), 6, 5, false);
            numbers(pool.install(played).unwrap())
        };
        assert_eq!(run(1), run(3), "{name}");
    }
}

#[test]
fn every_trained_policy_is_compared_with_every_other_row() {
    let scenario = Scenario::embedded("quickstart").unwrap();
    let mut contenders = baselines(&["best-single-move", "stay", "load-balancer", "random"]);
    contenders[2].trained = true;
    let evaluation = evaluate(&scenario, &contenders, 12, 5, false).unwrap();
    assert_eq!(evaluation.reference.as_deref(), Some("best-single-move"));
    let names: Vec<&str> = evaluation.policies.iter().map(|row| row.name.as_str()).collect();
    for row in &evaluation.policies {
        let against: Vec<&str> = row.ahead_of.iter().map(|found| found.policy.as_str()).collect();
        let others: Vec<&str> = names.iter().copied().filter(|name| *name != row.name).collect();
        assert_eq!(against, if row.trained { others } else { Vec::new() }, "{}", row.name);
        for AheadOf { policy, comparison } in &row.ahead_of {
            let other = evaluation.policies.iter().find(|other| other.name == *policy).unwrap();
            let differences = stats::paired_difference(&row.returns, &other.returns);
            assert_eq!(comparison.difference, bootstrap(&differences, mean, 5));
            if Some(&row.name) == evaluation.reference.as_ref() {
                assert_eq!(other.comparison, Some(*comparison), "the same bits as before");
            }
        }
    }
}

#[test]
fn a_change_is_paired_with_the_row_of_the_same_name_in_the_same_episodes() {
    let scenario = Scenario::embedded("quickstart").unwrap();
    let names = ["best-single-move", "stay", "random"];
    let before = evaluate(&scenario, &baselines(&names), 6, 5, false).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), serde_json::to_string(&before).unwrap()).unwrap();
    let (phase, oscillation_window) = (Phase::Evaluate, 12);
    let settings =
        Settings { episodes: 6, first_seed: 5, phase, oscillation_window, progress: false };
    let read = |scenario, settings| Before::read(file.path(), scenario, &settings);

    // Who decides otherwise under the same name: here, one who stays.
    let mut contenders = baselines(&["stay", "load-balancer"]);
    contenders[0].name = "best-single-move".into();
    let mut after = evaluate_with(&scenario, &contenders, &settings).unwrap();
    read("quickstart", settings).unwrap().compare(&mut after).unwrap();
    let row = |evaluation: &Evaluation, name: &str| {
        evaluation.policies.iter().find(|row| row.name == name).cloned().unwrap()
    };
    let change = row(&after, "best-single-move").change.unwrap().difference;
    let lost = -row(&before, "best-single-move").mean_return.value;
    assert!((change.value - lost).abs() < 1e-9 && change.high < 0.0, "{change:?}");
    assert_eq!(row(&after, "load-balancer").change, None, "it was not there before");

    let refused = |error: godwit_envs::input::InputError| error.to_string();
    let other = read("bursty", settings).unwrap_err();
    assert!(refused(other).contains("scenario: expected bursty, got quickstart"));
    let other = read("quickstart", Settings { first_seed: 6, ..settings }).unwrap_err();
    assert!(refused(other).contains("first_seed: expected 6, got 5"));
    let fewer = Settings { episodes: 4, ..settings };
    let mut after = evaluate_with(&scenario, &contenders, &fewer).unwrap();
    let error = read("quickstart", fewer).unwrap().compare(&mut after).unwrap_err();
    assert!(refused(error).contains("returns: expected 4 episodes, got 6"));
    let mut after = evaluate(&scenario, &baselines(&["hold-down"]), 6, 5, false).unwrap();
    let error = read("quickstart", settings).unwrap().compare(&mut after).unwrap_err();
    assert!(refused(error).contains("policies: expected at least one policy of this evaluation"));
}

#[test]
fn a_bound_gives_every_policy_its_gap() {
    let scenario = Scenario::embedded("founding-3x3").unwrap();
    let evaluation =
        evaluate(&scenario, &baselines(&["stay", "best-single-move"]), 1, 0, false).unwrap();
    assert!(evaluation.bound.is_none() && evaluation.policies[0].gap.is_none());
    let best = evaluation.policies[0].mean_return.value;
    let evaluation = evaluation.with_bound(Some(best * 2.0));
    assert!((evaluation.policies[0].gap.unwrap() - 0.5).abs() < 1e-9);
    assert_eq!(evaluation.policies[1].gap, Some(1.0), "who stays misses all of it");
}

#[test]
fn a_shorter_window_finds_fewer_oscillations() {
    let scenario = Scenario::embedded("founding-10x50").unwrap();
    let found = |oscillation_window| {
        let (first_seed, phase, progress) = (0, Phase::Evaluate, false);
        let settings = Settings { episodes: 2, first_seed, phase, oscillation_window, progress };
        let evaluation = evaluate_with(&scenario, &baselines(&["random"]), &settings).unwrap();
        let policy = &evaluation.policies[0];
        let sum: u32 = policy.episodes.iter().map(|episode| episode.oscillations).sum();
        assert_eq!(policy.oscillations, f64::from(sum) / 2.0);
        let moves: u32 = policy.episodes.iter().map(|episode| episode.moves).sum();
        assert_eq!(policy.oscillation_share, Some(f64::from(sum) / f64::from(moves)));
        policy.oscillations
    };
    assert_eq!(found(0), 0.0, "a workload that moved cools down first");
    assert!(found(12) < found(144) && found(144) > 0.0);
}

#[test]
fn within_a_hold_down_nobody_returns_and_without_one_somebody_does() {
    let mut scenario = Scenario::embedded("bursty").unwrap();
    scenario.rules.episode.ticks = 60;
    let rules = ShellRules { hold_down_ticks: 24, ..ShellRules::default() };
    let oscillation_window = limits::held_down(&rules).unwrap();
    assert_eq!(oscillation_window, 23);
    let (first_seed, phase, progress) = (0, Phase::Evaluate, false);
    let settings = Settings { episodes: 4, first_seed, phase, oscillation_window, progress };
    let names = ["random", "watcher-workload-balance", "stay"];
    let shares = |contenders: Vec<Contender>| {
        let evaluation = evaluate_with(&scenario, &contenders, &settings).unwrap();
        names.map(|name| {
            let policy = evaluation.policies.iter().find(|policy| policy.name == name).unwrap();
            policy.oscillation_share
        })
    };
    let free = shares(baselines(&names));
    assert!(free[0] > Some(0.01) && free[1] > Some(0.0), "{free:?}");
    let rules = Arc::new(rules);
    let within = |contender| limits::within(contender, &rules, &scenario);
    let shelled = shares(baselines(&names).into_iter().map(within).collect());
    assert_eq!(shelled, [Some(0.0), Some(0.0), None]);
}

#[test]
fn a_scenario_with_one_start_is_evaluated_once() {
    let scenario = Scenario::embedded("founding-3x3").unwrap();
    let evaluation =
        evaluate(&scenario, &baselines(&["stay", "best-single-move"]), 100, 0, false).unwrap();
    assert!(evaluation.single_start && evaluation.episodes == 1);
    // The founding example: 2.8 at the start, 1.3 at best.
    assert!((evaluation.start.terms["max_load"] - 2.8).abs() < 1e-6);
    assert!((evaluation.policies[0].state.terms["max_load"] - 1.3).abs() < 1e-6);
}

#[test]
fn validation_plays_every_episode_where_starts_are_disturbed() {
    let mut scenario = Scenario::embedded("founding-3x3").unwrap();
    scenario.start.perturb = Some(Perturb { moves: Some([1, 2]), replace_share: None });
    let settings = Settings {
        episodes: 6,
        first_seed: 0,
        phase: Phase::Validate,
        oscillation_window: oscillation::DEFAULT_WINDOW,
        progress: false,
    };
    let evaluation = evaluate_with(&scenario, &baselines(&["stay"]), &settings).unwrap();
    assert!(!evaluation.single_start && evaluation.episodes == 6);
    assert_eq!(evaluation.policies[0].returns.len(), 6);
}
