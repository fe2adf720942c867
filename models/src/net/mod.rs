//! Native forward pass of the policy networks: no libtorch and no allocation per call.
//!
//! [`NetworkSpec`] names the parameters and their shapes in one fixed order; the trainer, the
//! TorchScript export and this form all follow it, so a network is handed over as one flat
//! slice. All weights are stored `[inputs, outputs]`, row-major, and applied as `x @ W + b`.

mod alike;
pub mod backward;
mod fold;
pub mod forward;
mod kernels;
pub mod layout;
mod padded;
pub mod rate;
mod spec;
#[cfg(test)]
mod tests;

pub use alike::AlikeRows;
pub use fold::{fold, unfold};
pub use forward::first_best;
pub use forward::{Candidate, Mlp, Network, Relational};
pub use spec::{Architecture, FixedSize, NetworkSpec, SpecError};
