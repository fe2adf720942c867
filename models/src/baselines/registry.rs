//! The list of baselines: one row for each.
//!
//! Whoever lists, describes, builds or tunes baselines by name takes it from here.

use crate::baselines::greedy::{
    best_move_or_swap, best_single_move, evacuate, load_balancer, queueing, random, stay,
    threshold_rules,
};
use crate::baselines::parameters::{Assignment, ParameterError, Tunable};
use crate::baselines::published::overload_detection::{self, Detector, OverloadDetection};
use crate::baselines::published::{
    hold_down, low_node_utilization, sandpiper, watcher_balance, watcher_stabilization,
};
#[cfg(feature = "milp")]
use crate::baselines::search::integer_programming;
use crate::baselines::search::{
    annealing, best_fit_decreasing, chains, genetic, large_neighbourhood, particle_swarm,
    receding_horizon,
};
use crate::policy::Policy;

/// One baseline.
#[derive(Debug, Clone, Copy)]
pub struct Baseline {
    /// Its name in tables, settings and on the command line; also that of its policy.
    pub name: &'static str,
    /// What it does, in one line.
    pub description: &'static str,
    /// Where it comes from: system, or authors, venue and year; `None` where nobody has published
    /// it, as far as we know. The file says more.
    pub source: Option<&'static str>,
    /// What it has to remember from tick to tick to decide as it does in episodes; `None` for those
    /// that look at the present state alone, which may be asked about one snapshot by itself.
    pub remembers: Option<Remembers>,
    /// Builds it with its default parameters. Those that draw at random draw as for seed 0 until
    /// they are reset.
    policy: fn() -> Box<dyn Policy>,
    /// Its parameters; `None` where there is nothing to tune.
    parameters: Option<fn() -> Box<dyn Tunable>>,
}

/// What a baseline remembers from one tick to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remembers {
    /// What it is.
    pub what: &'static str,
    /// The baseline that comes nearest to it and remembers nothing.
    pub instead: &'static str,
}

impl Baseline {
    /// The policy with its default parameters.
    pub fn policy(&self) -> Box<dyn Policy> {
        (self.policy)()
    }

    /// Its parameters as data; `None` where it has none.
    pub fn declaration(&self) -> Option<Box<dyn Tunable>> {
        self.parameters.map(|declaration| declaration())
    }
}

/// What those that judge a node by its history remember.
const HISTORY: Option<Remembers> =
    Some(Remembers { what: "the nodes' utilisation in earlier ticks", instead: "thr-mmt" });

/// Where the four that relieve overloaded nodes by minimum migration time come from.
const BELOGLAZOV: Option<&str> =
    Some("Beloglazov and Buyya, Concurrency and Computation: Practice and Experience 2012");

/// All baselines, the simplest first.
pub const BASELINES: &[Baseline] = &[
    Baseline {
        name: "stay",
        description: "moves nothing",
        source: None,
        remembers: None,
        policy: || Box::new(stay::Stay),
        parameters: None,
    },
    Baseline {
        name: "random",
        description: "uniform over all feasible moves and staying",
        source: None,
        remembers: None,
        policy: || Box::new(random::Random::new(0)),
        parameters: None,
    },
    Baseline {
        name: "load-balancer",
        description: "largest workload of the most loaded node to the least loaded that fits",
        source: None,
        remembers: None,
        policy: || Box::new(load_balancer::LoadBalancer::default()),
        parameters: Some(|| Box::new(load_balancer::declaration())),
    },
    Baseline {
        name: "threshold-rules",
        description: "relieves nodes above a high-water mark, with hysteresis",
        source: Some("after Beloglazov et al., Future Generation Computer Systems 2012"),
        remembers: Some(Remembers {
            what: "which nodes are hot until they are released",
            instead: "thr-mmt",
        }),
        policy: || Box::new(threshold_rules::ThresholdRules::default()),
        parameters: Some(|| Box::new(threshold_rules::declaration())),
    },
    Baseline {
        name: "low-node-utilization",
        description: "Kubernetes descheduler: from nodes far above the mean to nodes far below",
        source: Some("kubernetes-sigs/descheduler, plugin LowNodeUtilization"),
        remembers: None,
        policy: || Box::new(low_node_utilization::LowNodeUtilization::default()),
        parameters: Some(|| Box::new(low_node_utilization::declaration())),
    },
    Baseline {
        name: "watcher-workload-balance",
        description: "OpenStack Watcher: takes the excess over the mean off overloaded nodes",
        source: Some("openstack/watcher, strategy workload_balance"),
        remembers: None,
        policy: || Box::new(watcher_balance::WatcherBalance::default()),
        parameters: Some(|| Box::new(watcher_balance::declaration())),
    },
    Baseline {
        name: "watcher-stabilization",
        description: "OpenStack Watcher: the move after which utilisations deviate least",
        source: Some("openstack/watcher, strategy workload_stabilization"),
        remembers: None,
        policy: || Box::new(watcher_stabilization::WatcherStabilization::default()),
        parameters: Some(|| Box::new(watcher_stabilization::declaration())),
    },
    Baseline {
        name: "hold-down",
        description: "like Proxmox: the most balancing move once an imbalance has lasted",
        source: Some("Proxmox VE, the HA manager's cluster resource scheduler"),
        remembers: Some(Remembers {
            what: "for how long an imbalance has lasted",
            instead: "watcher-stabilization",
        }),
        policy: || Box::new(hold_down::HoldDown::default()),
        parameters: Some(|| Box::new(hold_down::declaration())),
    },
    Baseline {
        name: "sandpiper",
        description: "moves or exchanges what carries the most load per byte on the hottest node",
        source: Some("Wood et al., NSDI 2007"),
        remembers: Some(Remembers {
            what: "for how long each node has been hot",
            instead: "thr-mmt",
        }),
        policy: || Box::new(sandpiper::Sandpiper::default()),
        parameters: Some(|| Box::new(sandpiper::declaration())),
    },
    Baseline {
        name: "thr-mmt",
        description: "relieves nodes above 0.8 of the workloads that move fastest, best fit",
        source: BELOGLAZOV,
        remembers: None,
        policy: || Box::new(OverloadDetection::with(Detector::Threshold)),
        parameters: Some(|| Box::new(overload_detection::declaration(Detector::Threshold))),
    },
    Baseline {
        name: "iqr-mmt",
        description: "as thr-mmt, with a threshold by the interquartile range of the history",
        source: BELOGLAZOV,
        remembers: HISTORY,
        policy: || Box::new(OverloadDetection::with(Detector::IQR)),
        parameters: Some(|| Box::new(overload_detection::declaration(Detector::IQR))),
    },
    Baseline {
        name: "mad-mmt",
        description: "as thr-mmt, with a threshold by the median absolute deviation of the history",
        source: BELOGLAZOV,
        remembers: HISTORY,
        policy: || Box::new(OverloadDetection::with(Detector::MAD)),
        parameters: Some(|| Box::new(overload_detection::declaration(Detector::MAD))),
    },
    Baseline {
        name: "lr-mmt",
        description: "as thr-mmt, where a local regression predicts an overload",
        source: BELOGLAZOV,
        remembers: HISTORY,
        policy: || Box::new(OverloadDetection::with(Detector::LR)),
        parameters: Some(|| Box::new(overload_detection::declaration(Detector::LR))),
    },
    Baseline {
        name: "queueing",
        description: "nodes as M/M/c queues: the move that lowers the mean response time most",
        source: Some("Kleinrock, Queueing systems, volume 1, 1975"),
        remembers: None,
        policy: || Box::new(queueing::Queueing::default()),
        parameters: Some(|| Box::new(queueing::declaration())),
    },
    Baseline {
        name: "best-fit-decreasing",
        description: "repacks by best-fit decreasing and plays the best of its moves",
        source: Some("Johnson, MIT 1973; Coffman, Garey and Johnson, SIAM J. on Computing 1978"),
        remembers: None,
        policy: || Box::new(best_fit_decreasing::BestFitDecreasing::default()),
        parameters: Some(|| Box::new(best_fit_decreasing::declaration())),
    },
    Baseline {
        name: "annealing",
        description: "simulated annealing over shifts and exchanges, played move by move",
        source: Some("Kirkpatrick, Gelatt and Vecchi, Science 1983"),
        remembers: None,
        policy: || Box::new(annealing::Annealing::new(Default::default(), 0)),
        parameters: Some(|| Box::new(annealing::declaration())),
    },
    Baseline {
        name: "genetic",
        description: "grouping genetic algorithm over placements, played move by move",
        source: Some("Falkenauer, Journal of Heuristics 1996"),
        remembers: None,
        policy: || Box::new(genetic::Genetic::new(Default::default(), 0)),
        parameters: Some(|| Box::new(genetic::declaration())),
    },
    Baseline {
        name: "particle-swarm",
        description: "binary particle swarm over sets of moves, played move by move",
        source: Some("Kennedy and Eberhart, IEEE Systems, Man and Cybernetics 1997"),
        remembers: None,
        policy: || Box::new(particle_swarm::ParticleSwarm::new(Default::default(), 0)),
        parameters: Some(|| Box::new(particle_swarm::declaration())),
    },
    Baseline {
        name: "large-neighbourhood",
        description: "shifts, swaps, chains, destroy and repair of placements, played move by move",
        source: Some("Shaw, CP 1998; Pisinger and Ropke, Handbook of Metaheuristics 2010"),
        remembers: None,
        policy: || Box::new(large_neighbourhood::LargeNeighbourhood::new(Default::default(), 0)),
        parameters: Some(|| Box::new(large_neighbourhood::declaration())),
    },
    Baseline {
        name: "chains",
        description: "sets that leave a node together, swaps, ejections: what pays only as a whole",
        source: Some("after Glover, Discrete Applied Mathematics 1996 (ejection chains)"),
        remembers: None,
        policy: || Box::new(chains::Chains::default()),
        parameters: Some(|| Box::new(chains::declaration())),
    },
    Baseline {
        name: "best-single-move",
        description: "the move that decreases the weighted objective most, net of its cost",
        source: Some("Gavranovic, Buljubasic and Demirovic, machine reassignment, 2012 (shift)"),
        remembers: None,
        policy: || Box::new(best_single_move::BestSingleMove::default()),
        parameters: Some(|| Box::new(best_single_move::declaration())),
    },
    Baseline {
        name: "evacuate",
        description: "off draining and degraded nodes first, then the best single move",
        source: None,
        remembers: None,
        policy: || Box::new(evacuate::Evacuate::default()),
        parameters: Some(|| Box::new(evacuate::declaration())),
    },
    Baseline {
        name: "best-move-or-swap",
        description: "the best single move or exchange of two workloads, net of its cost",
        source: Some("Gavranovic, Buljubasic and Demirovic, machine reassignment, 2012 (swap)"),
        remembers: None,
        policy: || Box::new(best_move_or_swap::BestMoveOrSwap::default()),
        parameters: Some(|| Box::new(best_move_or_swap::declaration())),
    },
    Baseline {
        name: "receding-horizon",
        description: "the first move from which best single moves lead farthest, in the simulator",
        source: Some("Bertsekas, Tsitsiklis and Wu, Journal of Heuristics 1997"),
        remembers: None,
        policy: || Box::new(receding_horizon::RecedingHorizon::default()),
        parameters: Some(|| Box::new(receding_horizon::declaration())),
    },
    #[cfg(feature = "milp")]
    Baseline {
        name: "milp",
        description: "static worlds: the best placement by integer programming (HiGHS), move by move",
        source: None,
        remembers: None,
        policy: || Box::new(integer_programming::Milp::default()),
        parameters: None,
    },
];

/// Names of all baselines, the simplest first.
pub const NAMES: &[&str] = &{
    let mut names = [""; BASELINES.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = BASELINES[at].name;
        at += 1;
    }
    names
};

/// The row of this name.
pub fn find(name: &str) -> Option<&'static Baseline> {
    BASELINES.iter().find(|baseline| baseline.name == name)
}

/// The baseline with this name, with its default parameters.
pub fn baseline(name: &str) -> Option<Box<dyn Policy>> {
    find(name).map(Baseline::policy)
}

/// The baseline with this name, with its default parameters but for these.
///
/// # Errors
/// When there is no such baseline, it has no such parameter, or a value is out of its range or
/// does not go with the others.
pub fn baseline_with(name: &str, values: &Assignment) -> Result<Box<dyn Policy>, ParameterError> {
    let error = |parameter: Option<String>, expected: String, got: String| ParameterError {
        baseline: name.to_owned(),
        parameter,
        expected,
        got,
    };
    let Some(found) = find(name) else {
        let expected = format!("one of {}", NAMES.join(", "));
        return Err(error(None, expected, "an unknown name".into()));
    };
    match (found.declaration(), values.keys().next()) {
        (Some(declaration), _) => declaration
            .build(values)
            .map_err(|refusal| error(Some(refusal.parameter), refusal.expected, refusal.got)),
        (None, Some(key)) => Err(error(Some(key.clone()), "no parameters".into(), "one".into())),
        (None, None) => Ok(found.policy()),
    }
}
