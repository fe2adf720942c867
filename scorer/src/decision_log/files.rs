//! Files of the log: appending, rotating, bringing to the disk.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::reader::{log_files, number_of};
use super::record::Limits;

/// File whose lock keeps a second writer out of the folder.
const LOCK: &str = "lock";

/// Why the log cannot be kept at all.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The folder, or a file in it, cannot be made.
    #[error("decision log {}: expected a folder to write to, got {source}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Another process writes there.
    #[error("decision log {}: expected a folder that no other process logs to, got one", .0.display())]
    InUse(PathBuf),
}

/// The files in a folder; the newest one grows.
#[derive(Debug)]
pub struct Files {
    folder: PathBuf,
    limits: Limits,
    max_bytes: u64,
    keep: usize,
    /// Whether files are to survive a loss of power.
    durable: bool,
    current: Option<Current>,
    next: u64,
    /// Why the file before, or the name of this one, may not be on the disk.
    unsynced: Option<io::Error>,
    /// Held for as long as this lives.
    _lock: File,
}

#[derive(Debug)]
struct Current {
    file: File,
    bytes: u64,
    /// Whether there is only the first line.
    fresh: bool,
    /// Whether part of a line is at the end and could not be cut off.
    torn: bool,
    /// Whether there is something that `sync` has not brought to the disk.
    dirty: bool,
}

impl Files {
    /// A log in this folder, which is made if it is not there. A new file is begun: what the last
    /// process left, a torn line perhaps, stays as it is.
    ///
    /// # Errors
    /// When nothing can be written there, or another process does.
    pub fn open(
        folder: &Path,
        limits: Limits,
        max_bytes: u64,
        keep: usize,
        durable: bool,
    ) -> Result<Self, LogError> {
        let refuse = |source| LogError::Folder { path: folder.to_owned(), source };
        fs::create_dir_all(folder).map_err(refuse)?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(folder.join(LOCK))
            .map_err(refuse)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(LogError::InUse(folder.to_owned())),
            Err(TryLockError::Error(source)) => return Err(refuse(source)),
        }
        let last = log_files(folder).map_err(refuse)?.last().and_then(|path| number_of(path));
        let mut files = Self {
            folder: folder.to_owned(),
            limits,
            max_bytes,
            keep,
            durable,
            current: None,
            next: last.map_or(1, |last| last + 1),
            unsynced: None,
            _lock: lock,
        };
        files.begin().map_err(refuse)?;
        Ok(files)
    }

    /// SHA-256 of the operator's limits.
    pub fn limits(&self) -> &str {
        &self.limits.sha256
    }

    /// Appends a line, whole or not at all.
    ///
    /// # Errors
    /// When it could not be written. The next line may be.
    pub fn append(&mut self, line: &[u8]) -> io::Result<()> {
        let size = line.len() as u64;
        let over = |current: &Current| {
            let full = current.bytes + size > self.max_bytes && !current.fresh;
            full || current.torn || is_gone(&current.file)
        };
        if self.current.as_ref().is_none_or(over) {
            self.begin()?;
        }
        match &mut self.current {
            Some(current) => current.append(line),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Brings to the disk what was written.
    ///
    /// # Errors
    /// When the system cannot say that it is there.
    pub fn sync(&mut self) -> io::Result<()> {
        match &mut self.current {
            Some(current) if self.durable => {
                self.unsynced.take().map_or(Ok(()), Err).and(current.sync())
            }
            _ => Ok(()),
        }
    }

    /// Begins another file, and removes the oldest ones when it is there: a full disk costs no
    /// record that was written before.
    fn begin(&mut self) -> io::Result<()> {
        let path = self.folder.join(format!("decisions-{:08}.jsonl", self.next));
        let mut options = OpenOptions::new();
        options.append(true).create_new(true);
        // Snapshots name what runs where: not for everyone on the machine.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o640);
        let file = options.open(&path)?;
        let mut current = Current { file, bytes: 0, fresh: true, torn: false, dirty: false };
        let header = self.limits.line().map_err(io::Error::from);
        if let Err(error) = header.and_then(|line| current.append(&line)) {
            // An empty file would be in the way of the next attempt.
            let _ = fs::remove_file(&path);
            return Err(error);
        }
        current.fresh = true;
        self.next += 1;
        let before = self.current.replace(current);
        if self.durable {
            let before = before.map_or(Ok(()), |mut before| before.sync());
            #[cfg(unix)]
            let before = before.and_then(|()| File::open(&self.folder)?.sync_all());
            self.unsynced = before.err();
        }
        let files = log_files(&self.folder)?;
        for old in &files[..files.len().saturating_sub(self.keep)] {
            if let Err(error) = fs::remove_file(old) {
                tracing::warn!(file = %old.display(), %error, "an old decision log stays");
            }
        }
        Ok(())
    }
}

impl Current {
    fn append(&mut self, line: &[u8]) -> io::Result<()> {
        let written = match self.file.write(line) {
            Ok(written) if written == line.len() => {
                self.bytes += written as u64;
                (self.fresh, self.dirty) = (false, true);
                return Ok(());
            }
            Ok(_) => Err(io::ErrorKind::StorageFull.into()),
            Err(error) => Err(error),
        };
        // Part of the line may be there, and the next one must not go on behind it.
        self.torn = self.file.set_len(self.bytes).is_err();
        written
    }

    fn sync(&mut self) -> io::Result<()> {
        if !self.dirty {
            return Ok(());
        }
        // Asked again after a failure, the system would only say that nothing is left to be done.
        self.dirty = false;
        self.file.sync_data()
    }
}

/// Whether the file has been removed, perhaps with its folder.
pub fn is_gone(file: &File) -> bool {
    #[cfg(unix)]
    let gone = file.metadata().is_ok_and(|file| std::os::unix::fs::MetadataExt::nlink(&file) == 0);
    #[cfg(not(unix))]
    let gone = file.metadata().is_err();
    gone
}
