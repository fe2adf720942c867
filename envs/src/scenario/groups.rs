//! Groups of nodes and workloads, and how demand changes.

use crate::episode::churn::Arrivals;
use crate::state::places::Spread;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Nodes that are alike.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NodeGroup {
    /// Name; nodes of a group of more than one are called `NAME-0`, `NAME-1`, ...
    pub name: String,
    /// How many.
    #[serde(default = "one")]
    #[schemars(range(min = 1))]
    pub count: u32,
    /// Node class, for example a GPU model.
    #[serde(default = "default_class")]
    pub class: String,
    /// Zone or rack label.
    #[serde(default)]
    pub zone: String,
    /// Supply per resource kind, 0 or more and at least one above 0; kinds left out are 0.
    pub supply: BTreeMap<String, f32>,
    /// Link bandwidth, GiB/s.
    #[serde(default = "default_bandwidth")]
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub bandwidth_gib_s: f32,
    /// Most workloads that each of them may have; no limit if left out. While a migration runs, both
    /// nodes have the workload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_workloads: Option<u32>,
}

/// Workloads drawn alike.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkloadGroup {
    /// Name; workloads of a group of more than one are called `NAME-0`, `NAME-1`, ...
    pub name: String,
    /// How many.
    #[serde(default = "one")]
    #[schemars(range(min = 1))]
    pub count: u32,
    /// Base demand per resource kind, 0 or more; kinds left out are 0.
    pub demand: BTreeMap<String, Amount>,
    /// State that a migration copies, GiB, 0 or more.
    #[serde(default = "default_state")]
    pub state_gib: Amount,
    /// Rate at which a running workload dirties its state, GiB/s.
    #[serde(default)]
    #[schemars(range(min = 0.0))]
    pub dirty_gib_s: f32,
    /// Weight of this workload's downtime and waiting time.
    #[serde(default = "one_f32")]
    #[schemars(range(min = 0.0))]
    pub priority: f32,
    /// Node classes it may run on; empty for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<String>,
    /// Nodes, or groups of nodes, that it may run on, by name; empty for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<String>,
    /// Workloads that name the same group never share a node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anti_affinity: Option<String>,
    /// How evenly the workloads of a group have to be spread over the zones. Nodes without a zone are
    /// one zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spread: Option<Spread>,
    /// Workloads that name the same group never share a zone. Nodes without a zone are one zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone_anti_affinity: Option<String>,
    /// Whether it may be migrated.
    #[serde(default = "yes")]
    pub movable: bool,
    /// Node it starts on (`start.placement = "listed"`); none for who comes later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// How its demand changes over time.
    #[serde(default)]
    pub process: DemandProcess,
    /// How the group's workloads come and go (online scenarios); they stay if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arrivals: Option<Arrivals>,
}

/// A number, or a range `[least, most]` that each workload draws from.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Amount {
    /// The same for all.
    Fixed(f32),
    /// Uniform in `[least, most]`.
    Range([f32; 2]),
}

/// How a workload's demand changes over time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum DemandProcess {
    /// Always the base demand.
    #[default]
    Constant,
    /// `base * max(0, 1 + amplitude sin(2 pi (t / period + phase)) + noise)`.
    Diurnal {
        /// Ticks per period.
        #[schemars(range(min = 1))]
        period_ticks: u32,
        /// Relative swing around the base, 0 to 10.
        amplitude: Amount,
        /// Share of a period by which the wave leads, -1 to 1.
        phase: Amount,
        /// Standard deviation of the relative noise.
        #[serde(default)]
        #[schemars(range(min = 0.0, max = 1.0))]
        noise: f32,
        /// Share of a tick's noise that carries over to the next (AR(1)), 0 to below 1.
        #[serde(default)]
        #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1))]
        persistence: f32,
        /// Resource kinds that follow the wave; empty for all.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        resources: Vec<String>,
    },
    /// Base demand, and `peak` times it in bursts: a Markov chain of two states (Gilbert, 1960).
    Bursty {
        /// Factor on the base demand during a burst, 0 to 100.
        peak: Amount,
        /// Chance per tick that a burst begins, above 0, up to 1.
        #[schemars(range(max = 1.0), extend("exclusiveMinimum" = 0))]
        start_per_tick: f32,
        /// Chance per tick that a burst ends, above 0, up to 1.
        #[schemars(range(max = 1.0), extend("exclusiveMinimum" = 0))]
        stop_per_tick: f32,
        /// Resource kinds that follow the bursts; empty for all.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        resources: Vec<String>,
    },
    /// Base demand times recorded factors, such as utilisations of requests.
    Trace {
        /// Series of factors (0 to 100), one per tick of the trace: the group's first workload follows the
        /// first, the second the second, and from the first again when there are no more. Episodes
        /// play the parts that `start.windows` states, else each the ticks from 0 on.
        series: Vec<Vec<f32>>,
        /// Resource kinds that follow the series; empty for all.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        resources: Vec<String>,
    },
}

impl DemandProcess {
    /// The process of the `index`-th workload of a group: as the group's, with only the series
    /// that it follows.
    pub(super) fn of(&self, index: u32) -> Self {
        match self {
            Self::Trace { series, resources } => Self::Trace {
                series: vec![series[index as usize % series.len()].clone()],
                resources: resources.clone(),
            },
            other => other.clone(),
        }
    }
}

impl WorkloadGroup {
    /// Whether none of its workloads is there at tick 0.
    pub(super) fn comes_later(&self) -> bool {
        match &self.arrivals {
            Some(Arrivals::Trace { arrives, .. }) => !arrives.contains(&0),
            Some(Arrivals::Poisson { start, .. }) => *start == 0,
            Some(Arrivals::Events) => true,
            None => false,
        }
    }

    /// Whether its workloads come as the scenario's events say, and not otherwise.
    pub(super) fn comes_by_events(&self) -> bool {
        self.arrivals == Some(Arrivals::Events)
    }
}

impl Amount {
    /// Least and most value.
    pub fn bounds(self) -> (f32, f32) {
        match self {
            Self::Fixed(x) => (x, x),
            Self::Range([a, b]) => (a, b),
        }
    }
}

/// What counts are where nothing is said.
pub(super) fn one() -> u32 {
    1
}
fn one_f32() -> f32 {
    1.0
}
fn yes() -> bool {
    true
}
fn default_class() -> String {
    "standard".into()
}
fn default_bandwidth() -> f32 {
    1.25
}
fn default_state() -> Amount {
    Amount::Fixed(1.0)
}
