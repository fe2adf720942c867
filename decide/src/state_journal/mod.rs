//! What is remembered, in a folder of its own: a journal that is appended to, and begun anew from
//! time to time.
//!
//! Each line is the start of the SHA-256 of what follows it, and an entry as JSON. The first line of a
//! file is all that was remembered when it was begun; a new file gets its name only once it is on the
//! disk. A line without its end is what a killed process leaves, and was answered to nobody. Anything
//! else that cannot be read is damage: the file is kept under another name, and what can be read of it
//! goes on.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use godwit_models::shell::{Change, Memory};
use prometheus_client::metrics::counter::Counter;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::removed_file::is_gone;

/// Name and version of the format.
const FORMAT: &str = "godwit-state/1";

/// The journal in its folder.
const FILE: &str = "memory.journal";

/// A journal that is being begun.
const NEW: &str = "memory.journal.new";

/// File whose lock keeps a second writer out of the folder.
const LOCK: &str = "lock";

/// Characters of the checksum.
const SUM: usize = 16;

/// A file smaller than this is not begun anew.
const SMALL: u64 = 64 << 10;

/// Why nothing can be kept there.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The folder, or a file in it, cannot be made or read.
    #[error("state {}: expected a folder to write to, got {source}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Another process writes there.
    #[error("state {}: expected a folder that no other process keeps its state in, got one", .0.display())]
    InUse(PathBuf),
}

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
    folder: PathBuf,
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
    /// Held for as long as this lives.
    _lock: File,
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
    pub fn open(folder: &Path) -> Result<Self, JournalError> {
        let refuse = |source| JournalError::Folder { path: folder.to_owned(), source };
        fs::create_dir_all(folder).map_err(refuse)?;
        let lock = options().create(true).truncate(false).write(true).open(folder.join(LOCK));
        let lock = lock.map_err(refuse)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(JournalError::InUse(folder.to_owned())),
            Err(TryLockError::Error(source)) => return Err(refuse(source)),
        }
        let path = folder.join(FILE);
        let found = match fs::read(&path) {
            Ok(bytes) => read(&bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Found::default(),
            Err(source) => return Err(refuse(source)),
        };
        let mut journal = Self {
            folder: folder.to_owned(),
            file: None,
            bytes: 0,
            begun: 0,
            written: 0,
            synced: 0,
            failing: false,
            recalled: found.memory,
            halted: found.halted,
            lost: Counter::default(),
            _lock: lock,
        };
        if found.damaged > 0 {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let kept_as = folder.join(format!("{FILE}.damaged-{}", now.as_micros()));
            // A copy: should this process end now, the next one finds the file in its place.
            fs::copy(&path, &kept_as).map_err(refuse)?;
            tracing::error!(
                lines = found.damaged,
                read = found.read,
                kept_as = %kept_as.display(),
                "what was remembered is damaged: the file is kept, and what can be read of it counts"
            );
        }
        let memory = journal.recalled.clone();
        journal.begin(&memory).map_err(refuse)?;
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
        let path = self.folder.join(NEW);
        let _ = fs::remove_file(&path);
        let mut file = options().append(true).create_new(true).open(&path)?;
        file.write_all(&line)?;
        file.sync_all()?;
        fs::rename(&path, self.folder.join(FILE))?;
        #[cfg(unix)]
        File::open(&self.folder)?.sync_all()?;
        self.file = Some(Arc::new(file));
        (self.bytes, self.begun) = (line.len() as u64, line.len() as u64);
        self.synced = self.written;
        Ok(())
    }
}

/// Files name what runs where: not for everyone on the machine.
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o640);
    options
}

fn line(entry: &Entry) -> io::Result<Vec<u8>> {
    let json = serde_json::to_string(entry)?;
    Ok(format!("{} {json}\n", sum(json.as_bytes())).into_bytes())
}

fn sum(text: &[u8]) -> String {
    let mut sum = godwit_envs::hex(&Sha256::digest(text));
    sum.truncate(SUM);
    sum
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
    // What follows the last line break was never answered.
    let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    // A file gets its name with its first line whole.
    found.damaged += usize::from(whole == 0);
    for line in bytes[..whole].split_inclusive(|&byte| byte == b'\n') {
        match entry(&line[..line.len() - 1]) {
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
    let (check, json) = (line.get(..SUM)?, line.get(SUM + 1..)?);
    if check != sum(json).as_bytes() {
        return None;
    }
    let entry = serde_json::from_slice(json).ok()?;
    match &entry {
        Entry::Begin { format, .. } if format != FORMAT => None,
        _ => Some(entry),
    }
}

#[cfg(test)]
mod tests;
