//! The parts of a cluster that stay as they are during an episode: nodes with their supplies and
//! workloads with their traits. What changes lives in [`crate::state`].

use crate::lanes::LANES;
use crate::reassignment::Instance;
use crate::state::names::Index;
use crate::state::places::{NO_SET, Nodes, PlaceRules, PlaceRulesBuilder, Spread, Wish};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Placement of a workload that runs on no node.
pub const NOWHERE: u32 = u32::MAX;

pub use crate::state::members::NO_GROUP;

/// Whether a node can be relied on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Health {
    /// Serves, and accepts workloads.
    #[default]
    Healthy,
    /// Serves and accepts workloads, but may fail in any tick.
    Degraded,
    /// Serves until its deadline, and accepts no more workloads.
    Draining,
    /// Serves nothing until it is repaired.
    Failed,
}

/// Nodes and workloads as a structure of arrays. N nodes, K workloads, m resource kinds.
///
/// Per-node arrays that kernels read are resource-major and padded: entry (j, i) of an `[m][P]`
/// array is at `j * P + i`, with P = [`ClusterSpec::padded_nodes`]. Padding has no supply.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ClusterSpec {
    /// Number of resource kinds, m.
    pub resources: usize,
    /// `[N]`.
    pub node_names: Vec<String>,
    /// Names of the node classes; at most 64.
    pub class_names: Vec<String>,
    /// Names of zones, racks or hosts.
    pub zone_names: Vec<String>,
    /// Supply R_ij, `[m][P]`.
    pub supply: Vec<f32>,
    /// 1 / R_ij, or 0 where a node lacks the resource, `[m][P]`; more than 0 there if a live cluster
    /// shows demand for it on that node all the same.
    pub inverse_supply: Vec<f32>,
    /// 1 / max_i R_ij, or 0 where no node has the resource, `[m]`.
    pub inverse_largest: Vec<f32>,
    /// Index into `class_names`, `[N]`.
    pub node_class: Vec<u16>,
    /// Index into `zone_names`, `[N]`.
    pub node_zone: Vec<u32>,
    /// Link bandwidth in GiB/s, `[N]`.
    pub bandwidth_gib_s: Vec<f32>,
    /// `[K]`.
    pub workload_names: Vec<String>,
    /// Base demand D_kj, `[K][m]`.
    pub base_demand: Vec<f32>,
    /// State that a migration copies, GiB, `[K]`.
    pub state_gib: Vec<f32>,
    /// Rate at which state is dirtied, GiB/s, `[K]`.
    pub dirty_gib_s: Vec<f32>,
    /// Weight of downtime, `[K]`.
    pub priority: Vec<f32>,
    /// Bit c is set where node class c is allowed, `[K]`.
    pub class_mask: Vec<u64>,
    /// Anti-affinity group, or [`NO_GROUP`], `[K]`.
    pub group: Vec<u32>,
    /// Number of anti-affinity groups.
    pub groups: usize,
    /// Whether the workload may be migrated, `[K]`.
    pub movable: Vec<bool>,
    /// Sets of nodes, limits of workloads per node and rules about zones; `None` where there are none.
    pub places: Option<Arc<PlaceRules>>,
    /// Constraints and costs of the machine-reassignment problem, where the cluster has them: node i
    /// is its machine i, workload k its process k.
    pub reassignment: Option<Arc<Instance>>,
}

/// One node, as handed to [`ClusterSpec::new`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NodeSpec {
    /// Unique name.
    pub name: String,
    /// Node class.
    pub class: String,
    /// Zone, rack or host label.
    pub zone: String,
    /// `[m]`.
    pub supply: Vec<f32>,
    /// Link bandwidth in GiB/s.
    pub bandwidth_gib_s: f32,
    /// Most workloads it may have.
    pub max_workloads: Option<u32>,
}

/// One workload, as handed to [`ClusterSpec::new`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct WorkloadSpec {
    /// Unique name.
    pub name: String,
    /// `[m]`.
    pub demand: Vec<f32>,
    /// State that a migration copies, GiB.
    pub state_gib: f32,
    /// Rate at which state is dirtied, GiB/s.
    pub dirty_gib_s: f32,
    /// Weight of downtime.
    pub priority: f32,
    /// Allowed node classes; empty for all.
    pub classes: Vec<String>,
    /// Names of allowed nodes; empty for all.
    pub nodes: Vec<String>,
    /// Anti-affinity group.
    pub anti_affinity: Option<String>,
    /// Group that is spread over zones.
    pub spread: Option<Spread>,
    /// Group whose members never share a zone.
    pub zone_anti_affinity: Option<String>,
    /// Whether it may be migrated.
    pub movable: bool,
}

impl ClusterSpec {
    /// Lays nodes and workloads out as arrays. Callers have validated them: at most 64 node
    /// classes, vectors of length `resources`, finite and non-negative numbers. An allowed class
    /// or node that is not there is dropped; a workload all of whose classes, or nodes, are unknown
    /// fits nowhere.
    pub fn new(
        resources: usize,
        nodes: Vec<NodeSpec>,
        workloads: impl IntoIterator<Item = WorkloadSpec>,
    ) -> Self {
        let padded = nodes.len().next_multiple_of(LANES);
        let mut spec = Self {
            resources,
            supply: vec![0.0; resources * padded],
            inverse_supply: vec![0.0; resources * padded],
            ..Self::default()
        };
        let (mut classes, mut zones, mut groups) =
            (Index::default(), Index::default(), Index::default());
        let mut places = PlaceRulesBuilder::default();
        for (i, node) in nodes.into_iter().enumerate() {
            spec.node_names.push(node.name);
            spec.node_class.push(classes.of(&node.class) as u16);
            spec.node_zone.push(zones.of(&node.zone));
            spec.bandwidth_gib_s.push(node.bandwidth_gib_s);
            places.add_node(node.max_workloads);
            for (j, &supply) in node.supply.iter().enumerate() {
                spec.supply[j * padded + i] = supply;
                spec.inverse_supply[j * padded + i] = if supply > 0.0 { 1.0 / supply } else { 0.0 };
            }
        }
        spec.inverse_largest = spec
            .supply
            .chunks_exact(padded.max(1))
            .map(|row| row.iter().copied().fold(0.0, f32::max))
            .map(|largest| if largest > 0.0 { 1.0 / largest } else { 0.0 })
            .collect();
        (spec.class_names, spec.zone_names) = (classes.names(), zones.names());
        for workload in workloads {
            let classes = match workload.classes.as_slice() {
                [] => u64::MAX,
                allowed => spec
                    .class_names
                    .iter()
                    .enumerate()
                    .filter(|(_, class)| allowed.contains(class))
                    .fold(0, |mask, (c, _)| mask | 1 << c),
            };
            let wish = Wish {
                classes,
                nodes: &workload.nodes,
                spread: workload.spread.as_ref(),
                zone_anti_affinity: workload.zone_anti_affinity.as_deref(),
            };
            places.add_workload(&spec.node_names, &wish);
            spec.workload_names.push(workload.name);
            spec.base_demand.extend_from_slice(&workload.demand);
            spec.state_gib.push(workload.state_gib);
            spec.dirty_gib_s.push(workload.dirty_gib_s);
            spec.priority.push(workload.priority);
            spec.class_mask.push(classes);
            let group = workload.anti_affinity.as_ref();
            spec.group.push(group.map_or(NO_GROUP, |group| groups.of(group)));
            spec.movable.push(workload.movable);
        }
        spec.groups = groups.len();
        spec.places = places.finish(&Nodes {
            classes: &spec.node_class,
            zones: &spec.node_zone,
            zone_count: spec.zone_names.len(),
        });
        spec
    }

    /// Number of nodes, N.
    pub fn nodes(&self) -> usize {
        self.node_names.len()
    }

    /// N rounded up to whole vectors, P.
    pub fn padded_nodes(&self) -> usize {
        self.node_names.len().next_multiple_of(LANES)
    }

    /// Number of workloads, K.
    pub fn workloads(&self) -> usize {
        self.workload_names.len()
    }

    /// Supply of one resource on one node.
    pub fn supply_of(&self, node: usize, resource: usize) -> f32 {
        self.supply[resource * self.padded_nodes() + node]
    }

    /// Whether the node's class allows this workload.
    pub fn class_allows(&self, workload: usize, node: usize) -> bool {
        self.class_mask[workload] >> self.node_class[node] & 1 == 1
    }

    /// Whether the node is among those that the workload may run on, and its class allows it.
    pub fn may_run_on(&self, workload: usize, node: usize) -> bool {
        self.class_allows(workload, node) && self.in_set(workload, node)
    }

    /// Whether the node is among those that the workload may run on.
    pub fn in_set(&self, workload: usize, node: usize) -> bool {
        self.places.as_ref().is_none_or(|places| places.in_set(workload, node))
    }

    /// Index of the workload's set of nodes, or [`NO_SET`]: equal for workloads with equal sets.
    pub fn set_of(&self, workload: usize) -> u32 {
        self.places.as_ref().map_or(NO_SET, |places| places.set_of(workload))
    }

    /// Whether the workload is a member of a group that is bound to zones.
    pub fn has_zone_group(&self, workload: usize) -> bool {
        self.places.as_ref().is_some_and(|places| places.has_zone_group(workload))
    }
}
