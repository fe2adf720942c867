//! Random tiny instances: the incremental state agrees with the judge after every move, and said
//! beforehand what the move would change.
#![allow(clippy::unwrap_used)] // a failed expectation is the point of a test

use super::*;
use crate::rng::{Rng, stream};
use proptest::prelude::*;
use rand::RngExt;
use std::fmt::Write as _;

/// A random instance whose initial assignment keeps every constraint.
pub(crate) fn feasible(seed: u64) -> Instance {
    let mut rng = stream(seed, "feasible");
    loop {
        let (model, assignment) = texts(&mut rng);
        let instance = Instance::parse("model", &model, "assignment", &assignment).unwrap();
        if check(&instance, instance.initial()).feasible() {
            return instance;
        }
    }
}

/// A model and an assignment, tight enough that everything is broken now and then.
fn texts(rng: &mut Rng) -> (String, String) {
    let (resources, machines) = (rng.random_range(1..4), rng.random_range(1..6));
    let (services, processes) = (rng.random_range(1..6), rng.random_range(1..12));
    let mut model = format!("{resources}\n");
    for _ in 0..resources {
        writeln!(model, "{} {}", rng.random_range(0..2), rng.random_range(0..4)).unwrap();
    }
    writeln!(model, "{machines}").unwrap();
    for _ in 0..machines {
        write!(model, "{} {}", rng.random_range(0..3), rng.random_range(0..3)).unwrap();
        for _ in 0..resources {
            write!(model, " {}", rng.random_range(5..25)).unwrap();
        }
        for _ in 0..resources + machines {
            write!(model, " {}", rng.random_range(0..12)).unwrap();
        }
        model.push('\n');
    }
    writeln!(model, "{services}").unwrap();
    for _ in 0..services {
        let count = [0, 0, 1, 3][rng.random_range(0..4)];
        write!(model, "{} {count}", rng.random_range(0..3)).unwrap();
        for _ in 0..count {
            write!(model, " {}", rng.random_range(0..services)).unwrap();
        }
        model.push('\n');
    }
    writeln!(model, "{processes}").unwrap();
    for _ in 0..processes {
        write!(model, "{}", rng.random_range(0..services)).unwrap();
        for _ in 0..=resources {
            write!(model, " {}", rng.random_range(0..9)).unwrap();
        }
        model.push('\n');
    }
    let balances = rng.random_range(0..3);
    writeln!(model, "{balances}").unwrap();
    for _ in 0..balances {
        let (first, second) = (rng.random_range(0..resources), rng.random_range(0..resources));
        let (target, weight) = (rng.random_range(0..4), rng.random_range(0..4));
        writeln!(model, "{first} {second} {target}\n{weight}").unwrap();
    }
    let mut weight = || rng.random_range(0..20);
    writeln!(model, "{} {} {}", weight(), weight(), weight()).unwrap();
    let assignment: Vec<String> =
        (0..processes).map(|_| rng.random_range(0..machines).to_string()).collect();
    (model, assignment.join(" "))
}

/// What the judge found broken, by kind: capacity, conflict, spread, dependency.
fn judged(instance: &Instance, assignment: &[u32]) -> (i64, [i64; 4]) {
    let verdict = check(instance, assignment);
    let mut kinds = [0; 4];
    for violation in &verdict.violations {
        match violation {
            Violation::Capacity { capacity, usage, .. } => {
                kinds[0] += i64::try_from(*usage).unwrap() - capacity;
            }
            // Three on a machine are three pairs and two too many: only whether there are any.
            Violation::Conflict { .. } => kinds[1] = 1,
            Violation::Spread { expected, got, .. } => kinds[2] += expected - *got as i64,
            Violation::Dependency { .. } => kinds[3] += 1,
            other => panic!("expected an assignment, got {other}"),
        }
    }
    (i64::try_from(verdict.cost).unwrap(), kinds)
}

fn told(solution: &Solution<&Instance>) -> (i64, [i64; 4]) {
    let broken = solution.violations();
    let kinds = [broken.capacity, broken.conflict.min(1), broken.spread, broken.dependency];
    (solution.cost(), kinds)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn the_incremental_state_agrees_with_the_judge(seed: u64) {
        let mut rng = stream(seed, "instance");
        let (model, assignment) = texts(&mut rng);
        let instance = Instance::parse("m", &model, "a", &assignment).unwrap();
        let (machines, processes) = (instance.machines().len(), instance.processes().len());
        let mut solution = Solution::new(&instance);
        prop_assert_eq!(told(&solution), judged(&instance, solution.assignment()));
        for _ in 0..60 {
            let (cost, broken) = (solution.cost(), solution.violations());
            let p = rng.random_range(0..processes);
            let change = if rng.random_range(0..2) == 0 {
                let to = rng.random_range(0..machines);
                let change = solution.shift(p, to);
                if solution.assignment()[p] as usize != to && broken.none() {
                    let kept = change.violations.capacity == 0 && change.violations.conflict == 0;
                    prop_assert_eq!(solution.fits(p, to), kept);
                }
                solution.apply_shift(p, to);
                change
            } else {
                let q = rng.random_range(0..processes);
                let change = solution.swap(p, q);
                let service = |p: usize| instance.processes()[p].service;
                let apart = solution.assignment()[p] != solution.assignment()[q];
                if apart && service(p) != service(q) && broken.none() {
                    let kept = change.violations.capacity == 0 && change.violations.conflict == 0;
                    prop_assert_eq!(solution.fits_swap(p, q), kept);
                }
                solution.apply_swap(p, q);
                change
            };
            prop_assert_eq!(told(&solution), judged(&instance, solution.assignment()));
            let fresh = Solution::with_assignment(&instance, solution.assignment());
            prop_assert_eq!(fresh.violations(), solution.violations());
            let mut expected = broken;
            expected += change.violations;
            prop_assert_eq!((cost + change.cost, expected), (solution.cost(), fresh.violations()));
        }
    }
}

proptest! {
    #[test]
    fn no_legal_move_gains_more_than_its_bound_and_the_best_is_found(seed: u64) {
        let instance = feasible(seed);
        let mut rng = stream(seed, "moves");
        let (machines, processes) = (instance.machines().len(), instance.processes().len());
        let mut solution = Solution::new(&instance);
        for _ in 0..10 {
            let mut best = 0;
            for p in 0..processes {
                for to in (0..machines).filter(|&to| solution.broken_by(p, to).is_none()) {
                    let gain = -solution.shift(p, to).cost;
                    prop_assert!(gain <= solution.most_gain(p), "{} {}", gain, solution.most_gain(p));
                    best = best.max(gain);
                }
            }
            prop_assert_eq!(solution.best_gain(), best);
            let (p, to) = (rng.random_range(0..processes), rng.random_range(0..machines));
            if solution.broken_by(p, to).is_none() {
                solution.apply_shift(p, to);
            }
        }
    }

    #[test]
    fn a_chain_fits_and_costs_what_its_two_moves_do(seed: u64) {
        let instance = feasible(seed);
        let mut rng = stream(seed, "chains");
        let (machines, processes) = (instance.machines().len(), instance.processes().len());
        let mut solution = Solution::new(&instance);
        for _ in 0..30 {
            let (p, q) = (rng.random_range(0..processes), rng.random_range(0..processes));
            let third = rng.random_range(0..machines);
            let place = |p: usize| solution.assignment()[p] as usize;
            let (from, to) = (place(p), place(q));
            if from == to || third == from || third == to || !solution.fits(q, third) {
                continue;
            }
            let (fits, cost) = (solution.fits_in_place_of(p, q), solution.chain_cost(p, q, third));
            let mut after = Solution::with_assignment(&instance, solution.assignment());
            after.apply_shift(q, third);
            prop_assert_eq!(after.fits(p, to), fits);
            after.apply_shift(p, to);
            let service_move = |of: &Solution<&Instance>| {
                Cost::of(&instance, of.assignment()).service_move
            };
            let change = after.cost() - solution.cost();
            prop_assert_eq!(change - service_move(&after) + service_move(&solution), cost);
            if after.violations().none() {
                solution = after;
            }
        }
    }

    #[test]
    fn no_assignment_costs_less_than_the_lower_bound(seed: u64) {
        let mut rng = stream(seed, "bound");
        let (model, assignment) = texts(&mut rng);
        let instance = Instance::parse("m", &model, "a", &assignment).unwrap();
        prop_assert!(instance.lower_bound() <= Solution::new(&instance).cost());
    }

    #[test]
    fn an_instance_is_read_back_from_its_own_text(seed: u64) {
        let (model, assignment) = texts(&mut stream(seed, "texts"));
        let instance = Instance::parse("model", &model, "assignment", &assignment).unwrap();
        let again = Instance::parse("text", &instance.model_text(), "assignment", &assignment);
        prop_assert_eq!(again.unwrap(), instance);
    }
}
