//! A search for good assignments of the machine-reassignment problem of the Google/ROADEF/EURO
//! challenge 2012 (<https://www.roadef.org/challenge/2012/en/>).
//!
//! Three stages share the time, one core and one seed. The first anneals all processes twice, briefly,
//! to find out whether constraints between processes may be broken on the way; the second gives
//! annealing most of the time (`anneal`). The third improves the best assignment with a large neighbourhood search
//! (`lns`): again and again a few machines are chosen, and only their processes are annealed. All
//! try the same moves: a *shift* moves one process, a *swap* trades the machines of two, a *chain*
//! moves one process to a machine and ejects another from there to a third (`walk`).
//!
//! Capacities and conflicts are kept by every move. Spreads and dependencies may be broken on the
//! way, for a price: where services hang together, the ways between good assignments lead through
//! broken ones. Where dependencies are so many that no way leads back, which the first stage tells,
//! they are kept, too. Only feasible assignments are ever returned.
//!
//! Temperatures come from what moves cost in the instance.
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

/// Share of a search that is over when both ways have been tried, and when annealing is over.
const TRIALS: f64 = 0.08;
const ANNEALING: f64 = 0.8;
/// How far constraints that may be broken may be behind after the trial, in shares of the cost: in
/// the long run they win most where they matter, and lose where the trial fails outright.
const HANDICAP: f64 = 0.05;

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
    let limits = Limits { start: Instant::now(), rules, from: 0.0, to: 1.0 };
    let solution = Solution::with_assignment(instance, start);
    if !solution.violations().none() {
        return Err(InfeasibleStart(solution.violations()));
    }
    let mut walk = Walk::new(solution, rules.seed);
    let soft = may_break(&mut walk, &limits);
    anneal::run(&mut walk, soft, &Limits { from: TRIALS, to: ANNEALING, ..limits });
    lns::run(&mut walk, &Limits { from: ANNEALING, ..limits });
    let (assignment, cost, iterations) = walk.finish();
    Ok(Found { assignment, cost, iterations, time: limits.start.elapsed() })
}

/// Whether spreads and dependencies may be broken on the way: tries both.
fn may_break(walk: &mut Walk, limits: &Limits) -> bool {
    let half = TRIALS / 2.0;
    let broken = anneal::run(walk, true, &Limits { to: half, ..*limits });
    let kept = anneal::run(walk, false, &Limits { from: half, to: TRIALS, ..*limits });
    broken as f64 <= kept as f64 * (1.0 + HANDICAP)
}

#[cfg(test)]
pub(crate) mod tests;
