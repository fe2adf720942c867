//! The fields of a scenario file, with their units and defaults.

use crate::episode::churn::Arrivals;
use crate::observe::sections::{MOST_HORIZONS, Sections};
use crate::resources::{MAX_RESOURCES, ResourceKind};
use crate::scenario::fault_rules::FaultRules;
use crate::snapshot::Snapshot;
use crate::state::migration::MigrationRules;
use crate::state::term::Term;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// A whole scenario file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Short name, also shown in tables.
    pub name: String,
    /// What the scenario stands for, in a sentence or two.
    #[serde(default)]
    pub description: String,
    /// The rules that decisions are made under; artifacts carry them.
    pub rules: Rules,
    /// How episodes start.
    #[serde(default)]
    pub start: Start,
    /// A snapshot file that holds nodes and workloads, relative to the scenario file;
    /// instead of `nodes` and `workloads`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<PathBuf>,
    /// Groups of equal nodes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<NodeGroup>,
    /// Groups of workloads drawn alike.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub workloads: Vec<WorkloadGroup>,
    /// Settings of `godwit train` that suit this scenario, by the keys that `godwit train
    /// --list-settings` lists. The world neither reads nor checks them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<BTreeMap<String, serde_json::Value>>")]
    pub train: Option<toml::Table>,
    /// What the file named by `snapshot` holds, once loaded; not part of the scenario's own text.
    #[serde(skip)]
    pub cluster: Option<Arc<Snapshot>>,
}

/// Everything about a decision that is not the cluster itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// Resource kinds in the order of every demand and supply vector.
    #[schemars(length(min = 1, max = MAX_RESOURCES))]
    pub resources: Vec<ResourceKind>,
    /// Time, budget and how the policy is paid.
    pub episode: EpisodeRules,
    /// What is minimised.
    pub objective: ObjectiveRules,
    /// How a migration costs time and traffic.
    #[serde(default)]
    pub migration: MigrationRules,
    /// Limits on moves.
    #[serde(default)]
    pub limits: Limits,
    /// Which actions the policy is offered.
    #[serde(default)]
    pub candidates: CandidateRules,
    /// Horizons at which candidates are also looked at (online scenarios).
    #[serde(default)]
    pub forecast: ForecastRules,
    /// How nodes fail (online scenarios); never, if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub faults: Option<FaultRules>,
    /// Where waiting workloads are placed (online scenarios).
    #[serde(default)]
    pub scheduler: Scheduler,
    /// Which groups of features policies see; if left out, what the other rules call for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observation: Option<Sections>,
}

/// Where the cluster's own scheduler places arrivals and displaced workloads. Each tick it serves
/// the displaced first, then arrivals in their order; who fits nowhere waits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scheduler {
    /// On the feasible node of the lowest load.
    #[default]
    LeastLoaded,
    /// On the feasible node that has the least room left.
    BestFit,
}

/// How a policy is paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Static: each move pays the decrease of the objective minus its cost.
    Rebalance,
    /// The clock runs: each tick costs the weighted terms held over it.
    Online,
}

impl Mode {
    /// As scenario files spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rebalance => "rebalance",
            Self::Online => "online",
        }
    }
}

/// Time and budget.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EpisodeRules {
    /// How a policy is paid.
    pub mode: Mode,
    /// Length of a tick, seconds.
    #[serde(default = "default_tick_s")]
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub tick_s: f32,
    /// Ticks until an online episode is truncated.
    #[serde(default = "default_ticks")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub ticks: u32,
    /// Moves that an online policy may make within one tick.
    #[serde(default = "one")]
    #[schemars(range(min = 1))]
    pub moves_per_tick: u32,
    /// Moves after which a rebalance episode terminates.
    #[serde(default = "default_budget")]
    #[schemars(range(min = 1))]
    pub move_budget: u32,
}

/// The unit of the objective where nothing says what a typical change is.
const USUAL_UNIT: f32 = 0.1;

/// Weighted objective: the sum of weight x term.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ObjectiveRules {
    /// Weight per term, 0 or more and at least one above 0; a term without weight is reported but
    /// not paid for.
    #[schemars(schema_with = "weights")]
    pub weights: BTreeMap<String, f32>,
    /// Size of a typical good change of the weighted objective: observed changes are divided by
    /// it, and so are the learner's rewards (reported returns never are). If left out, from the
    /// cluster's sizes and mean demands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub unit: Option<f32>,
    /// What a deployable slot is; needed where `fragmentation` has a weight.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<SlotRules>,
}

/// A slot: the unit in which free supply is useful.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SlotRules {
    /// Name of the resource kind.
    pub resource: String,
    /// Size in that resource's unit.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub size: f32,
}

/// Limits on moves, next to the hard constraints (capacity, class, anti-affinity, pinned).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Ticks for which a migrated workload may not be moved again, the tick of the move included:
    /// with 1 it may move in the next tick.
    pub cooldown_ticks: u32,
    /// Transfers that a node may take part in at a time.
    #[schemars(range(min = 1))]
    pub transfers_per_node: u32,
    /// Transfers in flight in the whole cluster.
    #[schemars(range(min = 1))]
    pub transfers_in_flight: u32,
    /// Online: ticks within which what is planned has to be worth what it costs; a gain that lasts
    /// longer counts for no more.
    #[serde(skip_serializing_if = "is_default_payback")]
    #[schemars(range(min = 1, max = MAX_PAYBACK_TICKS), extend("default" = DEFAULT_PAYBACK_TICKS))]
    pub payback_ticks: u32,
}

/// [`Limits::payback_ticks`] where nothing is said.
pub const DEFAULT_PAYBACK_TICKS: u32 = 36;

/// Longest payback time, ticks.
pub const MAX_PAYBACK_TICKS: u32 = 1_000_000;

/// Which actions the policy is offered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CandidateRules {
    /// Size of the action space; where `1 + K N` fits, every pair has a fixed index.
    #[schemars(range(min = 2))]
    pub max: usize,
    /// Whether a candidate's features say what it makes room for: the best further move of a
    /// workload of the two most loaded nodes into the room that it leaves (`follow_up`), and by how
    /// much that is better than the best such move without it (`follow_up_beyond`). Observing takes
    /// longer by about a half. Only where the objective has neither fragmentation nor machine
    /// reassignment.
    #[serde(skip_serializing_if = "is_false")]
    #[schemars(extend("default" = false))]
    pub follow_up: bool,
}

/// Forecast horizons; the forecast is seasonal-naive (the value one period ago).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ForecastRules {
    /// Ticks ahead, ascending; empty for none.
    #[schemars(inner(range(min = 1)))]
    pub horizons: Vec<u32>,
    /// Season in ticks.
    #[schemars(range(max = 1_000_000))]
    pub period_ticks: u32,
}

/// How episodes start.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Start {
    /// Where workloads stand at first.
    pub placement: StartPlacement,
    /// Training only: start from a disturbed placement, so that training never sees the one that
    /// is evaluated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub perturb: Option<Perturb>,
    /// Which parts of the groups' traces (arrivals and demand) episodes play; from tick 0 on, if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub windows: Option<Windows>,
}

/// Parts of the traces, `[from, to)` in ticks of the traces. An episode starts at a tick
/// drawn uniformly among those from which it ends within its window, the same for all groups;
/// `count` of a group with arrivals is then how many of its workloads there may be at a time, and who comes when
/// all of them are taken is turned away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Windows {
    /// For training and for choosing checkpoints.
    pub train: [u32; 2],
    /// For evaluation; shares no tick with `train`.
    pub evaluate: [u32; 2],
}

/// Where workloads stand at first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StartPlacement {
    /// As each workload's `node` (or the snapshot) says.
    #[default]
    Listed,
    /// Each workload on a random node where it fits.
    Random,
    /// First fit over the nodes in a random order: some nodes full, some empty.
    Packed,
}

/// How training starts are disturbed. Exactly one field is given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Perturb {
    /// A seeded number of random feasible moves, `[least, most]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moves: Option<[u32; 2]>,
    /// A share (above 0, up to 1) of the movable workloads, placed again at random.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub replace_share: Option<f32>,
}

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
    /// Workloads that name the same group never share a node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anti_affinity: Option<String>,
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
            None => false,
        }
    }
}

impl Rules {
    /// Whether workloads may wait for a node: where nodes fail, or waiting has a weight.
    pub fn has_queue(&self) -> bool {
        let weighs = |term: Term| self.objective.weights.contains_key(term.name());
        self.faults.is_some() || weighs(Term::Displaced) || weighs(Term::Unplaced)
    }

    /// What changes of the objective are measured in, where it is stated or was worked out.
    pub fn unit(&self) -> f32 {
        self.objective.unit.unwrap_or(USUAL_UNIT)
    }

    /// Which groups of features policies see.
    pub fn sections(&self) -> Sections {
        let weights = &self.objective.weights;
        let weighs = |term: Term| weights.get(term.name()).is_some_and(|&weight| weight != 0.0);
        self.observation.unwrap_or_else(|| Sections {
            health: self.faults.is_some(),
            queue: self.has_queue(),
            slots: self.objective.slot.is_some(),
            machines: weighs(Term::MachineReassignment),
            follow_up: self.candidates.follow_up,
            clock: self.episode.mode == Mode::Online,
            world: false,
            horizons: (self.forecast.horizons.len() as u32).min(MOST_HORIZONS),
        })
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

impl Default for Limits {
    fn default() -> Self {
        Self {
            cooldown_ticks: 0,
            transfers_per_node: 2,
            transfers_in_flight: 8,
            payback_ticks: DEFAULT_PAYBACK_TICKS,
        }
    }
}

impl Default for CandidateRules {
    fn default() -> Self {
        Self { max: 512, follow_up: false }
    }
}

/// A weight for each term that has one.
fn weights(generator: &mut SchemaGenerator) -> Schema {
    let term = generator.subschema_for::<Term>();
    json_schema!({
        "type": "object",
        "propertyNames": term,
        "additionalProperties": { "type": "number", "format": "float", "minimum": 0 },
    })
}

fn is_default_payback(ticks: &u32) -> bool {
    *ticks == DEFAULT_PAYBACK_TICKS
}
fn is_false(x: &bool) -> bool {
    !x
}
fn default_tick_s() -> f32 {
    60.0
}
fn default_ticks() -> u32 {
    144
}
fn default_budget() -> u32 {
    10
}
fn one() -> u32 {
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
