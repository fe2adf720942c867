//! How long a large cluster takes to read. Measures, and judges nothing but the outcome:
//! `cargo test --release -p godwit-live --test kubernetes -- --ignored --nocapture`.

use std::fmt::Write;
use std::time::Instant;

use godwit_live::clusters::kubernetes::{MoveBy, Settings, snapshot_of_dump};

const NODES: usize = 5_000;
const PODS: usize = 150_000;
/// Of each node's 30 pods these are of DaemonSets.
const DAEMONS: usize = 8;

#[test]
#[ignore = "measures"]
fn a_dump_of_5000_nodes_and_150000_pods() {
    let began = Instant::now();
    let text = dump();
    println!("made {} MB of JSON in {:.1?}", text.len() / 1_000_000, began.elapsed());
    let before = peak_mb();
    let settings = Settings { move_by: MoveBy::Eviction, ..Settings::default() };
    let resources = ["cpu".to_owned(), "memory".to_owned()];
    let began = Instant::now();
    let seen = snapshot_of_dump(&text, &resources, &settings, 1.8e9, "dump").unwrap();
    println!("read in {:.2?}", began.elapsed());
    println!("peak memory: {before} MB with the text, {} MB after reading", peak_mb());
    assert_eq!(seen.snapshot.nodes.len(), NODES);
    assert_eq!(seen.snapshot.workloads.len(), PODS - NODES * (DAEMONS - 1));
    println!("{}", seen.notes.join("\n"));
}

fn peak_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

fn dump() -> String {
    let mut text = String::from("{\n    \"apiVersion\": \"v1\",\n    \"items\": [\n");
    for n in 0..NODES {
        write!(
            text,
            r#"        {{"apiVersion": "v1", "kind": "Node", "metadata": {{"name": "node-{n:04}", "uid": "node-{n}",
            "labels": {{"kubernetes.io/hostname": "node-{n:04}", "topology.kubernetes.io/zone": "z{}",
            "node.kubernetes.io/instance-type": "m{}.large"}}}}, "spec": {{}},
            "status": {{"allocatable": {{"cpu": "31850m", "memory": "125Gi", "pods": "110"}},
            "conditions": [{{"type": "Ready", "status": "True"}}]}}}},
"#,
            n % 3,
            n % 7,
        )
        .unwrap();
    }
    for p in 0..PODS {
        pod(&mut text, p);
    }
    text.truncate(text.len() - 2);
    text.push_str(
        "\n    ],\n    \"kind\": \"List\", \"metadata\": {\"resourceVersion\": \"\"}\n}\n",
    );
    text
}

/// Of about the size that pods have, most of which is of no use here.
fn pod(text: &mut String, p: usize) {
    let (node, on_node) = (p % NODES, p / NODES);
    let app = if on_node < DAEMONS { on_node } else { DAEMONS + p % 2_000 };
    let (kind, owner) = match on_node < DAEMONS {
        true => ("DaemonSet", format!("daemon-{app}")),
        false => ("ReplicaSet", format!("app-{app}-5d4f8b7c9")),
    };
    write!(
        text,
        r#"        {{
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {{
                "annotations": {{
                    "kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z",
                    "prometheus.io/scrape": "true", "prometheus.io/port": "9102"
                }},
                "creationTimestamp": "2026-01-01T{:02}:{:02}:00Z",
                "generateName": "{owner}-",
                "labels": {{
                    "app.kubernetes.io/name": "app-{app}",
                    "pod-template-hash": "5d4f8b7c9"
                }},
                "name": "{owner}-{p:06}",
                "namespace": "team-{}",
                "ownerReferences": [
                    {{
                        "apiVersion": "apps/v1", "blockOwnerDeletion": true, "controller": true,
                        "kind": "{kind}", "name": "{owner}", "uid": "0b0e9d7e-0000-0000-0000-{app:012}"
                    }}
                ],
                "resourceVersion": "{}",
                "uid": "1c1e9d7e-0000-0000-0000-{p:012}"
            }},
            "spec": {{
                "affinity": {{
                    "podAntiAffinity": {{
                        "preferredDuringSchedulingIgnoredDuringExecution": [
                            {{"podAffinityTerm": {{"labelSelector": {{"matchLabels": {{"app.kubernetes.io/name": "app-{app}"}}}},
                              "topologyKey": "kubernetes.io/hostname"}}, "weight": 100}}
                        ]
                    }}
                }},
                "containers": [
                    {{
                        "args": ["--config=/etc/app/config.yaml", "--log-level=info", "--listen=:8080"],
                        "env": [
                            {{"name": "POD_NAME", "valueFrom": {{"fieldRef": {{"apiVersion": "v1", "fieldPath": "metadata.name"}}}}}},
                            {{"name": "GOMAXPROCS", "value": "2"}},
                            {{"name": "DATABASE_URL", "valueFrom": {{"secretKeyRef": {{"key": "url", "name": "app-{app}"}}}}}}
                        ],
                        "image": "registry.example.com/team/app-{app}:v1.42.0",
                        "imagePullPolicy": "IfNotPresent",
                        "livenessProbe": {{
                            "failureThreshold": 3, "httpGet": {{"path": "/healthz", "port": 8080, "scheme": "HTTP"}},
                            "initialDelaySeconds": 10, "periodSeconds": 10, "successThreshold": 1, "timeoutSeconds": 1
                        }},
                        "name": "app",
                        "ports": [{{"containerPort": 8080, "name": "http", "protocol": "TCP"}}],
                        "readinessProbe": {{
                            "failureThreshold": 3, "httpGet": {{"path": "/ready", "port": 8080, "scheme": "HTTP"}},
                            "periodSeconds": 5, "successThreshold": 1, "timeoutSeconds": 1
                        }},
                        "resources": {{
                            "limits": {{"cpu": "1", "memory": "2Gi"}},
                            "requests": {{"cpu": "250m", "memory": "{}Mi"}}
                        }},
                        "securityContext": {{"allowPrivilegeEscalation": false, "capabilities": {{"drop": ["ALL"]}}}},
                        "terminationMessagePath": "/dev/termination-log",
                        "terminationMessagePolicy": "File",
                        "volumeMounts": [
                            {{"mountPath": "/etc/app", "name": "config"}},
                            {{"mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "name": "kube-api-access-{p:05}", "readOnly": true}}
                        ]
                    }}
                ],
                "dnsPolicy": "ClusterFirst",
                "enableServiceLinks": true,
                "nodeName": "node-{node:04}",
                "preemptionPolicy": "PreemptLowerPriority",
                "priority": 0,
                "restartPolicy": "Always",
                "schedulerName": "default-scheduler",
                "securityContext": {{"runAsNonRoot": true}},
                "serviceAccount": "app-{app}",
                "serviceAccountName": "app-{app}",
                "terminationGracePeriodSeconds": 30,
                "tolerations": [
                    {{"effect": "NoExecute", "key": "node.kubernetes.io/not-ready", "operator": "Exists", "tolerationSeconds": 300}},
                    {{"effect": "NoExecute", "key": "node.kubernetes.io/unreachable", "operator": "Exists", "tolerationSeconds": 300}}
                ],
                "volumes": [
                    {{"configMap": {{"defaultMode": 420, "name": "app-{app}"}}, "name": "config"}},
                    {{"name": "kube-api-access-{p:05}", "projected": {{"defaultMode": 420, "sources": [
                        {{"serviceAccountToken": {{"expirationSeconds": 3607, "path": "token"}}}},
                        {{"configMap": {{"items": [{{"key": "ca.crt", "path": "ca.crt"}}], "name": "kube-root-ca.crt"}}}}
                    ]}}}}
                ]
            }},
            "status": {{
                "conditions": [
                    {{"lastProbeTime": null, "lastTransitionTime": "2026-01-01T00:00:00Z", "status": "True", "type": "Initialized"}},
                    {{"lastProbeTime": null, "lastTransitionTime": "2026-01-01T00:00:05Z", "status": "True", "type": "Ready"}},
                    {{"lastProbeTime": null, "lastTransitionTime": "2026-01-01T00:00:00Z", "status": "True", "type": "PodScheduled"}}
                ],
                "containerStatuses": [
                    {{"containerID": "containerd://{p:064}", "image": "registry.example.com/team/app-{app}:v1.42.0",
                      "imageID": "registry.example.com/team/app-{app}@sha256:{p:064}", "lastState": {{}}, "name": "app",
                      "ready": true, "restartCount": 0, "started": true,
                      "state": {{"running": {{"startedAt": "2026-01-01T00:00:03Z"}}}}}}
                ],
                "hostIP": "10.0.0.1", "phase": "Running", "podIP": "10.1.0.1", "podIPs": [{{"ip": "10.1.0.1"}}],
                "qosClass": "Burstable", "startTime": "2026-01-01T00:00:00Z"
            }}
        }},
"#,
        p / 60 % 24,
        p % 60,
        app % 40,
        p * 7,
        256 + p % 7 * 64,
    )
    .unwrap();
}
