//! The commands that answer once, or line by line: each reads, decides and prints. `serve` has a
//! folder of its own.

pub mod bounded_lines;
pub mod decide_stream;
pub mod inspect;
pub mod observe;
pub mod replay_log;
