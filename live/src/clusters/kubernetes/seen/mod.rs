//! Makes a snapshot of a cluster's objects.

mod classes;
mod groups;
mod holds;
mod names;
mod notes;
mod places;
mod rules;
mod templates;

use std::collections::HashMap;

use godwit_envs::input::InputError;
use godwit_envs::snapshot::{Snapshot, SnapshotNode, SnapshotWorkload};
use godwit_envs::state::cluster::Health;

use super::objects::{Budget, Labels, Node, Objects, Pod, PodUse};
use super::settings::{Claims, Cordoned, Demand, Settings};
use crate::cluster::Seen;
use groups::{Around, Groups, groups};
use holds::{Hold, is_machine, own_hold};
use names::shortened;
use notes::Notes;
use places::{Counts, finish, place};
use rules::{Place, reaches};
use templates::Templates;

pub(super) use names::{MACHINE, Ordinals, by_owner};

/// When objects were seen.
#[derive(Debug, Clone, Copy)]
pub(super) struct Time {
    /// Seconds since 1970.
    pub now_s: f64,
    /// For how long nothing has been heard of them, seconds.
    pub behind_s: f32,
}

/// The snapshot of objects. `resources` are the names of its m kinds, those of `objects.kinds`.
///
/// # Errors
/// When the objects make no valid snapshot; `label` is what errors call them.
pub(super) fn snapshot_of(
    objects: &Objects,
    resources: &[String],
    settings: &Settings,
    ordinals: &mut Ordinals,
    time: Time,
    label: &str,
) -> Result<Seen, InputError> {
    let mut notes = Notes::default();
    let places = places(objects, settings);
    let index: HashMap<&str, usize> =
        places.iter().enumerate().map(|(n, place)| (place.name, n)).collect();

    let mut pods: Vec<&Pod> = objects.pods.values().filter(|pod| !pod.ended).collect();
    pods.sort_unstable_by(|a, b| by_owner(a, b));
    let pods = without_migration_targets(pods, objects, &mut notes);
    let names = ordinals.name(&pods);
    let nodes: Vec<Option<usize>> = pods
        .iter()
        .map(|pod| pod.node.as_deref().and_then(|name| index.get(name).copied()))
        .collect();

    let (templates, template_of) = Templates::of(&pods, &nodes);
    let mut budgets: Vec<&Budget> = objects.budgets.values().collect();
    budgets.sort_unstable_by_key(|budget| (&budget.namespace, &budget.name));
    let labels = places.iter().map(|place| &*place.node.labels).collect();
    let around = Around { zone_label: &settings.zone_label, nodes: labels };
    let groups = groups(&templates, &budgets, &around);

    let mut holds: Vec<Option<Hold>> = (0..pods.len())
        .map(|k| hold(pods[k], &groups[template_of[k]], objects, settings))
        .collect();
    let asked = (0..pods.len()).map(|k| {
        let bound = pods[k].data.claim && settings.claims == Claims::Zone && !is_machine(pods[k]);
        holds[k].is_none().then_some((pods[k], template_of[k], nodes[k], bound))
    });
    let class = |place: &Place<'_>| {
        let label = place.node.labels.get(&settings.class_label).filter(|label| !label.is_empty());
        label.map_or("standard", String::as_str).to_owned()
    };
    let base: Vec<String> = places.iter().map(class).collect();
    let reaches = reaches(asked, &groups, &places, &base);

    let mut snapshot = Snapshot {
        taken_at_s: Some(time.now_s),
        resources: resources.to_vec(),
        nodes: (0..places.len())
            .map(|n| snapshot_node(&places[n], &reaches.classes.of_node[n], settings, time))
            .collect(),
        ..Snapshot::default()
    };
    let mut counts = Counts::new(places.len());
    let mut together: Vec<Option<SnapshotWorkload>> = vec![None; places.len()];
    let memory = resources.iter().position(|name| name == "memory");
    for (k, pod) in pods.iter().enumerate() {
        let used = objects.uses.get(&(pod.namespace.clone(), pod.name.clone()));
        let demand = demand(pod, used, objects, settings);
        if let (Some(at_s), Some(n)) = (used.and_then(|used| used.at_s), nodes[k]) {
            let age = (time.now_s - at_s as f64).max(0.0) as f32;
            let node = &mut snapshot.nodes[n];
            node.metrics_age_s = node.metrics_age_s.max(age);
        }
        if let Some(gone) = pod.node.as_deref().filter(|_| nodes[k].is_none()) {
            notes.gone(&names[k], gone);
            continue;
        }
        if let Some(n) = nodes[k] {
            counts.add(n);
        }
        if let (Some(n), Some(true)) = (nodes[k], holds[k].map(Hold::is_counted_by_node)) {
            notes.stays(holds[k], &names[k]);
            match &mut together[n] {
                Some(sum) => {
                    sum.demand.iter_mut().zip(&demand).for_each(|(sum, more)| *sum += more);
                    counts.share(n);
                }
                empty => *empty = Some(node_workload(places[n].name, demand)),
            }
            continue;
        }
        if reaches.of_pod[k].is_some_and(|rule| !reaches.met[rule]) {
            holds[k] = Some(Hold::NoNode);
        }
        match nodes[k] {
            Some(_) => notes.stays(holds[k], &names[k]),
            None => notes.waits(&names[k]),
        }
        let own = &groups[template_of[k]];
        let mut workload = SnapshotWorkload {
            name: names[k].clone(),
            node: nodes[k].map(|n| places[n].name.to_owned()),
            state_gib: match memory {
                Some(j) if is_machine(pod) => pod.requests[j] as f32,
                _ => 0.0,
            },
            demand,
            priority: weight(pod.priority),
            tenant: Some(pod.namespace.to_string()),
            // A live migration is no disruption, and KubeVirt keeps its own budgets.
            disruption_group: own.disruption.clone().filter(|_| !is_machine(pod)),
            movable: holds[k].is_none(),
            ..SnapshotWorkload::default()
        };
        let rule = reaches.of_pod[k].filter(|_| holds[k].is_none());
        place(&mut workload, rule.map(|rule| &reaches.classes.reach[rule]), own, &places);
        snapshot.workloads.push(workload);
    }
    snapshot.workloads.extend(together.into_iter().flatten());
    notes.soft_taints(places.iter().flat_map(|place| &place.node.taints));
    finish(&mut snapshot, &places, &counts, &budgets, settings);
    snapshot.validate(label)?;
    Ok(Seen { snapshot, notes: notes.sentences() })
}

fn places<'a>(objects: &'a Objects, settings: &Settings) -> Vec<Place<'a>> {
    let zone = |labels: &'a Labels| labels.get(&settings.zone_label).map_or("", String::as_str);
    let place = |name: &'a str, node: &'a Node| Place { name, zone: zone(&node.labels), node };
    objects.nodes.iter().map(|(name, node)| place(name, node)).collect()
}

/// Of the pods of a virtual machine only the one that it runs in: into the others it may be migrating.
fn without_migration_targets<'a>(
    pods: Vec<&'a Pod>,
    objects: &Objects,
    notes: &mut Notes,
) -> Vec<&'a Pod> {
    let mut kept = Vec::with_capacity(pods.len());
    for same in pods.chunk_by(|a, b| (&a.namespace, &a.owner) == (&b.namespace, &b.owner)) {
        if same.len() == 1 || !is_machine(same[0]) {
            kept.extend_from_slice(same);
            continue;
        }
        let node = machine_of(same[0], objects).and_then(|machine| machine.node.as_deref());
        let here = same.iter().find(|pod| node.is_some() && pod.node.as_deref() == node);
        let source = || same.iter().find(|pod| !pod.migration_target);
        kept.push(here.or_else(source).unwrap_or(&same[0]));
        notes.migrating(same[0]);
    }
    kept
}

fn machine_of<'a>(pod: &Pod, objects: &'a Objects) -> Option<&'a super::objects::Machine> {
    let owner = pod.owner.as_ref().filter(|owner| &*owner.kind == MACHINE)?;
    objects.machines.get(&(pod.namespace.clone(), Box::from(&*owner.name)))
}

fn hold(pod: &Pod, groups: &Groups, objects: &Objects, settings: &Settings) -> Option<Hold> {
    let can_migrate = machine_of(pod, objects).is_some_and(|machine| machine.can_migrate);
    // KubeVirt's own budgets do not keep its machines from migrating.
    let said = groups.hold.filter(|hold| *hold != Hold::ManyBudgets || !is_machine(pod));
    own_hold(pod, can_migrate, settings).or(said)
}

fn demand(pod: &Pod, used: Option<&PodUse>, objects: &Objects, settings: &Settings) -> Vec<f32> {
    let Some(used) = used.filter(|_| settings.demand != Demand::Requests) else {
        return pod.requests.iter().map(|&amount| amount as f32).collect();
    };
    let amounts = pod.requests.iter().zip(&used.amounts).zip(objects.kinds.measured());
    let amount = |((&requested, &used), measured): ((&f64, &f64), bool)| match settings.demand {
        Demand::Max => requested.max(used) as f32,
        _ if measured => used as f32,
        _ => requested as f32,
    };
    amounts.map(amount).collect()
}

/// The weight of a workload's downtime: 1 for priority 0, one more for every power of ten above it.
fn weight(priority: i32) -> f32 {
    let size = (1.0 + (priority.unsigned_abs() as f32)).log10();
    if priority >= 0 { 1.0 + size } else { 1.0 / (1.0 + size) }
}

fn snapshot_node(place: &Place<'_>, class: &str, settings: &Settings, time: Time) -> SnapshotNode {
    let draining = place.node.cordoned && settings.cordoned == Cordoned::Draining;
    SnapshotNode {
        name: place.name.to_owned(),
        class: class.to_owned(),
        zone: place.zone.to_owned(),
        supply: place.node.supply.iter().map(|&amount| amount as f32).collect(),
        bandwidth_gib_s: settings.bandwidth_gib_s,
        health: match () {
            () if !place.node.ready => Health::Failed,
            () if draining || place.node.is_going() => Health::Draining,
            () => Health::Healthy,
        },
        metrics_age_s: time.behind_s,
        ..SnapshotNode::default()
    }
}

/// All pods of a node that stay with it, as one workload.
fn node_workload(node: &str, demand: Vec<f32>) -> SnapshotWorkload {
    SnapshotWorkload {
        name: shortened(format!("node/{node}")),
        node: Some(node.to_owned()),
        demand,
        state_gib: 0.0,
        movable: false,
        ..SnapshotWorkload::default()
    }
}
