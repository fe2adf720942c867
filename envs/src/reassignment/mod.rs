//! The machine-reassignment problem of the Google/ROADEF/EURO challenge 2012, complete and exact.
//!
//! Processes run on machines and each belongs to a service. A better assignment is sought, starting
//! from the one in force, under hard constraints:
//!
//! - *capacity*: what the processes of a machine require stays within its capacity;
//! - *conflict*: processes of one service run on distinct machines;
//! - *spread*: the processes of a service run in at least so many distinct locations;
//! - *dependency*: where service a depends on b, each neighbourhood that holds a process of a holds
//!   one of b;
//! - *transient usage*: of a transient resource (disk, say) a moved process uses its requirement on
//!   its initial machine and on its final one.
//!
//! The cost is a weighted sum: load above the safety capacities, imbalance between resources, and
//! the costs of moving processes, services and machines ([`Cost`]). All of it is whole numbers.
//!
//! [`Instance`] reads the challenge's files, [`Solution`] is the state that a search works on (and
//! that a cluster under these constraints keeps), and
//! [`check()`] judges an assignment by the text of the challenge alone, sharing no code with either.

mod change;
mod check;
mod cost;
mod instance;
mod parse;
mod solution;
mod text;

pub use change::{Change, Constraint, Violations};
pub use check::{Verdict, Violation, check};
pub use cost::Cost;
pub use instance::{Balance, Instance, Machine, Process, Resource, Service, Weights};
pub use solution::Solution;

#[cfg(test)]
pub(crate) mod tests;
