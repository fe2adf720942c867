//! What is broken in a snapshot already, before any plan.

use std::collections::{BTreeMap, HashMap, HashSet};

use godwit_envs::snapshot::{Snapshot, SnapshotWorkload};
use godwit_envs::state::ClusterState;
use godwit_envs::state::outlook::fits;
use godwit_models::shell::ShellRules;
use schemars::JsonSchema;
use serde::Serialize;

/// Most violations of a kind, and most names in one of them, that are listed.
pub const MOST_LISTED: usize = 20;

/// Kinds of violations.
pub const KINDS: [&str; 8] = [
    "capacity",
    "class",
    "node_set",
    "workloads_per_node",
    "anti_affinity",
    "zone_anti_affinity",
    "zone_spread",
    "disruption_budget",
];

/// A rule that the cluster breaks as it stands.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum InputViolation {
    /// The workloads on a node demand more than it supplies.
    Capacity {
        /// The node.
        node: String,
        /// The resource.
        resource: String,
        /// What its workloads demand, those on their way to it included.
        demand: f64,
        /// What it supplies.
        supply: f32,
    },
    /// A workload is on a node of a class that it may not have.
    Class {
        /// The workload.
        workload: String,
        /// Its node.
        node: String,
        /// The node's class.
        class: String,
        /// Classes that it may have; at most 20 of them.
        allowed: Vec<String>,
    },
    /// A workload is on a node that is not among those it may run on.
    NodeSet {
        /// The workload.
        workload: String,
        /// Its node.
        node: String,
        /// Nodes that it may run on; at most 20 of them.
        allowed: Vec<String>,
    },
    /// A node has more workloads than it may.
    WorkloadsPerNode {
        /// The node.
        node: String,
        /// Its workloads, those on their way to it included.
        workloads: u32,
        /// How many it may have.
        most: u32,
    },
    /// Members of an anti-affinity group are on one node.
    AntiAffinity {
        /// The group.
        group: String,
        /// The node.
        node: String,
        /// How many are there.
        members: usize,
        /// Their names; at most 20 of them.
        workloads: Vec<String>,
    },
    /// Members of a group that shares no zone are in one zone.
    ZoneAntiAffinity {
        /// The group.
        group: String,
        /// The zone.
        zone: String,
        /// How many are there.
        members: usize,
        /// Their names; at most 20 of them.
        workloads: Vec<String>,
    },
    /// A zone has too many more members of a spread group than another.
    ZoneSpread {
        /// The group.
        group: String,
        /// The zone.
        zone: String,
        /// Members in it, those on their way to it included.
        members: u32,
        /// Fewest members in a zone that counts for the group.
        fewest: u32,
        /// How many more a zone may have.
        max_skew: u32,
    },
    /// More of a disruption group are in transfer than its budget allows.
    DisruptionBudget {
        /// The group.
        group: String,
        /// Members that are in transfer.
        in_transfer: u32,
        /// The budget.
        budget: u32,
    },
}

/// The violations of a snapshot.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Violations {
    /// How many of each kind; kinds without any are left out.
    pub counts: BTreeMap<&'static str, u32>,
    /// The first of each kind.
    pub listed: Vec<InputViolation>,
}

impl Violations {
    /// Those of a valid snapshot, whose state is `state`; of budgets those in `rules`.
    pub fn of(snapshot: &Snapshot, state: &ClusterState, rules: Option<&ShellRules>) -> Self {
        let mut found = Self::default();
        found.capacity(snapshot);
        found.classes(snapshot);
        found.node_sets(snapshot);
        found.workloads_per_node(snapshot);
        found.anti_affinity(snapshot);
        found.zones(snapshot, state);
        if let Some(rules) = rules.filter(|rules| !rules.disruption_budgets.is_empty()) {
            found.budgets(snapshot, rules);
        }
        found
    }

    fn add(&mut self, kind: &'static str, violation: impl FnOnce() -> InputViolation) {
        let count = self.counts.entry(kind).or_default();
        *count += 1;
        if *count as usize <= MOST_LISTED {
            self.listed.push(violation());
        }
    }

    fn capacity(&mut self, snapshot: &Snapshot) {
        let m = snapshot.resources.len();
        let index = node_index(snapshot);
        let mut demand = vec![0.0_f64; snapshot.nodes.len() * m];
        for (workload, node) in placed(snapshot) {
            let at = index[node] * m;
            for (sum, &d) in demand[at..at + m].iter_mut().zip(&workload.demand) {
                *sum += f64::from(d);
            }
        }
        for (node, demand) in snapshot.nodes.iter().zip(demand.chunks_exact(m)) {
            for (j, (&demand, &supply)) in demand.iter().zip(&node.supply).enumerate() {
                if !fits(demand as f32, 0.0, supply) {
                    self.add("capacity", || InputViolation::Capacity {
                        node: node.name.clone(),
                        resource: snapshot.resources[j].clone(),
                        demand,
                        supply,
                    });
                }
            }
        }
    }

    fn classes(&mut self, snapshot: &Snapshot) {
        if snapshot.workloads.iter().all(|workload| workload.classes.is_empty()) {
            return;
        }
        let index = node_index(snapshot);
        for (workload, node) in placed(snapshot).filter(|(k, _)| !k.classes.is_empty()) {
            let class = &snapshot.nodes[index[node]].class;
            if !workload.classes.contains(class) {
                self.add("class", || InputViolation::Class {
                    workload: workload.name.clone(),
                    node: node.to_owned(),
                    class: class.clone(),
                    allowed: workload.classes.iter().take(MOST_LISTED).cloned().collect(),
                });
            }
        }
    }

    fn node_sets(&mut self, snapshot: &Snapshot) {
        for (workload, node) in placed(snapshot).filter(|(k, _)| !k.nodes.is_empty()) {
            if !workload.nodes.iter().any(|allowed| allowed == node) {
                self.add("node_set", || InputViolation::NodeSet {
                    workload: workload.name.clone(),
                    node: node.to_owned(),
                    allowed: workload.nodes.iter().take(MOST_LISTED).cloned().collect(),
                });
            }
        }
    }

    fn workloads_per_node(&mut self, snapshot: &Snapshot) {
        if snapshot.nodes.iter().all(|node| node.max_workloads.is_none()) {
            return;
        }
        let mut counts: HashMap<&str, u32> = HashMap::new();
        placed(snapshot).for_each(|(_, node)| *counts.entry(node).or_default() += 1);
        for node in &snapshot.nodes {
            let workloads = counts.get(node.name.as_str()).copied().unwrap_or(0);
            if let Some(most) = node.max_workloads.filter(|most| workloads > *most) {
                let node = node.name.clone();
                self.add("workloads_per_node", || InputViolation::WorkloadsPerNode {
                    node,
                    workloads,
                    most,
                });
            }
        }
    }

    /// The rules about zones; which zones count for a group, the state knows.
    fn zones(&mut self, snapshot: &Snapshot, state: &ClusterState) {
        let Some(places) = &state.spec.places else { return };
        let zone_of: HashMap<&str, &str> =
            snapshot.nodes.iter().map(|node| (node.name.as_str(), node.zone.as_str())).collect();
        let mut together: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
        let mut spread: BTreeMap<&str, BTreeMap<&str, u32>> = BTreeMap::new();
        for (k, workload) in snapshot.workloads.iter().enumerate() {
            if let Some(of) = &workload.spread {
                // Zones that count have an entry, be it 0.
                let members = spread.entry(&of.group).or_insert_with(|| {
                    let zones = &places.spread_groups[places.spread[k] as usize].zones;
                    let zones = zones.iter().map(|&zone| &state.spec.zone_names[zone as usize]);
                    zones.map(|zone| (zone.as_str(), 0)).collect()
                });
                let zone = workload.node.as_deref().map(|node| zone_of[node]);
                if let Some(count) = zone.and_then(|zone| members.get_mut(zone)) {
                    *count += 1;
                }
            }
            if let Some((group, node)) =
                workload.zone_anti_affinity.as_ref().zip(workload.node.as_ref())
            {
                together.entry((group, zone_of[node.as_str()])).or_default().push(&workload.name);
            }
        }
        for ((group, zone), names) in together.iter().filter(|(_, names)| names.len() > 1) {
            self.add("zone_anti_affinity", || InputViolation::ZoneAntiAffinity {
                group: (*group).to_owned(),
                zone: (*zone).to_owned(),
                members: names.len(),
                workloads: names.iter().take(MOST_LISTED).map(|&name| name.to_owned()).collect(),
            });
        }
        let skews = snapshot.workloads.iter().zip(&places.spread).filter_map(|(workload, &at)| {
            let max_skew = places.spread_groups.get(at as usize)?.max_skew;
            Some((workload.spread.as_ref()?.group.as_str(), max_skew))
        });
        let skews: HashMap<&str, u32> = skews.collect();
        for (group, members) in spread {
            let fewest = members.values().copied().min().unwrap_or(0);
            let max_skew = skews[group];
            for (zone, members) in members.into_iter().filter(|at| at.1 - fewest > max_skew) {
                self.add("zone_spread", || InputViolation::ZoneSpread {
                    group: group.to_owned(),
                    zone: zone.to_owned(),
                    members,
                    fewest,
                    max_skew,
                });
            }
        }
    }

    fn anti_affinity(&mut self, snapshot: &Snapshot) {
        let mut together: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
        for (workload, node) in placed(snapshot) {
            if let Some(group) = &workload.anti_affinity {
                together.entry((group, node)).or_default().push(&workload.name);
            }
        }
        for ((group, node), names) in together.iter().filter(|(_, names)| names.len() > 1) {
            self.add("anti_affinity", || InputViolation::AntiAffinity {
                group: (*group).to_owned(),
                node: (*node).to_owned(),
                members: names.len(),
                workloads: names.iter().take(MOST_LISTED).map(|&name| name.to_owned()).collect(),
            });
        }
    }

    fn budgets(&mut self, snapshot: &Snapshot, rules: &ShellRules) {
        let moving: HashSet<&str> =
            snapshot.transfers.iter().map(|transfer| transfer.workload.as_str()).collect();
        let mut in_transfer: HashMap<&str, u32> = HashMap::new();
        for workload in snapshot.workloads.iter().filter(|w| moving.contains(w.name.as_str())) {
            if let Some(group) = &workload.disruption_group {
                *in_transfer.entry(group).or_default() += 1;
            }
        }
        for (group, &budget) in &rules.disruption_budgets {
            let in_transfer = in_transfer.get(group.as_str()).copied().unwrap_or(0);
            if in_transfer > budget {
                self.add("disruption_budget", || InputViolation::DisruptionBudget {
                    group: group.clone(),
                    in_transfer,
                    budget,
                });
            }
        }
    }
}

/// The workloads that are on a node, with its name.
fn placed(snapshot: &Snapshot) -> impl Iterator<Item = (&SnapshotWorkload, &str)> {
    snapshot.workloads.iter().filter_map(|workload| Some((workload, workload.node.as_deref()?)))
}

/// Position of each node by its name.
fn node_index(snapshot: &Snapshot) -> HashMap<&str, usize> {
    snapshot.nodes.iter().map(|node| node.name.as_str()).zip(0..).collect()
}
