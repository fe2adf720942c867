//! What is broken in a snapshot already, before any plan.

use std::collections::{BTreeMap, HashMap, HashSet};

use godwit_envs::snapshot::Snapshot;
use godwit_envs::state::outlook::fits;
use godwit_models::shell::ShellRules;
use schemars::JsonSchema;
use serde::Serialize;

/// Most violations of a kind, and most names in one of them, that are listed.
pub const MOST_LISTED: usize = 20;

/// Kinds of violations.
pub const KINDS: [&str; 4] = ["capacity", "class", "anti_affinity", "disruption_budget"];

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
    /// Those of a valid snapshot; of budgets those in `rules`.
    pub fn of(snapshot: &Snapshot, rules: Option<&ShellRules>) -> Self {
        let mut found = Self::default();
        found.capacity(snapshot);
        found.classes(snapshot);
        found.anti_affinity(snapshot);
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
        for workload in &snapshot.workloads {
            let at = index[workload.node.as_str()] * m;
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
        for workload in snapshot.workloads.iter().filter(|workload| !workload.classes.is_empty()) {
            let class = &snapshot.nodes[index[workload.node.as_str()]].class;
            if !workload.classes.contains(class) {
                self.add("class", || InputViolation::Class {
                    workload: workload.name.clone(),
                    node: workload.node.clone(),
                    class: class.clone(),
                    allowed: workload.classes.iter().take(MOST_LISTED).cloned().collect(),
                });
            }
        }
    }

    fn anti_affinity(&mut self, snapshot: &Snapshot) {
        let mut together: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
        for workload in &snapshot.workloads {
            if let Some(group) = &workload.anti_affinity {
                together.entry((group, &workload.node)).or_default().push(&workload.name);
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

/// Position of each node by its name.
fn node_index(snapshot: &Snapshot) -> HashMap<&str, usize> {
    snapshot.nodes.iter().map(|node| node.name.as_str()).zip(0..).collect()
}
