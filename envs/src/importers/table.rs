//! CSV files with a header, plain or compressed by gzip, read whole.

use crate::input::InputError;
use flate2::bufread::MultiGzDecoder;
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{BufRead as _, BufReader, Cursor, Read};
use std::path::Path;

/// What other files begin with: at which byte, what they are, and what to do with them.
const OTHER_FORMATS: &[(usize, &[u8], &str)] = &[
    (0, b"PAR1", "a Parquet file (write it as CSV first)"),
    (0, b"ORC", "an ORC file (write it as CSV first)"),
    (0, b"ARROW1", "an Arrow file (write it as CSV first)"),
    (0, b"SQLite format 3", "an SQLite database (write a table of it as CSV first)"),
    (257, b"ustar", "a tar archive (unpack it and name one of its files)"),
    (0, b"PK\x03\x04", "a zip archive (unpack it and name one of its files)"),
    (0, &[0x28, 0xb5, 0x2f, 0xfd], "a file compressed by zstd (decompress it first)"),
    (0, &[0xfd, b'7', b'z', b'X', b'Z'], "a file compressed by xz (decompress it first)"),
    (0, b"BZh", "a file compressed by bzip2 (decompress it first)"),
];

/// Bytes of a file that show what it is.
const HEAD: u64 = 512;

/// A CSV file with a header.
pub(super) struct Table {
    file: String,
    columns: HashMap<String, usize>,
    /// In the file's order.
    pub(super) rows: Vec<csv::StringRecord>,
}

impl Table {
    /// Reads a table that has at least these columns; the first damaged row is an error.
    pub(super) fn read(path: &Path, needed: &[&str]) -> Result<Self, InputError> {
        let (table, damaged) = Self::read_rows(path, needed)?;
        damaged.into_iter().next().map_or(Ok(table), Err)
    }

    /// [`Table::read`] of the rows that are sound, at least one, and what is wrong with the others.
    pub(super) fn read_rows(
        path: &Path,
        needed: &[&str],
    ) -> Result<(Self, Vec<InputError>), InputError> {
        let file = path.display().to_string();
        let source = File::open(path)
            .map_err(|source| InputError::Unreadable { file: file.clone(), source })?;
        let source = plain(source, &file)?;
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(source);
        let header = reader.headers().map_err(|error| damaged(&file, &error))?.clone();
        let columns: HashMap<String, usize> = header.iter().map(str::to_owned).zip(0..).collect();
        if let Some(missing) = needed.iter().find(|name| !columns.contains_key(**name)) {
            let got = crate::input::shorten(&header.iter().collect::<Vec<_>>().join(","));
            return Err(InputError::field(
                file,
                "line 1",
                format!("a column {missing}"),
                format!("{got:?}"),
            ));
        }
        let (mut rows, mut bad) = (Vec::new(), Vec::new());
        for row in reader.records() {
            match row {
                Ok(row) => rows.push(row),
                // Behind an error of the disk, or of the compression, nothing more can be read.
                Err(error) if error.is_io_error() => return Err(damaged(&file, &error)),
                Err(error) => bad.push(damaged(&file, &error)),
            }
        }
        if rows.is_empty() {
            let end = || InputError::field(file, "line 2", "a row", "the end of the file");
            return Err(bad.into_iter().next().unwrap_or_else(end));
        }
        Ok((Self { file, columns, rows }, bad))
    }

    pub(super) fn text<'r>(&self, row: &'r csv::StringRecord, column: &str) -> &'r str {
        row.get(self.columns[column]).unwrap_or_default()
    }

    /// The text of a column that the file need not have; empty where it has none.
    pub(super) fn optional<'r>(&self, row: &'r csv::StringRecord, column: &str) -> &'r str {
        self.columns.get(column).and_then(|&at| row.get(at)).unwrap_or_default()
    }

    pub(super) fn fail<T>(
        &self,
        row: &csv::StringRecord,
        column: &str,
        expected: &str,
        got: &str,
    ) -> Result<T, InputError> {
        let line = row.position().map_or(0, csv::Position::line);
        let got = format!("{:?}", crate::input::shorten(got));
        Err(InputError::field(&self.file, format!("line {line}: {column}"), expected, got))
    }

    /// A unique name.
    pub(super) fn name<'s>(
        &'s self,
        row: &'s csv::StringRecord,
        column: &str,
        seen: &mut HashSet<&'s str>,
    ) -> Result<String, InputError> {
        let name = self.text(row, column);
        if name.is_empty() || !seen.insert(name) {
            return self.fail(row, column, "a name of its own", name);
        }
        Ok(name.to_owned())
    }

    /// A number within these bounds.
    pub(super) fn real(
        &self,
        row: &csv::StringRecord,
        column: &str,
        [least, most]: [f64; 2],
    ) -> Result<f64, InputError> {
        let text = self.text(row, column);
        match text.parse() {
            Ok(x) if (least..=most).contains(&x) => Ok(x),
            _ => self.fail(row, column, &format!("a number from {least} to {most}"), text),
        }
    }

    /// A whole number of at most `most`.
    pub(super) fn number(
        &self,
        row: &csv::StringRecord,
        column: &str,
        most: u64,
    ) -> Result<u64, InputError> {
        let text = self.text(row, column);
        match text.parse() {
            Ok(x) if x <= most => Ok(x),
            _ => self.fail(row, column, &format!("a whole number from 0 to {most}"), text),
        }
    }
}

/// The text of a file that may be compressed by gzip, whatever its name.
///
/// # Errors
/// When it cannot be read, or is of a format that holds no CSV, or only after another program.
fn plain(source: File, file: &str) -> Result<Box<dyn Read>, InputError> {
    let unreadable = |source| InputError::Unreadable { file: file.to_owned(), source };
    let mut source = BufReader::new(source);
    let compressed = source.fill_buf().map_err(unreadable)?.starts_with(&[0x1f, 0x8b]);
    let mut source: Box<dyn Read> =
        if compressed { Box::new(MultiGzDecoder::new(source)) } else { Box::new(source) };
    let mut head = Vec::new();
    // A damaged file says so when its rows are read.
    let _ = source.by_ref().take(HEAD).read_to_end(&mut head);
    let is = |&&(at, magic, _): &&(usize, &[u8], &str)| {
        head.get(at..).is_some_and(|rest| rest.starts_with(magic))
    };
    if let Some((.., other)) = OTHER_FORMATS.iter().find(is) {
        let expected = "CSV, plain or compressed by gzip";
        return Err(InputError::field(file, "the whole file", expected, *other));
    }
    Ok(Box::new(Cursor::new(head).chain(source)))
}

pub(super) fn damaged(file: &str, error: &csv::Error) -> InputError {
    let line = error.position().map_or(1, csv::Position::line) as usize;
    let message = match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("{len} columns where the header has {expected_len}")
        }
        csv::ErrorKind::Utf8 { .. } => "bytes that are not UTF-8".to_owned(),
        _ => crate::input::shorten(&error.to_string()),
    };
    InputError::Syntax { file: file.to_owned(), line, format: "CSV", message }
}
