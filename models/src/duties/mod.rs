//! What has to be done whatever a policy thinks: nodes that close are emptied, and broken rules of
//! the input are mended.

mod duty;
mod first;
mod places;
#[cfg(test)]
mod tests;

pub(crate) use duty::ends_in_time;
pub use duty::{Duty, breaks_placement, purpose};
pub use first::DutiesFirst;
