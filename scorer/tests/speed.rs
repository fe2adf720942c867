//! How long a decision takes, process start included, and how many a second the service makes.
//! Ignored: it measures and does not judge.
//!
//! `cargo test --release -p godwit-scorer --test speed -- --ignored --nocapture`, with
//! `GODWIT_SCENARIO` set to a scenario's name or file for another one than `founding-10x50`.

#![allow(clippy::unwrap_used)] // a failed expectation is the point of a test

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::thread;
use std::time::{Duration, Instant};

use godwit_envs::scenario::Scenario;
use godwit_models::net::Architecture;
use support::service::Service;
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

/// As many `POST /v1/decide` as four connections can send, one after the other, from this very
/// machine: what they cost is part of the figure.
#[test]
#[ignore = "a measurement"]
fn serve() {
    const CONNECTIONS: usize = 4;
    const LENGTH: Duration = Duration::from_secs(5);
    let name = std::env::var("GODWIT_SCENARIO").unwrap_or_else(|_| "founding-10x50".to_owned());
    let scenario = Scenario::resolve(&name).unwrap();
    let fixture = Fixture::new("founding-3x3");
    write_artifact_with(&fixture.model(), &scenario, Architecture::Relational, 1.0, |_| {});
    write_snapshot(&fixture.snapshot(), &scenario, |_| {});
    let body = std::fs::read(fixture.snapshot()).unwrap();
    let service = Service::start(&fixture, &["--log-level", "warn"]);
    let mut times: Vec<Duration> = thread::scope(|scope| {
        let clients: Vec<_> =
            (0..CONNECTIONS).map(|_| scope.spawn(|| ask(&service, &body, LENGTH))).collect();
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });
    times.sort();
    let at = |share: f64| times[(times.len() as f64 * share) as usize].as_micros();
    let rate = times.len() as f64 / LENGTH.as_secs_f64();
    let decision = service.post("/v1/decide", &body).ok();
    println!(
        "{name}: {rate:.0} decisions/s, p50 {} us, p99 {} us, {} bytes each; one: {}",
        at(0.5),
        at(0.99),
        body.len(),
        decision["timing_us"]
    );
}

/// Asks again and again on one connection; gives the time of each answer.
fn ask(service: &Service, body: &[u8], length: Duration) -> Vec<Duration> {
    let mut stream = BufReader::new(service.connect());
    let head =
        format!("POST /v1/decide HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}", body.len());
    let request = [head.as_bytes(), b"\r\n\r\n", body].concat();
    let (started, mut times) = (Instant::now(), Vec::new());
    while started.elapsed() < length {
        let asked = Instant::now();
        stream.get_mut().write_all(&request).unwrap();
        let (mut length, mut line) = (0, String::new());
        while line != "\r\n" {
            line.clear();
            stream.read_line(&mut line).unwrap();
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut answer = vec![0; length];
        stream.read_exact(&mut answer).unwrap();
        assert!(answer.starts_with(b"{\"id\""));
        times.push(asked.elapsed());
    }
    times
}
