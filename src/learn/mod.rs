//! The update: what is computed from a batch, on which device, and what stops it.

pub mod adam;
pub mod backend;
pub mod cuda;
pub mod dqn;
pub mod error;
pub mod finite;
pub mod gradient;
pub mod margin;
pub mod native;
pub mod noisy;
pub mod stats;
pub mod times;
