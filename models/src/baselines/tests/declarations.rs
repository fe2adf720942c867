//! Declarations against the baselines that they stand for.

use crate::baselines::parameters::Tunable;
use crate::baselines::{Assignment, Baseline, NAMES, baseline, baseline_with, find};
use crate::policy::Policy;
use crate::rollout::rollout;
use crate::testing::env;
use godwit_envs::scenario::Phase;

/// Baselines that have nothing to tune: an exact solver's limits only trade time for proof.
const PLAIN: &[&str] = &["stay", "random", "milp"];

fn declared(name: &str) -> Option<Box<dyn Tunable>> {
    find(name).and_then(Baseline::declaration)
}

fn assignment(values: &[(&str, f64)]) -> Assignment {
    values.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
}

#[test]
fn every_baseline_declares_its_parameters() {
    for name in NAMES {
        assert_eq!(
            declared(name).is_none(),
            PLAIN.contains(name),
            "{name}: write a declaration() next to its rules and name it in its row"
        );
    }
}

#[test]
fn every_default_is_in_its_range_and_every_meaning_is_given() {
    for name in NAMES {
        let Some(declaration) = declared(name) else { continue };
        let parameters = declaration.parameters();
        assert!(!parameters.is_empty(), "{name}");
        for parameter in &parameters {
            assert!(parameter.allows(parameter.default), "{name}: {parameter:?}");
            assert!(!parameter.meaning.is_empty(), "{name}: {parameter:?}");
            let count = parameters.iter().filter(|other| other.name == parameter.name).count();
            assert_eq!(count, 1, "{name}: {parameter:?}");
        }
        declaration.check(&Assignment::new()).unwrap();
    }
}

#[test]
fn every_parameter_has_a_field_of_its_own() {
    for name in NAMES {
        let Some(declaration) = declared(name) else { continue };
        let defaults = declaration.read_back(&Assignment::new()).unwrap();
        for parameter in declaration.parameters() {
            for share in [0.0, 0.3, 0.7, 1.0] {
                let value = parameter.at_share(share);
                let one = assignment(&[(parameter.name, value)]);
                // Some values do not go with the defaults of the others.
                let Ok(after) = declaration.read_back(&one) else { continue };
                let mut expected = defaults.clone();
                expected.insert(parameter.name.to_owned(), value);
                assert_eq!(after, expected, "{name}: {}", parameter.name);
            }
        }
    }
}

#[test]
fn without_values_it_is_the_baseline_itself() {
    for scenario in ["quickstart", "founding-10x50"] {
        let mut env = env(scenario, Phase::Train);
        for name in NAMES {
            let mut play = |policy: &mut dyn Policy| {
                let outcome = rollout(&mut env, policy, 3).unwrap();
                (outcome.episode_return, outcome.moves)
            };
            let plain = play(baseline(name).unwrap().as_mut());
            let mut built = baseline_with(name, &Assignment::new()).unwrap();
            assert_eq!(play(built.as_mut()), plain, "{scenario}: {name}");
            assert_eq!(built.name(), *name);
        }
    }
}

#[test]
fn values_reach_the_policy() {
    let mut env = env("quickstart", Phase::Train);
    let mut moves = |values: &[(&str, f64)]| {
        let mut policy = baseline_with("load-balancer", &assignment(values)).unwrap();
        rollout(&mut env, policy.as_mut(), 0).unwrap().moves
    };
    assert!(moves(&[]) > moves(&[("min_improvement", 1.0)]));
}

#[test]
fn what_is_wrong_is_named() {
    let message = |name: &str, values: &[(&str, f64)]| {
        baseline_with(name, &assignment(values)).map(|_| ()).unwrap_err().to_string()
    };
    let single = "best-single-move";
    for (got, expected) in [
        (
            message(single, &[("ticks", 0.0)]),
            "best-single-move: ticks: expected a whole number from 1 to 72, got 0",
        ),
        (
            message(single, &[("ticks", 1.5)]),
            "best-single-move: ticks: expected a whole number from 1 to 72, got 1.5",
        ),
        (
            message(single, &[("min_gain", f64::NAN)]),
            "best-single-move: min_gain: expected a number from 0 to 1, got NaN",
        ),
        (
            message(single, &[("tick", 3.0)]),
            "best-single-move: tick: expected one of the parameters ticks, forecast_share, \
             min_gain, got an unknown one",
        ),
        (
            message("threshold-rules", &[("low", 0.9)]),
            "threshold-rules: low: expected no more than release, got 0.9",
        ),
        (
            message("low-node-utilization", &[("thresholds", 2.0)]),
            "low-node-utilization: thresholds: expected one of deviation, fixed, got 2",
        ),
        (message("stay", &[("ticks", 3.0)]), "stay: ticks: expected no parameters, got one"),
    ] {
        assert_eq!(got, expected);
    }
    assert!(message("greedy", &[]).starts_with("greedy: expected one of stay, "));
}

#[test]
fn shares_and_values_agree() {
    for name in NAMES {
        for parameter in declared(name).map(|known| known.parameters()).unwrap_or_default() {
            for share in [0.0, 0.05, 0.4, 0.77, 1.0] {
                let value = parameter.at_share(share);
                assert!(parameter.allows(value), "{name}: {parameter:?} {value}");
                let again = parameter.at_share(parameter.share_of(value));
                assert!((again - value).abs() <= 0.02 * value.abs(), "{name}: {value} {again}");
            }
        }
    }
}
