//! Simulated annealing of all processes, cooled geometrically.

use crate::reassignment_search::limits::Limits;
use crate::reassignment_search::walk::Walk;

/// First temperature, in mean changes of cost by a move ([`Walk::mean_change`]).
const HOT: f64 = 1.0;
/// The first temperature in units of the last.
const COOLING: f64 = 2000.0;
/// Last temperature where changes are small, in units of cost.
const COLD: f64 = 2.0;
/// Percentages of moves: processes sent home, chains and swaps; the rest are shifts. A transient
/// resource of a process that leaves is never free for others, so that a machine takes in only so
/// much over the whole search: room is made by sending home what came, which is seldom drawn by
/// chance where machines are many.
const HOMES: usize = 10;
const CHAINS: usize = 28;
const SWAPS: usize = 30;

/// Cools until the stage is over; returns the least cost met. `soft` says whether spreads and
/// dependencies may be broken on the way.
pub(super) fn run(walk: &mut Walk, soft: bool, limits: &Limits) -> i64 {
    walk.begin(soft);
    let hot = (walk.mean_change * HOT).max(COLD);
    let cold = (hot / COOLING).max(COLD);
    loop {
        let progress = limits.progress(walk.tried);
        if progress >= 1.0 {
            return walk.least_met();
        }
        walk.temperature = hot * (cold / hot).powf(progress);
        walk.round(limits.round(walk.tried), step);
    }
}

/// Tries one move of any process.
fn step(walk: &mut Walk) {
    let draw = walk.below(100);
    let p = walk.below(walk.processes());
    if draw < HOMES {
        let home = walk.home(p);
        walk.try_shift(p, home);
    } else if draw < HOMES + CHAINS {
        let q = walk.below(walk.processes());
        let home = walk.home(q);
        let third = if walk.machine(q) == home { walk.below(walk.machines()) } else { home };
        walk.try_chain(p, q, third);
    } else if draw < HOMES + CHAINS + SWAPS {
        let q = walk.below(walk.processes());
        walk.try_swap(p, q);
    } else {
        let to = walk.below(walk.machines());
        walk.try_shift(p, to);
    }
}
