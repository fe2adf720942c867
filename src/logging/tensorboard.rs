//! TensorBoard events. The records come from tensorboard-rs; its own event writer ends the process
//! when the disk is full, so the (small) protocol buffers are put together here.

use anyhow::Context;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};
use tensorboard_rs::record_writer::RecordWriter;

/// An event file.
pub(super) struct TensorBoard {
    path: PathBuf,
    out: RecordWriter<File>,
    // After a record that was cut short nothing that follows could be read.
    broken: bool,
}

impl TensorBoard {
    /// A new event file in this directory; TensorBoard reads all of them as one run.
    pub fn create(directory: &Path) -> anyhow::Result<Self> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let name =
            format!("events.out.tfevents.{:010}.godwit.{}", now.as_secs(), std::process::id());
        Self::at(directory.join(name))
    }

    /// A new event file, replacing what is there.
    pub fn at(path: PathBuf) -> anyhow::Result<Self> {
        let file =
            File::create(&path).with_context(|| format!("{}: cannot create", path.display()))?;
        let mut board = Self { path, out: RecordWriter::new(file), broken: false };
        let mut version = Vec::new();
        bytes(&mut version, 3, b"brain.Event:2");
        if let Err(error) = board.event(0, &version) {
            return Err(error).with_context(|| format!("{}: cannot write", board.path.display()));
        }
        Ok(board)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes one event with these numbers.
    pub fn scalars(&mut self, step: u64, scalars: &[(String, f64)]) -> io::Result<()> {
        if self.broken {
            return Ok(());
        }
        let mut summary = Vec::new();
        for (tag, value) in scalars {
            // Summary.Value { tag = 1, simple_value = 2 }
            let mut entry = Vec::new();
            bytes(&mut entry, 1, tag.as_bytes());
            entry.push(2 << 3 | 5);
            entry.extend((*value as f32).to_le_bytes());
            bytes(&mut summary, 1, &entry);
        }
        let mut content = Vec::new();
        bytes(&mut content, 5, &summary);
        self.event(step, &content)
    }

    /// `Event { wall_time = 1, step = 2, ... }`
    pub fn event(&mut self, step: u64, content: &[u8]) -> io::Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut event = vec![1 << 3 | 1];
        event.extend(now.as_secs_f64().to_le_bytes());
        event.push(2 << 3);
        varint(&mut event, step);
        event.extend(content);
        let written = self.out.write(&event);
        self.broken = written.is_err();
        written
    }
}

/// A field of bytes: strings and messages.
pub(super) fn bytes(out: &mut Vec<u8>, field: u8, content: &[u8]) {
    out.push(field << 3 | 2);
    varint(out, content.len() as u64);
    out.extend(content);
}

pub(super) fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
