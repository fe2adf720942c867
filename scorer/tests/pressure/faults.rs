//! Whatever is damaged is refused: nothing damaged is loaded, panics, or takes long.
//!
//! `GODWIT_FAULT_CASES=100000 cargo test --release -p godwit-scorer --test pressure faults -- --nocapture`
//! tries more documents than the few hundred that fit a test run, and prints what it came to.

#![cfg(target_os = "linux")] // what a process takes of memory is read from /proc

use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use godwit_envs::input::InputError;
use godwit_envs::scenario::Rules;
use godwit_envs::snapshot::Snapshot;
use godwit_models::artifact::Artifact;
use godwit_models::baselines::baseline;
use godwit_models::guard::violations;
use godwit_models::plan::Plan;
use godwit_models::policy::Policy;
use godwit_models::pretrained::pretrained;
use godwit_models::shell::{Memory, Shell, ShellRules, broken};
use serde_json::{Value, json};

use crate::support::client::{Client, start_of};
use crate::support::greedy::greedy_bodies;
use crate::support::mutate::Mutator;
use crate::support::samples::{full_snapshot, golden_request, reassignment_snapshot, snapshot};
use crate::support::service::Service;
use crate::support::{Fixture, scorer};

/// Longest time for one document, on a slow machine that has other things to do.
const LONGEST: Duration = Duration::from_secs(5);

/// Most memory of a service whose bodies are bounded by [`MOST_BYTES`].
const MOST_KIB: usize = 256 << 10;

/// Most memory of a service with one worker, whose bodies are as large as they may be by default.
const MOST_KIB_OF_ONE: usize = 256 << 10;

/// Most bytes of a body.
const MOST_BYTES: usize = 1 << 20;

/// How many documents to try.
fn cases(few: usize) -> usize {
    match std::env::var("GODWIT_FAULT_CASES") {
        Ok(cases) => cases.parse().expect("GODWIT_FAULT_CASES: expected a whole number"),
        Err(_) => few,
    }
}

#[test]
fn no_artifact_with_flipped_bits_is_loaded() {
    let artifact = pretrained("founding-3x3").unwrap();
    let sound = artifact.as_slice();
    let path = Path::new("flipped.pt");
    Artifact::from_bytes(path, sound).unwrap();
    let mut mutator = Mutator::new(1, "flips");
    for _ in 0..1000 {
        let mut bytes = sound.to_vec();
        let at = mutator.below(bytes.len());
        bytes[at] ^= 1 << mutator.below(8);
        assert!(Artifact::from_bytes(path, &bytes).is_err(), "byte {at}");
    }
}

#[test]
fn no_part_of_an_artifact_is_loaded() {
    let artifact = pretrained("founding-3x3").unwrap();
    let sound = artifact.as_slice();
    let path = Path::new("part.pt");
    let mut mutator = Mutator::new(2, "parts");
    let seeded = (0..300).map(|_| mutator.below(sound.len())).collect::<Vec<_>>();
    for length in seeded.into_iter().chain(0..100).chain(sound.len() - 100..sound.len()) {
        assert!(Artifact::from_bytes(path, &sound[..length]).is_err(), "{length} bytes");
    }
    for more in [&b"\0"[..], b"\n", sound] {
        assert!(Artifact::from_bytes(path, &[sound, more].concat()).is_err());
    }
}

#[test]
fn the_program_refuses_damaged_artifacts_with_one_line() {
    let fixture = Fixture::new("founding-3x3");
    let sound = std::fs::read(fixture.model()).unwrap();
    let mut mutator = Mutator::new(3, "program");
    let bad = fixture.path("bad.pt");
    for round in 0..8 {
        let mut bytes = sound.clone();
        let at = mutator.below(bytes.len());
        match round % 2 {
            0 => bytes[at] ^= 1 << mutator.below(8),
            _ => bytes.truncate(at),
        }
        std::fs::write(&bad, bytes).unwrap();
        for command in [&["inspect"][..], &["serve", "--listen", "127.0.0.1:0", "--model"]] {
            let assert = scorer().args(command).arg(&bad).assert().code(2).stdout("");
            let message = String::from_utf8(assert.get_output().stderr.clone()).unwrap();
            assert!(message.starts_with("error: artifact "), "{message}");
            assert_eq!(message.lines().count(), 1, "{message}");
        }
    }
}

/// What decides about documents in this very process, as the program does.
struct Judge {
    artifact: Artifact,
    rules: Arc<Rules>,
    policies: [Box<dyn Policy>; 2],
    limits: ShellRules,
}

/// What became of documents.
#[derive(Debug, Default)]
struct Tally {
    refused: usize,
    planned: usize,
    moves: usize,
    slowest: Duration,
}

impl Judge {
    fn new(fixture: &Fixture) -> Self {
        let artifact = Artifact::open(&fixture.model()).unwrap();
        let network = artifact.policy("policy");
        let limits = "max_moves = 6\nmax_moves_per_node = 3\nmax_moves_per_tenant = 2\n\
                      max_metrics_age_s = 1000\ndisruption_budgets = { service = 1 }";
        Self {
            rules: Arc::new(artifact.rules().unwrap()),
            artifact,
            policies: [Box::new(network), baseline("best-single-move").unwrap()],
            limits: ShellRules::from_toml(limits, "limits").unwrap(),
        }
    }

    /// One document, whose plans must be sound if it has any.
    fn judge(&mut self, document: &[u8], tally: &mut Tally) {
        let started = Instant::now();
        match self.plans(document) {
            Ok(moves) => {
                tally.planned += 1;
                tally.moves += moves;
            }
            Err(message) => {
                tally.refused += 1;
                assert!(!message.contains(char::is_control), "{message:?}");
                assert!(message.len() < 8000, "{message}");
            }
        }
        let took = started.elapsed();
        assert!(took < LONGEST, "{took:?} for {}", start_of(document));
        tally.slowest = tally.slowest.max(took);
    }

    fn plans(&mut self, document: &[u8]) -> Result<usize, String> {
        let text = std::str::from_utf8(document).map_err(|error| error.to_string())?;
        let refuse = |error: InputError| error.to_string();
        let snapshot = Snapshot::from_json(text, "body").map_err(refuse)?;
        let rules = Arc::clone(&self.rules);
        let state = self.artifact.state(rules, &snapshot, "body").map_err(refuse)?;
        let memory = Memory::default();
        let shell = match Shell::new(&self.limits, &memory, &snapshot, 1.7e9) {
            Ok(shell) => shell,
            Err(refusal) => return Err(refusal.to_string()),
        };
        let mut moves = 0;
        for policy in &mut self.policies {
            if snapshot.workloads.is_empty() {
                continue;
            }
            policy.reset(0);
            let plan = shell.plan(&state, policy.as_mut(), u32::MAX, None);
            let found = violations(&state, &plan.moves);
            assert!(found.is_empty(), "{found:?} for {}", start_of(document));
            let found = broken(&self.limits, &memory, &snapshot, &plan.moves);
            assert!(found.is_empty(), "{found:?} for {}", start_of(document));
            // JSON has no infinity: whoever reads the plan must find what was written.
            let written = serde_json::to_string(&plan).unwrap();
            let read: Result<Plan, _> = serde_json::from_str(&written);
            assert_eq!(read.ok().as_ref(), Some(&plan), "{written} for {}", start_of(document));
            moves += plan.moves.len();
        }
        Ok(moves)
    }
}

#[test]
fn damaged_snapshots_are_refused_or_planned_for_soundly() {
    let cases = cases(800);
    let mut tally = Tally::default();
    let names = ["founding-3x3", "quickstart", "diurnal", "gpu-defrag"];
    let started = Instant::now();
    for (seed, name) in names.into_iter().enumerate() {
        let fixture = Fixture::new(name);
        let mut judge = Judge::new(&fixture);
        let mut mutator = Mutator::new(seed as u64, "snapshots");
        let mut samples = vec![full_snapshot(&fixture.scenario)];
        if name == "quickstart" {
            samples.push(reassignment_snapshot(&fixture.scenario));
        }
        for sample in &samples {
            let mut sound = Tally::default();
            judge.judge(sample.to_string().as_bytes(), &mut sound);
            assert_eq!(sound.planned, 1, "{name}: the sample itself must be sound");
        }
        for case in 0..cases / names.len() {
            let document = mutator.document(&samples[case % samples.len()]);
            judge.judge(&document, &mut tally);
        }
    }
    println!("{cases} snapshots in {:.1?}: {tally:?}", started.elapsed());
    assert!(tally.planned > cases / 10, "hardly anything is sound enough: {tally:?}");
    assert!(tally.refused > cases / 4 && tally.moves > 0, "hardly anything is damaged: {tally:?}");
}

/// Whether a document says `null` somewhere: what JSON makes of an infinite number.
fn says_null(document: &Value) -> bool {
    match document {
        Value::Null => true,
        Value::Array(values) => values.iter().any(says_null),
        Value::Object(fields) => fields.values().any(says_null),
        _ => false,
    }
}

/// Sends this many damaged bodies to all routes that take one; gives how many were answered with
/// each status class, and the longest time.
fn bombard(
    service: &Service,
    fixture: &Fixture,
    seed: u64,
    cases: usize,
) -> ([usize; 3], Duration) {
    let mut client = Client::new(service);
    let mut mutator = Mutator::new(seed, "bodies");
    let sound = full_snapshot(&fixture.scenario);
    let plain = serde_json::to_value(snapshot(&fixture.scenario)).unwrap();
    let reassignment = reassignment_snapshot(&fixture.scenario);
    let golden = golden_request(&Artifact::open(&fixture.model()).unwrap());
    let (mut answers, mut slowest) = ([0; 3], Duration::ZERO);
    let mut decided = json!(null);
    for case in 0..cases {
        if decided.is_null() {
            let (status, answer) = client.post("/v1/plan", plain.to_string().as_bytes());
            assert_eq!(status, 200, "{answer}");
            decided = answer;
        }
        let moves = &decided["plan"]["moves"];
        let cluster = if case % 10 == 0 { &reassignment } else { &sound };
        let (path, document) = match case % 5 {
            0 => ("/v1/decide", cluster.clone()),
            1 => ("/v1/plan?max_moves=9", cluster.clone()),
            2 => ("/v1/simulate", json!({"snapshot": sound, "moves": moves})),
            3 => {
                let executed = json!([{"at": 0, "transfer_s": 20, "downtime_s": 0.5}]);
                let id = &decided["id"];
                ("/v1/feedback", json!({"id": id, "snapshot": sound, "executed": executed}))
            }
            _ => ("/v2/models/policy/infer", golden.clone()),
        };
        let body = mutator.document(&document);
        if body.len() > MOST_BYTES {
            continue;
        }
        let asked = Instant::now();
        let (status, answer) = client.post(path, &body);
        let took = asked.elapsed();
        // Errors of the Open Inference Protocol are a sentence.
        let (code, what) = match path.starts_with("/v2") {
            true => (&answer["error"], "expected at most"),
            false => (&answer["error"]["code"], "busy"),
        };
        let is_busy = status == 503 && code.as_str().unwrap().starts_with(what);
        assert!(status < 500 || is_busy, "{path}: {status} {answer} to {}", start_of(&body));
        assert!(took < LONGEST, "{path}: {took:?} for {}", start_of(&body));
        if status == 200 {
            assert!(!says_null(&answer), "{path}: {answer} to {}", start_of(&body));
            if path == "/v1/feedback" {
                decided = json!(null);
            }
        } else {
            assert!(code.is_string(), "{path}: {status} {answer}");
        }
        answers[match status {
            200 => 0,
            400..=499 => 1,
            _ => 2,
        }] += 1;
        slowest = slowest.max(took);
    }
    (answers, slowest)
}

#[test]
fn damaged_bodies_never_break_the_service() {
    const CLIENTS: usize = 2;
    let cases = cases(2000);
    let fixture = Fixture::new("quickstart");
    let limits = fixture.path("limits.toml");
    std::fs::write(&limits, "max_moves_per_tenant = 3\ndisruption_budgets = { service = 1 }")
        .unwrap();
    let most = MOST_BYTES.to_string();
    let service = Service::start(
        &fixture,
        &[
            "--log-level",
            "error",
            "--max-body-bytes",
            &most,
            "--mode",
            "active",
            "--fallback",
            "best-single-move",
            "--limits",
            limits.to_str().unwrap(),
        ],
    );
    let before = service.memory_kib("VmRSS");
    let started = Instant::now();
    let results: Vec<_> = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|seed| {
                let (service, fixture) = (&service, &fixture);
                scope.spawn(move || bombard(service, fixture, seed as u64, cases / CLIENTS))
            })
            .collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    let sum = |class: usize| results.iter().map(|(answers, _)| answers[class]).sum::<usize>();
    let slowest = results.iter().map(|(_, slowest)| *slowest).max().unwrap();
    let [resident, most] = ["VmRSS", "VmHWM"].map(|figure| service.memory_kib(figure));
    println!(
        "{cases} bodies in {:.1?}: {} answered, {} refused, {} busy, slowest {slowest:.1?}; \
         resident {before} KiB before, {resident} after, {most} at most",
        started.elapsed(),
        sum(0),
        sum(1),
        sum(2),
    );
    assert_eq!(service.metric("godwit_scorer_panics_total"), 0.0, "{}", service.log());
    assert!(sum(0) > cases / 20 && sum(1) > cases / 4, "{} answered, {} refused", sum(0), sum(1));
    assert!(most < MOST_KIB, "{most} KiB");
    service.post("/v1/plan", std::fs::read(fixture.snapshot()).unwrap()).ok();
}

#[test]
fn the_largest_bodies_take_neither_all_memory_nor_for_ever() {
    let fixture = Fixture::new("quickstart");
    for (what, path, body) in greedy_bodies(&fixture) {
        let service = Service::start(&fixture, &["--workers", "1", "--request-timeout-ms", "3000"]);
        let asked = Instant::now();
        let answer = service.post(path, &body);
        let took = asked.elapsed();
        let most = service.memory_kib("VmHWM");
        let code = answer.json()["error"]["code"].to_string();
        println!("{what}: {} bytes, {} {code}, {took:.2?}, {most} KiB", body.len(), answer.status);
        // Whatever takes too long is given up by whoever works on it, too.
        let given_up = answer.status == 503 && code == "\"timeout\"" && what == "a long plan";
        assert!(answer.status < 500 || given_up, "{what}: {} {code}", answer.status);
        service.post("/v1/plan", std::fs::read(fixture.snapshot()).unwrap()).ok();
        assert!(took < LONGEST, "{what}: {took:?}");
        assert!(most < MOST_KIB_OF_ONE, "{what}: {most} KiB");
        assert_eq!(service.metric("godwit_scorer_panics_total"), 0.0);
    }
}
