//! Files of the log: appending, rotating, bringing to the disk.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use godwit_decide::removed_file::is_gone;

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

/// How large files and folder grow, and for how long files are kept.
#[derive(Debug, Clone, Copy)]
pub struct Rotation {
    /// Bytes of a file, if it has more than one record.
    pub max_bytes: u64,
    /// Age of a file to which records are still added.
    pub max_age: Option<Duration>,
    /// Files, and as many times `max_bytes` of all of them together: the oldest make room, but none
    /// whose last record is younger than `keep_for`. Of such there may be more, if they are small.
    pub keep: usize,
    /// Least age to which records are kept.
    pub keep_for: Duration,
}

/// The files in a folder; the newest one grows.
#[derive(Debug)]
pub struct Files {
    folder: PathBuf,
    limits: Limits,
    rotation: Rotation,
    /// Whether files are to survive a loss of power.
    durable: bool,
    current: Option<Current>,
    next: u64,
    /// Bytes of all other files.
    others: u64,
    /// Why the file before, or the name of this one, may not be on the disk.
    unsynced: Option<io::Error>,
    /// Held for as long as this lives.
    _lock: File,
}

#[derive(Debug)]
struct Current {
    file: File,
    begun: Instant,
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
        rotation: Rotation,
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
            rotation,
            durable,
            current: None,
            next: last.map_or(1, |last| last + 1),
            others: 0,
            unsynced: None,
            _lock: lock,
        };
        // A folder that is full of young files keeps nobody from starting: the first line has room.
        let (old, _) = files.surplus(0, true).map_err(refuse)?;
        files.begin().map_err(refuse)?;
        files.remove(&old);
        Ok(files)
    }

    /// SHA-256 of the operator's limits.
    pub fn limits(&self) -> &str {
        &self.limits.sha256
    }

    /// Most bytes of all files together.
    pub fn bound(&self) -> u64 {
        self.rotation.max_bytes.saturating_mul(self.rotation.keep as u64)
    }

    /// Least age to which records are kept.
    pub fn keep_for(&self) -> Duration {
        self.rotation.keep_for
    }

    /// Appends a line, whole or not at all.
    ///
    /// # Errors
    /// When it could not be written, with the kind `QuotaExceeded` where records that must be kept
    /// take all the room. The next line may be.
    pub fn append(&mut self, line: &[u8]) -> io::Result<()> {
        let size = line.len() as u64;
        let Rotation { max_bytes, max_age, .. } = self.rotation;
        let over = |current: &Current| {
            let full = current.bytes + size > max_bytes;
            let old = max_age.is_some_and(|age| current.begun.elapsed() >= age);
            (full || old) && !current.fresh || current.torn || is_gone(&current.file)
        };
        let new = self.current.as_ref().is_none_or(over);
        let grown = self.current.as_ref().map_or(0, |current| current.bytes) + size;
        let old = if new || self.others + grown > self.bound() {
            let header = if new { self.limits.line()?.len() as u64 } else { 0 };
            let (old, fits) = self.surplus(header + size, new)?;
            if !fits {
                return Err(io::ErrorKind::QuotaExceeded.into());
            }
            old
        } else {
            Vec::new()
        };
        if new {
            self.begin()?;
        }
        // Only now: a full disk costs no record that was written before.
        self.remove(&old);
        match &mut self.current {
            Some(current) => current.append(line),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// The oldest files, as far as they have to go before `size` more bytes are written, and whether
    /// there is room for these then; `new` if another file is begun for them.
    fn surplus(&mut self, size: u64, new: bool) -> io::Result<(Vec<PathBuf>, bool)> {
        let mut files = match log_files(&self.folder) {
            // It may be made again, or not: whoever begins a file will see.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            files => files?,
        };
        let growing = if new { None } else { files.pop() };
        let grown = if growing.is_some() { self.current.as_ref() } else { None };
        let now = SystemTime::now();
        let files: Vec<(PathBuf, u64, bool)> = files
            .into_iter()
            // Someone else may have removed it just now.
            .filter_map(|path| {
                let found = fs::metadata(&path).ok()?;
                let removable = self.is_old(found.modified().ok()?, now);
                Some((path, found.len(), removable))
            })
            .collect();
        self.others = files.iter().map(|(_, bytes, _)| bytes).sum();
        let mut total = self.others + grown.map_or(0, |current| current.bytes) + size;
        let mut count = files.len() + 1;
        let mut old = Vec::new();
        for (path, bytes, removable) in files {
            let over = count > self.rotation.keep || total > self.bound();
            if !(over && removable) {
                break;
            }
            (total, count) = (total - bytes, count - 1);
            old.push(path);
        }
        // A record that is larger than all that may be kept is kept alone.
        let alone = count == 1 && grown.is_none_or(|current| current.fresh);
        Ok((old, total <= self.bound() || alone))
    }

    /// Whether a file that was last written to then need not be kept. One from a far future says
    /// nothing of its age, and must not be kept until then.
    fn is_old(&self, modified: SystemTime, now: SystemTime) -> bool {
        let age = now.duration_since(modified).unwrap_or_else(|ahead| ahead.duration());
        age >= self.rotation.keep_for
    }

    fn remove(&mut self, old: &[PathBuf]) {
        for old in old {
            let bytes = fs::metadata(old).map_or(0, |file| file.len());
            match fs::remove_file(old) {
                Ok(()) => self.others = self.others.saturating_sub(bytes),
                Err(error) => {
                    tracing::warn!(file = %old.display(), %error, "an old decision log stays");
                }
            }
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

    /// Begins another file.
    fn begin(&mut self) -> io::Result<()> {
        let path = self.folder.join(format!("decisions-{:08}.jsonl", self.next));
        let mut options = OpenOptions::new();
        options.append(true).create_new(true);
        // Snapshots name what runs where: not for everyone on the machine.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o640);
        let file = options.open(&path)?;
        let mut current = Current {
            file,
            begun: Instant::now(),
            bytes: 0,
            fresh: true,
            torn: false,
            dirty: false,
        };
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
