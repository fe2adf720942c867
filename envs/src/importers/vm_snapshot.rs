//! Placed virtual machines of one production cluster, as JSON: the data set of GitHub
//! `bytedance/DRL-based-VM-Rescheduling` (Apache-2.0), `data/reset_vm_pm_id_clear2.json`.
//!
//! Every NUMA node of a host becomes a node. A virtual machine on one NUMA node becomes a movable
//! workload; one that spans several becomes a pinned workload on each, since its parts could only
//! move together.

use super::imported::{ImportOptions, Imported};
use super::report::ImportReport;
use crate::input::{InputError, parse_json, read_text};
use crate::scenario::ScenarioError;
use crate::snapshot::{Snapshot, SnapshotNode, SnapshotWorkload};
use serde::Deserialize;
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// MiB per GiB.
const MIB: f64 = 1024.0;

#[derive(Deserialize)]
struct Document {
    cluster_list: Vec<Cluster>,
}

#[derive(Deserialize)]
struct Cluster {
    host_info: Vec<Host>,
    vm_instance: Vec<Instance>,
    #[serde(default)]
    other_requirement: Requirement,
}

#[derive(Default, Deserialize)]
struct Requirement {
    #[serde(default)]
    deployment_set: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct Host {
    node_id: String,
    numa: Vec<Numa>,
}

#[derive(Deserialize)]
struct Numa {
    node: u32,
    total_cpu: f64,
    memory_huge_total_mb: f64,
    memory_huge_free_mb: f64,
}

#[derive(Deserialize)]
struct Instance {
    instance_id: String,
    host_id: String,
    numa: Vec<Request>,
    #[serde(default = "allowed")]
    allow_migration: bool,
}

#[derive(Deserialize)]
struct Request {
    node: u32,
    cpu: f64,
    mem_mb: f64,
}

fn allowed() -> bool {
    true
}

/// Imports a cluster of hosts with two NUMA nodes each and the virtual machines on them. Several
/// clusters in one file are merged.
///
/// # Errors
/// When the file cannot be read or does not hold such a cluster.
pub fn vm_snapshot(path: &Path, options: &ImportOptions) -> Result<Imported, ScenarioError> {
    let file = path.display().to_string();
    if options.fraction != 1.0 {
        let got = options.fraction.to_string();
        return Err(InputError::field(
            file,
            "fraction",
            "1 (a placed cluster is imported whole)",
            got,
        )
        .into());
    }
    let document: Document = parse_json(&read_text(path)?, &file)?;
    let mut import =
        Import { file: &file, nodes: Vec::new(), free_mb: Vec::new(), index: HashMap::new() };
    for (c, cluster) in document.cluster_list.iter().enumerate() {
        for (h, host) in cluster.host_info.iter().enumerate() {
            import.host(&format!("cluster_list[{c}].host_info[{h}]"), host)?;
        }
    }
    let mut workloads = Vec::new();
    let mut names = HashSet::new();
    for (c, cluster) in document.cluster_list.iter().enumerate() {
        for (v, instance) in cluster.vm_instance.iter().enumerate() {
            let at = format!("cluster_list[{c}].vm_instance[{v}]");
            if !names.insert(instance.instance_id.as_str()) {
                return import.fail(
                    format!("{at}.instance_id"),
                    "a name of its own",
                    &instance.instance_id,
                );
            }
            import.instance(&at, instance, &mut workloads)?;
        }
    }
    let mut notes = Vec::new();
    let disagree = import
        .free_mb
        .iter()
        .filter(|(recorded, total, used)| (recorded - (total - used)).abs() > 0.5)
        .count();
    if disagree > 0 {
        notes.push(format!(
            "recorded free memory disagrees with the machines on {disagree} NUMA nodes; recomputed"
        ));
    }
    let sets: usize = document
        .cluster_list
        .iter()
        .map(|cluster| cluster.other_requirement.deployment_set.len())
        .sum();
    if sets > 0 {
        notes.push(format!("{sets} deployment sets are not imported"));
    }

    let snapshot = Snapshot {
        resources: vec!["cpu".into(), "memory".into()],
        nodes: import.nodes,
        workloads,
        ..Snapshot::default()
    };
    let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or("vm-snapshot");
    let report = ImportReport {
        source: format!("vm-snapshot from {name}.json"),
        notes,
        ..ImportReport::default()
    };
    Imported::new(
        name,
        "A production cluster of virtual machines, one node per NUMA node; at most a budget of moves.".into(),
        &[("cpu", "cores"), ("memory", "GiB")],
        ("cpu", 16.0),
        snapshot,
        options,
        report,
    )
}

struct Import<'a> {
    file: &'a str,
    nodes: Vec<SnapshotNode>,
    /// Per node, MiB: recorded as free, total, used by machines.
    free_mb: Vec<(f64, f64, f64)>,
    /// Node of (host, NUMA node).
    index: HashMap<(String, u32), usize>,
}

impl Import<'_> {
    fn fail<T>(
        &self,
        field: impl Into<String>,
        expected: &str,
        got: impl ToString,
    ) -> Result<T, ScenarioError> {
        Err(InputError::field(self.file, field, expected, got.to_string()).into())
    }

    fn number(&self, field: impl Into<String>, x: f64) -> Result<f64, ScenarioError> {
        if x.is_finite() && x >= 0.0 { Ok(x) } else { self.fail(field, "a number, 0 or more", x) }
    }

    fn host(&mut self, at: &str, host: &Host) -> Result<(), ScenarioError> {
        for (i, numa) in host.numa.iter().enumerate() {
            let at = format!("{at}.numa[{i}]");
            let cpu = self.number(format!("{at}.total_cpu"), numa.total_cpu)?;
            let memory_mb =
                self.number(format!("{at}.memory_huge_total_mb"), numa.memory_huge_total_mb)?;
            let name = format!("{}/numa{}", host.node_id, numa.node);
            if self.index.insert((host.node_id.clone(), numa.node), self.nodes.len()).is_some() {
                return self.fail(
                    format!("{at}.node"),
                    "a NUMA node of its own",
                    format!("{name} again"),
                );
            }
            self.free_mb.push((numa.memory_huge_free_mb, memory_mb, 0.0));
            self.nodes.push(SnapshotNode {
                name,
                zone: host.node_id.clone(),
                supply: vec![cpu as f32, (memory_mb / MIB) as f32],
                ..SnapshotNode::default()
            });
        }
        Ok(())
    }

    fn instance(
        &mut self,
        at: &str,
        instance: &Instance,
        workloads: &mut Vec<SnapshotWorkload>,
    ) -> Result<(), ScenarioError> {
        let single = instance.numa.len() == 1;
        if instance.numa.is_empty() {
            return self.fail(format!("{at}.numa"), "at least one NUMA node", "none");
        }
        let mut used = HashSet::new();
        for (i, request) in instance.numa.iter().enumerate() {
            let at = format!("{at}.numa[{i}]");
            let Some(&node) = self.index.get(&(instance.host_id.clone(), request.node)) else {
                let got = format!("{}/numa{}", instance.host_id, request.node);
                return self.fail(format!("{at}.node"), "a NUMA node of a listed host", got);
            };
            if !used.insert(request.node) {
                return self.fail(
                    format!("{at}.node"),
                    "another NUMA node than the other part",
                    request.node,
                );
            }
            let cpu = self.number(format!("{at}.cpu"), request.cpu)?;
            let memory_mb = self.number(format!("{at}.mem_mb"), request.mem_mb)?;
            self.free_mb[node].2 += memory_mb;
            let name = &instance.instance_id;
            let memory = (memory_mb / MIB) as f32;
            workloads.push(SnapshotWorkload {
                name: if single { name.clone() } else { format!("{name}/{i}") },
                node: Some(self.nodes[node].name.clone()),
                demand: vec![cpu as f32, memory],
                state_gib: memory,
                movable: single && instance.allow_migration,
                ..SnapshotWorkload::default()
            });
        }
        Ok(())
    }
}
