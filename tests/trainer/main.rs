//! The trainer as its users meet it, what it learns, and what it keeps to. One program, so that
//! libtorch is linked once.
#![allow(clippy::unwrap_used)] // a failed expectation is the point of a test

mod circles;
mod cli;
mod explain;
mod layers;
mod learning;
mod parity;
mod sweep;
mod tune_baselines;

use assert_cmd::Command;
use std::time::Duration;

fn godwit(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_godwit"));
    command.args(args).timeout(Duration::from_secs(300));
    command
}

/// Exit code 2, nothing on standard output, and one line that says all of `parts`.
fn refuses(args: &[&str], parts: &[&str]) {
    let output = godwit(args).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{args:?}: {text}");
    assert!(output.stdout.is_empty(), "{args:?}");
    assert!(text.starts_with("error: ") && text.lines().count() == 1, "{args:?}: {text}");
    for part in parts {
        assert!(text.contains(part), "{args:?}: expected {part:?} in {text}");
    }
}
