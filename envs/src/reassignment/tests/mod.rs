//! Tiny instances worked by hand: one for each constraint and each part of the cost.
#![allow(clippy::unwrap_used)] // a failed expectation is the point of a test

use super::*;

pub(crate) mod data;
mod parse;
pub(crate) mod random;

fn instance(model: &str, assignment: &str) -> Instance {
    Instance::parse("model", model, "assignment", assignment).unwrap()
}

/// What the judge, the cost function and the incremental state all say.
fn judged(instance: &Instance, assignment: &[u32]) -> (i64, Vec<String>) {
    let verdict = check(instance, assignment);
    let solution = Solution::with_assignment(instance, assignment);
    assert_eq!(verdict.cost, i128::from(Cost::of(instance, assignment).total()));
    assert_eq!(verdict.cost, i128::from(solution.cost()));
    assert_eq!(verdict.feasible(), solution.violations().none(), "{verdict:?}");
    (solution.cost(), verdict.violations.iter().map(ToString::to_string).collect())
}

/// One resource with load weight 3; machines of 10 (safe up to 6) and 20 (safe up to 5), 7 apart on
/// the way there and 2 on the way back; services {0: p0, p1} and {1: p2}; requirements 4, 5, 2;
/// move costs 1, 2, 4; weights 10, 100, 1000.
const COSTS: &str = "1  0 3
    2  0 0 10 6 0 7  0 1 20 5 2 0
    2  0 0  0 0
    3  0 4 1  0 5 2  1 2 4
    0  10 100 1000";

#[test]
fn load_cost_is_the_weighted_usage_above_the_safety_capacities() {
    // Machine 0: 4 + 2 = 6, just safe. Machine 1: 5, just safe.
    assert_eq!(judged(&instance(COSTS, "0 1 0"), &[0, 1, 0]), (0, vec![]));
    // Machine 0: 4, safe. Machine 1: 5 + 2 = 7, 2 above 5, times 3.
    assert_eq!(judged(&instance(COSTS, "0 1 1"), &[0, 1, 1]), (6, vec![]));
}

#[test]
fn the_three_costs_of_moving() {
    let instance = instance(COSTS, "0 1 0");
    // p2 goes to machine 1: load 2 above, times 3 = 6; process 4 x 10; service 1 x 100;
    // machines 7 x 1000.
    let cost = Cost::of(&instance, &[0, 1, 1]);
    let expected =
        Cost { load: 6, balance: 0, process_move: 40, service_move: 100, machine_move: 7000 };
    assert_eq!(cost, expected);
    assert_eq!(judged(&instance, &[0, 1, 1]), (7146, vec![]));
    // p0 and p1 trade: 5 + 2 = 7 on machine 0, 1 above 6, times 3 = 3; 4 on machine 1, safe;
    // processes (1 + 2) x 10; the most of a service is 2 x 100; machines (7 + 2) x 1000.
    assert_eq!(judged(&instance, &[1, 0, 0]), (3 + 30 + 200 + 9000, vec![]));
    // The same and p2: 5 on machine 0, 4 + 2 = 6 on machine 1, 1 above 5; processes 7 x 10; still
    // 2 of service 0 are the most; machines (7 + 2 + 7) x 1000.
    assert_eq!(judged(&instance, &[1, 0, 1]), (3 + 70 + 200 + 16_000, vec![]));
}

#[test]
fn balance_cost_is_what_the_second_resource_lacks_beside_the_first() {
    // Free of resource 0 wants 3 times as much free of resource 1; weight 5. Machines of (10, 20).
    let model = "2  0 0  0 0
        2  0 0 10 20 10 20 0 0  0 0 10 20 10 20 0 0
        2  0 0  0 0
        2  0 1 10 0  1 8 1 0
        1  0 1 3 5
        0 0 0";
    // Machine 0 has 9 and 10 free: 27 - 10 = 17. Machine 1 has 2 and 19: 6 - 19 is no lack.
    let apart = instance(model, "0 1");
    assert_eq!(judged(&apart, &[0, 1]), (17 * 5, vec![]));
    // Both on machine 0: 1 and 9 free, 3 - 9 is no lack. Machine 1: 10 and 20, 30 - 20 = 10.
    assert_eq!(judged(&apart, &[0, 0]), (10 * 5, vec![]));
    assert_eq!(Solution::new(&apart).shift(1, 0).cost, 50 - 85);
}

#[test]
fn capacity_may_be_met_and_not_exceeded() {
    let instance = instance(COSTS.replace("1 2 4", "1 6 4").as_str(), "0 1 1");
    // 4 + 6 = 10 of 10.
    assert!(judged(&instance, &[0, 1, 0]).1.is_empty());
    // 5 + 6 = 11 of 10.
    let (_, violations) = judged(&instance, &[1, 0, 0]);
    assert_eq!(violations, ["machine 0, resource 0: expected a usage of at most 10, got 11"]);
    let mut solution = Solution::new(&instance);
    assert!(solution.fits(2, 0));
    assert!(!solution.fits_swap(2, 0) || solution.swap(2, 0).violations.none());
    solution.apply_swap(0, 1);
    assert!(!solution.fits(2, 0));
    assert_eq!(solution.shift(2, 0).violations.capacity, 1);
}

#[test]
fn processes_of_a_service_run_on_distinct_machines() {
    let instance = instance(COSTS, "0 1 0");
    let (_, violations) = judged(&instance, &[1, 1, 0]);
    assert_eq!(violations, ["service 0: expected distinct machines, got 0 and 1 on 1"]);
    let solution = Solution::new(&instance);
    assert!(!solution.fits(0, 1));
    assert_eq!(solution.shift(0, 1).violations.conflict, 1);
    // The other service may join.
    assert!(solution.fits(2, 1));
}

#[test]
fn a_service_is_spread_over_locations() {
    // Four machines in locations 7, 7, 9, 9; service 0 wants 2 locations for its 2 processes.
    let model = "1  0 0
        4  0 7 9 9 0 0 0 0  0 7 9 9 0 0 0 0  0 9 9 9 0 0 0 0  0 9 9 9 0 0 0 0
        1  2 0
        2  0 1 0  0 1 0
        0  0 0 0";
    let instance = instance(model, "0 2");
    assert_eq!((instance.locations(), instance.neighbourhoods()), (2, 1));
    assert!(judged(&instance, &[1, 3]).1.is_empty());
    let (_, violations) = judged(&instance, &[0, 1]);
    assert_eq!(violations, ["service 0: expected 2 locations, got 1"]);
    let solution = Solution::new(&instance);
    assert_eq!(solution.shift(1, 1).violations.spread, 1);
    assert!(solution.shift(1, 3).violations.none());
}

#[test]
fn a_service_follows_what_it_depends_on() {
    // Three machines in neighbourhoods 5, 5, 8. Service 0 depends on service 1.
    let model = "1  0 0
        3  5 0 9 9 0 0 0  5 0 9 9 0 0 0  8 0 9 9 0 0 0
        2  0 1 1  0 0
        3  0 1 0  1 1 0  1 1 0
        0  0 0 0";
    let instance = instance(model, "0 1 2");
    // p0 with p1 in neighbourhood 5, then with p2 in neighbourhood 8.
    assert!(judged(&instance, &[0, 1, 2]).1.is_empty());
    assert!(judged(&instance, &[2, 1, 2]).1.is_empty());
    // Both of service 1 are in neighbourhood 5, p0 in 8.
    let (_, violations) = judged(&instance, &[2, 0, 1]);
    let lacking = ["process 0: expected a process of service 1 in its neighbourhood"];
    assert_eq!(violations, lacking);
    // p1 leaves p0 alone; that p1 goes where nobody needs it helps nobody.
    assert_eq!(judged(&instance, &[0, 2, 2]).1.len(), 2); // alone, and a conflict on machine 2
    let solution = Solution::new(&instance);
    assert_eq!(solution.shift(1, 2).violations.dependency, 1);
    // A trade of p0 and p1 stays in the neighbourhood, one of p1 and p2 keeps service 1 there.
    assert!(solution.swap(0, 1).violations.none());
    assert!(solution.swap(1, 2).violations.none());
    // p0 and p2 trade: p0 is alone in 8.
    assert_eq!(solution.swap(0, 2).violations.dependency, 1);
}

#[test]
fn a_transient_resource_is_used_on_both_machines() {
    // Resource 0 is transient, resource 1 is not; machines of (10, 10).
    let model = "2  1 0  0 0
        2  0 0 10 10 10 10 0 0  0 0 10 10 10 10 0 0
        2  0 0  0 0
        2  0 6 6 0  1 5 5 0
        0  0 0 0";
    let instance = instance(model, "0 1");
    // A trade would hold 6 + 5 of resource 0 on both, and only 5 and 6 of resource 1.
    let (_, violations) = judged(&instance, &[1, 0]);
    assert_eq!(
        violations,
        [
            "machine 0, resource 0: expected a usage of at most 10, got 11",
            "machine 1, resource 0: expected a usage of at most 10, got 11",
        ]
    );
    let mut solution = Solution::new(&instance);
    assert!(!solution.fits_swap(0, 1));
    assert_eq!(solution.swap(0, 1).violations.capacity, 2);
    // Going home is free: its share never left.
    solution.apply_shift(0, 1);
    assert_eq!(solution.violations().capacity, 2); // 11 of both resources on machine 1
    assert!(solution.fits(0, 0));
    assert!(!solution.fits(1, 0)); // 5 + 6 that p0 left behind
    solution.apply_shift(0, 0);
    assert!(solution.violations().none());
}

#[test]
fn what_is_no_assignment_is_refused() {
    let instance = instance(COSTS, "0 1 0");
    let said = |assignment: &[u32]| check(&instance, assignment).violations[0].to_string();
    assert_eq!(said(&[0, 1]), "expected 3 processes, got 2");
    assert_eq!(said(&[0, 1, 2]), "process 2: expected a machine below 2, got 2");
}
