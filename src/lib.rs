//! godwit: reinforcement-learning trainer for migration policies.

pub mod checkpoint;
pub mod cli;
pub mod config;
pub mod distributed;
pub mod doctor;
pub mod evaluate;
pub mod experience;
pub mod export;
pub mod learn;
pub mod logging;
pub mod machine;
pub mod networks;
pub mod policies;
pub mod report;
pub mod sweep;
pub mod torch_ext;
pub mod train;
