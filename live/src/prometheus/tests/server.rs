//! A real server, with three days of a daily pattern in it.
#![allow(clippy::unwrap_used)] // a failed expectation is the point of a test

use std::fmt::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use godwit_envs::importers::{self, LogOptions};
use godwit_envs::scenario::{ForecastRules, Mode, Rules};
use godwit_envs::snapshot::{Snapshot, SnapshotNode, SnapshotWorkload};
use godwit_envs::{ClusterEnv, Env, Phase, Scenario, WorldTemplate};
use serde_json::json;

use super::Still;
use crate::cluster::{CallError, Seen};
use crate::prometheus::ask::Prometheus;
use crate::prometheus::replace::{replace, ticks};
use crate::prometheus::{Settings, measured};

const TICK_S: u64 = 600;
const DAY: usize = 144;
const DAYS: usize = 3;

/// Use of a workload at a tick of the data.
fn used(workload: usize, tick: usize) -> f64 {
    let hour = tick % DAY;
    // A day's hump, another one for each workload, and a little that never comes again.
    let hump = (hour as f64 / DAY as f64 * std::f64::consts::TAU + workload as f64).sin();
    2.0 + hump + 0.01 * ((tick * 7 + workload) % 10) as f64
}

/// Hourly and daily horizons, ticks of ten minutes.
pub fn rules() -> Rules {
    let mut rules = Scenario::resolve("diurnal").unwrap().rules;
    rules.episode.mode = Mode::Online;
    rules.episode.tick_s = TICK_S as f32;
    rules.forecast = ForecastRules { horizons: vec![1, 6, 36], period_ticks: DAY as u32 };
    rules
}

/// A server; ends with the test.
struct Server {
    child: Child,
    url: String,
    _folder: tempfile::TempDir,
    /// Time of the last point, seconds.
    last_s: u64,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn is_there(program: &str) -> bool {
    asked_well(Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()))
}

fn asked_well(command: &mut Command) -> bool {
    command.status().is_ok_and(|status| status.success())
}

/// A server with the pattern for `w0` and `w1`; `late` ended half an hour ago, and the last sample of
/// `old` is two minutes old. `None`, with the reason on standard error, where there is no Prometheus.
fn server() -> Option<Server> {
    if !is_there("prometheus") || !is_there("promtool") {
        eprintln!("skipped: no prometheus here; install the package of that name");
        return None;
    }
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let last_s = now_s / TICK_S * TICK_S;
    let all = DAYS * DAY;
    let time = |tick: usize| last_s - (all - 1 - tick) as u64 * TICK_S;
    let mut text = String::from("# TYPE used gauge\n");
    for (workload, vm) in ["w0", "w1", "late"].iter().enumerate() {
        let end = if *vm == "late" { all - 3 } else { all };
        for tick in 0..end {
            let value = used(workload, tick);
            writeln!(text, "used{{vm=\"{vm}\",host=\"n{workload}\"}} {value} {}", time(tick))
                .unwrap();
        }
    }
    writeln!(text, "used{{vm=\"old\",host=\"n3\"}} 1.5 {}", last_s - 120).unwrap();
    text += "# EOF\n";
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("use.txt"), text).unwrap();
    std::fs::write(path("prometheus.yml"), "global: {scrape_interval: 1h}\n").unwrap();
    let blocks = ["tsdb", "create-blocks-from", "openmetrics"];
    let mut promtool = Command::new("promtool");
    promtool.args(blocks).args([path("use.txt"), path("data")]).stdout(Stdio::null());
    assert!(asked_well(&mut promtool), "promtool refuses the data");
    let (child, url) = started(folder.path(), last_s);
    Some(Server { child, url, _folder: folder, last_s })
}

fn started(folder: &Path, last_s: u64) -> (Child, String) {
    let end = Instant::now() + Duration::from_secs(90);
    // Another process may take the port in between.
    while Instant::now() < end {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut child = Command::new("prometheus")
            .arg(format!("--config.file={}", folder.join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let url = format!("http://127.0.0.1:{port}");
        let asked = Prometheus::new(&settings(&url), Path::new("")).unwrap();
        while Instant::now() < end && child.try_wait().unwrap().is_none() {
            let ready = asked.ask(&settings(&url), last_s as f64, TICK_S as f64, 1);
            if ready.is_ok_and(|all| !all.resources[0].now.is_empty()) {
                return (child, url);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = child.kill();
        let _ = child.wait();
    }
    panic!("prometheus never answers");
}

fn settings(url: &str) -> Settings {
    let settings = json!({
        "url": url, "workload_label": "vm", "node_label": "host",
        "resources": {"cpu": {"query": "used"}},
    });
    serde_json::from_value(settings).unwrap()
}

/// `w0`, `w1`, `late`, `old` and `ghost` on a node each.
fn seen(names: &[&str]) -> Seen {
    let nodes = (0..names.len()).map(|at| SnapshotNode {
        name: format!("n{at}"),
        supply: vec![16.0],
        ..SnapshotNode::default()
    });
    let workloads = names.iter().enumerate().map(|(at, name)| SnapshotWorkload {
        name: (*name).to_owned(),
        node: Some(format!("n{at}")),
        demand: vec![1.0],
        ..SnapshotWorkload::default()
    });
    let snapshot = Snapshot {
        resources: vec!["cpu".to_owned()],
        nodes: nodes.collect(),
        workloads: workloads.collect(),
        ..Snapshot::default()
    };
    Seen { snapshot, notes: Vec::new() }
}

/// What is seen at a tick of the data.
fn seen_at(server: &Server, names: &[&str], tick: usize) -> Seen {
    let settings = settings(&server.url);
    let rules = rules();
    let now_s = server.last_s as f64 - ((DAYS * DAY - 1 - tick) as u64 * TICK_S) as f64;
    let asked = Prometheus::new(&settings, Path::new("")).unwrap();
    let ticks = ticks(&rules.forecast, TICK_S as f64);
    let all = asked.ask(&settings, now_s, TICK_S as f64, ticks).unwrap();
    replace(seen(names), &all, &settings, &rules.forecast).unwrap()
}

#[test]
fn use_forecasts_and_ages_are_those_of_the_series() {
    let Some(server) = server() else { return };
    let last = DAYS * DAY - 1;
    let found = seen_at(&server, &["w0", "w1", "late", "old", "ghost"], last);
    let near = |got: f32, expected: f64| {
        assert!((f64::from(got) - expected).abs() < 1e-5, "{got} {expected}")
    };
    for workload in 0..2 {
        let shown = &found.snapshot.workloads[workload];
        near(shown.demand[0], used(workload, last));
        for (h, horizon) in [1, 6, 36].into_iter().enumerate() {
            near(shown.forecast[h][0], used(workload, last + horizon - DAY));
        }
    }
    near(found.snapshot.workloads[2].demand[0], used(2, last - 3));
    // Half an hour, two minutes, and as far as was asked for: a day.
    let ages: Vec<f32> = found.snapshot.nodes.iter().map(|node| node.metrics_age_s).collect();
    assert_eq!(ages, [0.0, 0.0, 1800.0, 120.0, 86_400.0]);
    assert_eq!(found.notes, ["cpu of 1 of 5 workloads was never measured (ghost)"]);

    // As a whole, at the server's own time, which is not that of a sample.
    let mut source =
        measured(Box::new(Still(seen(&["w0"]))), &settings(&server.url), &rules(), Path::new(""))
            .unwrap();
    let now = source.look().unwrap();
    assert_eq!(now.snapshot.workloads[0].forecast.len(), 3);

    let mut wrong = settings(&server.url);
    if let Some(query) = wrong.resources.get_mut("cpu") {
        query.query = "sum(".to_owned();
    }
    let mut source =
        measured(Box::new(Still(seen(&["w0"]))), &wrong, &rules(), Path::new("")).unwrap();
    let Err(CallError::Refused(why)) = source.look() else { panic!("understood") };
    assert!(
        why.starts_with("resources.cpu (query): status: expected success, got error: "),
        "{why}"
    );
    assert!(why.ends_with("(status 400)"), "{why}");
}

/// The scenario that is made of a server's history plays that history, and forecasts in it are those
/// that are made of the live server at the same time.
#[test]
fn a_policy_sees_live_the_forecasts_that_it_was_trained_with() {
    let Some(server) = server() else { return };
    let names = ["w0", "w1"];
    let settings = settings(&server.url);
    let asked = Prometheus::new(&settings, Path::new("")).unwrap();
    let last_s = server.last_s as f64;
    let history = asked.history(&settings, last_s, TICK_S as f64, DAYS * DAY).unwrap();
    let rules = Rules { resources: Vec::new(), ..rules() };
    let kind = godwit_envs::resources::ResourceKind { name: "cpu".to_owned(), unit: String::new() };
    let options = LogOptions {
        rules: Some(Rules { resources: vec![kind], ..rules }),
        ..LogOptions::default()
    };
    let imported =
        importers::prometheus(&seen(&names).snapshot, &history, &settings.workload_label, &options)
            .unwrap();
    let text = imported.report.to_string();
    assert!(text.contains("4 series; 432 ticks of 600 s\n2 nodes, 2 workloads\n"), "{text}");
    let template = Arc::new(WorldTemplate::new(&imported.scenario));
    let mut env = ClusterEnv::new(template, Phase::Evaluate).unwrap();
    env.reset(1).unwrap();
    for tick in 1..300 {
        env.step(0).unwrap();
        if ![150, 222, 299].contains(&tick) {
            continue;
        }
        let live = seen_at(&server, &names, tick).snapshot;
        for (k, workload) in live.workloads.iter().enumerate() {
            let near = |a: f32, b: f32| assert!((a - b).abs() < 1e-4, "tick {tick}: {a} {b}");
            near(env.state().demand[k], workload.demand[0]);
            for (h, forecast) in workload.forecast.iter().enumerate() {
                near(env.state().forecast_demand[h * names.len() + k], forecast[0]);
            }
        }
    }
}
