//! Beginning a destination: a process of QEMU that waits for its guest.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::presence::{Presence, Sight, State, look};
use super::qmp::Address;

/// Between two looks at what has been begun.
const PAUSE: Duration = Duration::from_millis(20);

/// Most characters of a command's complaint that are told.
const MOST_TOLD: u64 = 400;

/// Runs the command, and waits until its QEMU answers as a destination. Command and answer share the
/// time.
///
/// # Errors
/// When the command fails, or one of the two takes too long. A destination may be there all the same.
pub fn begin(
    command: &[String],
    monitor: &Address,
    time_out: Duration,
    in_all: Duration,
) -> Result<Sight, String> {
    let end = Instant::now() + in_all;
    run(command, end).map_err(|why| format!("spawn: {:?}: {why}", command.join(" ")))?;
    loop {
        match look(monitor, time_out) {
            Presence::There(sight) if sight.state == State::Waiting => return Ok(sight),
            Presence::There(_) => {
                return Err("spawn: expected a QEMU with -incoming, got one without".to_owned());
            }
            other if Instant::now() >= end => {
                let got = other.describe();
                return Err(format!("spawn: expected a destination at {monitor}, got {got}"));
            }
            _ => thread::sleep(PAUSE),
        }
    }
}

/// Runs a command to its end.
fn run(command: &[String], end: Instant) -> Result<(), String> {
    let (program, arguments) = command.split_first().ok_or("it is empty")?;
    // Not a pipe: what the command leaves running may keep that open.
    let mut complaint = tempfile::tempfile().map_err(|error| error.to_string())?;
    let stderr = complaint.try_clone().map_err(|error| error.to_string())?;
    let child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(stderr)
        .spawn();
    let mut child = child.map_err(|error| error.to_string())?;
    match wait(&mut child, end).map_err(|error| error.to_string())? {
        Some(status) if status.success() => Ok(()),
        Some(status) => Err(format!("{status}: {}", told(&mut complaint))),
        None => {
            Err("expected it to end once QEMU listens (-daemonize), got none in time".to_owned())
        }
    }
}

/// How a command ended; nothing where it had to be killed.
fn wait(child: &mut Child, end: Instant) -> io::Result<Option<ExitStatus>> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= end {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(PAUSE);
    }
}

fn told(complaint: &mut File) -> String {
    let mut bytes = Vec::new();
    // What cannot be read is not told.
    let read = complaint.rewind().and_then(|()| complaint.take(MOST_TOLD).read_to_end(&mut bytes));
    let text = String::from_utf8_lossy(&bytes);
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if read.is_err() || line.is_empty() { "it says nothing".to_owned() } else { line }
}
