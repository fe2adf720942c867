//! What is known of decisions and moves: the sum of the journal's records.

mod apply;
pub mod calibration;
mod known;
pub mod measurements;
pub mod moves;
pub mod plans;
pub mod record;

pub use known::{Ledger, OpenPlan};
