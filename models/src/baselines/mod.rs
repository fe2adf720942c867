//! Heuristic policies: what a trained one has to beat.

pub mod annealing;
pub mod best_fit_decreasing;
pub mod best_move_or_swap;
pub mod best_single_move;
pub mod declaration;
pub mod evacuate;
pub mod genetic;
pub mod hold_down;
pub mod large_neighbourhood;
pub mod load_balancer;
pub mod low_node_utilization;
#[cfg(feature = "milp")]
pub mod milp;
pub mod overload_detection;
pub mod parameters;
pub mod particle_swarm;
pub mod planned;
pub mod queueing;
pub mod random;
pub mod receding_horizon;
pub mod sandpiper;
pub mod scan;
pub mod stay;
pub mod threshold_rules;
pub mod trial;
mod utilisation;
pub mod watcher_balance;
pub mod watcher_stabilization;

use crate::policy::Policy;
use overload_detection::{Detector, OverloadDetection};

pub use parameters::{Assignment, ParameterError, baseline_with};

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
    "sandpiper",
    "thr-mmt",
    "iqr-mmt",
    "mad-mmt",
    "lr-mmt",
    "queueing",
    "best-fit-decreasing",
    "annealing",
    "genetic",
    "particle-swarm",
    "large-neighbourhood",
    "best-single-move",
    "evacuate",
    "best-move-or-swap",
    "receding-horizon",
    #[cfg(feature = "milp")]
    "milp",
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
        "sandpiper" => Box::new(sandpiper::Sandpiper::default()),
        "thr-mmt" => Box::new(OverloadDetection::with(Detector::Threshold)),
        "iqr-mmt" => Box::new(OverloadDetection::with(Detector::IQR)),
        "mad-mmt" => Box::new(OverloadDetection::with(Detector::MAD)),
        "lr-mmt" => Box::new(OverloadDetection::with(Detector::LR)),
        "queueing" => Box::new(queueing::Queueing::default()),
        "best-fit-decreasing" => Box::new(best_fit_decreasing::BestFitDecreasing::default()),
        "annealing" => Box::new(annealing::Annealing::new(Default::default(), 0)),
        "genetic" => Box::new(genetic::Genetic::new(Default::default(), 0)),
        "particle-swarm" => Box::new(particle_swarm::ParticleSwarm::new(Default::default(), 0)),
        "large-neighbourhood" => {
            Box::new(large_neighbourhood::LargeNeighbourhood::new(Default::default(), 0))
        }
        "best-single-move" => Box::new(best_single_move::BestSingleMove::default()),
        "evacuate" => Box::new(evacuate::Evacuate::default()),
        "best-move-or-swap" => Box::new(best_move_or_swap::BestMoveOrSwap::default()),
        "receding-horizon" => Box::new(receding_horizon::RecedingHorizon::default()),
        #[cfg(feature = "milp")]
        "milp" => Box::new(milp::Milp::default()),
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
        "sandpiper" => "moves or exchanges what carries the most load per byte on the hottest node",
        "thr-mmt" => "relieves nodes above 0.8 of the workloads that move fastest, best fit",
        "iqr-mmt" => "as thr-mmt, with a threshold by the interquartile range of the history",
        "mad-mmt" => "as thr-mmt, with a threshold by the median absolute deviation of the history",
        "lr-mmt" => "as thr-mmt, where a local regression predicts an overload",
        "queueing" => "nodes as M/M/c queues: the move that lowers the mean response time most",
        "best-fit-decreasing" => "repacks by best-fit decreasing and plays the best of its moves",
        "genetic" => "grouping genetic algorithm over placements, played move by move",
        "particle-swarm" => "binary particle swarm over sets of moves, played move by move",
        "large-neighbourhood" => {
            "shifts, swaps, chains, destroy and repair of placements, played move by move"
        }
        "annealing" => "simulated annealing over shifts and exchanges, played move by move",
        "best-single-move" => {
            "the move that decreases the weighted objective most, net of its cost"
        }
        "evacuate" => "off draining and degraded nodes first, then the best single move",
        "best-move-or-swap" => "the best single move or exchange of two workloads, net of its cost",
        "receding-horizon" => {
            "the first move from which best single moves lead farthest, in the simulator"
        }
        #[cfg(feature = "milp")]
        "milp" => "static worlds: the best placement by integer programming (HiGHS), move by move",
        _ => return None,
    })
}

/// What a baseline remembers from one tick to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remembers {
    /// What it is.
    pub what: &'static str,
    /// The baseline that comes nearest to it and remembers nothing.
    pub instead: &'static str,
}

/// What this baseline has to remember from tick to tick to decide as it does in episodes; `None` for
/// those that look at the present state alone, which may be asked about one snapshot by itself.
pub fn remembers(name: &str) -> Option<Remembers> {
    let (what, instead) = match name {
        "threshold-rules" => ("which nodes are hot until they are released", "thr-mmt"),
        "hold-down" => ("for how long an imbalance has lasted", "watcher-stabilization"),
        "sandpiper" => ("for how long each node has been hot", "thr-mmt"),
        "iqr-mmt" | "mad-mmt" | "lr-mmt" => ("the nodes' utilisation in earlier ticks", "thr-mmt"),
        _ => return None,
    };
    Some(Remembers { what, instead })
}

#[cfg(test)]
mod detection_tests;
#[cfg(test)]
mod memory_tests;
#[cfg(test)]
mod planning_tests;
#[cfg(test)]
mod published_tests;
#[cfg(test)]
mod reassignment_tests;
#[cfg(test)]
mod tests;
