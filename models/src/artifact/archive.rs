//! The zip archive around an artifact, and its seal.
//!
//! libtorch writes the archive. Checksums inside a zip cover the contents of the entries but not
//! names, offsets, padding or the directory, so the file is *sealed* after the export: its
//! archive comment becomes `godwit-sha256:` and the SHA-256, in 64 lower-case digits, of all
//! bytes before these digits. libtorch, Python's `zipfile` and other readers skip the comment,
//! and any changed or lost byte shows.

use std::io::{self, Cursor, Read};
use std::path::Path;

use sha2::{Digest, Sha256};
use zip::ZipArchive;
use zip::read::{ArchiveOffset, Config};

use crate::artifact::error::{ArtifactError, Failure};
use crate::artifact::file::MAX_FILE_BYTES;

/// What the archive comment starts with.
const SEAL_PREFIX: &[u8] = b"godwit-sha256:";

/// Digits of a SHA-256 in hex.
const SEAL_DIGITS: usize = 64;

/// Length of a zip's end record without its comment; the last two bytes hold the length of the
/// comment.
const END_RECORD: usize = 22;

/// First bytes of a zip's end record.
const END_SIGNATURE: &[u8] = b"PK\x05\x06";

/// SHA-256 in lower-case hex.
pub(super) fn sha256(bytes: &[u8]) -> String {
    godwit_envs::hex(&Sha256::digest(bytes))
}

/// Reads every entry in full, which checks its CRC, then the seal; gives the contents of the
/// entries `wanted`, which are paths below the archive's folder.
pub(super) fn read_entries<const W: usize>(
    bytes: &[u8],
    wanted: [&'static str; W],
) -> Result<[Vec<u8>; W], Failure> {
    // libtorch starts the archive at the file's first byte: nothing to be guessed.
    let config = Config { archive_offset: ArchiveOffset::Known(0) };
    let mut archive =
        ZipArchive::with_config(config, Cursor::new(bytes)).map_err(Failure::Archive)?;
    let mut found = wanted.map(|_| Vec::new());
    let mut counts = [0; W];
    // Others, among them code that libtorch compresses, may not keep us busy for ever.
    let mut left = MAX_FILE_BYTES;
    for index in 0..archive.len() {
        let entry = archive.by_index(index).map_err(Failure::Archive)?;
        let name = entry.name().map_err(Failure::Archive)?.into_owned();
        let below = name.split_once('/').map_or("", |(_, below)| below);
        let read = match wanted.iter().position(|wanted| *wanted == below) {
            Some(w) => {
                counts[w] += 1;
                found[w].clear();
                // Stored uncompressed: never longer than the file, whatever the entry states.
                entry.take(bytes.len() as u64 + 1).read_to_end(&mut found[w]).map(drop)
            }
            None => io::copy(&mut entry.take(left + 1), &mut io::sink()).and_then(|read| {
                let more = || io::Error::other(format!("expected at most {MAX_FILE_BYTES} bytes"));
                left = left.checked_sub(read).ok_or_else(more)?;
                Ok(())
            }),
        };
        read.map_err(|source| Failure::Entry { entry: name, source })?;
    }
    check_seal(bytes)?;
    match wanted.into_iter().zip(counts).find(|(_, count)| *count != 1) {
        Some((name, count)) => Err(Failure::EntryCount { name, count }),
        None => Ok(found),
    }
}

/// Compares the bytes with the seal at their end.
fn check_seal(bytes: &[u8]) -> Result<(), Failure> {
    let at = bytes.len().checked_sub(SEAL_DIGITS).ok_or(Failure::Unsealed)?;
    let (sealed, digits) = bytes.split_at(at);
    if !sealed.ends_with(SEAL_PREFIX) {
        return Err(Failure::Unsealed);
    }
    let computed = sha256(sealed);
    if computed.as_bytes() == digits {
        return Ok(());
    }
    Err(Failure::Seal { expected: String::from_utf8_lossy(digits).into_owned(), computed })
}

/// [`seal`] for the bytes of a file.
///
/// # Errors
/// When they do not end like an archive that has no comment.
pub fn seal_bytes(bytes: &mut Vec<u8>) -> Result<(), Failure> {
    let not_a_plain_end = || {
        Failure::Archive(zip::result::ZipError::InvalidArchive(
            "expected an end record without a comment at the end of the file".into(),
        ))
    };
    let at = bytes.len().checked_sub(END_RECORD).ok_or_else(not_a_plain_end)?;
    let end = &bytes[at..];
    if !end.starts_with(END_SIGNATURE) || !end.ends_with(&[0, 0]) {
        return Err(not_a_plain_end());
    }
    let comment = (SEAL_PREFIX.len() + SEAL_DIGITS) as u16;
    bytes.truncate(at + END_RECORD - 2);
    bytes.extend(comment.to_le_bytes());
    bytes.extend(SEAL_PREFIX);
    let digits = sha256(bytes);
    bytes.extend(digits.as_bytes());
    Ok(())
}

/// Seals a file that libtorch has just written. The file is written in place: seal it before it
/// is renamed to its final name.
pub fn seal(path: &Path) -> Result<(), ArtifactError> {
    let fail = |failure| ArtifactError { path: path.to_owned(), failure: Box::new(failure) };
    let mut bytes = std::fs::read(path).map_err(|error| fail(Failure::File(error)))?;
    seal_bytes(&mut bytes).map_err(fail)?;
    std::fs::write(path, bytes).map_err(|error| fail(Failure::File(error)))
}
