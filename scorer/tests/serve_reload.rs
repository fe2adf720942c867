//! Another artifact takes over while the service runs, or is refused.

#![allow(clippy::unwrap_used)] // a failed expectation is the point of a test

mod support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use godwit_models::net::Architecture;
use serde_json::Value;
use support::service::{Service, eventually};
use support::{Fixture, write_artifact_with};

/// Puts another artifact in the place of the fixture's, as an exporter does: in one step.
fn replace(fixture: &Fixture, bonus: f32) {
    let new = fixture.path("new.pt");
    write_artifact_with(&new, &fixture.scenario, Architecture::Relational, bonus, |_| {});
    std::fs::rename(new, fixture.model()).unwrap();
}

fn sha256(service: &Service) -> Value {
    service.get("/v1/model").ok()["sha256"].clone()
}

fn reloads(service: &Service, result: &str) -> f64 {
    ["file", "request"]
        .map(|trigger| {
            let labels = format!("{{trigger=\"{trigger}\",result=\"{result}\"}}");
            service.metric(&format!("godwit_scorer_reloads_total{labels}"))
        })
        .iter()
        .sum()
}

#[test]
fn a_good_artifact_takes_over_and_a_bad_one_does_not() {
    let fixture = Fixture::new("quickstart");
    let service = Service::start(&fixture, &[]);
    let body = std::fs::read(fixture.snapshot()).unwrap();
    let first = sha256(&service);
    assert_eq!(service.post("/v1/model/reload", "").ok()["sha256"], first);

    replace(&fixture, 1.0);
    let second = service.post("/v1/model/reload", "").ok()["sha256"].clone();
    assert_ne!(second, first);
    assert_eq!(service.post("/v1/plan", &body).ok()["artifact"]["sha256"], second);

    let mut bytes = std::fs::read(fixture.model()).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    std::fs::write(fixture.model(), bytes).unwrap();
    let answer = service.post("/v1/model/reload", "");
    assert_eq!(answer.error(), (409, "artifact_refused".to_owned()));
    assert_eq!(sha256(&service), second);
    assert_eq!(service.post("/v1/plan", &body).ok()["artifact"]["sha256"], second);
    assert!(reloads(&service, "ok") >= 2.0 && reloads(&service, "error") >= 1.0);

    std::fs::remove_file(fixture.model()).unwrap();
    assert_eq!(service.post("/v1/model/reload", "").error().0, 409);
    assert_eq!(service.post("/v1/plan", &body).ok()["artifact"]["sha256"], second);
}

#[test]
fn a_changed_file_is_noticed() {
    let fixture = Fixture::new("founding-3x3");
    let service = Service::start(&fixture, &[]);
    let first = sha256(&service);
    std::fs::write(fixture.model(), "no artifact").unwrap();
    let failed = "godwit_scorer_reloads_total{trigger=\"file\",result=\"error\"}";
    eventually("a refusal", || service.metric(failed) == 1.0);
    assert_eq!(sha256(&service), first);
    assert!(service.log().contains("the old one stays"), "{}", service.log());

    replace(&fixture, 1.0);
    eventually("another artifact", || sha256(&service) != first);
    let loaded = "godwit_scorer_reloads_total{trigger=\"file\",result=\"ok\"}";
    assert_eq!(service.metric(loaded), 1.0);
    let sha256 = sha256(&service);
    let text = String::from_utf8(service.get("/metrics").body).unwrap();
    assert_eq!(text.matches("godwit_scorer_model_info{").count(), 1);
    assert!(
        text.contains(&format!("godwit_scorer_model_info{{mode=\"dry_run\",sha256={sha256},")),
        "{text}"
    );
}

#[test]
fn no_request_is_lost_while_artifacts_change() {
    let fixture = Fixture::new("founding-10x50");
    let service = Service::start(&fixture, &[]);
    let body = std::fs::read(fixture.snapshot()).unwrap();
    let over = AtomicBool::new(false);
    let answered: usize = thread::scope(|scope| {
        let clients: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    let mut answered = 0;
                    while !over.load(Ordering::Relaxed) {
                        service.post("/v1/decide", &body).ok();
                        answered += 1;
                    }
                    answered
                })
            })
            .collect();
        for bonus in 0..10 {
            replace(&fixture, bonus as f32);
            service.post("/v1/model/reload", "").ok();
        }
        over.store(true, Ordering::Relaxed);
        clients.into_iter().map(|client| client.join().unwrap()).sum()
    });
    let moved = "godwit_scorer_decisions_total{mode=\"dry_run\",outcome=\"move\"}";
    let stayed = "godwit_scorer_decisions_total{mode=\"dry_run\",outcome=\"stay\"}";
    assert!(answered > 0);
    assert_eq!(service.metric(moved) + service.metric(stayed), answered as f64);
    assert!(reloads(&service, "ok") >= 10.0);
    assert_eq!(service.metric("godwit_scorer_panics_total"), 0.0);
}
