//! Hosts that are folders, with guests in them: one QEMU process for each guest, on this machine.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use godwit_live::clusters::qemu::Settings;
use godwit_live::clusters::qemu::qmp::{Address, Monitor, QmpError};

use serde_json::{Value, json};

use super::boot_sector::{self, MEMORY_MIB, Record};

/// The longest that anything is waited for: much longer than it takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The program that runs guests.
const QEMU: &str = "qemu-system-x86_64";

/// Whether QEMU is installed; says so where it is not.
pub fn qemu_is_there() -> bool {
    let there = Command::new(QEMU).arg("--version").output().is_ok();
    if !there {
        println!("skipped: {QEMU} is not installed (Debian: apt-get install qemu-system-x86)");
    }
    there
}

/// A folder with a folder for each host, and the script that begins guests.
pub struct Hosts {
    folder: PathBuf,
}

impl Hosts {
    /// Puts folders and script into an empty folder. Its path has to be short: sockets are in it.
    pub fn new(folder: &Path, names: &[&str]) -> Self {
        for name in names {
            fs::create_dir_all(folder.join(name)).expect("the folder can be written");
        }
        let folder = folder.canonicalize().expect("the folder is there");
        let hosts = Self { folder };
        let text = hosts.script();
        let mut script = fs::OpenOptions::new();
        let script = script.write(true).create(true).truncate(true).mode(0o755).open(hosts.spawn());
        let written = script.and_then(|mut script| script.write_all(text.as_bytes()));
        written.expect("the script can be written");
        hosts
    }

    /// Settings for these hosts, and for guests that are to be begun; all of them are to be added.
    pub fn settings(&self) -> Settings {
        let folder = self.folder.display();
        let text = format!(
            "qmp = 'unix:{folder}/{{host}}/{{guest}}.qmp'\n\
             incoming = 'unix:{folder}/{{host}}/{{guest}}.incoming'\n\
             spawn = ['{}', '{{guest}}', '{{host}}', '{{incoming}}']\n\
             measure_cpu = true\nhosts = []\nguests = []\n",
            self.spawn().display(),
        );
        toml::from_str(&text).expect("these are settings")
    }

    /// Writes a guest's disk: it dirties so many MiB at so many MiB/s.
    pub fn write_disk(&self, guest: &str, mib: u32, mib_per_s: f32) {
        let disk = self.folder.join(format!("{guest}.img"));
        fs::write(disk, boot_sector::image(mib, mib_per_s)).expect("the disk can be written");
    }

    /// Begins a guest on a host, or a destination that waits for it.
    pub fn begin(&self, guest: &str, host: &str, incoming: Option<&str>) {
        let mut command = Command::new(self.spawn());
        let done = command.args([guest, host]).args(incoming).output().expect("it can be run");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }

    /// A conversation with a guest's monitor on a host.
    ///
    /// # Errors
    /// When there is none.
    pub fn monitor(&self, guest: &str, host: &str) -> Result<Monitor, QmpError> {
        let address = Address::Unix(self.folder.join(host).join(format!("{guest}.qmp")));
        Monitor::connect(&address, PATIENCE)
    }

    /// QEMU's word for what the process of a guest does on a host, while it is there.
    pub fn state(&self, guest: &str, host: &str) -> Option<String> {
        let mut monitor = self.monitor(guest, host).ok()?;
        let status: Value = monitor.ask("query-status", json!({})).ok()?;
        Some(status["status"].as_str()?.to_owned())
    }

    /// What a guest keeps of itself.
    ///
    /// # Errors
    /// When its monitor does not answer.
    pub fn record(&self, guest: &str, host: &str) -> Result<Record, QmpError> {
        boot_sector::record(&mut self.monitor(guest, host)?)
    }

    /// What a guest keeps of itself, once it has started and counted so far.
    pub fn record_from(&self, guest: &str, host: &str, counter: u64) -> Record {
        wait(&format!("{guest} to count to {counter} on {host}"), || {
            self.record(guest, host).ok().filter(|record| record.counter >= counter)
        })
    }

    /// Sends a signal (`KILL`, `STOP`, `CONT`) to a guest's process on a host.
    pub fn signal(&self, guest: &str, host: &str, signal: &str) {
        let pid = self.pid(guest, host).expect("the process is there");
        let sent = Command::new("kill").args(["-s", signal, &pid.to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()));
    }

    /// The process of a guest on a host, while it is there.
    pub fn pid(&self, guest: &str, host: &str) -> Option<u32> {
        let file = self.folder.join(host).join(format!("{guest}.pid"));
        let pid: u32 = fs::read_to_string(file).ok()?.trim().parse().ok()?;
        // The file of a process that was killed stays, and its number may be somebody else's by now.
        let command = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        String::from_utf8_lossy(&command).contains(&*self.folder.to_string_lossy()).then_some(pid)
    }

    /// Where they are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn spawn(&self) -> PathBuf {
        self.folder.join("begin")
    }

    fn script(&self) -> String {
        format!(
            "#!/bin/sh\n\
             # begin GUEST HOST [INCOMING]: starts a guest, or a destination that waits for it.\n\
             set -eu\n\
             cd '{}'\n\
             exec {QEMU} -name \"$1\" -accel tcg,tb-size=8 -m {MEMORY_MIB} -nodefaults \\\n    \
                 -display none -drive \"if=floppy,format=raw,readonly=on,file=$PWD/$1.img\" \\\n    \
                 -qmp \"unix:$PWD/$2/$1.qmp,server=on,wait=off\" \\\n    \
                 -pidfile \"$PWD/$2/$1.pid\" -daemonize ${{3:+-incoming \"$3\"}}\n",
            self.folder.display(),
        )
    }

    /// Ends every process of these hosts.
    pub fn end(&self) {
        let files = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let hosts = files.filter(|file| file.path().is_dir());
        for host in hosts {
            for file in fs::read_dir(host.path()).into_iter().flatten().flatten() {
                let name = file.file_name().to_string_lossy().into_owned();
                let Some(guest) = name.strip_suffix(".pid") else { continue };
                let host = host.file_name().to_string_lossy().into_owned();
                if self.pid(guest, &host).is_some() {
                    self.signal(guest, &host, "KILL");
                }
            }
        }
    }
}

/// Asks until there is an answer.
///
/// # Panics
/// When there is none for too long.
pub fn wait<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
