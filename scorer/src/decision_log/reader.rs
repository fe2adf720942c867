//! Reading the log back, whatever state a process left it in.

use std::path::{Path, PathBuf};
use std::{fs, io};

/// What a piece of a file is.
#[derive(Debug)]
pub enum Line<'a> {
    /// A line that was written to its end.
    Whole(&'a str),
    /// The end of a file in the middle of a line: its process was killed, or the power failed.
    Torn,
    /// A line that is no text.
    NoText,
}

/// The lines of a file, numbered from 1.
pub fn lines(file: &[u8]) -> impl Iterator<Item = (usize, Line<'_>)> {
    let pieces = file.split_inclusive(|&byte| byte == b'\n');
    (1..).zip(pieces.map(|piece| match piece.strip_suffix(b"\n") {
        Some(line) => std::str::from_utf8(line).map_or(Line::NoText, Line::Whole),
        None => Line::Torn,
    }))
}

/// The log's files in a folder, the oldest first.
///
/// # Errors
/// When the folder cannot be read.
pub fn log_files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        files.extend(number_of(&path).map(|number| (number, path)));
    }
    files.sort();
    Ok(files.into_iter().map(|(_, path)| path).collect())
}

/// The number in the name of one of the log's files.
pub fn number_of(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?;
    name.strip_prefix("decisions-")?.strip_suffix(".jsonl")?.parse().ok()
}
