//! The exact solver against numbers worked out by hand.

use crate::build::*;
use godwit_envs::env::Env;
use godwit_envs::env::exact::{ExactError, ExactValues};
use godwit_envs::scenario::Phase;
use godwit_envs::state::Action;

#[test]
fn the_founding_example_is_worth_what_it_is_by_hand() {
    let env = embedded("founding-3x3", Phase::Evaluate);
    // All on one node: L = 2.8; the best is 1.3, reached with two moves. Moving the largest
    // workload first (load 1.3) leaves 1.5 and pays 1.3; the second move pays the other 0.2.
    for gamma in [1.0, 0.9, 0.5] {
        let exact = ExactValues::solve(env.state(), gamma).unwrap();
        let value = exact.value(&[0, 0, 0], 4);
        assert!((value - (1.3 + 0.2 * gamma)).abs() < 1e-5, "{gamma}: {value}");
        // One move: the largest workload leaves.
        assert!((exact.value(&[0, 0, 0], 1) - 1.3).abs() < 1e-5);
        assert_eq!(exact.value(&[0, 0, 0], 0), 0.0);
        // The optimum: every move makes it worse, so staying is best.
        assert!(exact.value(&[0, 1, 2], 4).abs() < 1e-5);
        // Moving workload-1 (0.8) first pays 0.8, then 0.7 by moving workload-0 elsewhere, or
        // the largest to the third node for 0.7 as well: 2.0 = 0.7 + 1.3.
        let first = exact.q(env.state(), Action::Migrate { workload: 1, destination: 2 });
        assert!((first.unwrap() - (0.8 + 0.7 * gamma)).abs() < 1e-5, "{first:?}");
        assert_eq!(exact.q(env.state(), Action::Stay), Some(0.0));
        assert_eq!(exact.q(env.state(), Action::Migrate { workload: 1, destination: 0 }), None);
    }
}

#[test]
fn playing_greedily_by_exact_values_earns_the_exact_value() {
    let mut env = embedded("founding-3x3", Phase::Evaluate);
    let exact = ExactValues::solve(env.state(), 0.9).unwrap();
    let expected = exact.value(&env.state().placement, env.state().moves_left);
    let (mut total, mut discount) = (0.0, 1.0);
    loop {
        let (best, _) = (0..env.action_space())
            .filter_map(|a| Some((a, exact.q(env.state(), env.action(a)?)?)))
            .fold((0, f64::NEG_INFINITY), |best, next| if next.1 > best.1 { next } else { best });
        let step = env.step(best).unwrap();
        total += discount * f64::from(step.reward);
        discount *= 0.9_f64.powi(step.elapsed_ticks as i32);
        if step.end.is_some() {
            break;
        }
    }
    assert!((total - expected).abs() < 1e-5, "{total} {expected}");
}

#[test]
fn worlds_that_cannot_be_enumerated_are_refused() {
    let online = embedded("founding-10x50", Phase::Train);
    assert_eq!(ExactValues::solve(online.state(), 1.0).unwrap_err(), ExactError::Online);
    let large = embedded("quickstart", Phase::Train);
    assert_eq!(ExactValues::solve(large.state(), 1.0).unwrap_err(), ExactError::TooLarge);
}
