//! CSV files with a header, plain or compressed by gzip, read whole.

use crate::input::InputError;
use flate2::bufread::MultiGzDecoder;
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read};
use std::path::Path;

/// A CSV file with a header.
pub(super) struct Table {
    file: String,
    columns: HashMap<String, usize>,
    /// In the file's order.
    pub(super) rows: Vec<csv::StringRecord>,
}

impl Table {
    pub(super) fn read(path: &Path, needed: &[&str]) -> Result<Self, InputError> {
        let file = path.display().to_string();
        let source = File::open(path)
            .map_err(|source| InputError::Unreadable { file: file.clone(), source })?;
        let source = plain(source)
            .map_err(|source| InputError::Unreadable { file: file.clone(), source })?;
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
        let rows = reader
            .records()
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| damaged(&file, &error))?;
        if rows.is_empty() {
            return Err(InputError::field(file, "line 2", "a row", "the end of the file"));
        }
        Ok(Self { file, columns, rows })
    }

    pub(super) fn text<'r>(&self, row: &'r csv::StringRecord, column: &str) -> &'r str {
        row.get(self.columns[column]).unwrap_or_default()
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
fn plain(file: File) -> std::io::Result<Box<dyn Read>> {
    let mut source = BufReader::new(file);
    let compressed = source.fill_buf()?.starts_with(&[0x1f, 0x8b]);
    Ok(if compressed { Box::new(MultiGzDecoder::new(source)) } else { Box::new(source) })
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
