//! What a run uses of the machine: its device, memory and signals.

pub mod device;
pub mod memory;
pub mod signals;
