//! The rows of the page, in order.

use godwit_evaluate::{Evaluation, PolicyResult};
use serde_json::Value;

/// The rows of the page with their ranks by return, from 1: the user's policy (the first
/// `--policy`) first, the others by return.
pub fn ranked(evaluation: &Evaluation) -> Vec<(usize, &PolicyResult)> {
    let mut rows: Vec<(usize, &PolicyResult)> = (1..).zip(&evaluation.policies).collect();
    rows.sort_by_key(|(_, policy)| Some(&policy.name) != evaluation.reference.as_ref());
    rows
}

/// Which parameters a baseline played with, where the evaluation says so.
pub(super) fn parameters(policy: &PolicyResult) -> Option<String> {
    match serde_json::to_value(policy).ok()?.get("parameters")? {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}
