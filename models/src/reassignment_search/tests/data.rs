//! The challenge's own instances, where they are at hand.
#![allow(clippy::unwrap_used)] // a failed expectation is the point of a test

use crate::reassignment_search::*;
use godwit_envs::reassignment::check;
use std::path::PathBuf;

/// Name, published lower bound, and a cost that a short search stays below.
const KNOWN: [(&str, i64, i64); 5] = [
    ("a1_1", 44_306_390, 44_800_000),
    ("a1_2", 777_530_730, 1_000_000_000),
    ("a1_3", 583_005_700, 583_600_000),
    ("a1_4", 242_387_530, 500_000_000),
    ("a1_5", 727_578_290, 780_000_000),
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
fn a_short_search_improves_and_stays_above_the_published_lower_bound() {
    for (name, bound, enough) in KNOWN {
        let Some(instance) = instance(name) else { return };
        let rules = SearchRules { iterations: Some(1_000_000), ..SearchRules::default() };
        let found = search(&instance, rules).unwrap();
        let verdict = check(&instance, &found.assignment);
        assert_eq!((verdict.cost, verdict.violations), (i128::from(found.cost), vec![]), "{name}");
        assert!(found.cost >= bound, "{name}: expected at least {bound}, got {}", found.cost);
        assert!(found.cost <= enough, "{name}: expected at most {enough}, got {}", found.cost);
    }
}
