//! What a policy sees of a state: features, candidates, masks, and the replay's compact form.

pub mod candidates;
pub mod chains;
pub mod compact;
pub mod encoder;
pub mod features;
pub mod normalisation;
mod observation;
pub mod ranges;
mod ranking;
pub mod schema;
pub mod sections;
mod space;

pub use observation::{ObservationBuffer, Parts};
pub use space::ObservationSpace;
