//! A pod, as far as decisions depend on it.

use std::sync::Arc;

use super::amounts::{BadAmount, Kinds};
use super::neighbours::Neighbours;
use super::pool::Pool;
use super::raw;
use super::selector::{Labels, NodeRules};
use super::time::seconds;

/// Label of a pod into which a KubeVirt machine migrates.
const MIGRATION_TARGET: &str = "kubevirt.io/migrationJobUID";

/// A pod.
#[derive(Debug, Clone)]
pub(crate) struct Pod {
    pub uid: Arc<str>,
    pub namespace: Arc<str>,
    pub name: Box<str>,
    /// What brings it back when it goes.
    pub owner: Option<Owner>,
    /// Seconds since 1970.
    pub created_s: i64,
    pub node: Option<Box<str>>,
    /// It has ended, and holds nothing any more.
    pub ended: bool,
    /// It is on its way out.
    pub leaving: bool,
    pub ready: bool,
    /// Seconds since 1970.
    pub ready_since_s: Option<i64>,
    /// What it requests, `[m]`.
    pub requests: Box<[f64]>,
    pub priority: i32,
    pub labels: Arc<Labels>,
    pub node_rules: Arc<NodeRules>,
    pub neighbours: Arc<Neighbours>,
    pub data: LocalData,
    /// What its annotations say of evicting it.
    pub may_be_evicted: Option<bool>,
    /// It stands for a file on its node.
    pub mirror: bool,
    /// A KubeVirt machine migrates into it.
    pub migration_target: bool,
}

/// Who brings a pod back, by a name that outlasts roll-outs.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Owner {
    pub kind: Arc<str>,
    pub name: Arc<str>,
}

/// Volumes that tie a pod to a place.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct LocalData {
    /// On its node, and lost with the pod or out of reach elsewhere.
    pub on_node: bool,
    /// A persistent volume claim.
    pub claim: bool,
}

impl Pod {
    pub(super) fn read(
        raw: &raw::Pod<'_>,
        kinds: &Kinds,
        pool: &mut Pool,
    ) -> Result<Self, BadAmount> {
        let (meta, spec) = (&raw.metadata, &raw.spec);
        let labels = pool.labels(meta.labels)?;
        let ready = raw::holds(raw.status.conditions.as_deref(), "Ready");
        let annotations = meta.annotations.as_ref();
        let kept = annotations.is_some_and(|all| all.prefer_no_eviction.is_some());
        let said = annotations.and_then(|all| all.safe_to_evict.as_deref()).map(|it| it == "true");
        Ok(Self {
            uid: Arc::from(&*meta.uid),
            namespace: pool.word(&meta.namespace),
            name: Box::from(&*meta.name),
            owner: owner(meta, &labels, pool),
            created_s: meta.creation_timestamp.as_deref().and_then(seconds).unwrap_or(0),
            node: spec.node_name.as_deref().filter(|name| !name.is_empty()).map(Box::from),
            ended: matches!(&*raw.status.phase, "Succeeded" | "Failed"),
            leaving: meta.deletion_timestamp.is_some(),
            ready: ready.is_some(),
            ready_since_s: ready.and_then(|it| seconds(it.last_transition_time.as_deref()?)),
            requests: kinds.requests(spec)?,
            priority: spec.priority,
            node_rules: pool.node_rules(spec)?,
            neighbours: pool.neighbours(spec, &labels)?,
            data: local_data(spec),
            may_be_evicted: if kept { Some(false) } else { said },
            mirror: annotations.is_some_and(|all| all.mirror.is_some()),
            migration_target: labels.contains_key(MIGRATION_TARGET),
            labels,
        })
    }
}

fn owner(meta: &raw::Meta<'_>, labels: &Labels, pool: &mut Pool) -> Option<Owner> {
    let owner = meta.owner_references.as_ref()?.iter().find(|owner| owner.controller)?;
    // A ReplicaSet of a Deployment is named after it and the template: the next roll-out has another.
    let template = labels.get("pod-template-hash").filter(|_| &*owner.kind == "ReplicaSet");
    let deployment = template
        .and_then(|hash| owner.name.strip_suffix(hash.as_str()))
        .and_then(|name| name.strip_suffix('-'));
    let (kind, name) = match deployment {
        Some(name) => ("Deployment", name),
        None => (&*owner.kind, &*owner.name),
    };
    Some(Owner { kind: pool.word(kind), name: pool.word(name) })
}

fn local_data(spec: &raw::PodSpec<'_>) -> LocalData {
    let mut data = LocalData::default();
    for volume in spec.volumes.iter().flatten() {
        // A volume in memory holds nothing that a restart would keep.
        let on_disc = volume.empty_dir.as_ref().is_some_and(|dir| &*dir.medium != "Memory");
        data.on_node |= on_disc || volume.host_path.is_some() || volume.ephemeral.is_some();
        data.claim |= volume.persistent_volume_claim.is_some();
    }
    data
}
