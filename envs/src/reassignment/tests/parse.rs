//! Malformed files: a named error each, never a panic.
#![allow(clippy::unwrap_used)] // a failed expectation is the point of a test

use super::Instance;
use proptest::prelude::*;

/// Two resources, two machines, two services, three processes, one balance cost.
const MODEL: &str = "2\n1 10\n0 20\n2\n0 0 10 11 8 9 0 1\n1 4 12 13 9 9 1 0\n2\n2 1 1\n0 0\n3\n\
    0 1 2 3\n0 2 3 4\n1 3 4 5\n1\n0 1 20\n10\n1 10 100\n";
const ASSIGNMENT: &str = "0 1 0";

fn refusal(model: &str, assignment: &str) -> String {
    Instance::parse("model.txt", model, "assignment.txt", assignment).unwrap_err().to_string()
}

#[test]
fn a_sound_file_is_read() {
    let instance = Instance::parse("m", MODEL, "a", ASSIGNMENT).unwrap();
    assert_eq!(instance.capacity(1), [12, 13]);
    assert_eq!(instance.safety(1), [9, 9]);
    assert_eq!(instance.requirement(2), [3, 4]);
    assert_eq!(instance.machine_move(0, 1), 1);
    assert_eq!(instance.services()[0].dependencies, [1]);
    assert_eq!(instance.services()[1].dependants, [0]);
    assert_eq!(instance.services()[0].processes, [0, 1]);
    assert_eq!(instance.initial(), [0, 1, 0]);
}

#[test]
fn malformed_models_are_refused() {
    for (from, to, expected) in [
        (
            "2\n1 10",
            "0\n1 10",
            "line 1: number of resources: expected a whole number from 1 to 4294967295, got 0",
        ),
        (
            "2\n1 10",
            "two\n1 10",
            "line 1: number of resources: expected a whole number from 1 to 4294967295, got two",
        ),
        (
            "1 10\n0 20",
            "2 10\n0 20",
            "line 2: transient flag of resource 0: expected a whole number from 0 to 1, got 2",
        ),
        (
            "0 20\n2",
            "0 -20\n2",
            "line 3: load weight of resource 1: expected a whole number from 0 to 4294967295, got -20",
        ),
        (
            "0 0 10 11",
            "0 0 10 1.5",
            "line 5: capacity of resource 1 of machine 0: expected a whole number from 0 to 4294967295, got 1.5",
        ),
        (
            "12 13 9 9",
            "12 13 9 4294967296",
            "line 6: safety capacity of resource 1 of machine 1: expected a whole number from 0 to 4294967295, got 4294967296",
        ),
        (
            "9 9 1 0",
            "9 9 99999999999999999999 0",
            "line 6: cost of a move from machine 1 to 0: expected a whole number from 0 to 4294967295, got 99999999999999999999",
        ),
        (
            "2\n2 1 1",
            "4000000000\n2 1 1",
            "line 7: number of services: expected services x machines of at most 268435456, got 4000000000 x 2",
        ),
        (
            "2\n2 1 1",
            "0\n2 1 1",
            "line 7: number of services: expected a whole number from 1 to 4294967295, got 0",
        ),
        (
            "2 1 1\n",
            "2 1 2\n",
            "line 8: dependency 0 of service 0: expected a whole number from 0 to 1, got 2",
        ),
        (
            "3\n0 1 2 3",
            "4000000000\n0 1 2 3",
            "line 10: number of processes: expected a whole number from 1 to 65535, got 4000000000",
        ),
        (
            "1 3 4 5",
            "2 3 4 5",
            "line 13: service of process 2: expected a whole number from 0 to 1, got 2",
        ),
        (
            "0 1 20",
            "0 2 20",
            "line 15: second resource of balance cost 0: expected a whole number from 0 to 1, got 2",
        ),
        (
            "1 10 100\n",
            "1 10\n",
            "line 17: weight of machine moves: expected a whole number from 0 to 4294967295, got the end of the file",
        ),
        (
            "1 10 100\n",
            "1 10 100\n7\n",
            "line 18: after the last number: expected the end of the file, got 7",
        ),
    ] {
        let broken = MODEL.replacen(from, to, 1);
        assert_ne!(broken, MODEL, "{from}");
        assert_eq!(refusal(&broken, ASSIGNMENT), format!("model.txt: {expected}"));
    }
}

#[test]
fn malformed_assignments_are_refused() {
    let what = "expected a whole number from 0 to 1, got";
    for (assignment, expected) in [
        ("", format!("line 1: machine of process 0: {what} the end of the file")),
        ("0 1", format!("line 1: machine of process 2: {what} the end of the file")),
        ("0\n2 0", format!("line 2: machine of process 1: {what} 2")),
        ("0 -1 0", format!("line 1: machine of process 1: {what} -1")),
        (
            "0 1 0 1",
            "line 1: after the last number: expected the end of the file, got 1".to_owned(),
        ),
    ] {
        assert_eq!(refusal(MODEL, assignment), format!("assignment.txt: {expected}"));
    }
}

#[test]
fn costs_that_could_overflow_are_refused() {
    let huge = MODEL.replace("0 1 20\n10", "0 1 4294967295\n4294967295");
    assert_eq!(
        refusal(&huge, ASSIGNMENT),
        // ((10 + 12 + 1 + 2 + 3) x (2^32 - 1) + 11 + 13 + 2 + 3 + 4) x (2^32 - 1),
        // and 340 + 840 for load, 12 + 30 + 300 for moves
        "model.txt: line 17: sizes and weights: expected a cost of at most 1152921504606846975 in \
         the worst case, got up to 516508833965083198957"
    );
}

#[test]
fn counts_reserve_nothing() {
    for model in ["4294967295", "1 0 0 4294967295 0 0 1 1 0", "1 0 0 1 0 0 1 1 0 1 0 4294967295 0"]
    {
        assert!(refusal(model, "").ends_with("got the end of the file"), "{model}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(
        cut in 0..MODEL.len(),
        replacement in "[0-9 x-]{0,4}",
        length in 0..6_usize,
        assignment in "[0-3 ]{0,8}",
    ) {
        let end = (cut + length).min(MODEL.len());
        let model = format!("{}{replacement}{}", &MODEL[..cut], &MODEL[end..]);
        if let Ok(instance) = Instance::parse("m", &model, "a", &assignment) {
            let solution = super::Solution::new(&instance);
            let verdict = super::check(&instance, instance.initial());
            prop_assert_eq!(verdict.cost, i128::from(solution.cost()));
            prop_assert_eq!(verdict.feasible(), solution.violations().none());
        }
    }
}
