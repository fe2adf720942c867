//! A cluster to play with: fakepve in a process of its own (`live/tests/python/proxmox.py`).

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use godwit_live::cluster::{CallError, Executor, Handle, Order, Progress};
use godwit_live::clusters::proxmox::{self, Settings};
use godwit_models::plan::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Longest that anything here may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running stand-in.
pub struct StandIn {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    pub folder: tempfile::TempDir,
    url: String,
    fingerprint: String,
}

impl StandIn {
    /// Three nodes, a shared storage, no guests; `None`, with the reason on standard error, where
    /// fakepve is not there.
    pub fn start() -> Option<Self> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let python = || {
            let mut command = Command::new("python3");
            command.env("PYTHONPATH", here.join("../.clients"));
            command
        };
        let imports = python().args(["-c", "import fakepve"]).output();
        if !imports.is_ok_and(|output| output.status.success()) {
            eprintln!("skipped: python3 does not import fakepve; run scripts/setup_clients.py");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let signed = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let [cert, key] = ["cert.pem", "key.pem"].map(|name| folder.path().join(name));
        std::fs::write(&cert, signed.cert.pem()).unwrap();
        std::fs::write(&key, signed.signing_key.serialize_pem()).unwrap();
        let digest = Sha256::digest(signed.cert.der());
        let fingerprint =
            digest.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":");
        secret(&folder.path().join("token"), "godwit@pve!loop=5ec4e7\n");
        let mut child = python()
            .arg(here.join("tests/python/proxmox.py"))
            .args([&cert, &key])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut port = String::new();
        output.read_line(&mut port).unwrap();
        let url = format!("https://127.0.0.1:{}", port.trim());
        let mut cluster = Self { child, input, output, folder, url, fingerprint };
        for node in ["pve1", "pve2", "pve3"] {
            cluster.tell("node", node.into());
        }
        cluster.tell("storage", "ceph".into());
        Some(cluster)
    }

    /// Gives a command, and returns its answer.
    pub fn command(&mut self, command: Value) -> Value {
        writeln!(self.input, "{command}").unwrap();
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("no answer to {command}"))
    }

    pub fn tell(&mut self, command: &str, value: Value) {
        self.command(json!({"command": command, "value": value}));
    }

    /// A running virtual machine of two cores and 4 GiB.
    pub fn vm(&mut self, vmid: u32, node: &str, more: Value) {
        let mut config = json!({"cores": 2, "memory": 4096, "scsi0": "ceph:vm-1-disk-0,size=8G"});
        for (key, value) in more["config"].as_object().cloned().unwrap_or_default() {
            config[key] = value;
        }
        let mut command = json!({
            "command": "vm", "value": vmid, "name": format!("vm{vmid}"), "node": node,
            "status": "running", "config": config,
        });
        for key in ["status", "template", "pool"] {
            if let Some(value) = more.get(key) {
                command[key] = value.clone();
            }
        }
        self.command(command);
    }

    pub fn ct(&mut self, vmid: u32, node: &str) {
        let config = json!({"cores": 1, "memory": 512, "rootfs": "ceph:subvol-1-disk-0,size=8G"});
        self.command(json!({
            "command": "ct", "value": vmid, "name": format!("ct{vmid}"), "node": node,
            "status": "running", "config": config,
        }));
    }

    /// Node of a guest.
    pub fn node_of(&mut self, guest: &str) -> String {
        self.truth()["nodes"][guest].as_str().unwrap().to_owned()
    }

    pub fn truth(&mut self) -> Value {
        self.command(json!({"command": "truth"}))
    }

    /// Waits until no task is running.
    pub fn settle(&mut self) {
        let end = Instant::now() + PATIENCE;
        while self.truth()["moving"].as_array().is_none_or(|moving| !moving.is_empty()) {
            assert!(Instant::now() < end, "a task never ends");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Settings that reach it.
    pub fn settings(&self) -> Settings {
        let text = json!({
            "url": self.url,
            "token_file": self.path("token"),
            "fingerprint": self.fingerprint,
            "timeout_s": 5,
        });
        serde_json::from_value(text).unwrap()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A file that others cannot read.
pub fn secret(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

pub fn executor(settings: &Settings) -> std::sync::Arc<dyn Executor> {
    proxmox::open(settings, Path::new("")).unwrap().executor.unwrap()
}

pub fn order(workload: &str, source: &str, destination: &str) -> Order {
    Order {
        id: "d1.0".to_owned(),
        workload: workload.to_owned(),
        source: source.to_owned(),
        destination: destination.to_owned(),
        method: Method::Live,
        predicted: Default::default(),
    }
}

/// Watches until the move has ended, asking again where nobody can tell; also all shares on the way.
pub fn outcome(executor: &dyn Executor, order: &Order, handle: &Handle) -> (Progress, Vec<f32>) {
    let end = Instant::now() + PATIENCE;
    let mut shares = Vec::new();
    while Instant::now() < end {
        match executor.watch(order, handle) {
            Ok(Progress::Running { share, .. }) => shares.extend(share),
            Ok(ended) => return (ended, shares),
            Err(CallError::Refused(why)) => panic!("{why}"),
            Err(_) => {}
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("{order:?} never ends");
}
