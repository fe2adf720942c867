//! The rules that decisions are made under.

use crate::observe::sections::{MOST_HORIZONS, Sections, is_false};
use crate::resources::{MAX_RESOURCES, ResourceKind};
use crate::scenario::fault_rules::FaultRules;
use crate::scenario::groups::one;
use crate::state::migration::MigrationRules;
use crate::state::term::Term;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

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
    /// How nodes fail by chance (online scenarios); never, if left out or empty. Events of nodes need
    /// the table.
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
    /// not paid for. Also of the own ones (`terms`), by their names.
    #[schemars(schema_with = "weights")]
    pub weights: BTreeMap<String, f32>,
    /// Terms of one's own, at most 8, each by a name that no other term has: `sum(...)`, `mean(...)`
    /// or `max(...)` over all nodes of an expression in what a node holds and supplies, such as
    /// `sum(max(0, utilisation.cpu - 0.8))`. An expression is made of numbers, `load` (the sum of
    /// utilisations), `utilisation.NAME`, `used.NAME`, `supply.NAME` and `free.NAME` (0 or more) of
    /// a resource, `+ - * /`, parentheses, `max(a, b)`, `min(a, b)`, `abs(a)` and `sqrt(a)`; names
    /// of resources that are no words stand in double quotes. What is divided by 0 is 0, and so is
    /// the root of a negative number.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub terms: BTreeMap<String, String>,
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
    /// longer by about a half. Only where the objective has neither fragmentation, machine
    /// reassignment nor terms of one's own.
    #[serde(skip_serializing_if = "is_false")]
    #[schemars(extend("default" = false))]
    pub follow_up: bool,
    /// How many chains are offered beside single moves, at most half of `max`: two or three workloads
    /// of one node that complete a slot by leaving together, as one action. Where the objective has
    /// fragmentation and the clock does not run. There is no fixed index for a pair then, however
    /// small the cluster.
    #[serde(skip_serializing_if = "is_zero")]
    #[schemars(extend("default" = 0))]
    pub chains: usize,
}

/// Forecast horizons; the forecast is seasonal-naive (the value one period ago), times the bursts that
/// events announce.
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
            chains: self.candidates.chains > 0,
            clock: self.episode.mode == Mode::Online,
            world: false,
            horizons: (self.forecast.horizons.len() as u32).min(MOST_HORIZONS),
        })
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
        Self { max: 512, follow_up: false, chains: 0 }
    }
}

/// A weight for each term that has one: those that there are anyway by name, own ones by any.
fn weights(generator: &mut SchemaGenerator) -> Schema {
    let terms = Term::json_schema(generator).to_value();
    let weight = |about: Option<&Value>| {
        let mut weight = json!({ "type": "number", "format": "float", "minimum": 0 });
        if let Some(about) = about {
            weight["description"] = about.clone();
        }
        weight
    };
    let known = terms["oneOf"].as_array().into_iter().flatten().filter_map(|term| {
        Some((term["const"].as_str()?.to_owned(), weight(term.get("description"))))
    });
    json_schema!({
        "type": "object",
        "properties": known.collect::<Map<_, _>>(),
        "additionalProperties": weight(None),
    })
}

fn is_default_payback(ticks: &u32) -> bool {
    *ticks == DEFAULT_PAYBACK_TICKS
}
fn is_zero(x: &usize) -> bool {
    *x == 0
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
