//! What the service answers.

use std::io::Write;

use serde_json::{Value, json};

use crate::support::Fixture;
use crate::support::service::{Service, eventually, rest};

/// What `decide` prints for the fixture's snapshot.
fn printed(fixture: &Fixture, arguments: &[&str]) -> Value {
    let mut command = fixture.decide(&fixture.model(), &fixture.snapshot());
    let output = command.args(arguments).assert().success().get_output().stdout.clone();
    serde_json::from_slice(&output).unwrap()
}

fn snapshot(fixture: &Fixture) -> Value {
    serde_json::from_slice(&std::fs::read(fixture.snapshot()).unwrap()).unwrap()
}

#[test]
fn plans_are_those_that_the_command_prints() {
    let fixture = Fixture::new("quickstart");
    let service = Service::start(&fixture, &[]);
    let body = std::fs::read(fixture.snapshot()).unwrap();
    for (path, arguments) in [
        ("/v1/decide", &["--max-moves", "1"][..]),
        ("/v1/plan", &[]),
        ("/v1/plan?max_moves=2", &["--max-moves", "2"]),
        ("/v1/plan?deadline_ms=0", &["--deadline-ms", "0"]),
    ] {
        let served = service.post(path, &body).ok();
        let printed = printed(&fixture, arguments);
        for field in ["format", "artifact", "tick", "reason", "plan"] {
            assert_eq!(served[field], printed[field], "{path} {field}");
        }
        assert_eq!(served["mode"], "dry_run");
        assert_eq!(served["timing_us"]["artifact"], 0);
    }
}

#[test]
fn limits_of_the_service_hold_for_each_request() {
    let fixture = Fixture::new("quickstart");
    let service = Service::start(&fixture, &["--max-moves", "1", "--mode", "active"]);
    let body = std::fs::read(fixture.snapshot()).unwrap();
    let served = service.post("/v1/plan?max_moves=5", &body).ok();
    assert_eq!(served["plan"]["stop_reason"], "max_moves");
    assert_eq!(served["mode"], "active");
}

#[test]
fn recent_decisions_are_remembered() {
    let fixture = Fixture::new("founding-3x3");
    let service = Service::start(&fixture, &["--keep-decisions", "2"]);
    let body = std::fs::read(fixture.snapshot()).unwrap();
    let decisions = [0; 3].map(|_| service.post("/v1/plan", &body));
    let [first, .., last] = decisions.each_ref().map(|decision| {
        let id = decision.ok()["id"].as_str().unwrap().to_owned();
        assert_eq!(decision.headers["x-request-id"], id);
        service.get(&format!("/v1/decisions/{id}"))
    });
    assert_eq!(last.body, decisions[2].body);
    assert_eq!(first.error(), (404, "unknown_decision".to_owned()));
}

#[test]
fn a_plan_is_simulated() {
    let fixture = Fixture::new("quickstart");
    let service = Service::start(&fixture, &[]);
    let snapshot = snapshot(&fixture);
    let plan = &service.post("/v1/plan", snapshot.to_string()).ok()["plan"];
    let simulate = |moves: Value| {
        let body = json!({"snapshot": snapshot, "moves": moves}).to_string();
        service.post("/v1/simulate", body).ok()
    };

    let same = simulate(plan["moves"].clone());
    assert_eq!(same["valid"], true, "{same}");
    assert_eq!(same["objective_before"], plan["objective_before"]);
    assert_eq!(same["objective_after"], plan["objective_after"]);
    let moves = plan["moves"].as_array().unwrap();
    assert!(moves.len() > 1, "{plan}");
    for (effect, planned) in same["effects"].as_array().unwrap().iter().zip(moves) {
        for field in ["predicted_gain", "cost", "moved_gib", "transfer_s", "downtime_s"] {
            assert_eq!(effect[field], planned[field], "{field}");
        }
    }
    let last = moves.last().unwrap();
    let placed = json!({"workload": last["workload_name"], "node": last["destination_name"]});
    assert!(same["placement"].as_array().unwrap().contains(&placed), "{same}");

    let nothing = simulate(json!([]));
    assert_eq!((&nothing["valid"], &nothing["cost"]), (&json!(true), &json!(0.0)));
    assert_eq!(nothing["terms_before"], nothing["terms_after"]);
}

#[test]
fn a_bad_plan_is_reported_with_what_it_breaks() {
    let fixture = Fixture::new("quickstart");
    let service = Service::start(&fixture, &[]);
    let mut snapshot = snapshot(&fixture);
    snapshot["workloads"][0]["movable"] = false.into();
    let [pinned, free] = [0, 1].map(|k| snapshot["workloads"][k]["name"].clone());
    let here = snapshot["workloads"][1]["node"].clone();
    let body = json!({"snapshot": snapshot, "moves": [
        {"workload_name": pinned, "destination_name": here},
        {"workload_name": free, "destination_name": here},
        {"workload_name": "nobody", "destination_name": here},
        {"workload_name": free, "source_name": "nowhere", "destination_name": here, "wave": 3},
    ]});
    let simulation = service.post("/v1/simulate", body.to_string()).ok();
    assert_eq!(simulation["valid"], false);
    let violations = simulation["violations"].as_array().unwrap();
    for (at, kind) in [
        (0, "pinned"),
        (1, "same_node"),
        (2, "unknown_workload"),
        (3, "unknown_node"),
        (3, "wave_order"),
    ] {
        let found = violations.iter().find(|v| v["at"] == at && v["kind"] == kind);
        assert!(found.is_some_and(|v| v["message"].is_string()), "{kind} in {violations:?}");
    }
    let at: Vec<&Value> =
        simulation["effects"].as_array().unwrap().iter().map(|effect| &effect["at"]).collect();
    assert_eq!(at, [0, 1, 3]);
}

#[test]
fn the_last_wave_that_there_is_is_no_failure_of_the_service() {
    let fixture = Fixture::new("quickstart");
    let service = Service::start(&fixture, &[]);
    let snapshot = snapshot(&fixture);
    let [node, other] = [0, 1].map(|i| snapshot["nodes"][i]["name"].clone());
    let moves = [0, 1, 2].map(|k| {
        let workload = &snapshot["workloads"][k];
        let to = if workload["node"] == node { &other } else { &node };
        json!({"workload_name": workload["name"], "destination_name": to, "wave": u32::MAX})
    });
    let body = json!({"snapshot": snapshot, "moves": moves});
    let simulation = service.post("/v1/simulate", body.to_string()).ok();
    let kinds = simulation["violations"].as_array().unwrap().iter().map(|v| (&v["at"], &v["kind"]));
    assert!(kinds.clone().any(|kind| kind == (&json!(0), &json!("wave_order"))), "{simulation}");
    assert!(!kinds.clone().any(|kind| kind == (&json!(1), &json!("wave_order"))), "{simulation}");
}

#[test]
fn while_halted_nothing_moves() {
    let fixture = Fixture::new("quickstart");
    let service = Service::start(&fixture, &["--mode", "active"]);
    let body = std::fs::read(fixture.snapshot()).unwrap();
    assert_eq!(service.post("/v1/halt", "").ok(), json!({"halted": true}));
    for path in ["/v1/decide", "/v1/plan"] {
        let decision = service.post(path, &body).ok();
        assert_eq!(decision["plan"]["stop_reason"], "halted");
        assert_eq!(decision["plan"]["moves"], json!([]));
        assert!(decision["reason"].as_str().unwrap().contains("halted"), "{decision}");
    }
    assert_eq!(service.metric("godwit_scorer_halted"), 1.0);
    assert_eq!(service.get("/v2/health/ready").ok(), json!({"ready": true}));
    assert_eq!(service.post("/v1/resume", "").ok(), json!({"halted": false}));
    assert_ne!(service.post("/v1/plan", &body).ok()["plan"]["moves"], json!([]));
}

#[test]
fn whatever_is_wrong_with_a_request_has_a_code() {
    let fixture = Fixture::new("quickstart");
    let service = Service::start(&fixture, &["--max-workloads", "100"]);
    let text = std::fs::read_to_string(fixture.snapshot()).unwrap();
    let mut large = snapshot(&fixture);
    let one = large["workloads"][0].clone();
    large["workloads"] = (0..101)
        .map(|k| {
            let mut workload = one.clone();
            workload["name"] = format!("w{k}").into();
            workload
        })
        .collect();
    for (path, body, status, code) in [
        ("/v1/plan", &text.as_bytes()[..text.len() / 2], 400, "malformed_json"),
        ("/v1/plan", b"", 400, "malformed_json"),
        ("/v1/plan", b"\xff\xfe", 400, "malformed_json"),
        ("/v1/plan", b"{}", 422, "invalid_input"),
        ("/v1/decide", text.replacen("\"supply\"", "\"s\"", 1).as_bytes(), 422, "invalid_input"),
        ("/v1/decide", text.replacen("\"memory\"", "\"disk\"", 1).as_bytes(), 422, "invalid_input"),
        ("/v1/decide", large.to_string().as_bytes(), 422, "cluster_too_large"),
        ("/v1/plan?max_move=1", text.as_bytes(), 400, "invalid_query"),
        ("/v1/plan?max_moves=-1", text.as_bytes(), 400, "invalid_query"),
        ("/v1/simulate", text.as_bytes(), 422, "invalid_input"),
        ("/v2/models/other/infer", b"{}", 404, "unknown_model"),
        ("/v2/models/policy/infer", b"{}", 422, "invalid_input"),
        ("/v1/nothing", b"", 404, "unknown_route"),
        ("/v1/model", b"", 405, "wrong_method"),
    ] {
        let answer = service.post(path, body);
        assert_eq!(answer.error(), (status, code.to_owned()), "{path}");
        assert_eq!(answer.headers["content-type"], "application/json");
    }
    let refused = service.post("/v1/decide", large.to_string()).json();
    let message = refused["error"]["message"].as_str().unwrap();
    assert!(
        message.contains("at most 100 (the service's --max-workloads admits more)"),
        "{message}"
    );
    assert_eq!(service.get("/v1/halt").error().0, 405);
    assert_eq!(service.get("/v1/decisions/%ff").error().0, 404);
    let message = service.post("/v1/plan", "{}").json()["error"]["message"].to_string();
    assert!(message.contains("body: format: expected a value, got none"), "{message}");
}

#[test]
fn metrics_count_what_happens() {
    let fixture = Fixture::new("quickstart");
    let service = Service::start(&fixture, &[]);
    let body = std::fs::read(fixture.snapshot()).unwrap();
    let zero = "godwit_scorer_decisions_total{mode=\"dry_run\",outcome=\"move\"}";
    assert_eq!(service.metric(zero), 0.0);
    let decisions = [0; 3].map(|_| service.post("/v1/plan", &body).ok());
    service.post("/v1/plan?max_moves=0", &body).ok();
    service.post("/v1/plan", "{}");
    let moves: usize =
        decisions.iter().map(|decision| decision["plan"]["moves"].as_array().unwrap().len()).sum();

    let answer = service.get("/metrics");
    assert_eq!(answer.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let text = String::from_utf8(answer.body).unwrap();
    let mut planned = 0.0;
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        let value: f64 = value.parse().unwrap();
        assert!(name.starts_with("godwit_scorer_") || name.starts_with("process_"), "{line}");
        if name.starts_with("godwit_scorer_moves_total{mode=\"dry_run\",reason=") {
            planned += value;
        }
    }
    assert_eq!(planned, moves as f64);
    for (name, value) in [
        (zero, 3.0),
        ("godwit_scorer_decisions_total{mode=\"dry_run\",outcome=\"stay\"}", 1.0),
        ("godwit_scorer_decision_stops_total{mode=\"dry_run\",reason=\"max_moves\"}", 1.0),
        ("godwit_scorer_requests_total{route=\"/v1/plan\",status=\"200\"}", 4.0),
        ("godwit_scorer_requests_total{route=\"/v1/plan\",status=\"422\"}", 1.0),
        ("godwit_scorer_requests_refused_total{reason=\"invalid_input\"}", 1.0),
        ("godwit_scorer_request_duration_seconds_count{route=\"/v1/plan\"}", 5.0),
        ("godwit_scorer_decision_duration_seconds_count{stage=\"plan\"}", 4.0),
        ("godwit_scorer_predicted_gain_count", 4.0),
        ("godwit_scorer_requests_in_flight", 1.0),
        ("godwit_scorer_build_info{version=\"0.1.0\"}", 1.0),
        ("godwit_scorer_panics_total", 0.0),
    ] {
        assert_eq!(service.metric(name), value, "{name}");
    }
    assert!(service.metric("godwit_scorer_input_age_seconds") < 20.0);
    let sha256 = &decisions[0]["artifact"]["sha256"];
    assert!(
        text.contains(&format!("godwit_scorer_model_info{{mode=\"dry_run\",sha256={sha256},")),
        "{text}"
    );
}

#[test]
fn metrics_tell_of_the_process_under_the_usual_names() {
    let fixture = Fixture::new("founding-3x3");
    let service = Service::start(&fixture, &[]);
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
    let started = service.metric("process_start_time_seconds");
    assert!((now - 60.0..now + 5.0).contains(&started), "{started} {now}");
    let resident = service.metric("process_resident_memory_bytes");
    assert!((1e6..1e9).contains(&resident), "{resident}");
    assert!(service.metric("process_virtual_memory_bytes") >= resident);
    assert!(service.metric("process_cpu_seconds_total") >= 0.0);
    // Those of the requests above may be counted until the service has closed them.
    let open = (0..20).fold(f64::INFINITY, |least, _| {
        std::thread::sleep(std::time::Duration::from_millis(10));
        least.min(service.metric("process_open_fds"))
    });
    let connections = [0; 5].map(|_| service.connect());
    eventually("the connections", || service.metric("process_open_fds") >= open + 5.0);
    assert!(service.metric("process_max_fds") > open);
    drop(connections);
}

#[test]
fn bodies_that_would_have_to_be_decoded_are_refused() {
    let fixture = Fixture::new("founding-3x3");
    let service = Service::start(&fixture, &[]);
    let body = std::fs::read(fixture.snapshot()).unwrap();
    let send =
        |encoding| service.send("POST", "/v1/plan", &[("content-encoding", encoding)], &body);
    for encoding in ["gzip", "br", "zstd", "deflate", "gzip, identity", "\u{e9}"] {
        let answer = send(encoding);
        assert_eq!(answer.error(), (415, "unsupported_encoding".to_owned()), "{encoding}");
        assert_eq!(answer.headers["accept-encoding"], "identity");
    }
    send("Identity").ok();
    let stream = service.connect();
    let head = "POST /v1/plan HTTP/1.1\r\nhost: localhost\r\nconnection: close";
    let chunks = "transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n";
    write!(&stream, "{head}\r\n{chunks}").unwrap();
    assert!(rest(stream).contains("unsupported_encoding"));
}

#[test]
fn the_interface_describes_itself() {
    let fixture = Fixture::new("founding-3x3");
    let service = Service::start(&fixture, &[]);
    let document = service.get("/openapi.json").ok();
    assert_eq!(document["openapi"], "3.1.0");
    let paths = document["paths"].as_object().unwrap();
    for (method, path) in [
        ("post", "/v1/decide"),
        ("post", "/v1/plan"),
        ("post", "/v1/simulate"),
        ("post", "/v1/feedback"),
        ("get", "/v1/decisions/{id}"),
        ("post", "/v1/halt"),
        ("post", "/v1/resume"),
        ("get", "/v1/model"),
        ("post", "/v1/model/reload"),
        ("post", "/v1/model/promote"),
        ("get", "/v2"),
        ("get", "/v2/health/live"),
        ("get", "/v2/health/ready"),
        ("get", "/v2/models/{model}"),
        ("get", "/v2/models/{model}/ready"),
        ("post", "/v2/models/{model}/infer"),
        ("get", "/v2/models/{model}/versions/{version}"),
        ("get", "/v2/models/{model}/versions/{version}/ready"),
        ("post", "/v2/models/{model}/versions/{version}/infer"),
        ("get", "/metrics"),
        ("get", "/openapi.json"),
    ] {
        assert!(paths[path][method]["responses"]["200"].is_object(), "{method} {path}");
        let answer = service.send(&method.to_uppercase(), path, &[], b"");
        assert_ne!(answer.status, 405, "{method} {path}");
        assert!(!String::from_utf8_lossy(&answer.body).contains("unknown_route"), "{path}");
    }
    assert_eq!(paths.len(), 21);
    let query = paths["/v1/plan"]["post"]["parameters"].as_array().unwrap();
    assert_eq!(
        query.iter().map(|p| &p["name"]).collect::<Vec<_>>(),
        ["idempotency-key", "deadline_ms", "max_moves", "stays"]
    );

    let text = document.to_string();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    for reference in text.split("\"#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(schemas.contains_key(name), "{name}");
    }
    assert!(!text.contains("#/$defs/"));
    for (schema, field) in [("ServedDecision", "plan"), ("Snapshot", "nodes")] {
        assert!(schemas[schema]["properties"][field].is_object(), "{schema}");
    }
}

#[test]
fn in_shadow_mode_policy_and_baseline_are_compared() {
    let fixture = Fixture::new("quickstart");
    let body = std::fs::read(fixture.snapshot()).unwrap();
    let arguments = ["--mode", "shadow", "--baseline", "stay", "--return"];
    for returned in ["policy", "baseline"] {
        let service = Service::start(&fixture, &[&arguments[..], &[returned]].concat());
        let decision = service.post("/v1/plan", &body).ok();
        let (plan, comparison) = (&decision["plan"], &decision["comparison"]);
        assert_eq!(decision["mode"], "shadow");
        assert_eq!(comparison["returned"], returned);
        assert_eq!(comparison["baseline"]["name"], "stay");
        assert_eq!(comparison["baseline"]["moves"], 0);
        let moves = plan["moves"].as_array().unwrap().len();
        assert_eq!(comparison[returned]["moves"], moves);
        assert_eq!(moves > 0, returned == "policy");
        assert_eq!(comparison["difference"]["moves"], comparison["policy"]["moves"]);
        assert!(comparison["difference"]["objective_after"].as_f64().unwrap() < 0.0, "{decision}");
        assert_eq!(service.metric("godwit_scorer_shadow_moves_difference_count"), 1.0);
        let below = "godwit_scorer_shadow_objective_difference_bucket{le=\"0\"}";
        assert_eq!(service.metric(below), 1.0);
        service.post("/v1/halt", "");
        assert!(service.post("/v1/plan", &body).ok()["comparison"].is_null());
    }
}
