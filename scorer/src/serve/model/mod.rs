//! The artifact that decides now, and the next one.

pub mod live_model;
pub mod takeover;
