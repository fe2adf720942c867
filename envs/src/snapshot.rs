//! Cluster state as JSON: what a live cluster sends, and what importers write.
//!
//! Unlike a scenario's listed placement, a snapshot may show nodes that are over their supply or
//! workloads that violate a constraint: that is what a real cluster looks like when it needs help.

use crate::cluster::{ClusterSpec, Health, NodeSpec, WorkloadSpec};
use crate::input::{InputError, parse_json, read_text};
use crate::reassignment::Instance;
use crate::resources::MAX_RESOURCES;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

/// Name and version of the format, the value of every snapshot's `format` field.
pub const SNAPSHOT_FORMAT: &str = "godwit-snapshot/1";

/// Most nodes, and most workloads: replay stores their indices in 16 bits.
pub const MAX_ENTITIES: usize = 65_535;

/// Most node classes: a workload's allowed classes are a 64-bit mask.
pub const MAX_CLASSES: usize = 64;

/// One cluster state. m resource kinds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    /// Always `godwit-snapshot/1`.
    pub format: String,
    /// Time of the state in ticks, counted from where the sender likes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tick: Option<u64>,
    /// Names of the m resource kinds, in the order of every supply and demand vector.
    pub resources: Vec<String>,
    /// The nodes; at least one.
    pub nodes: Vec<SnapshotNode>,
    /// The workloads and where they are.
    pub workloads: Vec<SnapshotWorkload>,
    /// Migrations under way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub transfers: Vec<SnapshotTransfer>,
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
    pub name: String,
    /// Node class, for example a GPU model; `standard` where left out.
    #[serde(default = "standard", skip_serializing_if = "is_standard")]
    pub class: String,
    /// Zone, rack or host label.
    #[serde(default, skip_serializing_if = "String::is_empty")]
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
}

/// One process that runs on a node and can be migrated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SnapshotWorkload {
    /// Unique name.
    pub name: String,
    /// Name of its node; while it is being transferred, the destination.
    pub node: String,
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
    pub classes: Vec<String>,
    /// Workloads that name the same group never share a node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anti_affinity: Option<String>,
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

/// A migration under way: source and destination both hold the workload's demand.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SnapshotTransfer {
    /// Name of the workload; its `node` is the destination.
    pub workload: String,
    /// Name of the node it comes from.
    pub source: String,
    /// Seconds until it is done.
    pub remaining_s: f32,
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
        Check { file: label, kinds: self.resources.len() }.snapshot(self)
    }

    /// The cluster and where its workloads are. The snapshot must be valid.
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
            })
            .collect();
        let workloads: Vec<WorkloadSpec> = self
            .workloads
            .iter()
            .map(|workload| WorkloadSpec {
                name: workload.name.clone(),
                demand: workload.demand.clone(),
                state_gib: workload.state_gib,
                dirty_gib_s: workload.dirty_gib_s,
                priority: workload.priority,
                classes: workload.classes.clone(),
                anti_affinity: workload.anti_affinity.clone(),
                movable: workload.movable,
            })
            .collect();
        let index: HashMap<&str, u32> =
            self.nodes.iter().map(|node| node.name.as_str()).zip(0..).collect();
        let placement =
            self.workloads.iter().map(|workload| index[workload.node.as_str()]).collect();
        let mut spec = ClusterSpec::new(self.resources.len(), &nodes, &workloads);
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

struct Check<'a> {
    file: &'a str,
    kinds: usize,
}

impl Check<'_> {
    fn require(
        &self,
        holds: bool,
        field: &str,
        expected: &str,
        got: impl ToString,
    ) -> Result<(), InputError> {
        if holds {
            Ok(())
        } else {
            Err(InputError::field(self.file, field, expected, got.to_string()))
        }
    }

    fn name<'n>(
        &self,
        field: &str,
        name: &'n str,
        seen: &mut HashSet<&'n str>,
    ) -> Result<(), InputError> {
        let usable = !name.trim().is_empty() && !name.contains(char::is_control);
        self.require(usable, field, "a name on one line", format!("{name:?}"))?;
        self.require(seen.insert(name), field, "a name of its own", format!("{name:?} again"))
    }

    fn number(&self, field: &str, x: f32) -> Result<(), InputError> {
        self.require(x.is_finite() && x >= 0.0, field, "a finite number, 0 or more", x)
    }

    fn vector(&self, field: &str, vector: &[f32]) -> Result<(), InputError> {
        let expected = format!("{} numbers, one per resource", self.kinds);
        self.require(vector.len() == self.kinds, field, &expected, vector.len())?;
        match vector.iter().position(|x| !(x.is_finite() && *x >= 0.0)) {
            Some(j) => self.number(&format!("{field}[{j}]"), vector[j]),
            None => Ok(()),
        }
    }

    fn snapshot(&self, snapshot: &Snapshot) -> Result<(), InputError> {
        let format = format!("{:?}", snapshot.format);
        self.require(
            snapshot.format == SNAPSHOT_FORMAT,
            "format",
            &format!("{SNAPSHOT_FORMAT:?}"),
            format,
        )?;
        let expected = format!("1 to {MAX_RESOURCES} names");
        self.require(
            (1..=MAX_RESOURCES).contains(&self.kinds),
            "resources",
            &expected,
            self.kinds,
        )?;
        let mut seen = HashSet::new();
        for (j, name) in snapshot.resources.iter().enumerate() {
            self.name(&format!("resources[{j}]"), name, &mut seen)?;
        }
        let most = MAX_ENTITIES;
        let (n, k) = (snapshot.nodes.len(), snapshot.workloads.len());
        self.require((1..=most).contains(&n), "nodes", &format!("1 to {most} nodes"), n)?;
        self.require(k <= most, "workloads", &format!("at most {most} workloads"), k)?;

        let mut nodes = HashSet::new();
        for (i, node) in snapshot.nodes.iter().enumerate() {
            let at = format!("nodes[{i}]");
            self.name(&format!("{at}.name"), &node.name, &mut nodes)?;
            self.name(&format!("{at}.class"), &node.class, &mut HashSet::new())?;
            self.vector(&format!("{at}.supply"), &node.supply)?;
            let positive = node.bandwidth_gib_s.is_finite() && node.bandwidth_gib_s > 0.0;
            let field = format!("{at}.bandwidth_gib_s");
            self.require(positive, &field, "a finite number above 0", node.bandwidth_gib_s)?;
        }
        let classes: HashSet<&str> =
            snapshot.nodes.iter().map(|node| node.class.as_str()).collect();
        let expected = format!("at most {MAX_CLASSES} node classes");
        self.require(classes.len() <= MAX_CLASSES, "nodes", &expected, classes.len())?;
        self.workloads(snapshot, &nodes)?;
        self.transfers(snapshot, &nodes)?;
        self.reassignment(snapshot)
    }

    fn workloads(&self, snapshot: &Snapshot, nodes: &HashSet<&str>) -> Result<(), InputError> {
        let mut names = HashSet::new();
        let horizons =
            snapshot.workloads.iter().map(|workload| workload.forecast.len()).max().unwrap_or(0);
        for (k, workload) in snapshot.workloads.iter().enumerate() {
            let at = format!("workloads[{k}]");
            self.name(&format!("{at}.name"), &workload.name, &mut names)?;
            let known = nodes.contains(workload.node.as_str());
            self.require(
                known,
                &format!("{at}.node"),
                "the name of a node",
                format!("{:?}", workload.node),
            )?;
            self.vector(&format!("{at}.demand"), &workload.demand)?;
            self.number(&format!("{at}.state_gib"), workload.state_gib)?;
            self.number(&format!("{at}.dirty_gib_s"), workload.dirty_gib_s)?;
            self.number(&format!("{at}.priority"), workload.priority)?;
            let (field, given) = (format!("{at}.forecast"), workload.forecast.len());
            let expected = format!("{horizons} horizons, as for other workloads, or none");
            self.require(given == 0 || given == horizons, &field, &expected, given)?;
            for (h, demand) in workload.forecast.iter().enumerate() {
                self.vector(&format!("{field}[{h}]"), demand)?;
            }
        }
        Ok(())
    }

    /// The instance is sound and speaks of the same cluster.
    fn reassignment(&self, snapshot: &Snapshot) -> Result<(), InputError> {
        let Some(problem) = &snapshot.machine_reassignment else { return Ok(()) };
        let instance = problem.instance(self.file)?;
        for (what, field, there, here) in [
            ("resources", "resources", instance.resources().len(), self.kinds),
            ("machines", "nodes", instance.machines().len(), snapshot.nodes.len()),
            ("processes", "workloads", instance.processes().len(), snapshot.workloads.len()),
        ] {
            let expected = format!("{there}, as machine_reassignment.model has {what}");
            self.require(here == there, field, &expected, here)?;
        }
        let same = |vector: &[f32], numbers: &[i64]| {
            vector.iter().zip(numbers).position(|(&here, &there)| here != there as f32)
        };
        for (i, node) in snapshot.nodes.iter().enumerate() {
            if let Some(j) = same(&node.supply, instance.capacity(i)) {
                let expected = format!("{}, as in the model", instance.capacity(i)[j]);
                self.require(false, &format!("nodes[{i}].supply[{j}]"), &expected, node.supply[j])?;
            }
        }
        for (k, workload) in snapshot.workloads.iter().enumerate() {
            if let Some(j) = same(&workload.demand, instance.requirement(k)) {
                let field = format!("workloads[{k}].demand[{j}]");
                let expected = format!("{}, as in the model", instance.requirement(k)[j]);
                self.require(false, &field, &expected, workload.demand[j])?;
            }
        }
        Ok(())
    }

    fn transfers(&self, snapshot: &Snapshot, nodes: &HashSet<&str>) -> Result<(), InputError> {
        let destination: HashMap<&str, &str> = snapshot
            .workloads
            .iter()
            .map(|workload| (workload.name.as_str(), workload.node.as_str()))
            .collect();
        let mut seen = HashSet::new();
        for (t, transfer) in snapshot.transfers.iter().enumerate() {
            let at = format!("transfers[{t}]");
            let (field, name) = (format!("{at}.workload"), format!("{:?}", transfer.workload));
            let to = destination.get(transfer.workload.as_str());
            self.require(to.is_some(), &field, "the name of a workload", &name)?;
            self.require(
                seen.insert(&transfer.workload),
                &field,
                "one transfer per workload",
                format!("{name} again"),
            )?;
            let (field, source) = (format!("{at}.source"), format!("{:?}", transfer.source));
            self.require(
                nodes.contains(transfer.source.as_str()),
                &field,
                "the name of a node",
                &source,
            )?;
            let moves = to != Some(&transfer.source.as_str());
            self.require(
                moves,
                &field,
                "another node than the workload's node, its destination",
                &source,
            )?;
            self.number(&format!("{at}.remaining_s"), transfer.remaining_s)?;
        }
        Ok(())
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
#[path = "snapshot_tests.rs"]
mod tests;
