//! The GPU cluster trace of 2023: GitHub `hkust-adsl/kubernetes-scheduler-simulator`, `data/csv`
//! (Apache-2.0), one CSV of nodes and one of pods, taken as a population.
//!
//! Pods are placed in file order by best fit. A pod fits where cores, memory and whole devices are
//! left for it: it takes `num_gpu` devices, `gpu_milli` thousandths of each, on the fullest that
//! have room. Best is the node that is left with the least share of its GPUs free, then of its
//! cores, then the first in the file. The data set's authors fix no such rule; this one keeps GPU
//! nodes free of pods without GPU as long as it can.

use super::imported::{ImportOptions, Imported};
use super::report::ImportReport;
use super::table::Table;
use crate::input::InputError;
use crate::rng;
use crate::scenario::ScenarioError;
use crate::snapshot::{Snapshot, SnapshotNode, SnapshotWorkload};
use rand::seq::SliceRandom as _;
use std::collections::{BTreeMap, HashSet};
use std::path::Path;

/// Thousandths of a device.
pub(super) const DEVICE: u64 = 1000;

/// Most devices that a row may claim; more is a damaged file.
const MAX_DEVICES: u64 = 1024;

pub(super) struct Node {
    pub(super) name: String,
    pub(super) cpu_milli: u64,
    pub(super) memory_mib: u64,
    pub(super) gpus: u64,
    /// GPU model, or `cpu` for a node without GPU.
    pub(super) class: String,
}

pub(super) struct Pod {
    pub(super) name: String,
    pub(super) cpu_milli: u64,
    pub(super) memory_mib: u64,
    pub(super) gpus: u64,
    /// Of each device.
    pub(super) gpu_milli: u64,
    /// Allowed models; empty for all.
    pub(super) classes: Vec<String>,
}

/// Imports a node list and a pod list, or a stratified sample of both.
///
/// # Errors
/// When a file cannot be read, or a row is not what its header says.
pub fn openb(
    nodes: &Path,
    pods: &Path,
    options: &ImportOptions,
) -> Result<Imported, ScenarioError> {
    let share = options.fraction;
    if !(share > 0.0 && share <= 1.0) {
        return Err(InputError::field(
            "import",
            "fraction",
            "a share above 0, up to 1",
            share.to_string(),
        )
        .into());
    }
    let all_nodes = read_nodes(nodes)?;
    let (all_pods, _) = read_pods(pods, &all_nodes, &[])?;
    let kept_nodes = sample_nodes(&all_nodes, share, options.seed);
    // Shares of a device fall into four buckets, or the strata would be too small to keep.
    let kept_pods = sample(&all_pods, share, options.seed, "pods", |pod| {
        (pod.gpus, pod.gpu_milli.min(DEVICE).div_ceil(DEVICE / 4), pod.classes.clone())
    });
    let (placement, unplaced) = best_fit(&kept_nodes, &kept_pods);

    let mut notes = vec![
        "pods are placed in file order by best fit (least share of GPUs, then of cores, left)"
            .into(),
        "the scenario takes a node's GPUs as one pool; only this placement knows single devices"
            .into(),
    ];
    if share < 1.0 {
        notes.push(format!(
            "stratified sample with share {share}, seed {}: {} of {} nodes, {} of {} pods",
            options.seed,
            kept_nodes.len(),
            all_nodes.len(),
            kept_pods.len(),
            all_pods.len()
        ));
    }
    let report = ImportReport {
        source: format!("openb from {} and {}", file_name(nodes), file_name(pods)),
        unplaced: unplaced.iter().map(|pod| pod.name.clone()).collect(),
        notes,
        ..ImportReport::default()
    };
    let snapshot = Snapshot {
        resources: vec!["cpu".into(), "memory".into(), "gpu".into()],
        nodes: kept_nodes.iter().map(|node| snapshot_node(node)).collect(),
        workloads: placement.iter().map(|(pod, node)| snapshot_workload(pod, node)).collect(),
        ..Snapshot::default()
    };
    Imported::new(
        "openb",
        "Nodes and pods of a production GPU cluster, placed by best fit; at most a budget of moves.".into(),
        &[("cpu", "cores"), ("memory", "GiB"), ("gpu", "devices")],
        ("gpu", 1.0),
        snapshot,
        options,
        report,
    )
}

fn snapshot_node(node: &Node) -> SnapshotNode {
    SnapshotNode {
        name: node.name.clone(),
        class: node.class.clone(),
        supply: vec![
            node.cpu_milli as f32 / 1000.0,
            node.memory_mib as f32 / 1024.0,
            node.gpus as f32,
        ],
        ..SnapshotNode::default()
    }
}

fn snapshot_workload(pod: &Pod, node: &Node) -> SnapshotWorkload {
    let memory = pod.memory_mib as f32 / 1024.0;
    SnapshotWorkload {
        name: pod.name.clone(),
        node: Some(node.name.clone()),
        demand: vec![
            pod.cpu_milli as f32 / 1000.0,
            memory,
            (pod.gpus * pod.gpu_milli) as f32 / DEVICE as f32,
        ],
        state_gib: memory,
        classes: pod.classes.clone(),
        ..SnapshotWorkload::default()
    }
}

pub(super) fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// A share of the nodes, stratified by class, devices and cores.
pub(super) fn sample_nodes(nodes: &[Node], share: f64, seed: u64) -> Vec<&Node> {
    sample(nodes, share, seed, "nodes", |node| (node.class.clone(), node.gpus, node.cpu_milli))
}

/// A share of the items, in their order, with every stratum represented in proportion: the items
/// are put in a row, stratum after stratum and shuffled within, and every 1/share-th is taken.
fn sample<'a, T, K: Ord>(
    items: &'a [T],
    share: f64,
    seed: u64,
    purpose: &str,
    stratum: impl Fn(&T) -> K,
) -> Vec<&'a T> {
    let mut strata: BTreeMap<K, Vec<usize>> = BTreeMap::new();
    for (i, item) in items.iter().enumerate() {
        strata.entry(stratum(item)).or_default().push(i);
    }
    let mut rng = rng::stream(seed, purpose);
    let mut row = Vec::with_capacity(items.len());
    for mut members in strata.into_values() {
        members.shuffle(&mut rng);
        row.extend(members);
    }
    let taken = |position: usize| (position as f64 * share + 0.5).floor();
    let mut kept: Vec<usize> = row
        .iter()
        .enumerate()
        .filter(|(i, _)| taken(i + 1) > taken(*i))
        .map(|(_, item)| *item)
        .collect();
    kept.sort_unstable();
    kept.into_iter().map(|i| &items[i]).collect()
}

/// What is left of a node.
struct Left {
    cpu_milli: u64,
    memory_mib: u64,
    /// Thousandths per device.
    devices: Vec<u64>,
}

/// Places pods in order. Whole numbers throughout: the result does not depend on rounding.
fn best_fit<'a>(nodes: &[&'a Node], pods: &[&'a Pod]) -> (Vec<(&'a Pod, &'a Node)>, Vec<&'a Pod>) {
    let mut left: Vec<Left> = nodes
        .iter()
        .map(|node| Left {
            cpu_milli: node.cpu_milli,
            memory_mib: node.memory_mib,
            devices: vec![DEVICE; node.gpus as usize],
        })
        .collect();
    let (mut placed, mut unplaced) = (Vec::new(), Vec::new());
    for &pod in pods {
        let best = (0..nodes.len()).filter(|&i| fits(pod, nodes[i], &left[i])).min_by(|&a, &b| {
            let gpu = |i: usize| {
                (left[i].devices.iter().sum::<u64>() - pod.gpus * pod.gpu_milli, nodes[i].gpus)
            };
            let cpu = |i: usize| (left[i].cpu_milli - pod.cpu_milli, nodes[i].cpu_milli);
            compare_shares(gpu(a), gpu(b)).then_with(|| compare_shares(cpu(a), cpu(b)))
        });
        let Some(i) = best else {
            unplaced.push(pod);
            continue;
        };
        left[i].cpu_milli -= pod.cpu_milli;
        left[i].memory_mib -= pod.memory_mib;
        let mut roomy: Vec<&mut u64> =
            left[i].devices.iter_mut().filter(|room| **room >= pod.gpu_milli).collect();
        roomy.sort();
        for room in roomy.into_iter().take(pod.gpus as usize) {
            *room -= pod.gpu_milli;
        }
        placed.push((pod, nodes[i]));
    }
    (placed, unplaced)
}

fn fits(pod: &Pod, node: &Node, left: &Left) -> bool {
    pod.cpu_milli <= left.cpu_milli
        && pod.memory_mib <= left.memory_mib
        && (pod.classes.is_empty() || pod.classes.contains(&node.class))
        && left.devices.iter().filter(|room| **room >= pod.gpu_milli).count() as u64 >= pod.gpus
}

/// Compares a / b with c / d, exactly; nothing of nothing is a share of 0.
fn compare_shares((a, b): (u64, u64), (c, d): (u64, u64)) -> std::cmp::Ordering {
    (a * d.max(1)).cmp(&(c * b.max(1)))
}

/// Far above any real machine, far below where sums or products overflow.
const MOST: u64 = 1 << 30;

pub(super) fn read_nodes(path: &Path) -> Result<Vec<Node>, InputError> {
    let table = Table::read(path, &["sn", "cpu_milli", "memory_mib", "gpu", "model"])?;
    let mut seen = HashSet::new();
    let mut nodes = Vec::with_capacity(table.rows.len());
    for row in &table.rows {
        let gpus = table.number(row, "gpu", MAX_DEVICES)?;
        let model = table.text(row, "model");
        if (gpus > 0) == model.is_empty() {
            let expected =
                if gpus > 0 { "a GPU model" } else { "no GPU model, as there is no GPU" };
            return table.fail(row, "model", expected, model);
        }
        nodes.push(Node {
            name: table.name(row, "sn", &mut seen)?,
            cpu_milli: table.number(row, "cpu_milli", MOST)?,
            memory_mib: table.number(row, "memory_mib", MOST)?,
            gpus,
            class: if gpus > 0 { model.to_owned() } else { "cpu".to_owned() },
        });
    }
    Ok(nodes)
}

/// The pods, and the table that they were read from; `more` are columns that it must also have.
pub(super) fn read_pods(
    path: &Path,
    nodes: &[Node],
    more: &[&str],
) -> Result<(Vec<Pod>, Table), InputError> {
    let columns = ["name", "cpu_milli", "memory_mib", "num_gpu", "gpu_milli"];
    let table = Table::read(path, &[&columns, more].concat())?;
    let models: HashSet<&str> = nodes.iter().map(|node| node.class.as_str()).collect();
    let mut seen = HashSet::new();
    let mut pods = Vec::with_capacity(table.rows.len());
    for row in &table.rows {
        let gpus = table.number(row, "num_gpu", MAX_DEVICES)?;
        // Some lists have no column of the models that a pod may have: all of them, then.
        let allowed = table.optional(row, "gpu_spec").split('|').filter(|model| !model.is_empty());
        if let Some(model) = allowed.clone().find(|model| !models.contains(model)) {
            return table.fail(row, "gpu_spec", "models of the node list", model);
        }
        pods.push(Pod {
            name: table.name(row, "name", &mut seen)?,
            cpu_milli: table.number(row, "cpu_milli", MOST)?,
            memory_mib: table.number(row, "memory_mib", MOST)?,
            gpus,
            // Pods without GPU leave the share empty or 0.
            gpu_milli: if gpus > 0 { table.number(row, "gpu_milli", DEVICE)? } else { 0 },
            classes: allowed.map(str::to_owned).collect(),
        });
    }
    Ok((pods, table))
}
