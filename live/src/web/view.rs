//! What the page shows: the cluster in a line per node, the plan, moves and what came of them.

use std::collections::{BTreeMap, HashMap};

use godwit_envs::snapshot::Snapshot;
use godwit_envs::state::cluster::Health;
use serde::Serialize;

use crate::cluster::Promises;
use crate::config::Mode;
use crate::control::Status;
use crate::ledger::moves::{Move, Outcome};
use crate::ledger::plans::Assessed;

/// Most nodes that are listed, those with the highest loads.
const MOST_NODES: usize = 200;

/// Most moves of earlier plans that are listed, the latest first.
const MOST_ENDED: usize = 50;

/// The document behind the page.
#[derive(Serialize)]
pub struct View<'a> {
    at_s: f64,
    mode: Mode,
    promises: Option<Promises>,
    seen_at_s: Option<f64>,
    unseen: Option<&'a str>,
    notes: &'a [String],
    halted: Option<&'a str>,
    demoted: bool,
    resources: &'a [String],
    workloads: usize,
    nodes: Vec<Node<'a>>,
    nodes_omitted: usize,
    decision: Option<Decision<'a>>,
    moves: Vec<&'a Move>,
    ended: Vec<&'a Move>,
    assessed: Vec<&'a Assessed>,
    outcomes: &'a BTreeMap<Outcome, u64>,
    alerts: Vec<&'a (f64, String)>,
}

#[derive(Serialize)]
struct Node<'a> {
    name: &'a str,
    zone: &'a str,
    health: Health,
    workloads: usize,
    /// Demand by supply, per resource; nothing where the node lacks it.
    utilisation: Vec<Option<f32>>,
    /// Sum of those, as in the objective.
    load: f32,
    metrics_age_s: f32,
}

#[derive(Serialize)]
struct Decision<'a> {
    reason: &'a str,
    policy: &'a str,
    plan: &'a godwit_models::plan::Plan,
}

impl<'a> View<'a> {
    /// The view of what the loop shows.
    pub fn of(status: &'a Status) -> Self {
        let ledger = &status.ledger;
        let snapshot = status.snapshot.as_deref();
        let mut nodes = snapshot.map(nodes).unwrap_or_default();
        let nodes_omitted = nodes.len().saturating_sub(MOST_NODES);
        if nodes_omitted > 0 {
            nodes.sort_by(|a, b| b.load.total_cmp(&a.load));
            nodes.truncate(MOST_NODES);
        }
        Self {
            at_s: status.at_s,
            mode: status.mode,
            promises: status.promises,
            seen_at_s: status.seen_at_s,
            unseen: status.unseen.as_deref(),
            notes: &status.notes,
            halted: ledger.halted.as_deref(),
            demoted: ledger.demoted,
            resources: snapshot.map(|snapshot| &snapshot.resources[..]).unwrap_or_default(),
            workloads: snapshot.map_or(0, |snapshot| snapshot.workloads.len()),
            nodes,
            nodes_omitted,
            decision: status.decision.as_deref().map(|decision| Decision {
                reason: decision.reason,
                policy: &decision.artifact.scenario,
                plan: &decision.plan,
            }),
            moves: ledger.moves().collect(),
            ended: ledger.ended.iter().rev().take(MOST_ENDED).collect(),
            assessed: ledger.assessed.iter().rev().collect(),
            outcomes: &ledger.outcomes,
            alerts: ledger.alerts.iter().rev().collect(),
        }
    }
}

fn nodes(snapshot: &Snapshot) -> Vec<Node<'_>> {
    let kinds = snapshot.resources.len();
    let mut demand: HashMap<&str, (usize, Vec<f32>)> = HashMap::new();
    for workload in &snapshot.workloads {
        let Some(node) = workload.node.as_deref() else { continue };
        let (count, sums) = demand.entry(node).or_insert_with(|| (0, vec![0.0; kinds]));
        *count += 1;
        sums.iter_mut().zip(&workload.demand).for_each(|(sum, demand)| *sum += demand);
    }
    let none = (0, vec![0.0; kinds]);
    let node = |node: &'_ godwit_envs::snapshot::SnapshotNode| {
        let (workloads, sums) = demand.get(node.name.as_str()).unwrap_or(&none);
        let share = |(sum, supply): (&f32, &f32)| (*supply > 0.0).then(|| sum / supply);
        let utilisation: Vec<_> = sums.iter().zip(&node.supply).map(share).collect();
        (*workloads, utilisation)
    };
    let views = snapshot.nodes.iter().map(|of| {
        let (workloads, utilisation) = node(of);
        Node {
            name: &of.name,
            zone: &of.zone,
            health: of.health,
            workloads,
            load: utilisation.iter().flatten().sum(),
            utilisation,
            metrics_age_s: of.metrics_age_s,
        }
    });
    views.collect()
}
