//! The challenge's own instances, where they are at hand.
#![allow(clippy::unwrap_used)] // a failed expectation is the point of a test

use super::*;
use std::path::PathBuf;

/// The published costs of the initial assignments.
pub(crate) const INITIAL_COSTS: [(&str, i64); 5] = [
    ("a1_1", 49_528_750),
    ("a1_2", 1_061_649_570),
    ("a1_3", 583_662_270),
    ("a1_4", 632_499_600),
    ("a1_5", 782_189_690),
];

/// The published lower bounds.
const LOWER_BOUNDS: [(&str, i64); 7] = [
    ("a1_1", 44_306_390),
    ("a1_2", 777_530_730),
    ("a1_3", 583_005_700),
    ("a1_4", 242_387_530),
    ("a1_5", 727_578_290),
    ("a2_2", 13_590_090),
    ("b_1", 3_290_754_940),
];

/// An instance of the challenge, or nothing (and a line that says so).
fn instance(name: &str) -> Option<Instance> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data");
    let folder = std::env::var_os("GODWIT_DATA").map_or(PathBuf::from(default), PathBuf::from);
    let folder = folder.join("machine-reassignment");
    let model = folder.join(format!("model_{name}.txt"));
    if !model.exists() {
        eprintln!("skipped: no data set at {} (set GODWIT_DATA)", model.display());
        return None;
    }
    Some(Instance::read(model, folder.join(format!("assignment_{name}.txt"))).unwrap())
}

#[test]
fn initial_costs_are_the_published_ones() {
    for (name, expected) in INITIAL_COSTS {
        let expected = i128::from(expected);
        let Some(instance) = instance(name) else { return };
        let verdict = check(&instance, instance.initial());
        assert_eq!((verdict.cost, verdict.violations), (expected, vec![]), "{name}");
        let solution = Solution::new(&instance);
        assert_eq!(i128::from(solution.cost()), expected, "{name}");
        assert!(solution.violations().none(), "{name}");
    }
}

#[test]
fn lower_bounds_are_the_published_ones() {
    for (name, expected) in LOWER_BOUNDS {
        let Some(instance) = instance(name) else { return };
        assert_eq!(instance.lower_bound(), expected, "{name}");
    }
}
