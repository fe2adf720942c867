//! Where workloads may be, beyond node class and anti-affinity: sets of nodes, numbers of workloads
//! per node, and zones.

use crate::state::members::NO_GROUP;
use crate::state::names::Index;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

/// Set index of a workload that may run on every node.
pub const NO_SET: u32 = u32::MAX;

/// How evenly the members of a group have to be spread over the zones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Spread {
    /// Workloads that name the same group count together.
    #[schemars(length(max = 253))]
    pub group: String,
    /// Most members that a zone may have above the zone with the fewest, 1 or more; of several members'
    /// numbers the smallest holds. Zones without a node that any member may run on do not count.
    #[schemars(range(min = 1))]
    pub max_skew: u32,
}

/// Where workloads may be, as far as it does not change during an episode.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PlaceRules {
    /// Distinct sets of nodes.
    sets: Vec<NodeSet>,
    /// Set of each workload, or [`NO_SET`], `[K]`.
    set: Vec<u32>,
    /// Most workloads of each node; [`u32::MAX`] where there is no limit, `[N]`.
    pub most_workloads: Vec<u32>,
    /// Spread group of each workload, or [`NO_GROUP`], `[K]`.
    pub spread: Vec<u32>,
    /// The spread groups.
    pub spread_groups: Vec<SpreadGroup>,
    /// Group of each workload that keeps zones apart, or [`NO_GROUP`], `[K]`.
    pub zone_group: Vec<u32>,
    /// Number of these groups.
    pub zone_groups: usize,
}

/// A group that is spread over zones.
#[derive(Debug, Clone, PartialEq)]
pub struct SpreadGroup {
    /// Most members that a zone may have above the zone with the fewest.
    pub max_skew: u32,
    /// Zones with a node that some member may run on by class and set, ascending.
    pub zones: Arc<[u32]>,
}

/// Some of the nodes, in whichever form is smaller.
#[derive(Debug, Clone, PartialEq)]
enum NodeSet {
    /// Their indices, ascending.
    Few(Vec<u32>),
    /// A bit for each node of the cluster.
    Many(Vec<u64>),
}

impl NodeSet {
    /// `members` are ascending.
    fn new(members: Vec<u32>, nodes: usize) -> Self {
        if members.len() <= nodes / 32 {
            return Self::Few(members);
        }
        let mut bits = vec![0; nodes.div_ceil(64)];
        members.iter().for_each(|&node| bits[node as usize / 64] |= 1 << (node % 64));
        Self::Many(bits)
    }

    fn contains(&self, node: usize) -> bool {
        match self {
            Self::Few(members) => members.binary_search(&(node as u32)).is_ok(),
            Self::Many(bits) => bits[node / 64] >> (node % 64) & 1 == 1,
        }
    }
}

impl PlaceRules {
    /// Everything in it, as numbers.
    pub(super) fn words(&self) -> impl Iterator<Item = u64> {
        let sets = self.sets.iter().flat_map(|set| match set {
            NodeSet::Few(members) => [&[0], members.as_slice()].concat(),
            NodeSet::Many(bits) => {
                let halves = bits.iter().flat_map(|word| [*word as u32, (word >> 32) as u32]);
                std::iter::once(1).chain(halves).collect()
            }
        });
        let groups = self.spread_groups.iter().flat_map(|group| {
            [&[group.max_skew, group.zones.len() as u32], &*group.zones].concat()
        });
        let by_workload = [&self.set, &self.spread, &self.zone_group, &self.most_workloads];
        sets.chain(groups).chain(by_workload.into_iter().flatten().copied()).map(u64::from)
    }

    /// Zones with a node that is allowed by one of these pairs of classes and set.
    fn zones_of(&self, nodes: &Nodes<'_>, wants: &HashSet<(u64, u32)>) -> Arc<[u32]> {
        let allows = |node: usize| {
            wants.iter().any(|&(classes, set)| {
                classes >> nodes.classes[node] & 1 == 1 && self.holds(set, node)
            })
        };
        let allowed = (0..nodes.zones.len()).filter(|&node| allows(node));
        let zones: BTreeSet<u32> = allowed.map(|node| nodes.zones[node]).collect();
        zones.into_iter().collect()
    }

    fn holds(&self, set: u32, node: usize) -> bool {
        set == NO_SET || self.sets[set as usize].contains(node)
    }

    /// Whether the node is among those that the workload may run on.
    pub fn in_set(&self, workload: usize, node: usize) -> bool {
        self.holds(self.set[workload], node)
    }

    /// Index of the workload's set of nodes, or [`NO_SET`]: equal for workloads with equal sets.
    pub fn set_of(&self, workload: usize) -> u32 {
        self.set[workload]
    }

    /// Whether workloads are counted by node or zone, and not only bound to sets.
    pub fn counts_anything(&self) -> bool {
        self.most_workloads.iter().any(|most| *most < u32::MAX)
            || self.zone_groups > 0
            || !self.spread_groups.is_empty()
    }

    /// Whether the workload is a member of a group that is bound to zones.
    pub fn has_zone_group(&self, workload: usize) -> bool {
        self.spread[workload] != NO_GROUP || self.zone_group[workload] != NO_GROUP
    }
}

/// The nodes of a cluster that is laid out.
pub(super) struct Nodes<'a> {
    /// Class of each, `[N]`.
    pub classes: &'a [u16],
    /// Zone of each, `[N]`.
    pub zones: &'a [u32],
    /// Number of zones.
    pub zone_count: usize,
}

/// Where a workload asks to be.
pub(super) struct Wish<'a> {
    /// Allowed node classes, a bit for each.
    pub classes: u64,
    /// Names of allowed nodes; empty for all.
    pub nodes: &'a [String],
    /// Its spread group.
    pub spread: Option<&'a Spread>,
    /// Its group that shares no zone.
    pub zone_anti_affinity: Option<&'a str>,
}

/// Collects [`PlaceRules`] while a cluster is laid out.
#[derive(Default)]
pub(super) struct PlaceRulesBuilder {
    rules: PlaceRules,
    /// Whether any node or workload asks for anything.
    asks: bool,
    /// Sets by the names that workloads list.
    known: HashMap<Vec<String>, u32>,
    /// Sets by their nodes.
    numbers: HashMap<Vec<u32>, u32>,
    /// Node by name; empty as long as nobody lists any.
    index: HashMap<String, u32>,
    spreads: Index,
    zone_groups: Index,
    /// Smallest number of each spread group.
    skews: Vec<u32>,
    /// Allowed classes and set of each spread group's members.
    wants: Vec<HashSet<(u64, u32)>>,
}

impl PlaceRulesBuilder {
    /// The next node may have so many workloads.
    pub fn add_node(&mut self, max_workloads: Option<u32>) {
        self.asks |= max_workloads.is_some();
        self.rules.most_workloads.push(max_workloads.unwrap_or(u32::MAX));
    }

    /// The next workload, once all nodes are known.
    pub fn add_workload(&mut self, node_names: &[String], wish: &Wish<'_>) {
        let set = self.set_of(node_names, wish.nodes);
        let spread = wish.spread.map_or(NO_GROUP, |spread| {
            let group = self.spreads.of(&spread.group);
            let at = group as usize;
            if at == self.skews.len() {
                self.skews.push(u32::MAX);
                self.wants.push(HashSet::new());
            }
            self.skews[at] = self.skews[at].min(spread.max_skew);
            self.wants[at].insert((wish.classes, set));
            group
        });
        let zone_group = wish.zone_anti_affinity;
        let zone_group = zone_group.map_or(NO_GROUP, |group| self.zone_groups.of(group));
        self.asks |= set != NO_SET || spread != NO_GROUP || zone_group != NO_GROUP;
        self.rules.set.push(set);
        self.rules.spread.push(spread);
        self.rules.zone_group.push(zone_group);
    }

    fn set_of(&mut self, node_names: &[String], names: &[String]) -> u32 {
        if names.is_empty() {
            return NO_SET;
        }
        if let Some(&set) = self.known.get(names) {
            return set;
        }
        if self.index.is_empty() {
            self.index = node_names.iter().cloned().zip(0..).collect();
        }
        let members = names.iter().filter_map(|name| self.index.get(name).copied());
        let members: Vec<u32> = members.collect::<BTreeSet<u32>>().into_iter().collect();
        let nodes = node_names.len();
        let set = if members.len() == nodes {
            NO_SET
        } else if let Some(&set) = self.numbers.get(&members) {
            set
        } else {
            let set = self.rules.sets.len() as u32;
            self.rules.sets.push(NodeSet::new(members.clone(), nodes));
            self.numbers.insert(members, set);
            set
        };
        self.known.insert(names.to_vec(), set);
        set
    }

    /// The rules; `None` where nobody asks for anything.
    pub fn finish(self, nodes: &Nodes<'_>) -> Option<Arc<PlaceRules>> {
        let Self { mut rules, asks, zone_groups, skews, wants, .. } = self;
        if !asks {
            return None;
        }
        rules.zone_groups = zone_groups.len();
        let all: Arc<[u32]> = (0..nodes.zone_count as u32).collect();
        let zones: Vec<Arc<[u32]>> = wants
            .iter()
            .map(|wants| match wants.contains(&(u64::MAX, NO_SET)) {
                true => Arc::clone(&all),
                false => rules.zones_of(nodes, wants),
            })
            .collect();
        let groups = skews.into_iter().zip(zones);
        rules.spread_groups =
            groups.map(|(max_skew, zones)| SpreadGroup { max_skew, zones }).collect();
        Some(Arc::new(rules))
    }
}
