//! The update: what is computed from a batch, on which device, and what stops it.

pub mod adam;
pub mod cuda;
pub mod dqn;
pub mod finite;
pub mod margin;
pub mod native;
pub mod noisy;
