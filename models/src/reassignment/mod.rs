//! A search for good assignments of the machine-reassignment problem of the Google/ROADEF/EURO
//! challenge 2012 (<https://www.roadef.org/challenge/2012/en/>).
//!
//! Two stages share the time, one core and one seed. The first anneals all processes at once
//! ([`anneal`]) and ends in a good valley. The second improves the best assignment with a large
//! neighbourhood search ([`lns`]): again and again a few machines are chosen, and only their
//! processes are annealed. Both try the same three moves: a *shift* moves one process, a *swap*
//! trades the machines of two, a *chain* moves one process to a machine and ejects another from
//! there to a third ([`walk`]).
//!
//! Capacities and conflicts are kept by every move. Spreads and dependencies may be broken on the
//! way, for a price: where services hang together, the ways between good assignments lead through
//! broken ones. Only feasible assignments are ever returned.
//!
//! Limited by iterations alone, a search with the same seed always takes the same way.

mod anneal;
mod lns;
mod walk;

use godwit_envs::reassignment::{Instance, Solution, Violations};
use std::time::{Duration, Instant};
use walk::Walk;

/// Share of a search that belongs to the first stage. On the challenge's instances a1_1 to a1_5 the
/// second one wins little after that, and needs a good start.
const FIRST_STAGE: f64 = 0.3;

/// When a search ends, and what it draws. With both limits the first that is reached ends it, with
/// neither it returns the start.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct SearchRules {
    /// Seed of all that is drawn.
    pub seed: u64,
    /// Time after which it ends.
    pub time: Option<Duration>,
    /// Moves tried after which it ends.
    pub iterations: Option<u64>,
}

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

/// Where a stage of a search ends.
#[derive(Debug, Clone, Copy)]
struct Limits {
    start: Instant,
    rules: SearchRules,
    /// Share of the whole search that is over when the stage ends.
    share: f64,
}

impl Limits {
    /// What share of the way to the end of the stage is over after so many moves; 1 and above when
    /// the stage is over. The clock is read only where there is a limit of time.
    fn progress(&self, tried: u64) -> f64 {
        let moves = self.rules.iterations.map(|most| ratio(tried as f64, most as f64));
        let time = self
            .rules
            .time
            .map(|most| ratio(self.start.elapsed().as_secs_f64(), most.as_secs_f64()));
        match (moves, time) {
            (None, None) => 1.0,
            (moves, time) => moves.unwrap_or(0.0).max(time.unwrap_or(0.0)) / self.share,
        }
    }

    /// Moves that may be tried until progress is looked at again, after so many.
    fn round(&self, tried: u64) -> u64 {
        self.rules.iterations.map_or(ROUND, |most| ROUND.min(most.saturating_sub(tried)))
    }
}

/// Most moves between two looks at the progress: some tens of microseconds.
const ROUND: u64 = 512;

fn ratio(done: f64, whole: f64) -> f64 {
    if whole > 0.0 { done / whole } else { 1.0 }
}

#[cfg(test)]
mod data_tests;
#[cfg(test)]
mod tests;
