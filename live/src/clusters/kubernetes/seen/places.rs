//! What a snapshot says of places: who may go where, who is kept apart, and how many a node takes.

use godwit_envs::snapshot::{Snapshot, SnapshotBudget, SnapshotWorkload};
use godwit_envs::state::places::Spread;

use super::classes::Reach;
use super::groups::{Groups, budget_name};
use super::rules::Place;
use crate::clusters::kubernetes::objects::{Budget, Node};
use crate::clusters::kubernetes::settings::{Cordoned, Settings};

/// The pods of each node.
pub(super) struct Counts {
    /// All of them.
    pods: Vec<u32>,
    /// Workloads that stand for more pods than one: how many more.
    shared: Vec<u32>,
}

impl Counts {
    pub(super) fn new(nodes: usize) -> Self {
        Self { pods: vec![0; nodes], shared: vec![0; nodes] }
    }

    /// A pod is on a node.
    pub(super) fn add(&mut self, node: usize) {
        self.pods[node] += 1;
    }

    /// It is counted with another of the node.
    pub(super) fn share(&mut self, node: usize) {
        self.shared[node] += 1;
    }

    /// Most workloads that a node may have.
    fn most(&self, n: usize, node: &Node, settings: &Settings) -> Option<u32> {
        // A node that takes no more pods has as many as it may.
        let closed = node.cordoned && settings.cordoned == Cordoned::Closed;
        let pods = if closed { Some(self.pods[n]) } else { node.most_pods };
        pods.map(|pods| pods.saturating_sub(self.shared[n]))
    }
}

/// Says where a workload may go and whom it is kept apart from.
pub(super) fn place(
    workload: &mut SnapshotWorkload,
    reach: Option<&Reach>,
    groups: &Groups,
    places: &[Place<'_>],
) {
    match reach {
        None | Some(Reach::Anywhere) => {}
        Some(Reach::Classes(names)) => workload.classes.clone_from(names),
        Some(Reach::Nodes(nodes)) => {
            workload.nodes = nodes.iter().map(|&n| places[n].name.to_owned()).collect();
        }
    }
    workload.anti_affinity.clone_from(&groups.host);
    workload.zone_anti_affinity.clone_from(&groups.zone);
    let spread = |(group, max_skew): (String, u32)| Spread { group, max_skew };
    workload.spread = groups.spread.clone().map(spread);
}

/// Says what nodes and budgets allow.
pub(super) fn finish(
    snapshot: &mut Snapshot,
    places: &[Place<'_>],
    counts: &Counts,
    budgets: &[&Budget],
    settings: &Settings,
) {
    for (n, (node, place)) in snapshot.nodes.iter_mut().zip(places).enumerate() {
        node.max_workloads = counts.most(n, place.node, settings);
    }
    let budget = |budget: &&Budget| SnapshotBudget {
        group: budget_name(budget),
        disruptions_allowed: budget.disruptions_allowed,
    };
    snapshot.disruption_budgets = budgets.iter().map(budget).collect();
}
