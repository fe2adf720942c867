//! How plans leave: to whoever still waits, one at a time, and remembered for a while.

pub mod caller;
pub mod desk;
pub mod recent_decisions;
