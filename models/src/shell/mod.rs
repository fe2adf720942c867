//! The safety shell: what an operator asks of every plan is kept outside the network. The limits
//! reach the policy as fences of the state, so that it plans within them, and the finished plan is
//! checked again in another way ([`broken`]).

mod admission;
mod check;
mod limited;
mod memory;
mod quotas;
mod rules;
mod shelled;
mod stays;
#[cfg(test)]
mod tests;

pub use admission::Refusal;
pub use check::{Broken, broken, cooling};
pub use limited::{LeftOut, Shell};
pub use memory::{Carried, Change, Memory, span};
pub use rules::{Backoff, ShellRules, Window};
pub use shelled::Shelled;
pub use stays::{Stay, StayReason, Stays};
