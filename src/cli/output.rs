//! Files and folders that commands write to.

use super::BadInput;
use anyhow::Context;
use serde::Serialize;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Makes the folder of `path` where there is none and checks that a file can be written in it; what
/// is there now stays as it is.
pub(super) fn writable_file(path: &Path) -> anyhow::Result<()> {
    let refused = |got: String| {
        BadInput(format!("--out {}: expected a file to write, got {got}", path.display()))
    };
    if path.is_dir() {
        return Err(refused("a folder".into()).into());
    }
    let folder = folder_of(path);
    std::fs::create_dir_all(&folder).map_err(|error| {
        let folder = folder.display();
        refused(format!("a folder {folder} that cannot be made: {error}"))
    })?;
    tempfile::Builder::new()
        .prefix(".godwit-")
        .suffix(".tmp")
        .tempfile_in(folder)
        .map_err(|error| refused(error.to_string()))?;
    Ok(())
}

/// Makes a folder where there is none and checks that these files can be written in it; what is
/// there now stays as it is.
pub(super) fn writable_folder(flag: &str, folder: &Path, files: &[&str]) -> anyhow::Result<()> {
    let refused = |got: String| {
        BadInput(format!("{flag} {}: expected a folder to write to, got {got}", folder.display()))
    };
    if folder.exists() && !folder.is_dir() {
        return Err(refused("a file".into()).into());
    }
    std::fs::create_dir_all(folder).map_err(|error| refused(error.to_string()))?;
    if let Some(taken) = files.iter().find(|file| folder.join(file).is_dir()) {
        return Err(refused(format!("one in which {taken} is a folder")).into());
    }
    tempfile::Builder::new()
        .prefix(".godwit-")
        .suffix(".tmp")
        .tempfile_in(folder)
        .map_err(|error| refused(error.to_string()))?;
    Ok(())
}

/// Writes a whole file or nothing.
pub(super) fn write_file(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    writable_file(path)?;
    let write = || -> anyhow::Result<()> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(".godwit-").suffix(".tmp");
        // Temporary files are private by default; this becomes an ordinary file.
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            builder.permissions(std::fs::Permissions::from_mode(0o666));
        }
        let mut file = builder.tempfile_in(folder_of(path))?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    };
    write().with_context(|| path.display().to_string())
}

fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// A word of a command line that a shell takes as it is.
pub(super) fn word(text: String) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.,=/".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

/// Prints one JSON document on standard output.
pub(super) fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    print(&serde_json::to_string_pretty(value)?)
}

/// Prints text on standard output. A reader that closes early (`| head`) is no failure.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    match writeln!(std::io::stdout(), "{}", text.trim_end()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other.context("standard output"),
    }
}
