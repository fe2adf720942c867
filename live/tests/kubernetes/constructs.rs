//! Every construct of Kubernetes that a snapshot can say something of, each worked out by hand.

use godwit_envs::state::cluster::Health;
use godwit_live::clusters::kubernetes::{Claims, Cordoned, LocalVolumes, MoveBy, Settings};
use serde_json::{Value, json};

use crate::objects::{budget, evicting, machine, node, pod, seen, workload};

fn with(mut object: Value, pointer: &str, value: Value) -> Value {
    let (parent, last) = pointer.rsplit_once('/').unwrap();
    object.pointer_mut(parent).unwrap()[last.replace("~1", "/")] = value;
    object
}

/// Three nodes in two zones.
fn nodes() -> Vec<Value> {
    vec![node("n1", "a"), node("n2", "a"), node("n3", "b")]
}

fn and(mut objects: Vec<Value>, more: impl IntoIterator<Item = Value>) -> Vec<Value> {
    objects.extend(more);
    objects
}

#[test]
fn a_plain_pod_is_a_workload_of_its_deployment() {
    let objects = and(nodes(), [pod("web", 1, "n1"), budget("web", 2)]);
    let seen = seen(&objects, &evicting());
    assert_eq!(seen.notes, Vec::<String>::new());
    let snapshot = serde_json::to_value(&seen.snapshot).unwrap();
    assert_eq!(
        snapshot,
        json!({
            "format": "godwit-snapshot/1",
            "taken_at_s": 1_767_229_200.0,
            "resources": ["cpu", "memory"],
            "nodes": [
                { "name": "n1", "class": "m5", "zone": "a", "supply": [8.0, 32.0], "max_workloads": 110 },
                { "name": "n2", "class": "m5", "zone": "a", "supply": [8.0, 32.0], "max_workloads": 110 },
                { "name": "n3", "class": "m5", "zone": "b", "supply": [8.0, 32.0], "max_workloads": 110 },
            ],
            "workloads": [{
                "name": "shop/Deployment/web/0", "node": "n1", "demand": [0.5, 1.0], "state_gib": 0.0,
                "tenant": "shop", "disruption_group": "shop/web",
            }],
            "disruption_budgets": [{ "group": "shop/web", "disruptions_allowed": 2 }],
        })
    );
}

#[test]
fn nodes_have_the_health_that_their_conditions_taints_and_cordons_say() {
    let objects = [
        node("n1", "a"),
        with(
            node("n2", "a"),
            "/status/conditions",
            json!([{ "type": "Ready", "status": "Unknown" }]),
        ),
        with(node("n3", "a"), "/spec/unschedulable", json!(true)),
        with(
            node("n4", "a"),
            "/spec/taints",
            json!([
                { "key": "ToBeDeletedByClusterAutoscaler", "value": "1", "effect": "NoSchedule" },
            ]),
        ),
        pod("web", 1, "n3"),
    ];
    let health = |settings: &Settings| -> Vec<Health> {
        seen(&objects, settings).snapshot.nodes.iter().map(|node| node.health).collect()
    };
    use Health::{Draining, Failed, Healthy};
    assert_eq!(health(&evicting()), [Healthy, Failed, Healthy, Draining]);
    let draining = Settings { cordoned: Cordoned::Draining, ..evicting() };
    assert_eq!(health(&draining), [Healthy, Failed, Draining, Draining]);
    // Closed: it may have the pod that it has, and no other.
    let most = |settings: &Settings| seen(&objects, settings).snapshot.nodes[2].max_workloads;
    assert_eq!(most(&evicting()), Some(1));
    assert_eq!(most(&draining), Some(110));
}

#[test]
fn selectors_affinity_and_taints_become_classes_of_nodes() {
    let gpu = json!([{ "key": "gpu", "value": "yes", "effect": "NoSchedule" }]);
    let tolerant = json!([{ "key": "gpu", "operator": "Exists" }]);
    let affinity = json!({ "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": {
        "nodeSelectorTerms": [{ "matchExpressions": [
            { "key": "topology.kubernetes.io/zone", "operator": "NotIn", "values": ["b"] },
        ] }],
    } } });
    let objects = [
        node("n1", "a"),
        with(node("n2", "a"), "/spec/taints", gpu),
        node("n3", "b"),
        pod("plain", 1, "n1"),
        with(pod("tolerant", 1, "n2"), "/spec/tolerations", tolerant.clone()),
        with(with(pod("near", 1, "n1"), "/spec/affinity", affinity), "/spec/tolerations", tolerant),
        with(
            pod("picky", 1, "n3"),
            "/spec/nodeSelector",
            json!({ "topology.kubernetes.io/zone": "b" }),
        ),
        with(pod("lost", 1, "n3"), "/spec/nodeSelector", json!({ "no": "such" })),
    ];
    let seen = seen(&objects, &evicting());
    let snapshot = &seen.snapshot;
    let class: Vec<&str> = snapshot.nodes.iter().map(|node| node.class.as_str()).collect();
    let allowed = |app: &str| {
        let workload = workload(snapshot, &format!("shop/Deployment/{app}/0"));
        let classes = &workload.classes;
        let on = |c: &&str| classes.is_empty() || classes.iter().any(|one| one == *c);
        class.iter().map(on).collect::<Vec<bool>>()
    };
    assert_eq!(allowed("plain"), [true, false, true]);
    assert_eq!(allowed("tolerant"), [true, true, true]);
    assert_eq!(allowed("near"), [true, true, false]);
    assert_eq!(allowed("picky"), [false, false, true]);
    assert!(!workload(snapshot, "shop/Deployment/lost/0").movable);
    assert_eq!(seen.notes, ["1 pod (shop/Deployment/lost/0) stay: no node meets their rules"]);
}

#[test]
fn pods_that_must_stay_are_counted_and_not_movable() {
    let owner = |kind: &str| json!([{ "kind": kind, "name": "it", "controller": true }]);
    let owners = "/metadata/ownerReferences";
    let volume = |volume: Value| json!([volume]);
    let annotated = |key: &str, value: &str| json!({ key: value });
    let movable_of = |pod: Value, settings: &Settings| {
        let seen = seen(&and(nodes(), [pod]), settings);
        assert_eq!(seen.snapshot.workloads.len(), 1);
        assert_eq!(seen.snapshot.workloads[0].demand, [0.5, 1.0]);
        (seen.snapshot.workloads[0].movable, seen.notes.join("\n"))
    };
    let evicting = evicting();
    for (pod, reason) in [
        (with(pod("d", 1, "n1"), owners, owner("DaemonSet")), "belong to their node"),
        (
            with(
                pod("s", 1, "n1"),
                "/metadata/annotations",
                annotated("kubernetes.io/config.mirror", "x"),
            ),
            "belong to their node",
        ),
        (with(pod("s", 1, "n1"), owners, owner("Node")), "belong to their node"),
        (with(pod("u", 1, "n1"), owners, Value::Null), "no controller"),
        (with(pod("k", 1, "n1"), "/metadata/namespace", json!("kube-system")), "namespace"),
        (
            with(pod("t", 1, "n1"), "/metadata/deletionTimestamp", json!("2026-01-01T00:00:00Z")),
            "on their way out",
        ),
        (with(pod("p", 1, "n1"), "/spec/priority", json!(2_000_000_000)), "critical"),
        (
            with(
                pod("a", 1, "n1"),
                "/metadata/annotations",
                annotated("cluster-autoscaler.kubernetes.io/safe-to-evict", "false"),
            ),
            "annotations",
        ),
        (
            with(
                pod("a", 1, "n1"),
                "/metadata/annotations",
                annotated("descheduler.alpha.kubernetes.io/prefer-no-eviction", ""),
            ),
            "annotations",
        ),
        (
            with(pod("v", 1, "n1"), "/spec/volumes", volume(json!({ "emptyDir": {} }))),
            "data on their node",
        ),
        (
            with(
                pod("v", 1, "n1"),
                "/spec/volumes",
                volume(json!({ "hostPath": { "path": "/x" } })),
            ),
            "data on their node",
        ),
        (
            with(
                pod("f", 1, "n1"),
                "/spec/affinity",
                json!({ "podAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": [{ "topologyKey": "x" }],
            } }),
            ),
            "beside other pods",
        ),
        (
            with(
                pod("r", 1, "n1"),
                "/spec/affinity",
                json!({ "podAntiAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": [
                    { "topologyKey": "rack", "labelSelector": { "matchLabels": { "app": "r" } } },
                ],
            } }),
            ),
            "neither nodes nor zones",
        ),
    ] {
        let (movable, notes) = movable_of(pod.clone(), &evicting);
        assert!(!movable && notes.contains(reason), "{reason}: {notes:?} {pod}");
    }
    for pod in [
        pod("plain", 1, "n1"),
        with(
            pod("m", 1, "n1"),
            "/spec/volumes",
            volume(json!({ "emptyDir": { "medium": "Memory" } })),
        ),
        with(pod("c", 1, "n1"), "/spec/volumes", volume(json!({ "configMap": { "name": "x" } }))),
    ] {
        assert!(movable_of(pod.clone(), &evicting).0, "{pod}");
    }
    let scratch = with(pod("v", 1, "n1"), "/spec/volumes", volume(json!({ "emptyDir": {} })));
    let lose = Settings { local_volumes: LocalVolumes::Lose, ..evicting.clone() };
    assert!(movable_of(scratch.clone(), &lose).0);
    let safe = annotated("cluster-autoscaler.kubernetes.io/safe-to-evict", "true");
    assert!(movable_of(with(scratch, "/metadata/annotations", safe), &evicting).0);
    let only_machines = Settings { move_by: MoveBy::Kubevirt, ..evicting };
    assert!(!movable_of(pod("plain", 1, "n1"), &only_machines).0);
}

#[test]
fn pods_that_belong_to_their_node_are_one_workload_of_it_and_leave_room_for_others() {
    let owner = json!([{ "kind": "DaemonSet", "name": "log", "controller": true }]);
    let daemon =
        |n: u32, node: &str| with(pod("log", n, node), "/metadata/ownerReferences", owner.clone());
    let objects =
        and(nodes(), [daemon(1, "n1"), daemon(2, "n1"), daemon(3, "n2"), pod("web", 1, "n1")]);
    let snapshot = seen(&objects, &evicting()).snapshot;
    let names: Vec<&str> = snapshot.workloads.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["shop/Deployment/web/0", "node/n1", "node/n2"]);
    assert_eq!(workload(&snapshot, "node/n1").demand, [1.0, 2.0]);
    assert_eq!(workload(&snapshot, "node/n2").demand, [0.5, 1.0]);
    // Of 110 pods two are one workload.
    assert_eq!(snapshot.nodes[0].max_workloads, Some(109));
    assert_eq!(snapshot.nodes[1].max_workloads, Some(110));
}

#[test]
fn claims_bind_pods_to_their_zone_to_their_node_or_not_at_all() {
    let claim = json!([{ "persistentVolumeClaim": { "claimName": "data" } }]);
    let objects = and(nodes(), [with(pod("db", 1, "n1"), "/spec/volumes", claim)]);
    let reached = |claims: Claims| {
        let snapshot = seen(&objects, &Settings { claims, ..evicting() }).snapshot;
        let db = snapshot.workloads[0].clone();
        let within = |class: &String| db.classes.is_empty() || db.classes.contains(class);
        let nodes: Vec<bool> = snapshot.nodes.iter().map(|node| within(&node.class)).collect();
        (db.movable, nodes)
    };
    assert_eq!(reached(Claims::Zone), (true, vec![true, true, false]));
    assert_eq!(reached(Claims::Anywhere), (true, vec![true, true, true]));
    assert!(!reached(Claims::Stay).0);
}

fn apart(key: &str, app: &str) -> Value {
    json!({ "podAntiAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": [
        { "topologyKey": key, "labelSelector": { "matchLabels": { "app": app } } },
    ] } })
}

#[test]
fn anti_affinity_among_a_workload_s_own_pods_is_a_group() {
    let by = |key: &str, app: &str, node: &str| {
        with(pod(app, 1, node), "/spec/affinity", apart(key, app))
    };
    let objects = and(
        nodes(),
        [
            by("kubernetes.io/hostname", "web", "n1"),
            by("topology.kubernetes.io/zone", "db", "n1"),
            pod("other", 1, "n1"),
        ],
    );
    let snapshot = seen(&objects, &evicting()).snapshot;
    let web = workload(&snapshot, "shop/Deployment/web/0");
    assert_eq!(
        (web.anti_affinity.as_deref(), &web.zone_anti_affinity),
        (Some("shop/app=web"), &None)
    );
    let db = workload(&snapshot, "shop/Deployment/db/0");
    assert_eq!((&db.anti_affinity, db.zone_anti_affinity.as_deref()), (&None, Some("shop/app=db")));
    assert_eq!(workload(&snapshot, "shop/Deployment/other/0").anti_affinity, None);
}

#[test]
fn anti_affinity_to_others_keeps_both_away_from_where_the_other_is() {
    let shy = with(pod("shy", 1, "n1"), "/spec/affinity", apart("kubernetes.io/hostname", "loud"));
    let far =
        with(pod("far", 1, "n3"), "/spec/affinity", apart("topology.kubernetes.io/zone", "loud"));
    let objects = and(nodes(), [shy, far, pod("loud", 1, "n2"), pod("any", 1, "n1")]);
    let snapshot = seen(&objects, &evicting()).snapshot;
    let allowed = |app: &str| -> Vec<bool> {
        let classes = &workload(&snapshot, &format!("shop/Deployment/{app}/0")).classes;
        let within = |class: &String| classes.is_empty() || classes.contains(class);
        snapshot.nodes.iter().map(|node| within(&node.class)).collect()
    };
    assert_eq!(allowed("shy"), [true, false, true]);
    // The whole zone of n2.
    assert_eq!(allowed("far"), [false, false, true]);
    // Away from shy's node, and from far's zone.
    assert_eq!(allowed("loud"), [false, true, false]);
    assert_eq!(allowed("any"), [true, true, true]);
}

#[test]
fn spread_constraints_that_must_hold_become_groups() {
    let spread = |key: &str, app: &str, skew: u32, then: &str| {
        json!([{
            "topologyKey": key, "maxSkew": skew, "whenUnsatisfiable": then,
            "labelSelector": { "matchLabels": { "app": app } },
        }])
    };
    let field = "/spec/topologySpreadConstraints";
    let (zone, host) = ("topology.kubernetes.io/zone", "kubernetes.io/hostname");
    let objects = and(
        nodes(),
        [
            with(pod("zoned", 1, "n1"), field, spread(zone, "zoned", 2, "DoNotSchedule")),
            with(pod("soft", 1, "n1"), field, spread(zone, "soft", 1, "ScheduleAnyway")),
            with(pod("hosted", 1, "n1"), field, spread(host, "hosted", 1, "DoNotSchedule")),
            with(pod("loose", 1, "n1"), field, spread(host, "loose", 2, "DoNotSchedule")),
        ],
    );
    let seen = seen(&objects, &evicting());
    let of = |app: &str| workload(&seen.snapshot, &format!("shop/Deployment/{app}/0"));
    let spread = of("zoned").spread.as_ref().unwrap();
    assert_eq!((spread.group.as_str(), spread.max_skew), ("shop/app=zoned", 2));
    assert!(of("soft").spread.is_none() && of("soft").movable);
    // One pod and three nodes: a skew of one lets no two of them share a node.
    assert_eq!(of("hosted").anti_affinity.as_deref(), Some("shop/app=hosted"));
    assert!(!of("loose").movable);
    assert_eq!(
        seen.notes,
        ["1 pod (shop/Deployment/loose/0) stay: a snapshot cannot say how they have to be spread"]
    );
}

#[test]
fn pods_that_ended_are_left_out_and_pods_that_wait_have_no_node() {
    let objects = and(
        nodes(),
        [
            with(pod("done", 1, "n1"), "/status/phase", json!("Succeeded")),
            with(pod("bad", 1, "n1"), "/status/phase", json!("Failed")),
            with(pod("waits", 1, "n1"), "/spec/nodeName", Value::Null),
            pod("astray", 1, "n9"),
        ],
    );
    let seen = seen(&objects, &evicting());
    assert_eq!(seen.snapshot.workloads.len(), 1);
    assert_eq!(workload(&seen.snapshot, "shop/Deployment/waits/0").node, None);
    assert_eq!(
        seen.notes,
        [
            "1 pod (shop/Deployment/waits/0) wait for a node",
            "1 pod (shop/Deployment/astray/0) left out: their node n9 is not there",
        ]
    );
}

#[test]
fn a_pod_under_two_budgets_stays() {
    let mut second = budget("web", 1);
    second["metadata"]["name"] = json!("web-2");
    second["metadata"]["uid"] = json!("budget-web-2");
    let seen = seen(&and(nodes(), [pod("web", 1, "n1"), budget("web", 1), second]), &evicting());
    assert!(!seen.snapshot.workloads[0].movable);
    assert!(
        seen.notes[0].ends_with("several disruption budgets protect them, and none can be asked")
    );
}

#[test]
fn a_virtual_machine_moves_where_it_can_and_is_seen_where_it_runs() {
    let [pod, vmi] = machine("vm", "n1");
    let mut target = pod.clone();
    target["metadata"]["name"] = json!("virt-launcher-vm-2");
    target["metadata"]["uid"] = json!("vm-2");
    target["metadata"]["labels"]["kubevirt.io/migrationJobUID"] = json!("job");
    target["spec"]["nodeName"] = json!("n2");
    let settings = Settings::default();
    let moving = and(nodes(), [pod.clone(), target, vmi.clone(), budget("vm", 0)]);
    let seen_moving = seen(&moving, &settings);
    let snapshot = &seen_moving.snapshot;
    assert_eq!(snapshot.workloads.len(), 1);
    let vm = workload(snapshot, "shop/VirtualMachineInstance/vm");
    assert_eq!((vm.node.as_deref(), vm.movable, vm.state_gib), (Some("n1"), true, 1.0));
    assert_eq!(vm.disruption_group, None);
    assert_eq!(
        seen_moving.notes,
        ["1 pod (shop/vm-7d9f-0) left out: their virtual machine runs in another pod"]
    );
    let fixed =
        with(vmi, "/status/conditions", json!([{ "type": "LiveMigratable", "status": "False" }]));
    assert!(!seen(&and(nodes(), [pod, fixed]), &settings).snapshot.workloads[0].movable);
}

#[test]
fn taints_that_only_ask_are_told() {
    let soft = json!([{ "key": "slow", "effect": "PreferNoSchedule" }]);
    let objects =
        [node("n1", "a"), with(node("n2", "a"), "/spec/taints", soft), pod("web", 1, "n1")];
    let seen = seen(&objects, &evicting());
    assert!(seen.snapshot.workloads[0].classes.is_empty());
    let expected = "1 nodes would rather take no pods (PreferNoSchedule, slow): not heeded";
    assert_eq!(seen.notes, [expected]);
}
