//! Random small instances: what a search returns is feasible, repeats, and is held against the
//! optimum.
#![allow(clippy::unwrap_used)] // a failed expectation is the point of a test

mod data;

use super::*;
use godwit_envs::reassignment::check;
use godwit_envs::rng::{Rng, stream};
use rand::RngExt;
use std::fmt::Write as _;

/// A random instance, tight enough that every constraint binds now and then. Its initial
/// assignment may be infeasible.
fn random(rng: &mut Rng, machines: usize, processes: usize) -> Instance {
    let (resources, services) = (rng.random_range(1..4), rng.random_range(1..=processes));
    let mut model = format!("{resources}\n");
    for _ in 0..resources {
        // Loads weigh more than moves, or the start would be best all too often.
        writeln!(model, "{} {}", rng.random_range(0..2), rng.random_range(1..40)).unwrap();
    }
    writeln!(model, "{machines}").unwrap();
    for _ in 0..machines {
        write!(model, "{} {}", rng.random_range(0..2), rng.random_range(0..3)).unwrap();
        for _ in 0..resources {
            write!(model, " {}", rng.random_range(10..30)).unwrap();
        }
        for _ in 0..resources + machines {
            write!(model, " {}", rng.random_range(0..10)).unwrap();
        }
        model.push('\n');
    }
    writeln!(model, "{services}").unwrap();
    for service in 0..services {
        let depends = service > 0 && rng.random_range(0..3) == 0;
        let count = usize::from(depends);
        write!(model, "{} {count}", rng.random_range(0..3)).unwrap();
        if depends {
            write!(model, " {}", rng.random_range(0..service)).unwrap();
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
    writeln!(model, "1\n0 {} {}\n{}", resources - 1, rng.random_range(0..4), 2).unwrap();
    let mut weight = || rng.random_range(0..5);
    writeln!(model, "{} {} {}", weight(), weight(), weight()).unwrap();
    let assignment: Vec<String> =
        (0..processes).map(|_| rng.random_range(0..machines).to_string()).collect();
    Instance::parse("model", &model, "assignment", &assignment.join(" ")).unwrap()
}

/// So many random instances with a feasible start, of at most so many machines and processes.
pub(crate) fn feasible(count: usize, machines: usize, processes: usize) -> Vec<Instance> {
    let mut rng = stream(7, "instances");
    let mut instances = Vec::new();
    while instances.len() < count {
        let (machines, processes) =
            (rng.random_range(1..=machines), rng.random_range(1..=processes));
        let instance = random(&mut rng, machines, processes);
        if check(&instance, instance.initial()).feasible() {
            instances.push(instance);
        }
    }
    instances
}

fn moves(seed: u64, iterations: u64) -> SearchRules {
    SearchRules { seed, time: None, iterations: Some(iterations) }
}

/// The least cost of all feasible assignments.
fn optimum(instance: &Instance) -> i64 {
    let (machines, processes) = (instance.machines().len(), instance.processes().len());
    let mut least = i128::MAX;
    for code in 0..machines.pow(processes as u32) {
        let digit = |place: usize| (code / machines.pow(place as u32) % machines) as u32;
        let assignment: Vec<u32> = (0..processes).map(digit).collect();
        let verdict = check(instance, &assignment);
        if verdict.feasible() {
            least = least.min(verdict.cost);
        }
    }
    i64::try_from(least).unwrap()
}

#[test]
fn what_is_found_is_feasible_costs_what_is_said_and_never_more_than_the_start() {
    for (seed, instance) in feasible(300, 12, 30).iter().enumerate() {
        let found = search(instance, moves(seed as u64, 5_000)).unwrap();
        let verdict = check(instance, &found.assignment);
        assert_eq!(verdict.violations, vec![], "instance {seed}");
        assert_eq!(verdict.cost, i128::from(found.cost), "instance {seed}");
        assert!(verdict.cost <= check(instance, instance.initial()).cost, "instance {seed}");
        assert_eq!(found.iterations, 5_000, "instance {seed}");
    }
}

#[test]
fn the_optimum_of_tiny_instances_is_found() {
    let mut improved = 0;
    for (seed, instance) in feasible(300, 4, 6).iter().enumerate() {
        let found = search(instance, moves(seed as u64, 20_000)).unwrap();
        assert_eq!(found.cost, optimum(instance), "instance {seed}");
        improved += usize::from(i128::from(found.cost) < check(instance, instance.initial()).cost);
    }
    // Where the start is the optimum, there was nothing to find.
    assert!(improved >= 100, "expected at least 100 starts that are no optimum, got {improved}");
}

#[test]
fn seed_and_iterations_tell_the_whole_result() {
    let mut other = 0;
    for instance in &feasible(20, 12, 30) {
        // Past the first stage, and no multiple of a round.
        let [first, again, elsewhere] =
            [3, 3, 4].map(|seed| search(instance, moves(seed, 2_001)).unwrap());
        assert_eq!((&first.assignment, first.cost), (&again.assignment, again.cost));
        assert_eq!((first.iterations, again.iterations), (2_001, 2_001));
        other += usize::from(first.assignment != elsewhere.assignment);
    }
    assert!(other > 0, "expected another seed to lead elsewhere now and then");
}

#[test]
fn an_infeasible_start_is_refused() {
    let mut rng = stream(11, "instances");
    let mut refused = 0;
    for _ in 0..100 {
        let instance = random(&mut rng, 4, 8);
        let start = check(&instance, instance.initial());
        match search(&instance, moves(0, 100)) {
            Ok(_) => assert!(start.feasible()),
            Err(InfeasibleStart(violations)) => {
                assert!(!start.feasible() && !violations.none());
                refused += 1;
            }
        }
    }
    assert!(refused > 10, "expected infeasible starts among 100, got {refused}");
}

#[test]
fn without_limits_or_with_none_left_the_start_is_returned() {
    let instance = &feasible(1, 12, 30)[0];
    let spent = SearchRules { time: Some(Duration::ZERO), ..SearchRules::default() };
    for rules in [SearchRules::default(), moves(0, 0), spent] {
        let found = search(instance, rules).unwrap();
        assert_eq!((&found.assignment[..], found.iterations), (instance.initial(), 0));
    }
}

#[test]
fn time_is_kept() {
    let instance = &feasible(1, 12, 30)[0];
    let time = Duration::from_millis(200);
    let limited = SearchRules { time: Some(time), ..SearchRules::default() };
    let found = search(instance, limited).unwrap();
    // Generous: a busy machine may look away for long.
    assert!(found.time >= time && found.time < 10 * time, "got {:?}", found.time);
    // The first limit that is reached ends it.
    let both = SearchRules { time: Some(Duration::from_secs(600)), ..moves(0, 1_000) };
    assert_eq!(search(instance, both).unwrap().iterations, 1_000);
}

#[test]
fn a_search_from_elsewhere_begins_there_and_never_ends_above() {
    for instance in feasible(20, 4, 10) {
        let rules = |iterations| SearchRules { seed: 1, time: None, iterations };
        let first = search(&instance, rules(Some(200))).unwrap();
        let start = search_from(&instance, &first.assignment, rules(None)).unwrap();
        assert_eq!((&start.assignment, start.cost), (&first.assignment, first.cost));
        let found = search_from(&instance, &first.assignment, rules(Some(2000))).unwrap();
        assert!(found.cost <= first.cost);
        let verdict = check(&instance, &found.assignment);
        assert!(verdict.feasible() && verdict.cost == i128::from(found.cost));
    }
}

#[test]
fn a_search_from_an_assignment_that_breaks_a_constraint_is_refused() {
    let instances = feasible(100, 12, 30);
    let refused = instances.iter().filter(|instance| {
        let crowded = vec![0; instance.processes().len()];
        let outcome = search_from(instance, &crowded, SearchRules::default());
        assert_eq!(outcome.is_ok(), check(instance, &crowded).feasible());
        outcome.is_err()
    });
    assert!(refused.count() > 30);
}
