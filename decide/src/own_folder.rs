//! A folder that one process writes to at a time, and files that get their names once they are whole.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// File whose lock keeps a second writer out of the folder.
const LOCK: &str = "lock";

/// Why nothing can be kept there.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
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

/// A folder that nobody else writes to for as long as this lives.
#[derive(Debug)]
pub struct OwnFolder {
    path: PathBuf,
    _lock: File,
}

impl OwnFolder {
    /// Takes a folder, which is made if it is not there.
    ///
    /// # Errors
    /// When nothing can be written there, or another process does.
    pub fn open(path: &Path) -> Result<Self, FolderError> {
        let refuse = |source| FolderError::Folder { path: path.to_owned(), source };
        fs::create_dir_all(path).map_err(refuse)?;
        let lock = options().create(true).truncate(false).write(true).open(path.join(LOCK));
        let lock = lock.map_err(refuse)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(FolderError::InUse(path.to_owned())),
            Err(TryLockError::Error(source)) => Err(refuse(source)),
        }
    }

    /// Where a file of this name is.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// What a file holds; nothing where there is none.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(&self, name: &str) -> Result<Option<Vec<u8>>, FolderError> {
        match fs::read(self.file(name)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(self.refused(source)),
        }
    }

    /// Copies a damaged file to a name of its own, which is given back: should this process end now,
    /// the next one finds the file in its place.
    ///
    /// # Errors
    /// When it cannot be copied.
    pub fn keep_damaged(&self, name: &str) -> Result<PathBuf, FolderError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let kept_as = self.file(&format!("{name}.damaged-{}", now.as_micros()));
        fs::copy(self.file(name), &kept_as).map_err(|source| self.refused(source))?;
        Ok(kept_as)
    }

    /// Begins a file anew with these bytes; the old one stays until the new one is on the disk. The
    /// file is left open, to append to.
    ///
    /// # Errors
    /// When it cannot be written; then the old file is as it was.
    pub fn begin(&self, name: &str, bytes: &[u8]) -> io::Result<File> {
        let new = self.file(&format!("{name}.new"));
        let _ = fs::remove_file(&new);
        let mut file = options().append(true).create_new(true).open(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&new, self.file(name))?;
        #[cfg(unix)]
        File::open(&self.path)?.sync_all()?;
        Ok(file)
    }

    /// The error that names this folder.
    pub fn refused(&self, source: io::Error) -> FolderError {
        FolderError::Folder { path: self.path.clone(), source }
    }
}

/// Files name what runs where: not for everyone on the machine.
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o640);
    options
}
