//! What is seen of a cluster.

use std::path::Path;

use godwit_envs::state::cluster::Health;
use godwit_live::cluster::CallError;
use godwit_live::clusters::proxmox;
use serde_json::json;

use crate::stand_in::{StandIn, secret};

#[test]
fn a_snapshot_has_nodes_and_running_guests_with_what_they_use() {
    let Some(mut cluster) = StandIn::start() else { return };
    cluster.vm(100, "pve1", json!({"pool": "shop", "config": {"tags": "apart-db;web"}}));
    cluster.vm(101, "pve2", json!({"config": {"tags": "team-a"}}));
    cluster.vm(102, "pve2", json!({"status": "stopped"}));
    cluster.vm(103, "pve2", json!({"template": true}));
    let mut settings = cluster.settings();
    settings.tenant_tag = Some("team-".to_owned());
    settings.apart_tag = Some("apart-".to_owned());
    let seen = proxmox::open(&settings, Path::new("")).unwrap().source.look().unwrap();
    let names: Vec<&str> = seen.snapshot.nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["pve1", "pve2", "pve3"]);
    assert_eq!(seen.snapshot.nodes[0].supply, [4.0, 8.0]);
    let [first, second] = seen.snapshot.workloads.as_slice() else { panic!("{seen:?}") };
    // A quarter of two cores; all memory that it may use; 1 GiB in use is what a move copies.
    assert_eq!((first.name.as_str(), first.node.as_deref()), ("qemu/100", Some("pve1")));
    assert_eq!((first.demand.as_slice(), first.state_gib), ([0.5, 4.0].as_slice(), 1.0));
    assert_eq!(
        (first.tenant.as_deref(), first.anti_affinity.as_deref()),
        (Some("shop"), Some("db"))
    );
    assert_eq!((second.tenant.as_deref(), second.anti_affinity.as_deref()), (Some("a"), None));
    assert!(first.movable && second.movable);
    assert_eq!(seen.notes, ["1 guests are stopped and were left out"]);

    settings.cpu = proxmox::Demand::Reserved;
    settings.memory = proxmox::Demand::Used;
    let seen = proxmox::open(&settings, Path::new("")).unwrap().source.look().unwrap();
    assert_eq!(seen.snapshot.workloads[0].demand, [2.0, 1.0]);

    // The history says half of two cores.
    settings = cluster.settings();
    settings.average_min = 5;
    let seen = proxmox::open(&settings, Path::new("")).unwrap().source.look().unwrap();
    assert_eq!(seen.snapshot.workloads[0].demand, [1.0, 4.0]);
}

#[test]
fn what_cannot_be_moved_says_why() {
    let Some(mut cluster) = StandIn::start() else { return };
    cluster.vm(100, "pve1", json!({}));
    cluster.tell("lock", 100.into());
    cluster.vm(101, "pve1", json!({"config": {"scsi1": "local-lvm:vm-101-disk-0,size=32G"}}));
    cluster.vm(102, "pve1", json!({"config": {"hostpci0": "0000:01:00.0", "serial0": "socket"}}));
    cluster.vm(103, "pve1", json!({"config": {"ide2": "local:iso/debian.iso,media=cdrom"}}));
    cluster.vm(104, "pve3", json!({}));
    cluster.ct(200, "pve2");
    cluster.tell("offline", "pve3".into());
    cluster.tell("node_states", json!({"pve1": "online", "pve2": "maintenance", "pve3": "fence"}));
    let seen = proxmox::open(&cluster.settings(), Path::new("")).unwrap().source.look().unwrap();
    assert_eq!(
        seen.notes,
        [
            "node pve2 is online, for the HA manager maintenance",
            "node pve3 is offline, for the HA manager fence",
            "qemu/100 (vm100) may not be moved: it is locked (backup)",
            "qemu/101 (vm101) may not be moved: it has disks that nodes do not share (local-lvm)",
            "qemu/102 (vm102) may not be moved: it uses devices of its node (hostpci0)",
            "qemu/103 (vm103) may not be moved: it has disks that nodes do not share (local)",
            "qemu/104 (vm104) may not be moved: its state is unknown",
            "lxc/200 (ct200) may not be moved: it is a container, and `containers` is off",
        ]
    );
    let health: Vec<Health> = seen.snapshot.nodes.iter().map(|node| node.health).collect();
    assert_eq!(health, [Health::Healthy, Health::Draining, Health::Failed]);
    assert!(seen.snapshot.workloads.iter().all(|workload| !workload.movable));

    let mut settings = cluster.settings();
    settings.with_local = true;
    settings.containers = true;
    let seen = proxmox::open(&settings, Path::new("")).unwrap().source.look().unwrap();
    let free: Vec<(&str, f32)> = seen
        .snapshot
        .workloads
        .iter()
        .filter(|workload| workload.movable)
        .map(|workload| (workload.name.as_str(), workload.state_gib))
        .collect();
    // Its memory in use and its disk of 32 GiB are copied; a container's memory is not.
    assert_eq!(free, [("qemu/101", 33.0), ("lxc/200", 0.0)]);
}

#[test]
fn a_certificate_is_trusted_by_fingerprint_or_authority_and_no_other_way() {
    let Some(mut cluster) = StandIn::start() else { return };
    cluster.vm(100, "pve1", json!({}));
    let look = |settings: &proxmox::Settings| {
        proxmox::open(settings, Path::new("")).unwrap().source.look()
    };
    assert_eq!(look(&cluster.settings()).unwrap().snapshot.workloads.len(), 1);
    let mut settings = cluster.settings();
    settings.ca_file = Some(cluster.path("cert.pem"));
    settings.fingerprint = None;
    assert_eq!(look(&settings).unwrap().snapshot.workloads.len(), 1);

    let other = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    std::fs::write(cluster.path("other.pem"), other.cert.pem()).unwrap();
    settings.ca_file = Some(cluster.path("other.pem"));
    let mut wrong = cluster.settings();
    wrong.fingerprint = Some("00".repeat(32));
    for settings in [settings, wrong] {
        // Nothing was sent: the call can be made again.
        let Err(CallError::Later { reason, .. }) = look(&settings) else { panic!("trusted") };
        assert!(reason.starts_with("GET /cluster/resources: not sent: other: TLS:"), "{reason}");
    }
}

#[test]
fn a_wrong_token_is_refused_and_never_told() {
    let Some(cluster) = StandIn::start() else { return };
    secret(&cluster.path("token"), "godwit@pve!loop=wr0ng-s3cret");
    let error =
        proxmox::open(&cluster.settings(), Path::new("")).unwrap().source.look().unwrap_err();
    let expected = "GET /cluster/resources: got 401: authentication failure";
    assert_eq!(error, CallError::Refused(expected.to_owned()));
    secret(&cluster.path("token"), "s3cret only");
    let error = proxmox::open(&cluster.settings(), Path::new("")).err().unwrap().to_string();
    assert!(error.contains("expected a token of the form USER@REALM!ID=SECRET, got"), "{error}");
    assert!(!error.contains("s3cret"), "{error}");
}

#[test]
fn a_setting_out_of_its_range_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    secret(&folder.path().join("token"), "a@pve!b=c");
    let base = json!({
        "url": "https://pve1:8006", "token_file": folder.path().join("token"), "fingerprint": "00".repeat(32),
    });
    for (field, value, expected) in [
        ("timeout_s", json!(0), "timeout_s: expected 1 to 600 seconds, got 0"),
        ("bandwidth_gib_s", json!(0.0), "bandwidth_gib_s: expected 0.001 to 1000000 GiB/s, got 0"),
        ("url", json!("pve1"), "url: expected http:// or https:// and a host, got \"pve1\""),
    ] {
        let mut settings = base.clone();
        settings[field] = value;
        let error =
            proxmox::open(&serde_json::from_value(settings).unwrap(), Path::new("")).err().unwrap();
        assert_eq!(error.to_string(), expected);
    }
}
