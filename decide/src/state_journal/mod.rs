//! What is remembered, in a folder of its own: a journal that is appended to, and begun anew from
//! time to time.
//!
//! The first line of a file is all that was remembered when it was begun; a new file gets its name only
//! once it is on the disk. A line without its end was answered to nobody. Anything else that cannot be
//! read is damage: the file is kept under another name, and what can be read of it goes on.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use godwit_models::shell::{Change, Memory};
use prometheus_client::metrics::counter::Counter;
use serde::{Deserialize, Serialize};

use crate::checked_line::{self, line, whole_lines};
use crate::own_folder::{FolderError, OwnFolder};
use crate::removed_file::is_gone;

/// Name and version of the format.
const FORMAT: &str = "godwit-state/1";

/// The journal in its folder.
const FILE: &str = "memory.journal";

/// A file smaller than this is not begun anew.
const SMALL: u64 = 64 << 10;

/// One line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    /// All that is remembered; the first line.
    Begin {
        /// Always `godwit-state/1`.
        format: String,
        /// What is remembered.
        memory: Memory,
        /// Whether migrations are halted.
        halted: bool,
    },
    /// What is remembered changes.
    Change(Change),
    /// Migrations are halted or resumed.
    Halted(bool),
}

/// A folder that remembers.
#[derive(Debug)]
pub struct Journal {
    folder: OwnFolder,
    file: Option<Arc<File>>,
    /// Size of the file, and what it was when it was begun.
    bytes: u64,
    begun: u64,
    /// Entries that were written, and how many of them are on the disk.
    written: u64,
    synced: u64,
    /// Whether the last entry could not be written.
    failing: bool,
    recalled: Memory,
    halted: bool,
    /// Entries that may not have been kept.
    lost: Counter,
}

/// A file with entries that may not be on the disk yet.
pub struct Unsynced {
    file: Arc<File>,
    entries: u64,
    lost: Counter,
}

/// So many entries are on the disk, as far as the system can say.
pub struct Synced(u64);

impl Unsynced {
    /// Waits until they are.
    pub fn sync(self) -> Synced {
        if let Err(error) = self.file.sync_data() {
            self.lost.inc();
            tracing::error!(%error, "what is remembered may not be on the disk");
        }
        Synced(self.entries)
    }
}

impl Journal {
    /// Reads what is remembered in a folder, which is made if it is not there.
    ///
    /// # Errors
    /// When nothing can be read or written there, or another process does.
    pub fn open(folder: &Path) -> Result<Self, FolderError> {
        let folder = OwnFolder::open(folder)?;
        let found = folder.read(FILE)?.map(|bytes| read(&bytes)).unwrap_or_default();
        let mut journal = Self {
            folder,
            file: None,
            bytes: 0,
            begun: 0,
            written: 0,
            synced: 0,
            failing: false,
            recalled: found.memory,
            halted: found.halted,
            lost: Counter::default(),
        };
        if found.damaged > 0 {
            let kept_as = journal.folder.keep_damaged(FILE)?;
            tracing::error!(
                lines = found.damaged,
                read = found.read,
                kept_as = %kept_as.display(),
                "what was remembered is damaged: the file is kept, and what can be read of it counts"
            );
        }
        let memory = journal.recalled.clone();
        journal.begin(&memory).map_err(|source| journal.folder.refused(source))?;
        Ok(journal)
    }

    /// What is remembered from before; empty the next time.
    pub fn recalled(&mut self) -> Memory {
        std::mem::take(&mut self.recalled)
    }

    /// Counts entries that may not have been kept.
    pub fn lost(&self) -> Counter {
        self.lost.clone()
    }

    /// Whether migrations are halted.
    pub fn is_halted(&self) -> bool {
        self.halted
    }

    /// Writes an entry down, given all that is remembered with it. What cannot be written is counted
    /// and logged, and the next entry begins the file anew.
    pub fn put(&mut self, entry: &Entry, memory: &Memory) {
        if let Entry::Halted(halted) = entry {
            self.halted = *halted;
        }
        let large = self.bytes > SMALL.max(4 * self.begun);
        let gone = self.file.as_deref().is_none_or(is_gone);
        let written = match self.failing || large || gone {
            true => self.begin(memory),
            false => self.append(entry),
        };
        match written {
            Ok(()) if self.failing => {
                self.failing = false;
                tracing::warn!("what is remembered is kept again");
            }
            Ok(()) => {}
            Err(error) => {
                self.lost.inc();
                if !self.failing {
                    tracing::error!(%error, "what is remembered is not kept: a restart forgets it");
                }
                self.failing = true;
            }
        }
    }

    /// The file, if it has entries that may not be on the disk.
    pub fn unsynced(&self) -> Option<Unsynced> {
        let file = self.file.clone().filter(|_| self.synced < self.written)?;
        Some(Unsynced { file, entries: self.written, lost: self.lost.clone() })
    }

    /// Those need not be brought there again.
    pub fn synced(&mut self, Synced(entries): Synced) {
        self.synced = self.synced.max(entries);
    }

    fn append(&mut self, entry: &Entry) -> io::Result<()> {
        let line = line(entry)?;
        let Some(mut file) = self.file.as_deref() else {
            return Err(io::ErrorKind::NotFound.into());
        };
        file.write_all(&line)?;
        self.bytes += line.len() as u64;
        self.written += 1;
        Ok(())
    }

    /// Begins the file anew; the old one stays until the new one is on the disk.
    fn begin(&mut self, memory: &Memory) -> io::Result<()> {
        let (format, halted) = (FORMAT.to_owned(), self.halted);
        let line = line(&Entry::Begin { format, memory: memory.clone(), halted })?;
        let file = self.folder.begin(FILE, &line)?;
        self.file = Some(Arc::new(file));
        (self.bytes, self.begun) = (line.len() as u64, line.len() as u64);
        self.synced = self.written;
        Ok(())
    }
}

/// What a file says.
#[derive(Debug, Default)]
struct Found {
    memory: Memory,
    halted: bool,
    read: usize,
    damaged: usize,
}

fn read(bytes: &[u8]) -> Found {
    let mut found = Found::default();
    let mut lines = whole_lines(bytes).peekable();
    // A file gets its name with its first line whole.
    found.damaged += usize::from(lines.peek().is_none());
    for line in lines {
        match entry(line) {
            Some(Entry::Begin { memory, halted, .. }) => {
                (found.memory, found.halted) = (memory, halted);
            }
            Some(Entry::Change(change)) => found.memory.apply(&change),
            Some(Entry::Halted(halted)) => found.halted = halted,
            None => {
                found.damaged += 1;
                continue;
            }
        }
        found.read += 1;
    }
    found
}

fn entry(line: &[u8]) -> Option<Entry> {
    match checked_line::entry(line)? {
        Entry::Begin { format, .. } if format != FORMAT => None,
        entry => Some(entry),
    }
}

#[cfg(test)]
mod tests;
