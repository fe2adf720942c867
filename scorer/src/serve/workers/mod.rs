//! The threads that decide, and who may have one.

pub mod admission;
pub mod job_queue;
pub mod pool;
