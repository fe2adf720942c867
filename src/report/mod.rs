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
pub mod svg;
pub mod table;

use crate::evaluate::{Evaluation, PolicyResult};
use data::Report;
use serde_json::Value;

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

/// The rows of the page with their ranks by return, from 1: the user's policy (the first
/// `--policy`) first, the others by return.
pub fn ranked(evaluation: &Evaluation) -> Vec<(usize, &PolicyResult)> {
    let mut rows: Vec<(usize, &PolicyResult)> = (1..).zip(&evaluation.policies).collect();
    rows.sort_by_key(|(_, policy)| Some(&policy.name) != evaluation.reference.as_ref());
    rows
}

/// Which parameters a baseline played with, where the evaluation says so.
fn parameters(policy: &PolicyResult) -> Option<String> {
    match serde_json::to_value(policy).ok()?.get("parameters")? {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

#[cfg(test)]
mod tests;
