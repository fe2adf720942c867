//! Heuristic policies: what a trained one has to beat.

pub mod best_single_move;
pub mod random;
pub mod scan;
pub mod stay;

use crate::policy::Policy;

/// Names of all baselines, the simplest first.
pub const NAMES: &[&str] = &["stay", "random", "best-single-move"];

/// The baseline with this name, with its default parameters.
pub fn baseline(name: &str) -> Option<Box<dyn Policy>> {
    Some(match name {
        "stay" => Box::new(stay::Stay),
        "random" => Box::new(random::Random::new(0)),
        "best-single-move" => Box::new(best_single_move::BestSingleMove::default()),
        _ => return None,
    })
}

/// What a baseline does, in one line.
pub fn describe(name: &str) -> Option<&'static str> {
    Some(match name {
        "stay" => "moves nothing",
        "random" => "uniform over all feasible moves and staying",
        "best-single-move" => "the move that decreases the weighted objective most, net of its cost",
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
