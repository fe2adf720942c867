//! Objects as Kubernetes writes them, for tests to change.

use godwit_envs::snapshot::{Snapshot, SnapshotWorkload};
use godwit_live::cluster::Seen;
use godwit_live::clusters::kubernetes::{MoveBy, Settings, snapshot_of_dump};
use serde_json::{Value, json};

/// When all dumps were taken: 2026-01-01T01:00:00Z.
pub const NOW_S: f64 = 1_767_229_200.0;

/// Settings with which plain pods move.
pub fn evicting() -> Settings {
    Settings { move_by: MoveBy::Eviction, ..Settings::default() }
}

/// A node in a zone, with 8 cores, 32 GiB and room for 110 pods.
pub fn node(name: &str, zone: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "Node",
        "metadata": { "name": name, "uid": format!("node-{name}"), "labels": {
            "kubernetes.io/hostname": name, "topology.kubernetes.io/zone": zone,
            "node.kubernetes.io/instance-type": "m5",
        } },
        "spec": {},
        "status": {
            "allocatable": { "cpu": "8", "memory": "32Gi", "pods": "110" },
            "conditions": [{ "type": "Ready", "status": "True" }],
        },
    })
}

/// A pod of the Deployment `app` in the namespace `shop`, labelled `app`, that requests half a core
/// and 1 GiB.
pub fn pod(app: &str, number: u32, node: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": format!("{app}-7d9f-{number}"), "generateName": format!("{app}-7d9f-"),
            "namespace": "shop", "uid": format!("{app}-{number}"),
            "creationTimestamp": format!("2026-01-01T00:{:02}:{:02}Z", number / 60, number % 60),
            "labels": { "app": app, "pod-template-hash": "7d9f" },
            "ownerReferences": [
                { "kind": "ReplicaSet", "name": format!("{app}-7d9f"), "controller": true },
            ],
        },
        "spec": { "nodeName": node, "containers": [
            { "name": "main", "resources": { "requests": { "cpu": "500m", "memory": "1Gi" } } },
        ] },
        "status": { "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] },
    })
}

/// A budget for the pods labelled `app`.
pub fn budget(app: &str, allowed: u32) -> Value {
    json!({ "apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
        "metadata": { "name": app, "namespace": "shop", "uid": format!("budget-{app}") },
        "spec": { "minAvailable": 1, "selector": { "matchLabels": { "app": app } } },
        "status": { "disruptionsAllowed": allowed },
    })
}

/// A KubeVirt machine in the namespace `shop`, and the pod that it runs in.
pub fn machine(name: &str, node: &str) -> [Value; 2] {
    let mut pod = pod(name, 0, node);
    pod["metadata"]["ownerReferences"] =
        json!([{ "kind": "VirtualMachineInstance", "name": name, "controller": true }]);
    pod["spec"]["volumes"] = json!([{ "name": "private", "emptyDir": {} }]);
    let machine = json!({ "apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstance",
        "metadata": { "name": name, "namespace": "shop", "uid": format!("vmi-{name}") },
        "status": { "phase": "Running", "nodeName": node,
            "conditions": [{ "type": "LiveMigratable", "status": "True" }] },
    });
    [pod, machine]
}

/// The list that `kubectl get -o json` would write.
pub fn dump(objects: &[Value]) -> String {
    // Sorted maps: apiVersion and kind come first, as kubectl has it.
    json!({ "apiVersion": "v1", "kind": "List", "items": objects, "metadata": {} }).to_string()
}

/// What is seen of objects, with the resources `cpu` and `memory`.
pub fn seen(objects: &[Value], settings: &Settings) -> Seen {
    let resources = ["cpu".to_owned(), "memory".to_owned()];
    snapshot_of_dump(&dump(objects), &resources, settings, NOW_S, "dump.json").unwrap()
}

/// A workload of a snapshot.
pub fn workload<'s>(snapshot: &'s Snapshot, name: &str) -> &'s SnapshotWorkload {
    let names: Vec<&str> = snapshot.workloads.iter().map(|one| one.name.as_str()).collect();
    let found = snapshot.workloads.iter().find(|one| one.name == name);
    found.unwrap_or_else(|| panic!("no {name} among {names:?}"))
}
