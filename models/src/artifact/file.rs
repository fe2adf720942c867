//! Opening artifact files: regular ones of a bounded size alone, and without waiting for anybody.

use std::fs::{FileType, Metadata, OpenOptions};
use std::io::Read;
use std::path::Path;

use crate::artifact::error::Failure;

/// Largest artifact that is read.
pub const MAX_FILE_BYTES: u64 = 256 << 20;

/// The bytes of a file. Whatever the path leads to, this does not wait for a writer, and reads no
/// more than [`MAX_FILE_BYTES`].
pub(super) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    // Asked before it is opened, as opening a device may do something; what counts is what was
    // opened, which may be another file by then.
    check(&std::fs::metadata(path).map_err(Failure::File)?)?;
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NONBLOCK);
    let file = options.open(path).map_err(Failure::File)?;
    let found = file.metadata().map_err(Failure::File)?;
    check(&found)?;
    let mut bytes = Vec::with_capacity(found.len() as usize);
    // The file may grow meanwhile.
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(Failure::File)?;
    check_size(bytes.len() as u64)?;
    Ok(bytes)
}

fn check(found: &Metadata) -> Result<(), Failure> {
    if !found.is_file() {
        return Err(Failure::NotAFile { got: kind(found.file_type()) });
    }
    check_size(found.len())
}

fn check_size(bytes: u64) -> Result<(), Failure> {
    match bytes <= MAX_FILE_BYTES {
        true => Ok(()),
        false => Err(Failure::TooLarge { most: MAX_FILE_BYTES, got: bytes }),
    }
}

fn kind(found: FileType) -> &'static str {
    if found.is_dir() {
        return "a folder";
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if found.is_fifo() {
            return "a named pipe";
        }
        if found.is_char_device() || found.is_block_device() {
            return "a device";
        }
        if found.is_socket() {
            return "a socket";
        }
    }
    "something else"
}

#[cfg(all(test, unix))]
mod tests {
    use std::process::Command;
    use std::time::{Duration, Instant};

    use super::*;

    /// What reading this path is refused with, and quickly.
    fn refusal(path: &Path) -> String {
        let started = Instant::now();
        let error = read(path).expect_err("a refusal").to_string();
        assert!(started.elapsed() < Duration::from_secs(1), "{error}");
        error
    }

    #[test]
    fn only_regular_files_of_a_bounded_size_are_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        let pipe = path("pipe");
        assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
        assert_eq!(refusal(&pipe), "file: expected a regular file, got a named pipe");
        for (target, link, got) in [
            ("/dev/zero", "zero", "a device"),
            (folder.path().to_str().expect("text"), "up", "a folder"),
        ] {
            std::os::unix::fs::symlink(target, path(link)).expect("a link");
            assert_eq!(refusal(&path(link)), format!("file: expected a regular file, got {got}"));
        }
        let sparse = std::fs::File::create(path("sparse")).expect("a file");
        sparse.set_len(3 << 30).expect("a sparse file");
        assert_eq!(
            refusal(&path("sparse")),
            "file: expected at most 268435456 bytes, got 3221225472"
        );
        assert!(refusal(&path("none")).starts_with("cannot read or write the file"));
        std::fs::write(path("plain"), "bytes").expect("a file");
        std::os::unix::fs::symlink(path("plain"), path("link")).expect("a link");
        assert_eq!(read(&path("link")).expect("the bytes"), b"bytes");
    }
}
