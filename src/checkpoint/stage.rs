//! A checkpoint in the making: a temporary directory whose files are hashed while they are
//! written, and the renames that put it in place; and the check of a finished one.

use super::error::CheckpointError;
use super::{FORMAT, names};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

/// `manifest.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    /// [`FORMAT`] of the writer.
    pub format: u32,
    /// Whether training can go on from it.
    pub resumable: bool,
    /// Every other file.
    pub files: BTreeMap<String, FileEntry>,
}

/// A file's size and digest.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileEntry {
    pub bytes: u64,
    pub sha256: String,
}

/// A temporary directory beside the checkpoint's final place; removed when dropped unfinished.
pub(super) struct Stage {
    path: PathBuf,
    manifest: Manifest,
    finished: bool,
}

impl Stage {
    /// An empty stage for the checkpoint `run/name`.
    pub fn new(run: &Path, name: &str, resumable: bool) -> Result<Self, CheckpointError> {
        let path = run.join(format!("{name}.tmp-{}", std::process::id()));
        if path.is_dir() {
            fs::remove_dir_all(&path).map_err(CheckpointError::io(&path, "remove"))?;
        }
        fs::create_dir(&path).map_err(CheckpointError::io(&path, "create"))?;
        let manifest = Manifest { format: FORMAT, resumable, files: BTreeMap::new() };
        Ok(Self { path, manifest, finished: false })
    }

    /// Writes a file with what `fill` sends, hashing it on the way, and syncs it.
    pub fn file(
        &mut self,
        name: &str,
        fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), CheckpointError> {
        let path = self.path.join(name);
        let entry = write_file(&path, fill).map_err(CheckpointError::io(&path, "write"))?;
        self.manifest.files.insert(name.to_owned(), entry);
        Ok(())
    }

    /// Writes the manifest and syncs everything. The stage is now a complete checkpoint.
    pub fn seal(&mut self) -> Result<(), CheckpointError> {
        write_manifest(&self.path.join(names::MANIFEST), &self.manifest)?;
        sync_directory(&self.path)
    }

    /// Puts the sealed stage at `run/name`; what was there goes to `run/kept`, whose former
    /// content is removed. A kill between the renames leaves a complete checkpoint under `kept`.
    pub fn place(mut self, run: &Path, name: &str, kept: &str) -> Result<(), CheckpointError> {
        let (target, kept) = (run.join(name), run.join(kept));
        let trash = run.join(format!("{name}.old.tmp-{}", std::process::id()));
        if trash.exists() {
            // Left by a removal that failed; a rename onto it would fail from now on.
            fs::remove_dir_all(&trash).map_err(CheckpointError::io(&trash, "remove"))?;
        }
        let mut displaced = false;
        if target.exists() {
            if kept.exists() {
                rename(&kept, &trash)?;
            }
            rename(&target, &kept)?;
            displaced = true;
        }
        if let Err(error) = rename(&self.path, &target) {
            if displaced {
                // Best effort: with or without this, a complete checkpoint is there.
                let _ = fs::rename(&kept, &target);
            }
            return Err(error);
        }
        self.finished = true;
        sync_directory(run)?;
        if trash.exists() {
            fs::remove_dir_all(&trash).map_err(CheckpointError::io(&trash, "remove"))?;
        }
        Ok(())
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if !self.finished {
            // A leftover is removed at the next start as well.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

fn write_manifest(path: &Path, manifest: &Manifest) -> Result<(), CheckpointError> {
    let written = write_file(path, |out| {
        serde_json::to_writer_pretty(&mut *out, manifest)?;
        out.write_all(b"\n")
    });
    written.map(|_| ()).map_err(CheckpointError::io(path, "write"))
}

/// Puts another manifest into a checkpoint, whole or not at all.
pub(super) fn replace_manifest(
    checkpoint: &Path,
    manifest: &Manifest,
) -> Result<(), CheckpointError> {
    let temporary = checkpoint.join(format!("{}.tmp-{}", names::MANIFEST, std::process::id()));
    write_manifest(&temporary, manifest)?;
    rename(&temporary, &checkpoint.join(names::MANIFEST))
}

fn write_file(
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<FileEntry> {
    let mut out = Hashed {
        out: BufWriter::with_capacity(1 << 20, File::create(path)?),
        hasher: Sha256::new(),
        bytes: 0,
    };
    fill(&mut out)?;
    out.flush()?;
    out.out.get_ref().sync_all()?;
    Ok(FileEntry { bytes: out.bytes, sha256: godwit_envs::hex(&out.hasher.finalize()) })
}

struct Hashed {
    out: BufWriter<File>,
    hasher: Sha256,
    bytes: u64,
}

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Renames, naming the source in the error.
pub(super) fn rename(from: &Path, to: &Path) -> Result<(), CheckpointError> {
    fs::rename(from, to).map_err(CheckpointError::io(from, "rename"))
}

/// Makes creations and renames in a directory durable.
pub(super) fn sync_directory(path: &Path) -> Result<(), CheckpointError> {
    File::open(path)
        .and_then(|directory| directory.sync_all())
        .map_err(CheckpointError::io(path, "sync"))
}

/// Reads a checkpoint's manifest and checks its version.
pub(super) fn read_manifest(checkpoint: &Path) -> Result<Manifest, CheckpointError> {
    let path = checkpoint.join(names::MANIFEST);
    let text = read(&path)?;
    let value: serde_json::Value = serde_json::from_slice(&text)
        .map_err(|error| CheckpointError::content(&path, "JSON", error))?;
    // The version first: other versions may well have other fields.
    match value.get("format").and_then(serde_json::Value::as_u64) {
        Some(format) if format == u64::from(FORMAT) => {}
        Some(format) => {
            let expected = format!("checkpoint format {FORMAT}");
            return Err(CheckpointError::content(&path, expected, format!("format {format}")));
        }
        None => return Err(CheckpointError::content(&path, "a field `format`", "none")),
    }
    serde_json::from_value(value)
        .map_err(|error| CheckpointError::content(&path, "a checkpoint manifest", error))
}

/// Checks that every file of a checkpoint is as it was written.
pub(super) fn verify(checkpoint: &Path) -> Result<Manifest, CheckpointError> {
    let manifest = read_manifest(checkpoint)?;
    for (name, entry) in &manifest.files {
        let path = checkpoint.join(name);
        if Path::new(name).components().count() != 1 || !path.starts_with(checkpoint) {
            let path = checkpoint.join(names::MANIFEST);
            return Err(CheckpointError::content(&path, "plain file names", format!("{name:?}")));
        }
        let mut file = open(&path)?;
        let failed = CheckpointError::io(&path, "read");
        let got = file.metadata().map_err(failed)?.len();
        if got != entry.bytes {
            return Err(CheckpointError::Size { path, expected: entry.bytes, got });
        }
        let got = digest(&mut file).map_err(CheckpointError::io(&path, "read"))?;
        if got != entry.sha256 {
            return Err(CheckpointError::Digest { path, expected: entry.sha256.clone(), got });
        }
    }
    Ok(manifest)
}

fn digest(file: &mut File) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(godwit_envs::hex(&hasher.finalize())),
            bytes => hasher.update(&buffer[..bytes]),
        }
    }
}

/// Opens a file of a checkpoint.
pub(super) fn open(path: &Path) -> Result<File, CheckpointError> {
    File::open(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => CheckpointError::Missing { path: path.to_owned() },
        _ => CheckpointError::Io { path: path.to_owned(), action: "open", source },
    })
}

/// Reads a whole file of a checkpoint.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, CheckpointError> {
    let mut bytes = Vec::new();
    open(path)?.read_to_end(&mut bytes).map_err(CheckpointError::io(path, "read"))?;
    Ok(bytes)
}
