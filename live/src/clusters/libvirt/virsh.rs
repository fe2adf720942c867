//! Calls of `virsh`, and what its complaints mean.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::settings::{Host, Settings};
use crate::cluster::CallError;
use crate::program::{self, Output, RunError};

/// The program, and the hosts it speaks to.
pub(super) struct Virsh {
    settings: Settings,
    program: PathBuf,
}

impl Virsh {
    pub(super) fn new(settings: Settings, folder: &Path) -> Self {
        Self { program: program::found(&settings.virsh, folder), settings }
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(super) fn limit(&self) -> Duration {
        Duration::from_secs(self.settings.timeout_s.into())
    }

    /// # Errors
    /// When no host has the name.
    pub(super) fn host(&self, name: &str) -> Result<&Host, CallError> {
        self.settings.hosts.iter().find(|host| host.name == name).ok_or_else(|| {
            CallError::Refused(format!("expected a host of the settings, got {name:?}"))
        })
    }

    /// The program with what it is to do on a host. It answers in English, whatever the system speaks.
    pub(super) fn command(&self, host: &Host, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["-q", "-c", &host.uri]).args(arguments).env("LC_ALL", "C");
        command
    }

    /// What it prints.
    ///
    /// # Errors
    /// When it does not end well.
    pub(super) fn ask(&self, host: &Host, arguments: &[&str]) -> Result<String, CallError> {
        let output = program::run(self.command(host, arguments), "", self.limit())
            .map_err(|error| failed(host, arguments, &error))?;
        match output.success {
            true => Ok(output.stdout),
            false => Err(complained(host, arguments, &output)),
        }
    }
}

/// A call that has not ended, or never began.
pub(super) fn failed(host: &Host, arguments: &[&str], error: &RunError) -> CallError {
    let text = format!("{} on {}: {error}", arguments[0], host.name);
    match error {
        RunError::NotStarted { .. } => CallError::Later { reason: text, after: None },
        _ => CallError::Unknown(text),
    }
}

/// A call that ended badly. What no connection came about for had no effect; what one broke under
/// may have had.
pub(super) fn complained(host: &Host, arguments: &[&str], output: &Output) -> CallError {
    let text = format!("{} on {}: {}", arguments[0], host.name, output.complaint());
    let says = |signs: &[&str]| signs.iter().any(|sign| output.stderr.contains(sign));
    if says(&["failed to connect to the hypervisor"]) {
        return CallError::Later { reason: text, after: None };
    }
    if says(&["End of file while reading", "Connection reset", "keepalive", "was killed"]) {
        return CallError::Unknown(text);
    }
    if says(&["cannot acquire state change lock", "another migration job is already"]) {
        return CallError::Later { reason: text, after: None };
    }
    CallError::Refused(text)
}
