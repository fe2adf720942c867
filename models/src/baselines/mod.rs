//! Heuristic policies: what a trained one has to beat.

pub mod best_move_or_swap;
pub mod best_single_move;
pub mod hold_down;
pub mod load_balancer;
pub mod low_node_utilization;
pub mod random;
pub mod scan;
pub mod stay;
pub mod threshold_rules;
pub mod watcher_balance;
pub mod watcher_stabilization;

use crate::policy::Policy;

/// Names of all baselines, the simplest first.
pub const NAMES: &[&str] = &[
    "stay",
    "random",
    "load-balancer",
    "threshold-rules",
    "low-node-utilization",
    "watcher-workload-balance",
    "watcher-stabilization",
    "hold-down",
    "best-single-move",
    "best-move-or-swap",
];

/// The baseline with this name, with its default parameters.
pub fn baseline(name: &str) -> Option<Box<dyn Policy>> {
    Some(match name {
        "stay" => Box::new(stay::Stay),
        "random" => Box::new(random::Random::new(0)),
        "load-balancer" => Box::new(load_balancer::LoadBalancer::default()),
        "threshold-rules" => Box::new(threshold_rules::ThresholdRules::default()),
        "low-node-utilization" => Box::new(low_node_utilization::LowNodeUtilization::default()),
        "watcher-workload-balance" => Box::new(watcher_balance::WatcherBalance::default()),
        "watcher-stabilization" => Box::new(watcher_stabilization::WatcherStabilization::default()),
        "hold-down" => Box::new(hold_down::HoldDown::default()),
        "best-single-move" => Box::new(best_single_move::BestSingleMove::default()),
        "best-move-or-swap" => Box::new(best_move_or_swap::BestMoveOrSwap::default()),
        _ => return None,
    })
}

/// What a baseline does, in one line.
pub fn describe(name: &str) -> Option<&'static str> {
    Some(match name {
        "stay" => "moves nothing",
        "random" => "uniform over all feasible moves and staying",
        "load-balancer" => "largest workload of the most loaded node to the least loaded that fits",
        "threshold-rules" => "relieves nodes above a high-water mark, with hysteresis",
        "low-node-utilization" => {
            "Kubernetes descheduler: from nodes far above the mean to nodes far below"
        }
        "watcher-workload-balance" => {
            "OpenStack Watcher: takes the excess over the mean off overloaded nodes"
        }
        "watcher-stabilization" => {
            "OpenStack Watcher: the move after which utilisations deviate least"
        }
        "hold-down" => "like Proxmox: the most balancing move once an imbalance has lasted",
        "best-single-move" => {
            "the move that decreases the weighted objective most, net of its cost"
        }
        "best-move-or-swap" => "the best single move or exchange of two workloads, net of its cost",
        _ => return None,
    })
}

#[cfg(test)]
mod published_tests;
#[cfg(test)]
mod tests;
