//! The first stage: simulated annealing of all processes, cooled geometrically.

use crate::reassignment_search::limits::Limits;
use crate::reassignment_search::walk::Walk;

/// First temperature, in typical changes of cost by a move.
const HOT: f64 = 0.3;
/// Last temperature, in units of cost: about the price of moving one process, the smallest step
/// that there is in the challenge's instances.
const COLD: f64 = 2.0;
/// Percentages of moves that are swaps and chains; the rest are shifts. A chain tries four changes
/// for one, so that few go far.
const SWAPS: usize = 47;
const CHAINS: usize = 3;

/// Cools until the stage is over.
pub(super) fn run(walk: &mut Walk, limits: &Limits) {
    let hot = (walk.scale * HOT).max(COLD);
    loop {
        let progress = limits.progress(walk.tried);
        if progress >= 1.0 {
            return;
        }
        walk.temperature = hot * (COLD / hot).powf(progress);
        walk.round(limits.round(walk.tried), step);
    }
}

/// Tries one move of any process.
fn step(walk: &mut Walk) {
    let draw = walk.below(100);
    let p = walk.below(walk.processes());
    if draw < SWAPS {
        let q = walk.below(walk.processes());
        walk.try_swap(p, q);
    } else if draw < SWAPS + CHAINS {
        let (q, third) = (walk.below(walk.processes()), walk.below(walk.machines()));
        walk.try_chain(p, q, third);
    } else {
        let to = walk.below(walk.machines());
        walk.try_shift(p, to);
    }
}
