//! From a snapshot to the state that a policy decides on, and back.

use crate::input::InputError;
use crate::resources::ResourceKind;
use crate::scenario::{Mode, Rules};
use crate::snapshot::{
    Snapshot, SnapshotNode, SnapshotReassignment, SnapshotTransfer, SnapshotWorkload,
};
use crate::state::cluster::{ClusterSpec, Health, NO_GROUP};
use crate::state::objective::{Objective, OwnTermError, own_terms};
use crate::state::places::{NO_SET, Spread};
use crate::state::term::Term;
use crate::state::{ClusterState, Life, NOWHERE, Transfer};
use std::collections::HashMap;
use std::sync::Arc;

/// The rules with the resource kinds of a snapshot.
fn of_kinds(rules: &Rules, snapshot: &Snapshot) -> Arc<Rules> {
    let kind = |name: &String| ResourceKind { name: name.clone(), unit: String::new() };
    let resources = snapshot.resources.iter().map(kind).collect();
    Arc::new(Rules { resources, ..rules.clone() })
}

impl ClusterState {
    /// The state that a valid snapshot shows, under these rules, with the full move budget.
    /// `label` is what errors call the snapshot.
    ///
    /// Resource kinds are matched by name, in any order; rules that name none take those of the
    /// snapshot. A workload without forecast is expected to keep its present demand, and one without a
    /// node waits for it. Of the tick, only the time within the season counts. A demand
    /// above every node's supply counts as at most twice what its own node supplies, and demand on a
    /// node that lacks the resource as overload.
    ///
    /// # Errors
    /// When the snapshot's resource kinds or forecast horizons are not those of the rules, it lacks one
    /// that a term of the rules' own is about, or has no machine-reassignment problem where they weigh
    /// its cost.
    pub fn from_snapshot(
        rules: Arc<Rules>,
        snapshot: &Snapshot,
        label: &str,
    ) -> Result<Self, InputError> {
        let rules = if rules.resources.is_empty() { of_kinds(&rules, snapshot) } else { rules };
        let order = resource_order(&rules, snapshot, label)?;
        let horizons = rules.forecast.horizons.len();
        check_horizons(snapshot, horizons, label)?;
        check_own_terms(&rules, label)?;
        check_reassignment(&rules, snapshot, order.is_some(), label)?;
        let (spec, placement) = match order {
            None => snapshot.to_spec(),
            Some(ref order) => reordered(snapshot, order).to_spec(),
        };
        let spec: Arc<ClusterSpec> = Arc::new(spec);
        let mut state = Self::unbuilt(rules, spec, placement);
        for (k, _) in (0..).zip(&state.placement).filter(|(_, node)| **node == NOWHERE) {
            state.life[k as usize] = Life::Waiting;
            state.queue.push(k);
        }

        let m = state.spec.resources;
        let width = snapshot.workloads.len() * m;
        for (k, workload) in snapshot.workloads.iter().enumerate() {
            state.cooldown[k] = u16::try_from(workload.cooldown_ticks).unwrap_or(u16::MAX);
            for (h, demand) in workload.forecast.iter().enumerate() {
                let out = &mut state.forecast_demand[h * width + k * m..][..m];
                for (j, out) in out.iter_mut().enumerate() {
                    *out = demand[order.as_ref().map_or(j, |order| order[j])];
                }
            }
        }
        if !snapshot.transfers.is_empty() {
            let nodes: HashMap<&str, u32> =
                snapshot.nodes.iter().map(|node| node.name.as_str()).zip(0..).collect();
            let workloads: HashMap<&str, u32> =
                snapshot.workloads.iter().map(|workload| workload.name.as_str()).zip(0..).collect();
            state.transfers.extend(snapshot.transfers.iter().map(|transfer| Transfer {
                workload: workloads[transfer.workload.as_str()],
                source: nodes[transfer.source.as_str()],
                remaining_s: transfer.remaining_s,
            }));
        }
        let period = u64::from(state.rules.forecast.period_ticks.max(1));
        // Less than a u32 by the remainder.
        state.tick = (snapshot.tick.unwrap_or(0) % period) as u32;
        for (i, node) in snapshot.nodes.iter().enumerate() {
            state.health[i] = node.health;
            state.deadline[i] = match node.health {
                Health::Draining => state.tick.saturating_add(node.deadline_ticks),
                _ => 0,
            };
        }
        state.weigh_misfits();
        state.rebuild();
        Ok(state)
    }

    /// This state as a live cluster would send it: nodes and the workloads that run or wait.
    pub fn to_snapshot(&self) -> Snapshot {
        let spec = &*self.spec;
        let node_name = |node: u32| spec.node_names[node as usize].clone();
        let nodes = (0..spec.nodes()).map(|i| SnapshotNode {
            name: spec.node_names[i].clone(),
            class: spec.class_names[usize::from(spec.node_class[i])].clone(),
            zone: spec.zone_names.get(spec.node_zone[i] as usize).cloned().unwrap_or_default(),
            supply: (0..spec.resources).map(|j| spec.supply[j * spec.padded_nodes() + i]).collect(),
            bandwidth_gib_s: spec.bandwidth_gib_s[i],
            health: self.health[i],
            deadline_ticks: self.deadline[i].saturating_sub(self.tick),
            max_workloads: spec
                .places
                .as_ref()
                .map(|places| places.most_workloads[i])
                .filter(|most| *most < u32::MAX),
            ..SnapshotNode::default()
        });
        let there = (0..spec.workloads()).filter(|&k| self.life[k] != Life::Absent);
        let workloads = there.map(|k| SnapshotWorkload {
            name: spec.workload_names[k].clone(),
            node: self.node_of(k).map(|node| node_name(node as u32)),
            demand: self.demand_of(k).to_vec(),
            state_gib: spec.state_gib[k],
            dirty_gib_s: spec.dirty_gib_s[k],
            priority: spec.priority[k],
            classes: classes(spec, k),
            nodes: node_set(spec, k),
            anti_affinity: group_name(spec.group[k]),
            spread: spec.places.as_ref().and_then(|places| {
                let group = group_name(places.spread[k])?;
                let max_skew = places.spread_groups[places.spread[k] as usize].max_skew;
                Some(Spread { group, max_skew })
            }),
            zone_anti_affinity: spec
                .places
                .as_ref()
                .and_then(|places| group_name(places.zone_group[k])),
            movable: spec.movable[k],
            cooldown_ticks: u32::from(self.cooldown[k]),
            forecast: (0..self.forecast.len()).map(|h| self.forecast_of(h, k).to_vec()).collect(),
            ..SnapshotWorkload::default()
        });
        let transfers = self.transfers.iter().map(|transfer| SnapshotTransfer {
            workload: spec.workload_names[transfer.workload as usize].clone(),
            source: node_name(transfer.source),
            remaining_s: transfer.remaining_s,
        });
        Snapshot {
            tick: Some(u64::from(self.tick)),
            resources: self.rules.resources.iter().map(|kind| kind.name.clone()).collect(),
            nodes: nodes.collect(),
            workloads: workloads.collect(),
            transfers: transfers.collect(),
            machine_reassignment: spec.reassignment.as_deref().map(SnapshotReassignment::new),
            ..Snapshot::default()
        }
    }
}

/// The classes that a workload may run on; empty where it may run on all.
fn classes(spec: &ClusterSpec, workload: usize) -> Vec<String> {
    let allowed = |class: &usize| spec.class_mask[workload] >> class & 1 == 1;
    let all = 0..spec.class_names.len();
    if all.clone().all(|class| allowed(&class)) {
        return Vec::new();
    }
    let names: Vec<_> = all.filter(allowed).map(|class| spec.class_names[class].clone()).collect();
    // An empty list would mean all; a state does not keep the name of a class that no node has.
    if names.is_empty() { vec!["(a class that no node has)".to_owned()] } else { names }
}

/// The nodes that a workload may run on; empty where it may run on all.
fn node_set(spec: &ClusterSpec, workload: usize) -> Vec<String> {
    if spec.set_of(workload) == NO_SET {
        return Vec::new();
    }
    let allowed = (0..spec.nodes()).filter(|&node| spec.in_set(workload, node));
    let names: Vec<String> = allowed.map(|node| spec.node_names[node].clone()).collect();
    // As for classes.
    if names.is_empty() { vec!["(a node that is not there)".to_owned()] } else { names }
}

/// A state does not keep the names of groups.
fn group_name(group: u32) -> Option<String> {
    (group != NO_GROUP).then(|| format!("group-{group}"))
}

/// For each resource kind of the rules its place in the snapshot; `None` where the orders agree.
fn resource_order(
    rules: &Rules,
    snapshot: &Snapshot,
    label: &str,
) -> Result<Option<Vec<usize>>, InputError> {
    let wanted: Vec<&str> = rules.resources.iter().map(|kind| kind.name.as_str()).collect();
    let given: Vec<&str> = snapshot.resources.iter().map(String::as_str).collect();
    if wanted == given {
        return Ok(None);
    }
    let order: Vec<usize> =
        wanted.iter().filter_map(|name| given.iter().position(|other| other == name)).collect();
    if order.len() != wanted.len() || given.len() != wanted.len() {
        let expected = format!("{wanted:?} in any order");
        return Err(InputError::field(label, "resources", expected, format!("{given:?}")));
    }
    Ok(Some(order))
}

fn check_horizons(snapshot: &Snapshot, horizons: usize, label: &str) -> Result<(), InputError> {
    let wrong = |given: usize| given != 0 && given != horizons;
    match snapshot.workloads.iter().position(|workload| wrong(workload.forecast.len())) {
        None => Ok(()),
        Some(k) => Err(InputError::field(
            label,
            format!("workloads[{k}].forecast"),
            match horizons {
                0 => "no forecast, as the rules look at none".to_owned(),
                _ => format!("{horizons} horizons, as in the rules, or none"),
            },
            snapshot.workloads[k].forecast.len().to_string(),
        )),
    }
}

/// Rules of an artifact for any resource kinds may have terms about some that this cluster lacks.
fn check_own_terms(rules: &Rules, label: &str) -> Result<(), InputError> {
    own_terms(rules).map(|_| ()).map_err(|OwnTermError { name, error }| {
        let field = format!("rules.objective.terms.{name}");
        let expected = format!("{} at character {}", error.expected, error.at);
        InputError::field(label, field, expected, error.got)
    })
}

/// The model names resources by their order, and its costs know no time.
fn check_reassignment(
    rules: &Rules,
    snapshot: &Snapshot,
    reordered: bool,
    label: &str,
) -> Result<(), InputError> {
    let refuse = |field: &str, expected: &str, got: &str| {
        Err(InputError::field(label, field, expected, got))
    };
    let field = "machine_reassignment";
    match &snapshot.machine_reassignment {
        None if Objective::new(rules).uses(Term::MachineReassignment) => {
            refuse(field, "an instance, as the rules weigh its cost", "none")
        }
        Some(_) if rules.episode.mode == Mode::Online => {
            refuse(field, "none, as the rules are online", "an instance")
        }
        Some(_) if reordered => refuse("resources", "the order of the rules", "another"),
        _ => Ok(()),
    }
}

/// The snapshot with its supply and demand vectors in another order of resource kinds.
fn reordered(snapshot: &Snapshot, order: &[usize]) -> Snapshot {
    let mut snapshot = snapshot.clone();
    let pick = |values: &mut Vec<f32>| *values = order.iter().map(|&j| values[j]).collect();
    snapshot.nodes.iter_mut().for_each(|node| pick(&mut node.supply));
    snapshot.workloads.iter_mut().for_each(|workload| pick(&mut workload.demand));
    snapshot
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed expectation is the point of a test

    use super::*;
    use serde_json::json;

    fn rules() -> Arc<Rules> {
        let rules = json!({
            "resources": [{"name": "cpu"}, {"name": "memory"}],
            "episode": {"mode": "online", "moves_per_tick": 2},
            "objective": {"weights": {"max_load": 1.0}},
            "forecast": {"horizons": [1, 4], "period_ticks": 24},
        });
        Arc::new(serde_json::from_value(rules).unwrap())
    }

    fn snapshot(resources: [&str; 2], change: impl FnOnce(&mut serde_json::Value)) -> Snapshot {
        let flip = resources[0] == "memory";
        let pair = |cpu: f32, memory: f32| if flip { [memory, cpu] } else { [cpu, memory] };
        let mut value = json!({
            "format": "godwit-snapshot/1",
            "tick": 49,
            "resources": resources,
            "nodes": [
                {"name": "a", "supply": pair(8.0, 32.0)},
                {"name": "b", "supply": pair(16.0, 64.0)},
            ],
            "workloads": [
                {"name": "x", "node": "a", "demand": pair(2.0, 4.0),
                 "forecast": [pair(3.0, 4.0), pair(5.0, 6.0)]},
                {"name": "y", "node": "b", "demand": pair(1.0, 8.0), "cooldown_ticks": 70000},
            ],
            "transfers": [{"workload": "x", "source": "b", "remaining_s": 12.0}],
        });
        change(&mut value);
        Snapshot::from_json(&value.to_string(), "live.json").unwrap()
    }

    #[test]
    fn everything_in_the_snapshot_reaches_the_state() {
        let state =
            ClusterState::from_snapshot(rules(), &snapshot(["cpu", "memory"], |_| {}), "live.json")
                .unwrap();
        assert_eq!(state.demand, [2.0, 4.0, 1.0, 8.0]);
        assert_eq!(state.forecast_of(0, 0), [3.0, 4.0]);
        assert_eq!(state.forecast_of(1, 0), [5.0, 6.0]);
        // Persistence where there is no forecast.
        assert_eq!(state.forecast_of(1, 1), [1.0, 8.0]);
        assert_eq!(state.placement, [0, 1]);
        assert_eq!(state.cooldown, [0, u16::MAX]);
        assert_eq!((state.tick, state.moves_left), (1, 2));
        assert!(state.is_in_transfer(0));
        assert_eq!((state.transfers_of(0), state.transfers_of(1)), (1, 1));
        // The source still holds what is in transfer.
        assert_eq!(state.now.held[1], 3.0);
    }

    #[test]
    fn a_state_comes_back_from_its_own_snapshot() {
        let start = snapshot(["cpu", "memory"], |value| {
            value["workloads"][0]["classes"] = json!(["gpu"]);
            value["workloads"][1]["anti_affinity"] = "alone".into();
        });
        let state = ClusterState::from_snapshot(rules(), &start, "live.json").unwrap();
        let text = state.to_snapshot().to_json();
        let read = Snapshot::from_json(&text, "again.json").unwrap();
        let again = ClusterState::from_snapshot(rules(), &read, "again.json").unwrap();
        assert_eq!(again.to_snapshot(), read);
        assert_eq!(again.now, state.now);
        assert_eq!(again.forecast_demand, state.forecast_demand);
        assert_eq!(again.transfers, state.transfers);
        assert_eq!((&again.cooldown, again.tick), (&state.cooldown, state.tick));
        assert_eq!(again.check(0, 1), state.check(0, 1));
        assert_eq!(again.spec.class_mask, state.spec.class_mask);
    }

    #[test]
    fn resources_are_matched_by_name() {
        let states = [["cpu", "memory"], ["memory", "cpu"]].map(|resources| {
            ClusterState::from_snapshot(rules(), &snapshot(resources, |_| {}), "live.json").unwrap()
        });
        let [straight, flipped] = &states;
        assert_eq!(straight.demand, flipped.demand);
        assert_eq!(straight.forecast_demand, flipped.forecast_demand);
        assert_eq!(straight.spec.supply, flipped.spec.supply);
        assert_eq!(straight.now, flipped.now);
    }

    #[test]
    fn other_resources_and_horizons_are_refused() {
        let refuse = |snapshot: &Snapshot| {
            ClusterState::from_snapshot(rules(), snapshot, "live.json").unwrap_err().to_string()
        };
        let other = snapshot(["cpu", "memory"], |value| value["resources"][1] = "gpu".into());
        assert_eq!(
            refuse(&other),
            r#"live.json: resources: expected ["cpu", "memory"] in any order, got ["cpu", "gpu"]"#
        );
        let short = snapshot(["cpu", "memory"], |value| {
            value["workloads"][0]["forecast"] = json!([[1.0, 1.0]]);
        });
        assert_eq!(
            refuse(&short),
            "live.json: workloads[0].forecast: expected 2 horizons, as in the rules, or none, got 1"
        );
    }
}
