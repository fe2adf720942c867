//! Scenarios list no placement that breaks a constraint, and clusters do.

use crate::scenario::{NodeGroup, WorkloadGroup};
use crate::snapshot::SnapshotNode;
use std::collections::{BTreeMap, HashMap, HashSet};

/// Lets who breaks a constraint off it. Returns how many do.
pub(super) fn let_off(groups: &mut [WorkloadGroup], nodes: &[&SnapshotNode]) -> usize {
    let by_name: HashMap<&str, &SnapshotNode> =
        nodes.iter().map(|node| (node.name.as_str(), *node)).collect();
    let classes: HashSet<&str> = nodes.iter().map(|node| node.class.as_str()).collect();
    let uneven = uneven(groups, &by_name);
    let mut taken: HashSet<(&str, String)> = HashSet::new();
    let mut off = 0;
    for group in groups {
        let asked = [!group.classes.is_empty(), !group.nodes.is_empty()];
        group.classes.retain(|class| classes.contains(class.as_str()));
        group.nodes.retain(|node| by_name.contains_key(node.as_str()));
        let mut broken = false;
        if let Some(node) = group.node.as_deref().and_then(|node| by_name.get(node).copied()) {
            for (asked, allowed, has) in [
                (asked[0], &mut group.classes, &node.class),
                (asked[1], &mut group.nodes, &node.name),
            ] {
                if asked && !allowed.contains(has) {
                    allowed.push(has.clone());
                    broken = true;
                }
            }
            for (kind, place, name) in [
                ("node", &node.name, &mut group.anti_affinity),
                ("zone", &node.zone, &mut group.zone_anti_affinity),
            ] {
                if let Some(other) = name.as_ref()
                    && !taken.insert((kind, format!("{place:?} {other:?}")))
                {
                    *name = None;
                    broken = true;
                }
            }
        }
        if group.spread.as_ref().is_some_and(|spread| uneven.contains(&spread.group)) {
            group.spread = None;
            broken = true;
        }
        off += usize::from(broken);
    }
    off
}

/// Spread groups whose members at the start are further apart than any of them allows, be the zones
/// that count all there are.
fn uneven(groups: &[WorkloadGroup], by_name: &HashMap<&str, &SnapshotNode>) -> HashSet<String> {
    let zones: HashSet<&str> = by_name.values().map(|node| node.zone.as_str()).collect();
    let mut members: BTreeMap<&str, (u32, HashMap<&str, u32>)> = BTreeMap::new();
    for group in groups {
        let Some(spread) = &group.spread else { continue };
        let (max_skew, counts) = members.entry(&spread.group).or_insert((u32::MAX, HashMap::new()));
        *max_skew = spread.max_skew.min(*max_skew);
        if let Some(node) = group.node.as_deref().and_then(|node| by_name.get(node)) {
            *counts.entry(&node.zone).or_default() += group.count;
        }
    }
    let is_uneven = |(max_skew, counts): &(u32, HashMap<&str, u32>)| {
        let of = |zone: &&str| counts.get(zone).copied().unwrap_or(0);
        let (least, most) = (zones.iter().map(of).min(), zones.iter().map(of).max());
        most.unwrap_or(0) - least.unwrap_or(0) > *max_skew
    };
    let found = members.iter().filter(|(_, group)| is_uneven(group));
    found.map(|(name, _)| (*name).to_owned()).collect()
}

/// Raises limits of workloads per node to what the nodes have at the start. Returns how many are.
pub(super) fn raise_limits(nodes: &mut [NodeGroup], workloads: &[WorkloadGroup]) -> usize {
    let mut counts: HashMap<&str, u32> = HashMap::new();
    for node in workloads.iter().filter_map(|group| group.node.as_deref()) {
        *counts.entry(node).or_default() += 1;
    }
    let mut raised = 0;
    for node in nodes {
        let count = counts.get(node.name.as_str()).copied().unwrap_or(0).max(1);
        if let Some(most) = node.max_workloads.as_mut().filter(|most| **most < count) {
            *most = count;
            raised += 1;
        }
    }
    raised
}
