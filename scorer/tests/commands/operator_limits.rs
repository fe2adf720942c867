//! The operator's limits, through the commands and the service.

use predicates::prelude::PredicateBooleanExt;
use predicates::str::contains;
use serde_json::{Value, json};

use crate::support::service::Service;
use crate::support::{Fixture, scorer};

/// A fixture with a snapshot at tick 100, taken now, and these limits.
fn fixture(limits: &str) -> Fixture {
    let fixture = Fixture::new("quickstart");
    std::fs::write(fixture.path("limits.toml"), limits).unwrap();
    let mut snapshot: Value =
        serde_json::from_slice(&std::fs::read(fixture.snapshot()).unwrap()).unwrap();
    snapshot["tick"] = 100.into();
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    snapshot["taken_at_s"] = now.as_secs_f64().into();
    std::fs::write(fixture.snapshot(), snapshot.to_string()).unwrap();
    fixture
}

fn snapshot(fixture: &Fixture) -> Value {
    serde_json::from_slice(&std::fs::read(fixture.snapshot()).unwrap()).unwrap()
}

fn decided(fixture: &Fixture) -> Value {
    let mut command = fixture.decide(&fixture.model(), &fixture.snapshot());
    command.arg("--limits").arg(fixture.path("limits.toml"));
    serde_json::from_slice(&command.assert().success().get_output().stdout).unwrap()
}

fn moves(decision: &Value) -> usize {
    decision["plan"]["moves"].as_array().unwrap().len()
}

#[test]
fn a_plan_keeps_the_limits() {
    let free = decided(&fixture(""));
    assert!(moves(&free) > 2, "{free}");
    assert!(free.get("left_out").is_none() && free.get("refusal").is_none());
    let few = decided(&fixture("max_moves = 2"));
    assert_eq!((moves(&few), &few["plan"]["stop_reason"]), (2, &json!("max_moves")));
    let none = decided(&fixture("min_gain_share = 1.0"));
    assert_eq!((moves(&none), &none["plan"]["stop_reason"]), (0, &json!("gain_below_threshold")));
}

#[test]
fn moves_say_when_they_expire_and_none_is_planned_that_would_start_later() {
    let free = decided(&fixture(""));
    let waves = free["plan"]["waves"].as_u64().unwrap();
    assert!(waves > 1 && free["plan"]["moves"][0].get("expires_s").is_none(), "{free}");
    // Before the first wave can be complete.
    let fixture = fixture("move_lifetime_s = 0.01");
    let short = decided(&fixture);
    assert_eq!(
        (&short["plan"]["waves"], &short["plan"]["stop_reason"]),
        (&json!(1), &json!("out_of_time"))
    );
    assert_eq!(short["plan"]["moves"][0]["earliest_start_s"], 0.0);
    assert_eq!(short["plan"]["moves"][0]["expires_s"], 0.01);
    assert!(short["stays"]["counts"]["out_of_time"].as_u64().unwrap() > 0, "{short}");
    // A plan of several waves is found to come too late.
    let limits = fixture.path("limits.toml").display().to_string();
    let service = Service::start(&fixture, &["--limits", &limits]);
    let body = json!({"snapshot": snapshot(&fixture), "moves": free["plan"]["moves"]});
    let simulated = service.post("/v1/simulate", body.to_string()).ok();
    let kinds: Vec<&Value> =
        simulated["violations"].as_array().unwrap().iter().map(|v| &v["kind"]).collect();
    assert!(kinds.contains(&&json!("late")) && kinds.contains(&&json!("expired")), "{simulated}");
    let body = json!({"snapshot": snapshot(&fixture), "moves": short["plan"]["moves"]});
    assert_eq!(service.post("/v1/simulate", body.to_string()).ok()["valid"], true);
}

#[test]
fn a_doubtful_snapshot_is_refused_with_a_reason() {
    let fixture = fixture("max_age_s = 60");
    assert!(moves(&decided(&fixture)) > 0);
    let mut old = snapshot(&fixture);
    old["taken_at_s"] = 1.0.into();
    std::fs::write(fixture.snapshot(), old.to_string()).unwrap();
    let refused = decided(&fixture);
    assert_eq!((moves(&refused), &refused["plan"]["stop_reason"]), (0, &json!("refused")));
    assert_eq!(refused["refusal"]["kind"], "stale");
}

#[test]
fn limits_that_make_no_sense_are_bad_input() {
    let fixture = fixture("hold_down_tick = 3");
    let mut command = fixture.decide(&fixture.model(), &fixture.snapshot());
    command.arg("--limits").arg(fixture.path("limits.toml"));
    command.assert().code(2).stderr(contains("limits.toml").and(contains("hold_down_tick")));
    let mut command = fixture.decide(&fixture.model(), &fixture.snapshot());
    command.arg("--limits").arg(fixture.path("nothing.toml"));
    command.assert().code(2).stderr(contains("nothing.toml"));
    scorer()
        .args(["schema", "limits"])
        .assert()
        .success()
        .stdout(contains("max_moves_per_tenant").and(contains("hold_down_ticks")));
}

/// The cluster stays as it is, so that without memory the second plan would be the first one.
#[test]
fn a_stream_remembers_its_plans() {
    let rest = "backoff = { first_ticks = 5, factor = 2, most_ticks = 9, forget_ticks = 50 }";
    let fixture = fixture(rest);
    let mut later = snapshot(&fixture);
    let first = later.to_string();
    later["tick"] = 104.into();
    let second = later.to_string();
    later["tick"] = 105.into();
    let lines = format!("{first}\n{second}\n{later}\n");
    let output = scorer()
        .args(["stream", "--max-moves", "1", "--model"])
        .arg(fixture.model())
        .arg("--limits")
        .arg(fixture.path("limits.toml"))
        .write_stdin(lines)
        .assert()
        .success();
    let decisions: Vec<Value> = String::from_utf8_lossy(&output.get_output().stdout)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let moved = |at: usize| decisions[at]["plan"]["moves"][0]["workload_name"].as_str().unwrap();
    assert_ne!(moved(0), moved(1));
    assert_eq!(decisions[1]["left_out"]["resting"], 1);
    // The first one has rested.
    assert_eq!(moved(0), moved(2));
}

#[test]
fn only_an_active_service_remembers_its_plans() {
    let fixture = fixture("hold_down_ticks = 10\nmax_moves = 1");
    let limits = fixture.path("limits.toml");
    let limits = limits.to_str().unwrap();
    let body = snapshot(&fixture).to_string();
    for (mode, remembers) in [("dry-run", false), ("active", true)] {
        let service = Service::start(&fixture, &["--mode", mode, "--limits", limits]);
        let first = service.post("/v1/plan", &body).ok();
        let planned = &first["plan"]["moves"][0];
        // Where the plan has been carried out, the way back is barred for a while.
        let mut after = snapshot(&fixture);
        let workloads = after["workloads"].as_array_mut().unwrap();
        let moved = workloads.iter_mut().find(|w| w["name"] == planned["workload_name"]).unwrap();
        moved["node"] = planned["destination_name"].clone();
        let second = service.post("/v1/plan", after.to_string()).ok();
        let held_down = second["left_out"]["held_down"].as_u64().unwrap_or(0);
        assert_eq!(held_down, u64::from(remembers), "{mode}");
        let back = json!({
            "snapshot": after,
            "moves": [{
                "workload_name": planned["workload_name"],
                "destination_name": planned["source_name"],
            }],
        });
        let simulated = service.post("/v1/simulate", back.to_string()).ok();
        let kinds: Vec<&Value> =
            simulated["violations"].as_array().unwrap().iter().map(|v| &v["kind"]).collect();
        assert_eq!(kinds.contains(&&json!("return")), remembers, "{mode} {simulated}");
    }
}
