//! What an import did, for people.

use crate::scenario::SlotRules;
use crate::snapshot::Snapshot;
use crate::state::outlook::whole_slots;
use std::collections::HashMap;
use std::fmt;

/// Supply and placed demand of one resource kind over the whole cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct ResourceSummary {
    /// Name of the resource kind.
    pub name: String,
    /// Sum of the nodes' supplies.
    pub supply: f64,
    /// Sum of the placed demands.
    pub placed: f64,
}

/// Deployable slots at the start.
#[derive(Debug, Clone, PartialEq)]
pub struct SlotSummary {
    /// What a slot is.
    pub slot: SlotRules,
    /// Whole slots that fit into the nodes' headroom.
    pub slots: u64,
    /// Free supply of the slot's resource.
    pub free: f64,
    /// `1 - slots x size / free`.
    pub fragmentation: f64,
}

/// What an import did.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ImportReport {
    /// Importer and files.
    pub source: String,
    /// Nodes imported.
    pub nodes: usize,
    /// Workloads imported (placed).
    pub workloads: usize,
    /// Workloads among them that may not be migrated.
    pub pinned: usize,
    /// Names of the workloads that fit on no node, in file order; they are not in the snapshot.
    pub unplaced: Vec<String>,
    /// Per resource kind, in the scenario's order.
    pub resources: Vec<ResourceSummary>,
    /// Deployable slots at the start.
    pub slots: Option<SlotSummary>,
    /// What else the user should know.
    pub notes: Vec<String>,
}

/// Names that a printed report gives; its field holds all.
const NAMED: usize = 10;

/// The first names, and how many more there are.
pub(super) fn names(all: &[String]) -> String {
    let named = all.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    match all.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

impl ImportReport {
    /// Fills in everything that the snapshot tells.
    pub(super) fn summarise(&mut self, snapshot: &Snapshot, slot: Option<&SlotRules>) {
        self.nodes = snapshot.nodes.len();
        self.workloads = snapshot.workloads.len();
        self.pinned = snapshot.workloads.iter().filter(|workload| !workload.movable).count();
        self.resources = snapshot
            .resources
            .iter()
            .enumerate()
            .map(|(j, name)| ResourceSummary {
                name: name.clone(),
                supply: snapshot.nodes.iter().map(|node| f64::from(node.supply[j])).sum(),
                placed: snapshot
                    .workloads
                    .iter()
                    .map(|workload| f64::from(workload.demand[j]))
                    .sum(),
            })
            .collect();
        let place =
            |slot: &SlotRules| snapshot.resources.iter().position(|name| *name == slot.resource);
        self.slots = slot.and_then(|slot| Some((slot, place(slot)?))).map(|(slot, j)| {
            let mut free: HashMap<&str, f64> = snapshot
                .nodes
                .iter()
                .map(|node| (node.name.as_str(), f64::from(node.supply[j])))
                .collect();
            for workload in &snapshot.workloads {
                if let Some(node) = &workload.node {
                    *free.entry(node).or_default() -= f64::from(workload.demand[j]);
                }
            }
            // Over-full nodes have nothing free, not less than nothing.
            let free: Vec<f64> =
                snapshot.nodes.iter().map(|node| free[node.name.as_str()].max(0.0)).collect();
            let slots =
                free.iter().map(|free| whole_slots(*free as f32, slot.size) as u64).sum::<u64>();
            let free: f64 = free.iter().sum();
            let deployable = slots as f64 * f64::from(slot.size);
            let fragmentation = if free > 0.0 { 1.0 - deployable / free } else { 0.0 };
            SlotSummary { slot: slot.clone(), slots, free, fragmentation }
        });
    }
}

impl fmt::Display for ImportReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.source)?;
        writeln!(f, "{} nodes, {} workloads ({} pinned)", self.nodes, self.workloads, self.pinned)?;
        for ResourceSummary { name, supply, placed } in &self.resources {
            let share = if *supply > 0.0 { 100.0 * placed / supply } else { 0.0 };
            writeln!(f, "{name}: {placed:.1} of {supply:.1} placed ({share:.1} %)")?;
        }
        if let Some(SlotSummary { slot, slots, free, fragmentation }) = &self.slots {
            let SlotRules { resource, size } = slot;
            writeln!(
                f,
                "slots of {size} {resource}: {slots} in {free:.1} free, fragmentation {fragmentation:.3}"
            )?;
        }
        if !self.unplaced.is_empty() {
            let total = self.workloads + self.unplaced.len();
            let (count, names) = (self.unplaced.len(), names(&self.unplaced));
            writeln!(f, "left out, fit on no node: {count} of {total} ({names})")?;
        }
        for note in &self.notes {
            writeln!(f, "note: {note}")?;
        }
        Ok(())
    }
}
