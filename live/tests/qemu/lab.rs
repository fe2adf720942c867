//! Three hosts in a folder, and orders to move guests between them.

use std::sync::Arc;

use godwit_live::cluster::{Executor, Figures, Handle, Order, Progress, Source};
use godwit_live::clusters::qemu::qmp::Monitor;
use godwit_live::clusters::qemu::{Guest, Host, Settings, open};
use godwit_models::plan::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::guests::hosts::{Hosts, PATIENCE, qemu_is_there, wait};

/// Names of the hosts.
pub const HOSTS: [&str; 3] = ["a", "b", "c"];

/// A bandwidth at which a move takes long: 8 MiB/s.
pub const SLOW_GIB_S: f32 = 8.0 / 1024.0;

/// Hosts, and settings for them. All processes end with it.
pub struct Lab {
    pub hosts: Hosts,
    pub settings: Settings,
    _folder: TempDir,
}

impl Lab {
    /// Three hosts, and guests that are not begun yet; nothing where QEMU is missing.
    pub fn new(guests: &[&str]) -> Option<Self> {
        if !qemu_is_there() {
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let hosts = Hosts::new(folder.path(), &HOSTS);
        let mut settings = hosts.settings();
        settings.hosts = HOSTS.map(host).to_vec();
        settings.guests = guests.iter().map(|name| guest(name)).collect();
        settings.time_out_s = 20.0;
        Some(Self { hosts, settings, _folder: folder })
    }

    /// The same with one guest, `g`, that runs on the first host and dirties so many MiB at so many
    /// MiB/s.
    pub fn with_guest(mib: u32, mib_per_s: f32) -> Option<Self> {
        let lab = Self::new(&["g"])?;
        lab.hosts.write_disk("g", mib, mib_per_s);
        lab.hosts.begin("g", "a", None);
        lab.hosts.record_from("g", "a", 1);
        Some(lab)
    }

    /// Moves take as long as the bandwidth says.
    pub fn slow(mut self) -> Self {
        self.settings.hosts.iter_mut().for_each(|host| host.bandwidth_gib_s = SLOW_GIB_S);
        self
    }

    /// What knows nothing of earlier moves, as after a crash.
    pub fn executor(&self) -> Arc<dyn Executor> {
        open(&self.settings).unwrap().executor.unwrap()
    }

    pub fn source(&self) -> Box<dyn Source> {
        open(&self.settings).unwrap().source
    }

    /// QEMU's word for what the guest `g` does on a host.
    pub fn state(&self, host: &str) -> Option<String> {
        self.hosts.state("g", host)
    }

    /// QEMU's words on all hosts.
    pub fn states(&self) -> [Option<String>; 3] {
        HOSTS.map(|host| self.state(host))
    }

    pub fn monitor(&self, host: &str) -> Monitor {
        self.hosts.monitor("g", host).unwrap()
    }

    pub fn tell(&self, host: &str, command: &str, arguments: Value) {
        self.monitor(host).execute(command, arguments).unwrap();
    }

    /// A destination for `g` that waits on a host, and stays paused once it has everything.
    pub fn begin_destination(&self, host: &str) -> String {
        let folder = self.hosts.folder().join(host);
        let incoming = format!("unix:{}", folder.join("g.incoming").display());
        self.hosts.begin("g", host, Some(&incoming));
        self.tell(host, "stop", json!({}));
        incoming
    }

    /// Copies `g` from the first host to the second by hand, up to the point at which the first has
    /// finished and the second stands still.
    pub fn copy(&self) {
        let incoming = self.begin_destination("b");
        let return_path = json!({ "capability": "return-path", "state": true });
        let capabilities = json!({ "capabilities": [return_path] });
        self.tell("a", "migrate-set-capabilities", capabilities);
        let fast = json!({ "max-bandwidth": 1_u64 << 30 });
        self.tell("a", "migrate-set-parameters", fast);
        self.tell("a", "migrate", json!({ "uri": incoming }));
        wait("the source to finish", || {
            (self.state("a").as_deref() == Some("postmigrate")).then_some(())
        });
        assert_eq!(self.state("b").as_deref(), Some("paused"));
    }

    /// Marks the process on a host as one whose guest was handed over.
    pub fn mark(&self, host: &str) {
        let mark = json!({ "qom-type": "secret", "id": "godwit-handed-over", "data": "x" });
        self.tell(host, "object-add", mark);
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.hosts.end();
    }
}

/// What `query-status` says, for comparing.
pub fn says(state: &str) -> Option<String> {
    Some(state.to_owned())
}

fn host(name: &str) -> Host {
    Host {
        name: name.to_owned(),
        address: "127.0.0.1".to_owned(),
        memory_gib: 1.0,
        cpu_cores: 2.0,
        bandwidth_gib_s: 1.0,
        max_guests: None,
        zone: String::new(),
    }
}

fn guest(name: &str) -> Guest {
    toml::from_str(&format!("name = {name:?}")).unwrap()
}

/// An order to move `g`.
pub fn order(id: &str, source: &str, destination: &str) -> Order {
    Order {
        id: id.to_owned(),
        workload: "g".to_owned(),
        source: source.to_owned(),
        destination: destination.to_owned(),
        method: Method::Live,
        predicted: Figures::default(),
    }
}

/// Watches a move to its end.
pub fn settled(executor: &dyn Executor, order: &Order, handle: &Handle) -> Progress {
    wait(&format!("{} to settle", order.id), || match executor.watch(order, handle) {
        Ok(Progress::Running { .. }) | Err(_) => None,
        Ok(progress) => Some(progress),
    })
}

/// Watches a move until so much of it has been sent that it is clearly under way.
pub fn under_way(executor: &dyn Executor, order: &Order, handle: &Handle) {
    wait(&format!("{} to be under way", order.id), || match executor.watch(order, handle) {
        Ok(Progress::Running { moved_gib: Some(moved), .. }) if moved > 0.0 => Some(()),
        Ok(Progress::Running { .. }) => None,
        other => panic!("expected a move that runs, got {other:?}"),
    });
}

/// The time-out after which a process counts as silent, where a test waits for that.
pub fn impatient(settings: &mut Settings) {
    assert!(settings.time_out_s < PATIENCE.as_secs_f32());
    settings.time_out_s = 2.0;
}
