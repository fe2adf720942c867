//! godwit: reinforcement-learning trainer for migration policies.

pub mod actor;
pub mod adam;
pub mod batch;
pub mod config;
pub mod device;
pub mod doctor;
pub mod dqn;
pub mod networks;
pub mod paired;
pub mod replay;
pub mod schedule;
pub mod torch_ext;
pub mod trainer;
