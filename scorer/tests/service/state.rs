//! What is remembered of earlier plans survives the process, and counts as the rules say.

#![cfg(unix)] // signals

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use std::{fs, thread};

use godwit_models::net::Architecture;
use serde_json::{Value, json};

use crate::support::service::{Service, command, eventually};
use crate::support::{Fixture, scorer, write_artifact};

fn snapshot(fixture: &Fixture, tick: u64) -> Value {
    let mut snapshot: Value =
        serde_json::from_slice(&fs::read(fixture.snapshot()).unwrap()).unwrap();
    snapshot["tick"] = tick.into();
    snapshot
}

/// The snapshot of a later tick, with these moves complete.
fn after(snapshot: &Value, moves: &[Value], tick: u64) -> Value {
    let mut after = snapshot.clone();
    after["tick"] = tick.into();
    let workloads = after["workloads"].as_array_mut().unwrap();
    for planned in moves {
        let moved = workloads.iter_mut().find(|w| w["name"] == planned["workload_name"]);
        moved.unwrap()["node"] = planned["destination_name"].clone();
    }
    after
}

fn moves(decision: &Value) -> Vec<Value> {
    decision["plan"]["moves"].as_array().unwrap_or_else(|| panic!("{decision}")).clone()
}

/// A fixture whose artifact gives each migration a cool-down of five ticks.
fn cooling() -> Fixture {
    let mut fixture = Fixture::new("quickstart");
    fixture.scenario.rules.limits.cooldown_ticks = 5;
    write_artifact(&fixture.model(), &fixture.scenario, Architecture::Relational, |_| {});
    fixture
}

/// Arguments of an active service that keeps its state, with these limits.
fn keeping(fixture: &Fixture, limits: &str) -> Vec<String> {
    fs::write(fixture.path("limits.toml"), limits).unwrap();
    let [limits, state] = ["limits.toml", "state"].map(|name| fixture.path(name));
    let words = ["--mode", "active", "--limits", limits.to_str().unwrap(), "--state"];
    words.iter().map(|&word| word.to_owned()).chain([state.display().to_string()]).collect()
}

fn start(fixture: &Fixture, arguments: &[String]) -> Service {
    Service::start(fixture, &arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

fn kill(mut service: Service) {
    service.signal("KILL");
    service.ended();
}

fn journal(fixture: &Fixture) -> PathBuf {
    fixture.path("state").join("memory.journal")
}

/// What `stream` answers to these lines.
fn stream(fixture: &Fixture, lines: &[Value], arguments: &[&str]) -> Vec<Value> {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let mut command = scorer();
    command.args(["stream", "--model"]).arg(fixture.model()).args(arguments);
    let output = command.write_stdin(text).assert().success().get_output().stdout.clone();
    let output = String::from_utf8(output).unwrap();
    output.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_killed_service_goes_on_from_what_it_remembered() {
    let fixture = cooling();
    let limits = "hold_down_ticks = 20\n[backoff]\nfirst_ticks = 3\nfactor = 2.0\n\
                  most_ticks = 50\nforget_ticks = 200";
    let arguments = keeping(&fixture, limits);
    let service = start(&fixture, &arguments);
    let before = snapshot(&fixture, 100);
    let first = moves(&service.post("/v1/plan?max_moves=3", before.to_string()).ok());
    let moved: Vec<&Value> = first.iter().map(|planned| &planned["workload_name"]).collect();
    assert!(!moved.is_empty());
    kill(service);

    let later = after(&before, &first, 102);
    for _ in 0..2 {
        let service = start(&fixture, &arguments);
        let next = service.post("/v1/plan?stays=list", later.to_string()).ok();
        assert_eq!(next["left_out"]["resting"], moved.len(), "{next}");
        assert_eq!(next["left_out"]["held_down"], moved.len());
        // The artifact's rule comes first, and the snapshot says nothing of it.
        assert_eq!(next["stays"]["counts"]["cooldown"], moved.len());
        assert!(moves(&next).iter().all(|planned| !moved.contains(&&planned["workload_name"])));
        kill(service);
    }
    // Without the state none of that is known.
    let fresh = Service::start(&fixture, &["--mode", "active", "--limits", &arguments[3]]);
    let next = fresh.post("/v1/plan", later.to_string()).ok();
    assert_eq!((next.get("left_out"), next["stays"]["counts"].get("cooldown")), (None, None));
}

/// Every plan that was answered is remembered, whenever the process was killed.
#[test]
fn a_process_that_is_killed_under_load_forgets_no_plan_that_was_answered() {
    let fixture = Fixture::new("founding-3x3");
    let arguments = keeping(&fixture, "hold_down_ticks = 1000000\nmax_moves = 1");
    let answered = Mutex::new(Vec::new());
    let tick = AtomicU64::new(1);
    for round in 0..3 {
        let service = start(&fixture, &arguments);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let agent = ureq::agent();
                    let url = format!("{}/v1/plan", service.url);
                    loop {
                        // Workloads of this request alone.
                        let tick = tick.fetch_add(1, Ordering::SeqCst);
                        let mut body = snapshot(&fixture, tick);
                        for workload in body["workloads"].as_array_mut().unwrap() {
                            let name = workload["name"].as_str().unwrap();
                            workload["name"] = format!("{name}-{tick}").into();
                        }
                        let Ok(mut answer) = agent.post(&url).send(body.to_string()) else { break };
                        let Ok(text) = answer.body_mut().read_to_string() else { break };
                        let answer: Value = serde_json::from_str(&text).unwrap();
                        answered.lock().unwrap().push((body, moves(&answer)));
                    }
                });
            }
            let most = 40 * (round + 1);
            eventually("some plans", || answered.lock().unwrap().len() >= most);
            service.signal("KILL");
        });
        let mut service = service;
        service.ended();
    }
    let service = start(&fixture, &arguments);
    assert!(!service.log().contains("damaged"), "{}", service.log());
    let answered = answered.into_inner().unwrap();
    let planned = answered.iter().filter(|(_, moves)| !moves.is_empty());
    let mut count = 0;
    for (body, moves) in planned {
        let later = after(body, moves, 10_000);
        let [source, name] = ["source_name", "workload_name"].map(|field| &moves[0][field]);
        let back = json!([{"workload_name": name, "destination_name": source}]);
        let asked = json!({"snapshot": later, "moves": back}).to_string();
        let violations = service.post("/v1/simulate", asked).ok()["violations"].clone();
        let kinds = violations.as_array().unwrap().iter().map(|violation| &violation["kind"]);
        assert!(kinds.clone().any(|kind| kind == "return"), "{moves:?} is forgotten");
        count += 1;
    }
    assert!(count > 60, "{count} plans");
}

#[test]
fn damage_is_told_the_file_is_kept_and_the_rest_counts() {
    let fixture = Fixture::new("quickstart");
    let arguments = keeping(&fixture, "hold_down_ticks = 50\nmax_moves = 1");
    let service = start(&fixture, &arguments);
    let mut cluster = snapshot(&fixture, 100);
    for tick in 101..104 {
        let planned = moves(&service.post("/v1/plan", cluster.to_string()).ok());
        cluster = after(&cluster, &planned, tick);
    }
    kill(service);
    let mut bytes = fs::read(journal(&fixture)).unwrap();
    let second = bytes.iter().position(|&byte| byte == b'\n').unwrap() + 40;
    bytes[second] ^= 4;
    // And the last line is torn.
    bytes.truncate(bytes.len() - 7);
    fs::write(journal(&fixture), &bytes).unwrap();

    let service = start(&fixture, &arguments);
    assert!(service.log().contains("what was remembered is damaged"), "{}", service.log());
    let next = service.post("/v1/plan", cluster.to_string()).ok();
    assert_eq!(next["left_out"]["held_down"], 1, "one of three is left: {next}");
    let kept = fs::read_dir(fixture.path("state")).unwrap().map(|file| file.unwrap().path());
    let kept: Vec<PathBuf> =
        kept.filter(|path| path.display().to_string().contains("damaged")).collect();
    assert_eq!(fs::read(&kept[0]).unwrap(), bytes);
    kill(service);
    let again = start(&fixture, &arguments);
    assert!(!again.log().contains("damaged"), "{}", again.log());
}

#[test]
fn a_folder_has_one_writer_and_a_bad_one_is_bad_usage() {
    let fixture = Fixture::new("founding-3x3");
    let arguments = keeping(&fixture, "");
    let _first = start(&fixture, &arguments);
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let second = command(&fixture, &words).output().unwrap();
    let message = String::from_utf8(second.stderr).unwrap();
    assert_eq!(second.status.code(), Some(2), "{message}");
    assert!(message.contains("expected a folder that no other process keeps its state in"));
    let file = fixture.snapshot();
    for program in ["serve", "stream"] {
        let mut command = scorer();
        command.args([program, "--model"]).arg(fixture.model()).arg("--state").arg(&file);
        command.assert().code(2).stderr(predicates::str::contains("expected a folder to write to"));
    }
}

#[test]
fn a_halt_outlives_the_process() {
    let fixture = Fixture::new("quickstart");
    let arguments = keeping(&fixture, "");
    let body = snapshot(&fixture, 100).to_string();
    let service = start(&fixture, &arguments);
    service.post("/v1/halt", "").ok();
    kill(service);
    let service = start(&fixture, &arguments);
    assert_eq!(service.post("/v1/plan", &body).ok()["plan"]["stop_reason"], "halted");
    assert_eq!(service.metric("godwit_scorer_halted"), 1.0);
    service.post("/v1/resume", "").ok();
    kill(service);
    let service = start(&fixture, &arguments);
    assert!(!moves(&service.post("/v1/plan", &body).ok()).is_empty());
}

#[test]
fn a_stream_lets_workloads_cool_down_across_restarts() {
    let fixture = cooling();
    let state = fixture.path("state");
    let kept = ["--max-moves", "1", "--stays", "--state", state.to_str().unwrap()];
    let before = snapshot(&fixture, 100);
    let first = moves(&stream(&fixture, std::slice::from_ref(&before), &kept)[0]);
    let name = &first[0]["workload_name"];
    let lines: Vec<Value> = [101, 104, 105].map(|tick| after(&before, &first, tick)).to_vec();
    let cools = |decision: &Value| {
        let stays = decision["stays"]["workloads"].as_array().unwrap();
        let stay = stays.iter().find(|stay| stay["workload_name"] == *name);
        stay.is_some_and(|stay| stay["reason"] == "cooldown")
    };
    // Nothing more is planned meanwhile, so that only the first move counts.
    let asks = ["--max-moves", "0", "--stays", "--state", state.to_str().unwrap()];
    let answers = stream(&fixture, &lines, &asks);
    assert_eq!(answers.iter().map(cools).collect::<Vec<_>>(), [true, true, false]);
    // An operator's word comes before the artifact's.
    let limits = fixture.path("limits.toml");
    for (ticks, expected) in [(0, [false; 3]), (2, [true, false, false]), (9, [true; 3])] {
        fs::write(&limits, format!("cooldown_ticks = {ticks}")).unwrap();
        let limited = [&asks[..], &["--limits", limits.to_str().unwrap()]].concat();
        let answers = stream(&fixture, &lines, &limited);
        assert_eq!(answers.iter().map(cools).collect::<Vec<_>>(), expected, "{ticks}");
    }
    // Still on its source in a later tick, it was not moved.
    let mut stayed = before.clone();
    stayed["tick"] = 101.into();
    assert!(!cools(&stream(&fixture, &[stayed], &asks)[0]));
}

#[test]
fn a_cool_down_that_the_snapshot_states_is_no_shorter_and_replays_find_both() {
    let fixture = cooling();
    let folder = fixture.path("decisions").display().to_string();
    let mut arguments = keeping(&fixture, "");
    arguments.extend(["--decision-log".to_owned(), folder.clone()]);
    let mut service = start(&fixture, &arguments);
    let mut cluster = snapshot(&fixture, 100);
    let mut cooled = 0;
    for tick in 101..108 {
        let answer = service.post("/v1/plan?max_moves=1", cluster.to_string()).ok();
        cooled += answer["stays"]["counts"]["cooldown"].as_u64().unwrap_or(0);
        cluster = after(&cluster, &moves(&answer), tick);
        cluster["workloads"][0]["cooldown_ticks"] = json!(9);
    }
    assert!(cooled > 10, "{cooled}");
    service.signal("TERM");
    assert!(service.ended().success());
    scorer().args(["replay", &folder, "--model"]).arg(fixture.model()).assert().success();
}

#[test]
fn snapshots_without_a_tick_are_of_the_tick_of_their_time() {
    let fixture = Fixture::new("quickstart");
    fs::write(fixture.path("limits.toml"), "hold_down_ticks = 3\nmax_moves = 1").unwrap();
    let limits = fixture.path("limits.toml");
    let tick_s = f64::from(fixture.scenario.rules.episode.tick_s);
    let at = |cluster: &Value, tick: f64| {
        let mut cluster = cluster.clone();
        cluster.as_object_mut().unwrap().remove("tick");
        cluster["taken_at_s"] = json!((1e6 + tick) * tick_s + 0.25);
        cluster
    };
    let before = snapshot(&fixture, 0);
    let lines = |first: &[Value]| -> Vec<Value> {
        let moved = after(&before, first, 0);
        [at(&before, 0.0), at(&moved, 2.0), at(&moved, 3.0)].to_vec()
    };
    let arguments = ["--limits", limits.to_str().unwrap()];
    let first = moves(&stream(&fixture, &lines(&[])[..1], &arguments)[0]);
    let answers = stream(&fixture, &lines(&first), &arguments);
    assert_eq!(answers[0]["tick"], 1_000_000);
    assert_eq!(answers[1]["left_out"]["held_down"], 1);
    assert_eq!(moves(&answers[0]), first);
    // The second line's own move is held down now, and the first is not any more.
    assert_eq!((moves(&answers[1]).len(), &answers[2]["left_out"]["held_down"]), (1, &json!(1)));
}

#[test]
fn a_tick_by_mistake_freezes_nothing() {
    let fixture = Fixture::new("quickstart");
    let rest = "[backoff]\nfirst_ticks = 3\nfactor = 1.0\nmost_ticks = 3\nforget_ticks = 10";
    fs::write(fixture.path("limits.toml"), rest).unwrap();
    let limits = fixture.path("limits.toml");
    let lines = [100, 4_000_000_000, 101, 102, 103, 104].map(|tick| snapshot(&fixture, tick));
    let answers = stream(&fixture, &lines, &["--limits", limits.to_str().unwrap()]);
    let resting = |at: usize| answers[at]["left_out"]["resting"].as_u64().unwrap_or(0);
    assert!(resting(2) > 0, "the plans before are not forgotten");
    // By now only those rest that were moved in the last two ticks.
    let late = moves(&answers[3]).into_iter().chain(moves(&answers[4]));
    let late: BTreeSet<String> = late.map(|planned| planned["workload_name"].to_string()).collect();
    assert_eq!(resting(5), late.len() as u64);
}

#[test]
fn a_full_disk_costs_what_is_kept_and_no_decisions() {
    let fixture = Fixture::new("founding-3x3");
    let arguments = keeping(&fixture, "hold_down_ticks = 5");
    let service = start(&fixture, &arguments);
    fs::remove_dir_all(fixture.path("state")).unwrap();
    for tick in 0..3 {
        service.post("/v1/plan", snapshot(&fixture, tick).to_string()).ok();
    }
    assert!(service.metric("godwit_scorer_state_lost_total") > 0.0);
    assert_eq!(service.log().matches("what is remembered is not kept").count(), 1);
    fs::create_dir(fixture.path("state")).unwrap();
    thread::sleep(Duration::from_millis(10));
    service.post("/v1/plan", snapshot(&fixture, 9).to_string()).ok();
    assert!(journal(&fixture).exists() && service.log().contains("is kept again"));
}
