//! A search for good assignments of the machine-reassignment problem of the Google/ROADEF/EURO
//! challenge 2012 (<https://www.roadef.org/challenge/2012/en/>).
//!
//! Two stages share the time, one core and one seed. The first anneals all processes at once
//! (`anneal`) and ends in a good valley. The second improves the best assignment with a large
//! neighbourhood search (`lns`): again and again a few machines are chosen, and only their
//! processes are annealed. Both try the same three moves: a *shift* moves one process, a *swap*
//! trades the machines of two, a *chain* moves one process to a machine and ejects another from
//! there to a third (`walk`).
//!
//! Capacities and conflicts are kept by every move. Spreads and dependencies may be broken on the
//! way, for a price: where services hang together, the ways between good assignments lead through
//! broken ones. Only feasible assignments are ever returned.
//!
//! Limited by iterations alone, a search with the same seed always takes the same way.

mod anneal;
mod limits;
mod lns;
mod walk;

use godwit_envs::reassignment::{Instance, Solution, Violations};
use limits::Limits;
use std::time::{Duration, Instant};
use walk::Walk;

pub use limits::SearchRules;

/// Share of a search that belongs to the first stage. On the challenge's instances a1_1 to a1_5 the
/// second one wins little after that, and needs a good start.
const FIRST_STAGE: f64 = 0.3;

/// What a search found.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The best feasible assignment, a machine for each process.
    pub assignment: Vec<u32>,
    /// Its cost.
    pub cost: i64,
    /// Moves tried.
    pub iterations: u64,
    /// Time it took.
    pub time: Duration,
}

/// Why a search did not start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("start of the search: expected a feasible assignment, got {0:?}")]
pub struct InfeasibleStart(pub Violations);

/// Searches from the initial assignment of an instance.
///
/// # Errors
/// When the initial assignment breaks a constraint.
pub fn search(instance: &Instance, rules: SearchRules) -> Result<Found, InfeasibleStart> {
    search_from(instance, instance.initial(), rules)
}

/// Searches from another assignment, such as where a policy got. Moves are still priced, and
/// transient demand counted, from the instance's initial one.
///
/// # Errors
/// When `start` breaks a constraint.
///
/// # Panics
/// When `start` does not name a machine for each process.
pub fn search_from(
    instance: &Instance,
    start: &[u32],
    rules: SearchRules,
) -> Result<Found, InfeasibleStart> {
    let limits = Limits { start: Instant::now(), rules, share: 1.0 };
    let solution = Solution::with_assignment(instance, start);
    if !solution.violations().none() {
        return Err(InfeasibleStart(solution.violations()));
    }
    let mut walk = Walk::new(solution, rules.seed);
    anneal::run(&mut walk, &Limits { share: FIRST_STAGE, ..limits });
    lns::run(&mut walk, &limits);
    let (assignment, cost, iterations) = walk.finish();
    Ok(Found { assignment, cost, iterations, time: limits.start.elapsed() })
}

#[cfg(test)]
mod tests;
