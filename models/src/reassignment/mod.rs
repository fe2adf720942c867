//! A search for good assignments of the machine-reassignment problem.
//!
//! Simulated annealing in cycles over three neighbourhoods: a *shift* moves one process, a *swap*
//! trades the machines of two, a *chain* moves one process to a machine and ejects another from
//! there to a third. Capacities and conflicts are always kept at the end of a move. Spreads and
//! dependencies may be broken on the way, for a price that rises while the search finds no feasible
//! assignment and falls while it does: where services hang together, the ways between good
//! assignments lead through broken ones. Only feasible assignments are ever returned.
//!
//! One core, seeded. Limited by iterations alone, a search always takes the same way.

mod anneal;

use anneal::Annealer;
use godwit_envs::reassignment::{Instance, Solution, Violations};
use std::time::{Duration, Instant};

/// When a search ends, and what it draws. With neither limit it returns the start.
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
#[error("initial assignment: expected a feasible one, got {0:?}")]
pub struct InfeasibleStart(pub Violations);

/// Searches from the initial assignment of an instance.
///
/// # Errors
/// When the initial assignment breaks a constraint.
pub fn search(instance: &Instance, rules: SearchRules) -> Result<Found, InfeasibleStart> {
    let start = Instant::now();
    let solution = Solution::new(instance);
    if !solution.violations().none() {
        return Err(InfeasibleStart(solution.violations()));
    }
    let mut annealer = Annealer::new(solution, rules.seed);
    let mut begin = 0.0;
    for (end, heat) in anneal::CYCLES {
        annealer.cycle(heat, |iterations| {
            let iterations = rules.iterations.map(|most| ratio(iterations as f64, most as f64));
            let time =
                rules.time.map(|most| ratio(start.elapsed().as_secs_f64(), most.as_secs_f64()));
            let done = match (iterations, time) {
                (None, None) => 1.0,
                (iterations, time) => iterations.unwrap_or(0.0).max(time.unwrap_or(0.0)),
            };
            (done - begin) / (end - begin)
        });
        begin = end;
    }
    let (assignment, cost, iterations) = annealer.finish();
    Ok(Found { assignment, cost, iterations, time: start.elapsed() })
}

fn ratio(done: f64, whole: f64) -> f64 {
    if whole > 0.0 { done / whole } else { 1.0 }
}
