//! godwit: reinforcement-learning trainer for migration policies.

pub mod device;
pub mod doctor;
pub mod torch_ext;
