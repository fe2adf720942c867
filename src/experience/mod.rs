//! What is learnt from: transitions in the replay, demonstrations, comparisons, paired rewards.

pub mod comparisons;
pub mod demonstrations;
pub mod paired;
pub mod priorities;
pub mod replay;
