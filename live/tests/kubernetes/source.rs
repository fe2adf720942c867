//! The cluster as it is heard of: lists, watches, and what goes wrong with them.

use std::time::{Duration, Instant};

use godwit_envs::snapshot::Snapshot;
use godwit_live::cluster::{CallError, Cluster};
use godwit_live::clusters::kubernetes::{Demand, MoveBy, Settings, open};
use serde_json::json;

use crate::objects::{evicting, node, pod};
use crate::support::{Faults, Server};

/// Settings that lead to a server.
pub fn settings(server: &Server) -> Settings {
    Settings { kubeconfig: Some(server.kubeconfig()), call_timeout_s: 5.0, ..evicting() }
}

pub fn opened(server: &Server) -> Cluster {
    open(&settings(server), &["cpu".to_owned(), "memory".to_owned()]).unwrap()
}

/// Looks until something is so.
fn look_until(cluster: &mut Cluster, what: &str, so: impl Fn(&Snapshot) -> bool) -> Snapshot {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let seen = cluster.source.look();
        if let Ok(seen) = &seen
            && so(&seen.snapshot)
        {
            return seen.snapshot.clone();
        }
        assert!(Instant::now() < until, "never so: {what}, but {seen:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn names(snapshot: &Snapshot) -> Vec<&str> {
    snapshot.workloads.iter().map(|one| one.name.as_str()).collect()
}

#[test]
fn what_is_listed_is_seen_and_what_changes_is_heard_of() {
    let server = Server::start(1, Faults::default());
    {
        let mut store = server.store();
        store.put("nodes", node("n1", "a"));
        // More than a page of them.
        for n in 0..1_203 {
            store.put("pods", pod("web", n, "n1"));
        }
    }
    let mut cluster = opened(&server);
    let seen = cluster.source.look().unwrap();
    assert_eq!(seen.snapshot.workloads.len(), 1_203);
    assert_eq!(seen.snapshot.nodes[0].metrics_age_s, 0.0);
    {
        let mut store = server.store();
        store.put("nodes", node("n2", "b"));
        store.remove("pods", "shop", "web-7d9f-5");
        store.change("pods", "shop", "web-7d9f-6", |pod| pod["spec"]["nodeName"] = json!("n2"));
    }
    let snapshot = look_until(&mut cluster, "changes are heard of", |snapshot| {
        snapshot.workloads.len() == 1_202
            && snapshot.workloads.iter().any(|one| one.node.as_deref() == Some("n2"))
    });
    assert_eq!(snapshot.nodes.len(), 2);
    // The others have kept their numbers.
    assert!(!names(&snapshot).contains(&"shop/Deployment/web/5"));
    assert!(names(&snapshot).contains(&"shop/Deployment/web/1202"));
}

#[test]
fn a_pod_that_comes_in_the_place_of_another_has_its_name() {
    let server = Server::start(1, Faults::default());
    server.store().put("nodes", node("n1", "a"));
    for n in 0..3 {
        server.store().put("pods", pod("web", n, "n1"));
    }
    let mut cluster = opened(&server);
    look_until(&mut cluster, "three pods", |snapshot| snapshot.workloads.len() == 3);
    // The new one comes while the old one is on its way out.
    server.store().change("pods", "shop", "web-7d9f-1", |pod| {
        pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    });
    server.store().put("pods", pod("web", 50, "n1"));
    let four = look_until(&mut cluster, "four pods", |snapshot| snapshot.workloads.len() == 4);
    let mut seen = names(&four);
    seen.sort_unstable();
    let numbers = [0, 1, 2].map(|n| format!("shop/Deployment/web/{n}"));
    assert_eq!(seen[..3], numbers);
    assert_eq!(seen[3], "shop/Pod/web-7d9f-1");
    server.store().remove("pods", "shop", "web-7d9f-1");
    let three = look_until(&mut cluster, "three again", |snapshot| snapshot.workloads.len() == 3);
    let mut seen = names(&three);
    seen.sort_unstable();
    assert_eq!(seen, numbers);
}

#[test]
fn forgotten_versions_dropped_watches_and_errors_lose_no_change() {
    let server = Server::start(7, Faults::default());
    server.store().put("nodes", node("n1", "a"));
    let mut cluster = opened(&server);
    look_until(&mut cluster, "a node", |snapshot| snapshot.nodes.len() == 1);
    let faults =
        Faults { dropped: 0.3, gone: 0.4, refused: 0.2, lost_after: 0.1, ..Faults::default() };
    server.store().faults = faults;
    for n in 0..60 {
        let mut store = server.store();
        store.put("pods", pod("web", n, "n1"));
        if n % 3 == 2 {
            store.remove("pods", "shop", &format!("web-7d9f-{}", n - 1));
        }
        if n % 20 == 0 {
            store.forget();
        }
        drop(store);
        std::thread::sleep(Duration::from_millis(2));
    }
    server.store().faults = Faults::default();
    look_until(&mut cluster, "all changes", |snapshot| snapshot.workloads.len() == 40);
}

#[test]
fn a_server_that_is_gone_is_told_by_the_age_of_what_is_known() {
    let server = Server::start(1, Faults::default());
    server.store().put("nodes", node("n1", "a"));
    let mut cluster = opened(&server);
    look_until(&mut cluster, "a node", |snapshot| snapshot.nodes.len() == 1);
    server.stop();
    let old = look_until(&mut cluster, "an age", |snapshot| snapshot.nodes[0].metrics_age_s > 1.0);
    assert_eq!(old.nodes.len(), 1);
}

#[test]
fn a_server_that_refuses_to_list_is_told_with_its_reason() {
    let server = Server::start(1, Faults { refused: 1.0, ..Faults::default() });
    let machines = Settings { move_by: MoveBy::Kubevirt, call_timeout_s: 0.5, ..settings(&server) };
    let mut cluster = open(&machines, &["cpu".to_owned()]).unwrap();
    let Err(CallError::Later { reason, .. }) = cluster.source.look() else { panic!("seen") };
    assert!(
        reason.starts_with("list ") && reason.ends_with("it went wrong (status 500)"),
        "{reason}"
    );
}

#[test]
fn a_list_that_makes_no_snapshot_is_refused_in_one_line() {
    let server = Server::start(1, Faults::default());
    let mut bad = node("n1", "a");
    bad["status"]["allocatable"]["cpu"] = json!("-1");
    server.store().put("nodes", bad);
    let mut cluster = opened(&server);
    let error = cluster.source.look().err().unwrap().to_string();
    assert_eq!(
        error,
        "nodes: node n1: status.allocatable[\"cpu\"]: expected an amount such as 500m or 1.5Gi, got \"-1\""
    );
}

#[test]
fn what_pods_use_is_asked_for_where_it_counts() {
    let server = Server::start(1, Faults::default());
    server.store().put("nodes", node("n1", "a"));
    server.store().put("pods", pod("web", 1, "n1"));
    server.store().put("metrics/pods", json!({
        "metadata": { "name": "web-7d9f-1", "namespace": "shop" }, "timestamp": "2026-01-01T00:00:00Z",
        "containers": [{ "name": "main", "usage": { "cpu": "2", "memory": "3Gi" } }],
    }));
    let using = Settings { demand: Demand::Use, ..settings(&server) };
    let mut cluster = open(&using, &["cpu".to_owned(), "memory".to_owned()]).unwrap();
    let seen = cluster.source.look().unwrap();
    assert_eq!(seen.snapshot.workloads[0].demand, [2.0, 3.0]);
    assert!(seen.snapshot.nodes[0].metrics_age_s > 0.0);
}
