//! What pods ask for, use, and weigh.

use godwit_live::clusters::kubernetes::{Demand, Settings, snapshot_of_dump};
use serde_json::{Value, json};

use crate::objects::{NOW_S, dump, evicting, node, pod, seen};

fn demand(spec: Value) -> Vec<f32> {
    let mut pod = pod("web", 1, "n1");
    pod["spec"] = spec;
    pod["spec"]["nodeName"] = json!("n1");
    seen(&[node("n1", "a"), pod], &evicting()).snapshot.workloads[0].demand.clone()
}

#[test]
fn a_pod_requests_what_the_scheduler_counts() {
    let asks = |cpu: &str, memory: &str| json!({ "requests": { "cpu": cpu, "memory": memory } });
    let container = |resources: Value| json!({ "resources": resources });
    let init = |resources: Value| json!({ "resources": resources });
    let sidecar = |resources: Value| json!({ "resources": resources, "restartPolicy": "Always" });
    // Containers add up.
    assert_eq!(
        demand(
            json!({ "containers": [container(asks("250m", "512Mi")), container(asks("1", "1Gi"))] })
        ),
        [1.25, 1.5]
    );
    // 1 and a half cores run at once; the second of those that run before needs 2 beside the side-car
    // that has begun by then: 2.25. The first one needs 3 GiB, before the side-car begins.
    assert_eq!(
        demand(json!({
            "initContainers": [
                init(asks("1", "3Gi")),
                sidecar(asks("250m", "256Mi")),
                init(asks("2", "1Gi")),
            ],
            "containers": [container(asks("1250m", "768Mi"))],
        })),
        [2.25, 3.0]
    );
    // Overhead comes on top, and a limit counts where there is no request.
    assert_eq!(
        demand(json!({
            "containers": [container(json!({ "limits": { "cpu": "2", "memory": "4Gi" },
                                             "requests": { "cpu": "1" } }))],
            "overhead": { "cpu": "250m", "memory": "128Mi" },
        })),
        [1.25, 4.125]
    );
    // What the pod says as a whole goes before what its containers say.
    assert_eq!(
        demand(json!({ "containers": [container(asks("1", "1Gi"))],
                       "resources": { "requests": { "cpu": "3", "memory": "6Gi" } } })),
        [3.0, 6.0]
    );
    assert_eq!(demand(json!({ "containers": [{}] })), [0.0, 0.0]);
}

fn used(cpu: &str, memory: &str, at: &str) -> Value {
    json!({ "apiVersion": "metrics.k8s.io/v1beta1", "kind": "PodMetrics",
        "metadata": { "name": "web-7d9f-1", "namespace": "shop" }, "timestamp": at,
        "containers": [{ "name": "main", "usage": { "cpu": cpu, "memory": memory } }],
    })
}

#[test]
fn demand_is_what_is_requested_used_or_the_larger_of_the_two() {
    let use_at = used("1500000000n", "512Mi", "2026-01-01T00:59:30Z");
    let objects =
        [node("n1", "a"), node("n2", "a"), pod("web", 1, "n1"), pod("new", 1, "n2"), use_at];
    let of = |demand: Demand| {
        let snapshot = seen(&objects, &Settings { demand, ..evicting() }).snapshot;
        let web = snapshot.workloads.iter().find(|one| one.name.contains("web")).unwrap();
        web.demand.clone()
    };
    assert_eq!(of(Demand::Requests), [0.5, 1.0]);
    assert_eq!(of(Demand::Use), [1.5, 0.5]);
    assert_eq!(of(Demand::Max), [1.5, 1.0]);
    let snapshot = seen(&objects, &Settings { demand: Demand::Use, ..evicting() }).snapshot;
    let new = snapshot.workloads.iter().find(|one| one.name.contains("new")).unwrap();
    assert_eq!(new.demand, [0.5, 1.0], "nothing is measured of it");
    assert_eq!(snapshot.nodes[0].metrics_age_s, 30.0);
    assert_eq!(snapshot.nodes[1].metrics_age_s, 0.0);
}

#[test]
fn resources_have_the_snapshot_s_names_and_are_not_measured_unless_they_are() {
    let mut node = node("n1", "a");
    node["status"]["allocatable"]["nvidia.com/gpu"] = json!("4");
    let mut pod = pod("web", 1, "n1");
    pod["spec"]["containers"][0]["resources"]["limits"] = json!({ "nvidia.com/gpu": "2" });
    let objects = [node, pod, used("1", "1Gi", "2026-01-01T01:00:00Z")];
    let mut settings = Settings { demand: Demand::Use, ..evicting() };
    settings.resource_names.insert("gpu".to_owned(), "nvidia.com/gpu".to_owned());
    let resources = ["gpu".to_owned(), "cpu".to_owned()];
    let text = dump(&objects);
    let snapshot = snapshot_of_dump(&text, &resources, &settings, NOW_S, "d").unwrap().snapshot;
    assert_eq!(snapshot.nodes[0].supply, [4.0, 8.0]);
    assert_eq!(snapshot.workloads[0].demand, [2.0, 1.0]);
}

#[test]
fn priority_weighs_one_more_for_every_power_of_ten() {
    let weight = |priority: i32| {
        let mut pod = pod("web", 1, "n1");
        pod["spec"]["priority"] = json!(priority);
        seen(&[node("n1", "a"), pod], &evicting()).snapshot.workloads[0].priority
    };
    assert_eq!(weight(0), 1.0);
    assert_eq!(weight(9), 2.0);
    assert_eq!(weight(999), 4.0);
    assert_eq!(weight(-99), 1.0 / 3.0);
    assert!(weight(i32::MIN) > 0.0);
}
