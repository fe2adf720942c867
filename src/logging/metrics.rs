//! `metrics.jsonl`: one JSON object per line.

use anyhow::Context;
use serde_json::Value;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

const NAME: &str = "metrics.jsonl";

/// The open file.
pub(super) struct Metrics {
    path: PathBuf,
    file: File,
    // A line that a full disk cut short; the next one must not be appended to it.
    torn: bool,
}

/// Where the lines that were kept end.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Kept {
    pub seconds: f64,
    pub updates: u64,
}

impl Metrics {
    /// Opens the file for appending, without the lines after `env_steps`: those of a fresh run
    /// (0) start over.
    pub fn open(directory: &Path, env_steps: u64) -> anyhow::Result<(Self, Kept)> {
        let path = directory.join(NAME);
        let mut kept = Kept::default();
        if path.exists() {
            let text =
                fs::read(&path).with_context(|| format!("{}: cannot read", path.display()))?;
            let text = String::from_utf8_lossy(&text);
            let mut lines = String::new();
            for line in text.lines() {
                // A line that a kill cut short is no JSON.
                let Ok(value) = serde_json::from_str::<Value>(line) else { continue };
                if env_steps > 0 && value["env_steps"].as_u64().is_some_and(|at| at <= env_steps) {
                    lines.push_str(line);
                    lines.push('\n');
                    kept.seconds = value["seconds"].as_f64().unwrap_or(kept.seconds);
                    kept.updates = value["updates"].as_u64().unwrap_or(kept.updates);
                }
            }
            if lines != text {
                let temporary = directory.join(format!("{NAME}.tmp-{}", std::process::id()));
                fs::write(&temporary, lines)
                    .and_then(|()| fs::rename(&temporary, &path))
                    .with_context(|| format!("{}: cannot write", temporary.display()))?;
            }
        }
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .with_context(|| format!("{}: cannot open", path.display()))?;
        Ok((Self::of(path, file), kept))
    }

    /// Appends to this file.
    pub(super) fn of(path: PathBuf, file: File) -> Self {
        Self { path, file, torn: false }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends a line, in one piece.
    pub fn line(&mut self, value: &Value) -> io::Result<()> {
        let start = if self.torn { "\n" } else { "" };
        let written = self.file.write_all(format!("{start}{value}\n").as_bytes());
        self.torn = written.is_err();
        written
    }

    /// Makes it durable.
    pub fn sync(&mut self) -> io::Result<()> {
        self.file.sync_all()
    }
}
