//! Plans leave one at a time: none counts on what another one has spent, none leaves for nobody, none
//! follows a halt, and the same question has one answer.

#![cfg(unix)] // signals

use std::collections::BTreeSet;
use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::service::{Service, eventually, rest};
use crate::support::{Fixture, scorer};

/// Plans that take long enough to come in each other's way.
const SLOW: &[&str] = &["--best-of", "100"];

const BACKOFF: &str =
    "[backoff]\nfirst_ticks = 5\nfactor = 2.0\nmost_ticks = 50\nforget_ticks = 200\n";

fn snapshot(fixture: &Fixture, tick: u64) -> Value {
    let mut snapshot: Value =
        serde_json::from_slice(&std::fs::read(fixture.snapshot()).unwrap()).unwrap();
    snapshot["tick"] = tick.into();
    snapshot
}

/// A fixture with these limits, and the arguments of an active service.
fn active(limits: &str) -> (Fixture, Vec<String>) {
    let fixture = Fixture::new("quickstart");
    let path = fixture.path("limits.toml");
    std::fs::write(&path, limits).unwrap();
    let arguments = ["--mode", "active", "--workers", "4", "--limits"];
    let mut arguments: Vec<String> = arguments.map(str::to_owned).to_vec();
    arguments.push(path.display().to_string());
    (fixture, arguments)
}

fn start(fixture: &Fixture, arguments: &[String], more: &[&str]) -> Service {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).chain(more.to_vec()).collect();
    Service::start(fixture, &arguments)
}

fn moves(decision: &Value) -> &Vec<Value> {
    decision["plan"]["moves"].as_array().unwrap_or_else(|| panic!("{decision}"))
}

/// Status and document of an answer on a bare connection.
fn answered(connection: TcpStream) -> (u16, Value) {
    let answer = rest(connection);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer:?}"));
    (head[9..12].parse().unwrap(), serde_json::from_str(body).unwrap())
}

/// Sends the bodies at once when all requests have come, so that none can know of another's plan.
fn all_at_once(service: &Service, bodies: &[String]) -> Vec<(u16, Value)> {
    let begun: Vec<TcpStream> =
        bodies.iter().map(|body| service.begin("/v1/plan", body.as_bytes())).collect();
    eventually("all requests to be there", || {
        service.metric("godwit_scorer_requests_in_flight") > bodies.len() as f64
    });
    thread::sleep(Duration::from_millis(50));
    thread::scope(|scope| {
        let answers: Vec<_> = begun
            .into_iter()
            .zip(bodies)
            .map(|(mut connection, body)| {
                scope.spawn(move || {
                    connection.write_all(&body.as_bytes()[body.len() / 2..]).unwrap();
                    answered(connection)
                })
            })
            .collect();
        answers.into_iter().map(|answer| answer.join().unwrap()).collect()
    })
}

#[test]
fn workers_that_plan_at_once_do_not_spend_a_budget_twice() {
    for round in 0..4_u64 {
        let (fixture, arguments) = active("disruption_budgets = { service = 1 }");
        let service = start(&fixture, &arguments, SLOW);
        let bodies: Vec<String> = (0..12)
            .map(|n: u64| {
                // Different snapshots, of several ticks.
                let mut snapshot = snapshot(&fixture, 100 + n % 3 + round);
                for workload in snapshot["workloads"].as_array_mut().unwrap() {
                    workload["disruption_group"] = "service".into();
                }
                snapshot["workloads"][0]["state_gib"] = json!(1.0 + n as f64 / 16.0);
                snapshot.to_string()
            })
            .collect();
        let answers = all_at_once(&service, &bodies);
        let planned: Vec<&Value> =
            answers.iter().filter(|(status, _)| *status == 200).flat_map(|a| moves(&a.1)).collect();
        assert_eq!(planned.len(), 1, "{answers:?}");
        for (status, answer) in &answers {
            assert!(*status == 200 || answer["error"]["code"] == "overtaken", "{answer}");
        }
        // Who plans later sees what was not carried out, and may spend it.
        let mut later: Value = serde_json::from_str(&bodies[0]).unwrap();
        later["tick"] = 200.into();
        assert_eq!(moves(&service.post("/v1/plan", later.to_string()).ok()).len(), 1);
        assert_eq!(service.metric("godwit_scorer_panics_total"), 0.0);
    }
}

#[test]
fn workers_that_plan_at_once_touch_no_workload_or_node_twice() {
    let (fixture, arguments) = active(&format!("max_moves = 1\n{BACKOFF}"));
    let service = start(&fixture, &arguments, SLOW);
    let bodies: Vec<String> = (0..12)
        .map(|n| {
            let mut snapshot = snapshot(&fixture, 100 + n % 2);
            snapshot["workloads"][0]["state_gib"] = json!(1.0 + n as f64 / 16.0);
            snapshot.to_string()
        })
        .collect();
    let answers = all_at_once(&service, &bodies);
    let planned: Vec<&Value> =
        answers.iter().filter(|(status, _)| *status == 200).flat_map(|a| moves(&a.1)).collect();
    assert!(!planned.is_empty());
    let mut seen = BTreeSet::new();
    for planned in &planned {
        for name in ["workload_name", "source_name", "destination_name"] {
            assert!(seen.insert(planned[name].to_string()), "{name} twice in {planned:?}");
        }
    }
    let overtaken = service.metric("godwit_scorer_overtaken_plans_total{result=\"again\"}");
    assert!(overtaken > 0.0, "no plan came in another's way");
}

#[test]
fn the_same_question_at_once_has_one_answer() {
    let (fixture, arguments) = active(BACKOFF);
    let folder = fixture.path("decisions").display().to_string();
    let mut service = start(&fixture, &arguments, &["--decision-log", &folder]);
    let bodies = vec![snapshot(&fixture, 100).to_string(); 12];
    let answers = all_at_once(&service, &bodies);
    assert!(!moves(&answers[0].1).is_empty());
    assert!(answers.iter().all(|answer| answer == &answers[0]), "{answers:?}");

    // Written otherwise, and after plans for later ticks, it still is the same question.
    service.post("/v1/plan", snapshot(&fixture, 101).to_string()).ok();
    let pretty = serde_json::to_string_pretty(&snapshot(&fixture, 100)).unwrap();
    let again = service.post("/v1/plan", &pretty);
    assert_eq!(again.headers["idempotency-replayed"], "true");
    assert_eq!(again.ok(), answers[0].1);
    assert_eq!(service.post("/v1/plan?max_moves=0", &pretty).ok()["plan"]["moves"], json!([]));

    service.signal("TERM");
    assert!(service.ended().success());
    scorer().args(["replay", &folder, "--model"]).arg(fixture.model()).assert().success();
}

#[test]
fn plans_that_were_made_twice_are_made_again_bit_for_bit() {
    let (fixture, arguments) = active(&format!("hold_down_ticks = 9\nmax_moves = 2\n{BACKOFF}"));
    let folder = fixture.path("decisions").display().to_string();
    let mut service = start(&fixture, &arguments, &[SLOW, &["--decision-log", &folder]].concat());
    for round in 0..4 {
        let bodies: Vec<String> = (0..8)
            .map(|n| {
                let mut snapshot = snapshot(&fixture, 100 + 3 * round);
                snapshot["workloads"][0]["state_gib"] = json!(1.0 + n as f64 / 16.0);
                snapshot.to_string()
            })
            .collect();
        all_at_once(&service, &bodies);
    }
    assert!(service.metric("godwit_scorer_overtaken_plans_total{result=\"again\"}") > 0.0);
    service.signal("TERM");
    assert!(service.ended().success());
    scorer().args(["replay", &folder, "--model"]).arg(fixture.model()).assert().success();
}

#[test]
fn a_later_plan_of_the_same_tick_replaces_the_earlier_one() {
    let (fixture, arguments) = active(&format!("max_moves = 1\n{BACKOFF}"));
    let service = start(&fixture, &arguments, &[]);
    let first = service.post("/v1/plan", snapshot(&fixture, 100).to_string()).ok();
    let mut other = snapshot(&fixture, 100);
    other["workloads"][0]["dirty_gib_s"] = json!(0.001);
    let second = service.post("/v1/plan", other.to_string()).ok();
    assert_ne!(first["id"], second["id"]);
    assert_eq!(moves(&first)[0]["workload_name"], moves(&second)[0]["workload_name"]);
    // In the next tick it rests, whatever became of it.
    let next = service.post("/v1/plan", snapshot(&fixture, 101).to_string()).ok();
    assert_eq!(next["left_out"]["resting"], 1);
}

#[test]
fn a_key_stands_for_one_question() {
    let fixture = Fixture::new("quickstart");
    let service = Service::start(&fixture, &[]);
    let body = snapshot(&fixture, 100).to_string();
    let send = |path: &str, key: &str, body: &str| {
        service.send("POST", path, &[("idempotency-key", key)], body.as_bytes())
    };
    let first = send("/v1/plan", "one", &body).ok();
    let again = send("/v1/plan", "one", &body);
    assert_eq!(again.headers["idempotency-replayed"], "true");
    assert_eq!(again.ok(), first);
    assert_ne!(send("/v1/plan", "two", &body).ok()["id"], first["id"]);
    let other = snapshot(&fixture, 101).to_string();
    let reused = || (422, "idempotency_key_reused".to_owned());
    assert_eq!(send("/v1/plan", "one", &other).error(), reused());
    assert_eq!(send("/v1/plan?max_moves=1", "one", &body).error(), reused());
    let long = "k".repeat(256);
    for key in ["", &long] {
        let refused = send("/v1/plan", key, &body).error();
        assert_eq!(refused, (400, "invalid_idempotency_key".to_owned()), "{key:?}");
    }
    // What is wrong is not remembered.
    assert_eq!(send("/v1/plan", "three", "{}").status, 422);
    assert_eq!(send("/v1/plan", "three", &body).status, 200);
    // During a halt nothing moves, whatever was answered before.
    service.post("/v1/halt", "").ok();
    assert_eq!(send("/v1/plan", "one", &body).ok()["plan"]["stop_reason"], "halted");
    service.post("/v1/resume", "").ok();
    assert_eq!(send("/v1/plan", "one", &body).ok(), first);
    // At once, too.
    let key = "\r\nidempotency-key: four";
    let begun: Vec<TcpStream> = (0..6)
        .map(|_| service.begin(&format!("/v1/plan HTTP/1.1{key}\r\nx: "), body.as_bytes()))
        .collect();
    let answers: Vec<(u16, Value)> = begun
        .into_iter()
        .map(|mut connection| {
            connection.write_all(&body.as_bytes()[body.len() / 2..]).unwrap();
            answered(connection)
        })
        .collect();
    assert!(answers.iter().all(|answer| *answer == answers[0] && answer.0 == 200), "{answers:?}");
}

#[test]
fn no_plan_follows_a_halt() {
    let (fixture, arguments) = active("");
    let service = start(&fixture, &arguments, &[]);
    let body = snapshot(&fixture, 7).to_string();
    for round in 0..5 {
        let halted = AtomicBool::new(false);
        let tick = AtomicU64::new(1_000 * (round + 1));
        let in_the_making: Vec<TcpStream> =
            (0..6).map(|_| service.begin("/v1/plan", body.as_bytes())).collect();
        let mut followed = Vec::new();
        thread::scope(|scope| {
            let load: Vec<_> = (0..6)
                .map(|_| {
                    scope.spawn(|| {
                        let mut followed = 0;
                        for _ in 0..10_000 {
                            let late = halted.load(Ordering::SeqCst);
                            let tick = tick.fetch_add(1, Ordering::SeqCst);
                            let body = snapshot(&fixture, tick).to_string();
                            let answer = service.post("/v1/plan", body).ok();
                            followed += usize::from(late && !moves(&answer).is_empty());
                            if late {
                                break;
                            }
                        }
                        followed
                    })
                })
                .collect();
            thread::sleep(Duration::from_millis(30 + 10 * round));
            assert_eq!(service.post("/v1/halt", "").ok(), json!({"halted": true}));
            halted.store(true, Ordering::SeqCst);
            for mut connection in in_the_making {
                connection.write_all(&body.as_bytes()[body.len() / 2..]).unwrap();
                followed.push(moves(&answered(connection).1).len());
            }
            followed.extend(load.into_iter().map(|thread| thread.join().unwrap()));
        });
        assert_eq!(followed, [0; 12], "round {round}");
        service.post("/v1/resume", "").ok();
    }
    assert!(service.metric("godwit_scorer_decisions_total{outcome=\"move\"}") > 0.0);
}

#[test]
fn plans_in_the_making_come_out_empty_when_someone_halts() {
    let (fixture, arguments) = active(BACKOFF);
    let service = start(&fixture, &arguments, &["--best-of", "1000000", "--deadline-ms", "1500"]);
    thread::scope(|scope| {
        let plans = [100, 101].map(|tick| {
            let body = snapshot(&fixture, tick).to_string();
            let service = &service;
            scope.spawn(move || service.post("/v1/plan", body).ok())
        });
        thread::sleep(Duration::from_millis(500));
        service.post("/v1/halt", "").ok();
        for plan in plans {
            assert_eq!(plan.join().unwrap()["plan"]["stop_reason"], "halted");
        }
    });
    service.post("/v1/resume", "").ok();
    // And nobody rests for what did not leave.
    let next = service.post("/v1/plan?deadline_ms=0", snapshot(&fixture, 102).to_string()).ok();
    assert_eq!(next.get("left_out"), None, "{next}");
}

#[test]
fn a_plan_for_a_client_that_hangs_up_is_not_remembered() {
    let (fixture, arguments) = active(BACKOFF);
    // It plans for a second and a half.
    let slow = ["--best-of", "1000000", "--deadline-ms", "1500", "--workers", "1"];
    let arguments: Vec<String> =
        arguments.into_iter().filter(|word| word != "--workers" && word != "4").collect();
    let service = start(&fixture, &arguments, &slow);
    let body = snapshot(&fixture, 100).to_string();
    let mut connection = service.begin("/v1/plan", body.as_bytes());
    connection.write_all(&body.as_bytes()[body.len() / 2..]).unwrap();
    thread::sleep(Duration::from_millis(400));
    drop(connection);
    // The worker is free again only when that plan is made.
    let next = service.post("/v1/plan?deadline_ms=3000", snapshot(&fixture, 101).to_string()).ok();
    assert_eq!(next.get("left_out"), None, "{next}");
    assert!(!moves(&next).is_empty());
    let after = service.post("/v1/plan", snapshot(&fixture, 102).to_string()).ok();
    assert!(after["left_out"]["resting"].as_u64().unwrap() > 0, "{after}");
}

#[test]
fn planning_ends_before_the_request_does() {
    let (fixture, arguments) = active("");
    let patient = ["--best-of", "1000000", "--request-timeout-ms", "1500"];
    let service = start(&fixture, &arguments, &patient);
    let answer = service.post("/v1/plan", snapshot(&fixture, 100).to_string()).ok();
    assert!(!moves(&answer).is_empty());
}

#[test]
fn a_stream_answers_the_same_line_the_same() {
    let (fixture, _) = active(BACKOFF);
    let line = snapshot(&fixture, 100).to_string();
    // The same content with its fields in another order.
    let fields = snapshot(&fixture, 100);
    let mut fields: Vec<(String, Value)> =
        fields.as_object().unwrap().clone().into_iter().collect();
    fields.reverse();
    let fields: Vec<String> =
        fields.iter().map(|(name, value)| format!("{}:{value}", json!(name))).collect();
    let other = snapshot(&fixture, 101).to_string();
    let lines = format!("{line}\n{line}\n{other}\n{{{}}}\n", fields.join(","));
    let mut command = scorer();
    command.args(["stream", "--model"]).arg(fixture.model());
    command.arg("--limits").arg(fixture.path("limits.toml"));
    let output = command.write_stdin(lines).assert().success();
    let output = String::from_utf8(output.get_output().stdout.clone()).unwrap();
    let answers: Vec<&str> = output.lines().collect();
    assert_eq!(answers.len(), 4);
    assert!(!moves(&serde_json::from_str(answers[0]).unwrap()).is_empty());
    assert_eq!((answers[0], answers[0]), (answers[1], answers[3]));
    assert_ne!(answers[0], answers[2]);
}
