//! The fields of a scenario file, with their units and defaults.

use crate::scenario::events::ScriptedEvent;
use crate::scenario::groups::{NodeGroup, WorkloadGroup};
use crate::scenario::rules::Rules;
use crate::snapshot::Snapshot;
use schemars::JsonSchema;
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
    /// What happens at stated ticks of every episode (online scenarios), beside what is drawn.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<ScriptedEvent>,
    /// Settings of `godwit train` that suit this scenario, by the keys that `godwit train
    /// --list-settings` lists. The world neither reads nor checks them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<BTreeMap<String, serde_json::Value>>")]
    pub train: Option<toml::Table>,
    /// What the file named by `snapshot` holds, once loaded; not part of the scenario's own text.
    #[serde(skip)]
    pub cluster: Option<Arc<Snapshot>>,
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
