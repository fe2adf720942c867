//! godwit: reinforcement-learning trainer for migration policies.

pub mod actor;
pub mod adam;
pub mod batch;
pub mod checkpoint;
pub mod cli;
pub mod config;
pub mod device;
pub mod doctor;
pub mod dqn;
pub mod evaluate;
pub mod export;
pub mod logging;
pub mod memory;
pub mod native;
pub mod networks;
pub mod paired;
pub mod replay;
pub mod report;
pub mod run;
pub mod schedule;
pub mod signals;
pub mod torch_ext;
pub mod trainer;
pub mod tuned;
