//! How long a decision takes, process start included. Ignored: it measures and does not judge.
//!
//! `cargo test --release -p godwit-scorer --test speed -- --ignored --nocapture`, with
//! `GODWIT_SCENARIO` set to a scenario's name or file for another one than `founding-10x50`.

#![allow(clippy::unwrap_used)] // a failed expectation is the point of a test

mod support;

use std::time::Instant;

use godwit_envs::scenario::Scenario;
use godwit_models::net::Architecture;
use support::{Fixture, write_artifact_with, write_snapshot};

#[test]
#[ignore = "a measurement"]
fn decide() {
    let name = std::env::var("GODWIT_SCENARIO").unwrap_or_else(|_| "founding-10x50".to_owned());
    let scenario = Scenario::resolve(&name).unwrap();
    let fixture = Fixture::new("founding-3x3");
    // Never stays: as many decisions as the budget allows.
    write_artifact_with(&fixture.model(), &scenario, Architecture::Relational, 1.0, |_| {});
    write_snapshot(&fixture.snapshot(), &scenario, |_| {});
    let mut times: Vec<(u128, String)> = (0..21)
        .map(|_| {
            let mut command = fixture.decide(&fixture.model(), &fixture.snapshot());
            let started = Instant::now();
            let output = command.output().unwrap();
            let time = started.elapsed().as_micros();
            let decision: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
            let plan = &decision["plan"];
            let moves = plan["moves"].as_array().unwrap().len();
            let [before, after] = ["objective_before", "objective_after"].map(|at| &plan[at]);
            let report = format!(
                "{moves} moves, {} ({before} to {after}), us: {}",
                plan["stop_reason"], decision["timing_us"]
            );
            (time, report)
        })
        .collect();
    times.sort();
    for (label, (time, report)) in [("fastest", &times[0]), ("median", &times[10])] {
        println!("{name}: {label} of 21: {:.1} ms in all; {report}", *time as f64 / 1e3);
    }
}
