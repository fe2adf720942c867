//! A report of an evaluation that can be read, mailed and archived: one page without outside
//! parts, and the same figures as JSON and CSV.
//!
//! [`data`] plays what the charts need, [`charts`] draw, [`page`] sets the page, [`csv`] writes the
//! tables for other programs. Nothing here touches the disk but to read logs of training runs:
//! [`files`] returns what is to be written.

pub mod axis;
pub mod charts;
pub mod csv;
pub mod data;
pub mod page;
pub mod rows;
pub mod svg;
pub mod table;

use data::Report;

/// Names of the files, in the order in which they are written: the page comes last, so that whoever
/// sees a new page finds its figures beside it.
pub const FILES: [&str; 4] = ["results.json", "results.csv", "episodes.csv", "index.html"];

/// What each of [`FILES`] holds.
///
/// # Errors
/// When a figure cannot be written as text.
pub fn files(report: &Report) -> anyhow::Result<[Vec<u8>; 4]> {
    let json = serde_json::to_string_pretty(report.evaluation)? + "\n";
    Ok([
        json.into_bytes(),
        csv::results(report.evaluation)?,
        csv::episodes(report.evaluation)?,
        page::page(report).into_bytes(),
    ])
}

#[cfg(test)]
mod tests;
