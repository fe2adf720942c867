//! What each command does.

pub mod ask;
pub mod look;
pub mod run;
pub mod tell;
