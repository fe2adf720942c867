//! One step at a time: from the present state, the best single move or exchange by some measure.

pub mod best_move_or_swap;
pub mod best_single_move;
pub mod evacuate;
pub mod load_balancer;
pub mod queueing;
pub mod random;
pub mod stay;
pub mod threshold_rules;
