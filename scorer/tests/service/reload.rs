//! Another artifact takes over while the service runs, or is refused.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use godwit_models::net::Architecture;
use serde_json::Value;

use crate::support::service::{Service, eventually};
use crate::support::{Fixture, write_artifact, write_artifact_with};

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

fn refused(service: &Service, reason: &str) -> f64 {
    service.metric(&format!("godwit_scorer_reload_refusals_total{{reason=\"{reason}\"}}"))
}

/// What may be put in an artifact's place, and why it is refused.
#[cfg(unix)]
#[test]
fn what_is_no_plain_file_of_a_bounded_size_keeps_nobody_waiting() {
    use std::os::unix::fs::symlink;
    use std::process::Command;

    let fixture = Fixture::new("founding-3x3");
    let mut service = Service::start(&fixture, &[]);
    let body = std::fs::read(fixture.snapshot()).unwrap();
    let first = sha256(&service);
    for (name, reason) in [
        ("pipe", "not_a_file"),
        ("device", "not_a_file"),
        ("sparse", "too_large"),
        ("folder", "not_a_file"),
    ] {
        let (other, before) = (fixture.path(name), refused(&service, reason));
        match name {
            "pipe" => assert!(Command::new("mkfifo").arg(&other).status().unwrap().success()),
            "device" => symlink("/dev/zero", &other).unwrap(),
            "sparse" => std::fs::File::create(&other).unwrap().set_len(3 << 30).unwrap(),
            _ => std::fs::create_dir(&other).unwrap(),
        }
        if name == "folder" {
            std::fs::remove_file(fixture.model()).unwrap();
        }
        std::fs::rename(&other, fixture.model()).unwrap();
        // By the watch, and at once where someone asks.
        eventually(name, || refused(&service, reason) > before);
        let asked = Instant::now();
        let answer = service.post("/v1/model/reload", "");
        assert_eq!(answer.error(), (409, "artifact_refused".to_owned()), "{name}");
        assert!(asked.elapsed() < Duration::from_secs(1), "{name}: {:?}", asked.elapsed());
        assert!(refused(&service, reason) >= before + 2.0, "{name}");
        assert_eq!(sha256(&service), first, "{name}");
        service.post("/v1/plan", &body).ok();
    }
    // The watch goes on, and nothing is left that would keep the process.
    std::fs::remove_dir(fixture.model()).unwrap();
    replace(&fixture, 1.0);
    eventually("another artifact", || sha256(&service) != first);
    assert!(Command::new("mkfifo").arg(fixture.path("last")).status().unwrap().success());
    std::fs::rename(fixture.path("last"), fixture.model()).unwrap();
    eventually("the last refusal", || refused(&service, "not_a_file") >= 7.0);
    let told = Instant::now();
    service.signal("TERM");
    assert_eq!(service.ended().code(), Some(0), "{}", service.log());
    assert!(told.elapsed() < Duration::from_secs(3), "{:?}", told.elapsed());
}

#[test]
fn an_artifact_with_other_rules_takes_over_only_where_that_is_asked_for() {
    let fixture = Fixture::new("quickstart");
    let other = fixture.path("other.pt");
    let write = |budget: u32| {
        write_artifact(&other, &fixture.scenario, Architecture::Relational, |manifest| {
            manifest.rules["episode"]["move_budget"] = budget.into();
        });
        std::fs::rename(&other, fixture.model()).unwrap();
    };
    let service = Service::start(&fixture, &[]);
    let first = sha256(&service);
    write(3);
    eventually("a refusal", || refused(&service, "other_rules") == 1.0);
    let answer = service.post("/v1/model/reload", "");
    assert_eq!(answer.error(), (409, "other_rules".to_owned()));
    let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("got 1 differences: rules.episode.move_budget: "), "{message}");
    assert!(message.contains(" decides, 3 in the file"), "{message}");
    assert!(service.log().contains("rules.episode.move_budget"), "{}", service.log());
    assert_eq!(sha256(&service), first);
    assert_eq!(service.post("/v1/model/reload?allow=true", "").error().0, 400);
    let taken = service.post("/v1/model/reload?allow_other_rules=true", "").ok();
    assert_ne!(taken["sha256"], first);
    // From now on these are the rules.
    service.post("/v1/model/reload", "").ok();

    let service = Service::start(&fixture, &["--allow-other-rules"]);
    let second = sha256(&service);
    write(4);
    eventually("other rules", || sha256(&service) != second);
    assert_eq!(refused(&service, "other_rules"), 0.0);
}

#[test]
fn an_artifact_for_other_resources_is_refused_with_what_differs() {
    let fixture = Fixture::new("quickstart");
    let service = Service::start(&fixture, &[]);
    let first = sha256(&service);
    std::fs::copy("../models/pretrained/hetero.pt", fixture.path("hetero.pt")).unwrap();
    std::fs::rename(fixture.path("hetero.pt"), fixture.model()).unwrap();
    let answer = service.post("/v1/model/reload", "");
    assert_eq!(answer.error(), (409, "other_rules".to_owned()));
    let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("schema_hash: ") && message.contains("; and "), "{message}");
    assert!(message.len() < 1_500, "{message}");
    assert_eq!(sha256(&service), first);
}
