//! Checks of where workloads may be, beyond class and anti-affinity.

use super::{Check, Checked};
use crate::input::nearest_hint;
use crate::scenario::{NodeGroup, Scenario, WorkloadGroup};
use std::collections::{BTreeMap, HashMap, HashSet};

impl Check<'_> {
    /// What the workload group at `g` says of nodes and zones. `node_of` has the nodes' names.
    pub(super) fn places(
        &self,
        scenario: &Scenario,
        g: usize,
        node_of: &BTreeMap<String, usize>,
    ) -> Checked {
        let group = &scenario.workloads[g];
        for (i, name) in group.nodes.iter().enumerate() {
            let groups = || scenario.nodes.iter().map(|nodes| nodes.name.as_str());
            let known = node_of.contains_key(name) || groups().any(|other| other == name);
            let hint = nearest_hint(name, groups().chain(node_of.keys().map(String::as_str)));
            let expected = format!("the name of a node, or of a group of nodes{hint}");
            let field = format!("workloads[{g}].nodes[{i}]");
            self.require(known, &field, &expected, format!("{name:?}"))?;
        }
        if let Some(spread) = &group.spread {
            self.name(&format!("workloads[{g}].spread.group"), &spread.group)?;
            self.at_least_one(&format!("workloads[{g}].spread.max_skew"), spread.max_skew)?;
        }
        match &group.zone_anti_affinity {
            Some(name) => self.name(&format!("workloads[{g}].zone_anti_affinity"), name),
            None => Ok(()),
        }
    }

    /// Whether there is a zone for each workload of a group that shares none, of those that are there
    /// from the start.
    pub(super) fn zone_anti_affinity(&self, scenario: &Scenario) -> Checked {
        let zones: HashSet<&str> = scenario.nodes.iter().map(|node| node.zone.as_str()).collect();
        let mut members: HashMap<&str, u64> = HashMap::new();
        for (g, group) in scenario.workloads.iter().enumerate() {
            let Some(name) = group.zone_anti_affinity.as_ref().filter(|_| group.arrivals.is_none())
            else {
                continue;
            };
            let count = members.entry(name).or_default();
            *count += u64::from(group.count);
            let most = zones.len() as u64;
            let expected = format!("at most {most} workloads in group {name:?}, one for each zone");
            let field = format!("workloads[{g}].zone_anti_affinity");
            self.require(*count <= most, &field, &expected, count)?;
        }
        Ok(())
    }

    /// Placements that the file lists keep the rules about nodes and zones. `node_of` has the group of
    /// each node.
    pub(super) fn listed_places(
        &self,
        scenario: &Scenario,
        node_of: &BTreeMap<String, usize>,
    ) -> Checked {
        let mut on_node: HashMap<&str, u32> = HashMap::new();
        let mut apart: HashSet<(&str, &str)> = HashSet::new();
        for (g, group) in scenario.workloads.iter().enumerate() {
            let field = format!("workloads[{g}].node");
            let Some((node, nodes)) = listed(scenario, group, node_of) else { continue };
            let allowed = scenario.allowed_nodes(group);
            let is_allowed = allowed.is_empty() || allowed.iter().any(|other| other == node);
            let expected = format!("one of workloads[{g}].nodes, {}", group.nodes.join(", "));
            self.require(is_allowed, &field, &expected, format!("{node:?}"))?;
            if let Some(name) = &group.zone_anti_affinity {
                let alone = apart.insert((&nodes.zone, name)) && group.count == 1;
                let expected = format!("zones without another workload of group {name:?}");
                self.require(alone, &field, &expected, format!("zone {:?} twice", nodes.zone))?;
            }
            // Who comes later may find that others have left.
            if let Some(most) = nodes.max_workloads.filter(|_| group.arrivals.is_none()) {
                let count = on_node.entry(node).or_default();
                *count = count.saturating_add(group.count);
                let expected = format!("at most {most} workloads on {node:?}");
                self.require(*count <= most, &field, &expected, count)?;
            }
        }
        let groups = scenario.workloads.iter().filter_map(|group| group.spread.as_ref());
        let groups: HashSet<&str> = groups.map(|spread| spread.group.as_str()).collect();
        groups.into_iter().try_for_each(|name| self.listed_spread(scenario, name, node_of))
    }

    /// One spread group of a listed placement, unless some of it come later.
    fn listed_spread(
        &self,
        scenario: &Scenario,
        name: &str,
        node_of: &BTreeMap<String, usize>,
    ) -> Checked {
        let is_member = |group: &WorkloadGroup| {
            group.spread.as_ref().is_some_and(|spread| spread.group == name)
        };
        let members =
            || scenario.workloads.iter().enumerate().filter(|(_, group)| is_member(group));
        let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
        for (_, group) in members() {
            let sets = scenario.allowed_nodes(group);
            for (node, &at) in node_of {
                let nodes = &scenario.nodes[at];
                let by_class = group.classes.is_empty() || group.classes.contains(&nodes.class);
                if by_class && (sets.is_empty() || sets.contains(node)) {
                    counts.entry(&nodes.zone).or_default();
                }
            }
        }
        let mut max_skew = u32::MAX;
        for (_, group) in members() {
            let Some((_, nodes)) = listed(scenario, group, node_of) else { return Ok(()) };
            if group.arrivals.is_some() {
                return Ok(());
            }
            *counts.entry(&nodes.zone).or_default() += group.count;
            max_skew = max_skew.min(group.spread.as_ref().map_or(max_skew, |s| s.max_skew));
        }
        let (least, most) = (counts.values().min(), counts.values().max());
        let skew = most.copied().unwrap_or(0) - least.copied().unwrap_or(0);
        let at = members().map(|(g, _)| g).next().unwrap_or(0);
        let expected = format!(
            "a zone with at most {max_skew} more workloads of spread group {name:?} than another"
        );
        self.require(skew <= max_skew, &format!("workloads[{at}].node"), &expected, skew)
    }
}

/// The node that a group starts on, and that node's group.
fn listed<'a>(
    scenario: &'a Scenario,
    group: &'a WorkloadGroup,
    node_of: &BTreeMap<String, usize>,
) -> Option<(&'a str, &'a NodeGroup)> {
    let node = group.node.as_deref()?;
    Some((node, &scenario.nodes[*node_of.get(node)?]))
}
