//! What is seen of hosts with libvirt: through a stand-in for `virsh`, and through the real one where
//! it is there.

use std::path::{Path, PathBuf};
use std::process::Command;

use godwit_live::cluster::CallError;
use godwit_live::clusters::libvirt::{self, Demand, Settings};
use serde_json::{Value, json};

/// A small cluster that `live/tests/python/virsh.py` plays.
pub struct Play(tempfile::TempDir);

impl Play {
    pub fn new(state: &Value) -> Self {
        let play = Self(tempfile::tempdir().unwrap());
        play.put("state.json", &state.to_string());
        // Tests in one process share an environment: each has a program of its own.
        let stand_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/virsh.py");
        let folder = play.0.path().display();
        let text = format!(
            "#!/bin/sh\nVIRSH_FOLDER='{folder}' exec python3 '{}' \"$@\"\n",
            stand_in.display()
        );
        let virsh = play.virsh();
        std::fs::write(&virsh, text).unwrap();
        assert!(Command::new("chmod").arg("+x").arg(virsh).status().unwrap().success());
        play
    }

    /// Two hosts, and `web` with half a processor in use on the first.
    pub fn small() -> Self {
        let web = json!({"state": "running", "cpus": 2, "memory_gib": 2, "use": 0.5});
        Self::new(&json!({
            "n1": {"cpus": 8, "memory_gib": 16, "domains": {"web": web}},
            "n2": {"cpus": 8, "memory_gib": 32, "domains": {}},
        }))
    }

    pub fn put(&self, name: &str, text: &str) {
        std::fs::write(self.0.path().join(name), text).unwrap();
    }

    pub fn remove(&self, name: &str) {
        std::fs::remove_file(self.0.path().join(name)).unwrap();
    }

    pub fn state(&self) -> Value {
        // The file is replaced as a whole.
        let text = std::fs::read_to_string(self.0.path().join("state.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    fn virsh(&self) -> PathBuf {
        self.0.path().join("virsh")
    }

    pub fn settings(&self) -> Settings {
        serde_json::from_value(json!({
            "virsh": self.virsh(),
            "timeout_s": 20,
            "hosts": [{"name": "n1", "uri": "play:///n1"}, {"name": "n2", "uri": "play:///n2"}],
        }))
        .unwrap()
    }
}

#[test]
fn hosts_and_domains_are_seen_with_what_they_use() {
    let play = Play::small();
    let mut cluster = libvirt::open(&play.settings(), Path::new("")).unwrap();
    let first = cluster.source.look().unwrap();
    assert_eq!(first.snapshot.nodes[1].supply, [8.0, 32.0]);
    let web = &first.snapshot.workloads[0];
    assert_eq!((web.name.as_str(), web.node.as_deref(), web.movable), ("web", Some("n1"), true));
    assert_eq!((web.demand.as_slice(), web.state_gib), ([2.0, 2.0].as_slice(), 2.0));
    let note = "1 domains count with all their processors until a second look shows what they use";
    assert_eq!(first.notes, [note]);
    let second = cluster.source.look().unwrap();
    let used = second.snapshot.workloads[0].demand[0];
    // Half a processor, as far as two clocks agree over the time of a call.
    assert!((0.1..=0.9).contains(&used), "{used}");
    assert!(second.notes.is_empty());

    let mut settings = play.settings();
    settings.cpu = Demand::Reserved;
    settings.fixed = ["web".to_owned()].into();
    let web = libvirt::open(&settings, Path::new(""))
        .unwrap()
        .source
        .look()
        .unwrap()
        .snapshot
        .workloads
        .remove(0);
    assert_eq!((web.demand[0], web.movable), (2.0, false));
}

#[test]
fn a_host_that_stops_answering_stays_as_it_was_with_its_age() {
    let play = Play::small();
    let mut cluster = libvirt::open(&play.settings(), Path::new("")).unwrap();
    play.put("down-n1", "");
    let Err(CallError::Later { reason, .. }) = cluster.source.look() else { panic!("never seen") };
    assert!(
        reason.starts_with("nodeinfo on n1: it ended with 1: error: failed to connect"),
        "{reason}"
    );
    play.remove("down-n1");
    cluster.source.look().unwrap();
    play.put("down-n1", "");
    let end = std::time::Instant::now() + crate::watching::PATIENCE;
    loop {
        let seen = cluster.source.look().unwrap();
        assert_eq!(seen.snapshot.workloads[0].node.as_deref(), Some("n1"));
        assert!(
            seen.notes[0].starts_with("n1 does not answer, and is as it was: "),
            "{:?}",
            seen.notes
        );
        assert_eq!(seen.snapshot.nodes[1].metrics_age_s, 0.0);
        if seen.snapshot.nodes[0].metrics_age_s >= 1.0 {
            break;
        }
        assert!(std::time::Instant::now() < end);
    }
}

#[test]
fn settings_that_make_no_sense_are_refused_by_name() {
    let play = Play::small();
    for (field, value, expected) in [
        ("hosts", json!([]), "hosts: expected at least one host, got none"),
        ("timeout_s", json!(0), "timeout_s: expected 1 to 600 seconds, got 0"),
        (
            "hosts",
            json!([{"name": "a", "uri": "x:///"}, {"name": "a", "uri": "y:///"}]),
            "hosts[1].name: expected a name of its own, got \"a\"",
        ),
        (
            "hosts",
            json!([{"name": "a", "uri": "kvm1"}]),
            "hosts[0].uri: expected a connection URI of libvirt, got \"kvm1\"",
        ),
    ] {
        let mut settings = serde_json::to_value(play.settings()).unwrap();
        settings[field] = value;
        let error =
            libvirt::open(&serde_json::from_value(settings).unwrap(), Path::new("")).err().unwrap();
        assert_eq!(error.to_string(), expected);
    }
}

/// The driver `test` of libvirt has one domain in the memory of each process.
#[test]
fn the_real_virsh_is_understood() {
    if !Command::new("virsh").arg("--version").output().is_ok_and(|output| output.status.success())
    {
        eprintln!("skipped: no virsh here; install libvirt-clients");
        return;
    }
    let settings = json!({"hosts": [{"name": "t", "uri": "test:///default"}]});
    let mut cluster =
        libvirt::open(&serde_json::from_value(settings).unwrap(), Path::new("")).unwrap();
    let seen = cluster.source.look().unwrap();
    // As its manual page has it: 16 processors and 3 GiB, a domain of 2 processors and 2 GiB.
    assert_eq!(seen.snapshot.nodes[0].supply, [16.0, 3.0]);
    let domain = &seen.snapshot.workloads[0];
    assert_eq!((domain.name.as_str(), domain.node.as_deref()), ("test", Some("t")));
    assert_eq!(domain.demand, [2.0, 2.0]);
}
