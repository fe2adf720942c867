//! The decision log: files of JSON lines in a folder, enough of each decision to make it again.
//!
//! Records go through a bounded queue to one thread, which alone touches the files (`writer`). Only
//! `record` knows how lines read, only `files` how they reach the disk, and only `reader` what a torn
//! one is.

mod files;
mod reader;
mod record;
mod writer;

pub use files::{Files, LogError, Rotation};
pub use reader::{Line, lines, log_files};
pub use record::{DecisionRecord, Event, FORMAT, HALT, Limits, Made, POLICY, Start};
pub use writer::{Counters, DecisionLog};
