//! Cluster state as JSON: what a live cluster sends, and what importers write.
//!
//! Unlike a scenario's listed placement, a snapshot may show nodes that are over their supply or
//! workloads that violate a constraint: that is what a real cluster looks like when it needs help.

use crate::input::{InputError, parse_json, read_text};
use crate::reassignment::Instance;
use crate::state::cluster::{ClusterSpec, Health, NOWHERE, NodeSpec, WorkloadSpec};
use crate::state::places::Spread;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

mod live_state;
mod validity;

/// Name and version of the format, the value of every snapshot's `format` field.
pub const SNAPSHOT_FORMAT: &str = "godwit-snapshot/1";

/// Most nodes, and most workloads: above this, some number in the text is likely to be wrong.
pub const MAX_ENTITIES: usize = 4_000_000;

/// Most node classes: a workload's allowed classes are a 64-bit mask.
pub const MAX_CLASSES: usize = 64;

/// Most bytes of a name, as in Kubernetes: names are kept, logged and answered.
pub const MAX_NAME_BYTES: usize = 253;

/// One cluster state. m resource kinds. Names have at most 253 bytes in UTF-8.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    /// Always `godwit-snapshot/1`.
    pub format: String,
    /// Time of the state in ticks, counted from where the sender likes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tick: Option<u64>,
    /// When the state was taken, in seconds since 1970 (UTC).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_at_s: Option<f64>,
    /// Names of the m resource kinds, in the order of every supply and demand vector.
    #[schemars(inner(length(max = MAX_NAME_BYTES)))]
    pub resources: Vec<String>,
    /// The nodes; at least one.
    pub nodes: Vec<SnapshotNode>,
    /// The workloads and where they are.
    pub workloads: Vec<SnapshotWorkload>,
    /// Migrations under way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub transfers: Vec<SnapshotTransfer>,
    /// How many more members of disruption groups may be unavailable now; groups that are not named
    /// have no such bound.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disruption_budgets: Vec<SnapshotBudget>,
    /// Constraints and costs of the machine-reassignment problem, where the cluster has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine_reassignment: Option<SnapshotReassignment>,
}

/// An instance of the machine-reassignment problem (ROADEF/EURO challenge 2012): node i is machine
/// i, workload k is process k.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SnapshotReassignment {
    /// The model in the challenge's own format: whole numbers apart by white space.
    pub model: String,
    /// Machine of each process in the assignment that moves are counted from, `[K]`; the workloads'
    /// own nodes may differ from it.
    pub initial: Vec<u32>,
}

/// A machine that hosts workloads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SnapshotNode {
    /// Unique name.
    #[schemars(length(max = MAX_NAME_BYTES))]
    pub name: String,
    /// Node class, for example a GPU model; `standard` where left out.
    #[serde(default = "standard", skip_serializing_if = "is_standard")]
    #[schemars(length(max = MAX_NAME_BYTES))]
    pub class: String,
    /// Zone, rack or host label.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = MAX_NAME_BYTES))]
    pub zone: String,
    /// Supply per resource kind, `[m]`; 0 where the node lacks it.
    pub supply: Vec<f32>,
    /// Link bandwidth in GiB/s; 1.25 where left out.
    #[serde(default = "bandwidth", skip_serializing_if = "is_bandwidth")]
    pub bandwidth_gib_s: f32,
    /// Whether it can be relied on; healthy where left out. Draining and failed nodes accept no
    /// workloads.
    #[serde(default, skip_serializing_if = "is_healthy")]
    pub health: Health,
    /// Ticks until a draining node is switched off.
    #[serde(default, skip_serializing_if = "is_none_left")]
    pub deadline_ticks: u32,
    /// Most workloads it may have; no limit where left out. Of a migration under way, both nodes have
    /// the workload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_workloads: Option<u32>,
    /// Age of what is said of the node and of the workloads on it when the state was taken, seconds;
    /// 0 where left out.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub metrics_age_s: f32,
}

/// One process that runs on a node and can be migrated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SnapshotWorkload {
    /// Unique name.
    #[schemars(length(max = MAX_NAME_BYTES))]
    pub name: String,
    /// Name of its node; while it is being transferred, the destination. Left out where it waits for a
    /// node: it is not moved, and no room is kept for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_NAME_BYTES))]
    pub node: Option<String>,
    /// Present demand per resource kind, `[m]`.
    pub demand: Vec<f32>,
    /// State that a migration copies, GiB; 1 where left out.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub state_gib: f32,
    /// Rate at which its state is dirtied, GiB/s.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub dirty_gib_s: f32,
    /// Weight of its downtime; 1 where left out.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub priority: f32,
    /// Node classes it may run on; all where left out. A class that no node has is allowed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(inner(length(max = MAX_NAME_BYTES)))]
    pub classes: Vec<String>,
    /// Names of the nodes it may run on; all where left out. A node that is not there is allowed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(inner(length(max = MAX_NAME_BYTES)))]
    pub nodes: Vec<String>,
    /// Workloads that name the same group never share a node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_NAME_BYTES))]
    pub anti_affinity: Option<String>,
    /// How evenly its group has to be spread over the zones. Nodes without a zone are one zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spread: Option<Spread>,
    /// Workloads that name the same group never share a zone. Nodes without a zone are one zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_NAME_BYTES))]
    pub zone_anti_affinity: Option<String>,
    /// Whose it is, where migrations are limited per tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_NAME_BYTES))]
    pub tenant: Option<String>,
    /// Workloads that name the same group are one service, of which only so many may be unavailable
    /// at a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_NAME_BYTES))]
    pub disruption_group: Option<String>,
    /// Whether it may be migrated; true where left out.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub movable: bool,
    /// Ticks for which it may not be moved yet.
    #[serde(default, skip_serializing_if = "is_none_left")]
    pub cooldown_ticks: u32,
    /// Expected demand at each forecast horizon, `[horizons][m]`; left out where there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forecast: Vec<Vec<f32>>,
}

/// How many members of a disruption group a plan may move.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SnapshotBudget {
    /// The `disruption_group` of its members.
    #[schemars(length(max = MAX_NAME_BYTES))]
    pub group: String,
    /// How many more of them may become unavailable; with 0, none is moved. Members that are
    /// unavailable, or in transfer, have been taken off already, as in `status.disruptionsAllowed` of a
    /// Kubernetes PodDisruptionBudget. Of this and the operator's own budget the smaller holds.
    pub disruptions_allowed: u32,
}

/// A migration under way: source and destination both hold the workload's demand.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SnapshotTransfer {
    /// Name of the workload; its `node` is the destination.
    #[schemars(length(max = MAX_NAME_BYTES))]
    pub workload: String,
    /// Name of the node it comes from.
    #[schemars(length(max = MAX_NAME_BYTES))]
    pub source: String,
    /// Seconds until it is done.
    pub remaining_s: f32,
}

impl Default for Snapshot {
    /// An empty cluster.
    fn default() -> Self {
        Self {
            format: SNAPSHOT_FORMAT.to_owned(),
            tick: None,
            taken_at_s: None,
            resources: Vec::new(),
            nodes: Vec::new(),
            workloads: Vec::new(),
            transfers: Vec::new(),
            disruption_budgets: Vec::new(),
            machine_reassignment: None,
        }
    }
}

impl Default for SnapshotNode {
    /// A nameless node with every field that may be left out, left out.
    fn default() -> Self {
        Self {
            name: String::new(),
            class: standard(),
            zone: String::new(),
            supply: Vec::new(),
            bandwidth_gib_s: bandwidth(),
            health: Health::Healthy,
            deadline_ticks: 0,
            max_workloads: None,
            metrics_age_s: 0.0,
        }
    }
}

impl Default for SnapshotWorkload {
    /// A nameless workload with every field that may be left out, left out.
    fn default() -> Self {
        Self {
            name: String::new(),
            node: None,
            demand: Vec::new(),
            state_gib: one(),
            dirty_gib_s: 0.0,
            priority: one(),
            classes: Vec::new(),
            nodes: Vec::new(),
            anti_affinity: None,
            spread: None,
            zone_anti_affinity: None,
            tenant: None,
            disruption_group: None,
            movable: yes(),
            cooldown_ticks: 0,
            forecast: Vec::new(),
        }
    }
}

impl Snapshot {
    /// Reads and checks the text of a snapshot; `label` is what errors call it.
    ///
    /// # Errors
    /// The first thing that is wrong, on one line, with the path of the field.
    pub fn from_json(text: &str, label: &str) -> Result<Self, InputError> {
        let snapshot: Self = parse_json(text, label)?;
        snapshot.validate(label)?;
        Ok(snapshot)
    }

    /// Reads and checks a snapshot file.
    ///
    /// # Errors
    /// As for [`Snapshot::from_json`], or when the file cannot be read.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, InputError> {
        let path = path.as_ref();
        Self::from_json(&read_text(path)?, &path.display().to_string())
    }

    /// Compact JSON: fields that hold their default are left out.
    pub fn to_json(&self) -> String {
        // Serialising to a string fails only for maps with keys that are not strings: there is none.
        serde_json::to_string(self).expect("a snapshot only holds what JSON can express")
    }

    /// Checks what the types do not say. `label` is what errors call the snapshot.
    ///
    /// # Errors
    /// The first thing that is wrong, on one line, with the path of the field.
    pub fn validate(&self, label: &str) -> Result<(), InputError> {
        validity::Check { file: label, kinds: self.resources.len() }.snapshot(self)
    }

    /// The cluster and where its workloads are, [`NOWHERE`] for those that wait. The snapshot must be
    /// valid.
    pub fn to_spec(&self) -> (ClusterSpec, Vec<u32>) {
        let nodes: Vec<NodeSpec> = self
            .nodes
            .iter()
            .map(|node| NodeSpec {
                name: node.name.clone(),
                class: node.class.clone(),
                zone: node.zone.clone(),
                supply: node.supply.clone(),
                bandwidth_gib_s: node.bandwidth_gib_s,
                max_workloads: node.max_workloads,
            })
            .collect();
        let workloads = self.workloads.iter().map(|workload| WorkloadSpec {
            name: workload.name.clone(),
            demand: workload.demand.clone(),
            state_gib: workload.state_gib,
            dirty_gib_s: workload.dirty_gib_s,
            priority: workload.priority,
            classes: workload.classes.clone(),
            nodes: workload.nodes.clone(),
            anti_affinity: workload.anti_affinity.clone(),
            spread: workload.spread.clone(),
            zone_anti_affinity: workload.zone_anti_affinity.clone(),
            movable: workload.movable,
        });
        let index: HashMap<&str, u32> =
            self.nodes.iter().map(|node| node.name.as_str()).zip(0..).collect();
        let node = |workload: &SnapshotWorkload| workload.node.as_deref().map(|name| index[name]);
        let placement = self.workloads.iter().map(|k| node(k).unwrap_or(NOWHERE)).collect();
        let mut spec = ClusterSpec::new(self.resources.len(), nodes, workloads);
        // A valid snapshot's instance can be read.
        let instance = |problem: &SnapshotReassignment| problem.instance("snapshot").ok();
        spec.reassignment = self.machine_reassignment.as_ref().and_then(instance).map(Arc::new);
        (spec, placement)
    }

    /// The JSON Schema of the format, for those who write snapshots.
    pub fn json_schema() -> serde_json::Value {
        schemars::schema_for!(Self).to_value()
    }
}

impl SnapshotReassignment {
    /// The text form of an instance.
    pub fn new(instance: &Instance) -> Self {
        Self { model: instance.model_text(), initial: instance.initial().to_vec() }
    }

    /// Reads the instance; `label` is what errors call the snapshot.
    ///
    /// # Errors
    /// As for [`Instance::parse`].
    pub fn instance(&self, label: &str) -> Result<Instance, InputError> {
        let initial: Vec<String> = self.initial.iter().map(u32::to_string).collect();
        let label = |field: &str| format!("{label}: machine_reassignment.{field}");
        Instance::parse(&label("model"), &self.model, &label("initial"), &initial.join(" "))
    }
}

fn standard() -> String {
    "standard".into()
}
fn is_standard(class: &String) -> bool {
    class == "standard"
}
fn bandwidth() -> f32 {
    1.25
}
fn is_bandwidth(x: &f32) -> bool {
    *x == bandwidth()
}
fn one() -> f32 {
    1.0
}
fn is_one(x: &f32) -> bool {
    *x == 1.0
}
fn is_zero(x: &f32) -> bool {
    *x == 0.0
}
fn yes() -> bool {
    true
}
fn is_yes(x: &bool) -> bool {
    *x
}
fn is_healthy(health: &Health) -> bool {
    *health == Health::Healthy
}
fn is_none_left(ticks: &u32) -> bool {
    *ticks == 0
}

#[cfg(test)]
mod tests;
