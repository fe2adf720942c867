//! What a run uses of the machine: its device, memory and signals, and the terminal.

pub mod device;
pub mod memory;
pub mod progress;
pub mod signals;
