//! Instances of the Google/ROADEF/EURO challenge 2012, in the challenge's format: `model_*.txt` with
//! `assignment_*.txt`, as in GitHub `apache/incubator-kie-optaplanner` (Apache-2.0),
//! `optaplanner-examples/data/machinereassignment/import`.
//!
//! Machines become nodes and processes workloads, in order. All constraints hold in every state of
//! an episode, not only in the last: moves are made one after the other. The objective is the
//! challenge's cost, in its own unit.

use super::imported::Imported;
use super::report::ImportReport;
use crate::input::InputError;
use crate::reassignment::{Cost, Instance, Solution, check};
use crate::resources::MAX_RESOURCES;
use crate::scenario::{ObjectiveRules, ScenarioError};
use crate::snapshot::{Snapshot, SnapshotNode, SnapshotReassignment, SnapshotWorkload};
use crate::state::term::Term;
use std::collections::BTreeMap;
use std::path::Path;

/// Imports a model and its initial assignment; `budget` is how many moves an episode allows.
///
/// # Errors
/// When a file cannot be read or holds no such instance, or as for [`machine_reassignment_of`].
pub fn machine_reassignment(
    model: &Path,
    assignment: &Path,
    budget: u32,
) -> Result<Imported, ScenarioError> {
    let instance = Instance::read(model, assignment)?;
    let name = model.file_stem().and_then(|stem| stem.to_str()).unwrap_or("machine-reassignment");
    machine_reassignment_of(name, &instance, budget)
}

/// A scenario around an instance; `name` is its name, and what errors call the instance.
///
/// # Errors
/// When the instance has more than 16 resources, or its initial assignment breaks a constraint.
pub fn machine_reassignment_of(
    name: &str,
    instance: &Instance,
    budget: u32,
) -> Result<Imported, ScenarioError> {
    let refuse = |field: &str, expected: String, got: String| {
        Err(InputError::field(name, field, expected, got).into())
    };
    let kinds = instance.resources().len();
    if kinds > MAX_RESOURCES {
        return refuse("resources", format!("at most {MAX_RESOURCES}"), kinds.to_string());
    }
    let start = Solution::new(instance);
    if !start.violations().none() {
        let verdict = check(instance, instance.initial());
        let broken = verdict.violations.first().map_or_else(String::new, ToString::to_string);
        let expected = "an initial assignment that keeps every constraint".to_owned();
        return refuse("assignment", expected, broken);
    }
    let snapshot = snapshot(instance);
    let mut report = ImportReport {
        source: format!("machine-reassignment: {name}"),
        notes: notes(instance),
        ..ImportReport::default()
    };
    report.summarise(&snapshot, None);
    let names: Vec<(String, String)> =
        snapshot.resources.iter().map(|name| (name.clone(), "units".to_owned())).collect();
    let names: Vec<(&str, &str)> = names.iter().map(|(n, u)| (n.as_str(), u.as_str())).collect();
    let objective = ObjectiveRules {
        weights: [(Term::MachineReassignment.name().to_owned(), 1.0)].into(),
        terms: BTreeMap::new(),
        unit: Some(typical_gain(&start)),
        slot: None,
    };
    let description = "An instance of the machine-reassignment challenge (ROADEF/EURO 2012): its \
                       cost, within a budget of moves.";
    Imported::around(name, description.into(), &names, objective, snapshot, budget, report)
}

fn snapshot(instance: &Instance) -> Snapshot {
    let floats = |numbers: &[i64]| numbers.iter().map(|&number| number as f32).collect();
    let nodes = instance.machines().iter().enumerate().map(|(m, machine)| SnapshotNode {
        name: format!("m{m}"),
        zone: format!("location-{}", machine.location),
        supply: floats(instance.capacity(m)),
        ..SnapshotNode::default()
    });
    let workloads = instance.initial().iter().enumerate().map(|(p, machine)| SnapshotWorkload {
        name: format!("p{p}"),
        node: Some(format!("m{machine}")),
        demand: floats(instance.requirement(p)),
        // What moving costs is in the challenge's own cost.
        state_gib: 0.0,
        ..SnapshotWorkload::default()
    });
    let kind = |(r, resource): (usize, &crate::reassignment::Resource)| {
        format!("{}-{r}", if resource.transient { "transient" } else { "resource" })
    };
    Snapshot {
        resources: instance.resources().iter().enumerate().map(kind).collect(),
        nodes: nodes.collect(),
        workloads: workloads.collect(),
        machine_reassignment: Some(SnapshotReassignment::new(instance)),
        ..Snapshot::default()
    }
}

fn notes(instance: &Instance) -> Vec<String> {
    let cost = Cost::of(instance, instance.initial());
    let services = instance.services();
    let spread = services.iter().filter(|service| service.spread > 1).count();
    let dependent = services.iter().filter(|service| !service.dependencies.is_empty()).count();
    vec![
        format!("initial cost {}: load {}, balance {}", cost.total(), cost.load, cost.balance),
        format!(
            "{} services, {spread} to be spread, {dependent} that depend on others; {} locations, {} neighbourhoods",
            services.len(),
            instance.locations(),
            instance.neighbourhoods()
        ),
    ]
}

/// A quarter of what the best single move gains: the size of a good move once the best are made.
fn typical_gain(start: &Solution<&Instance>) -> f32 {
    (start.best_gain() as f32 / 4.0).max(1.0)
}
