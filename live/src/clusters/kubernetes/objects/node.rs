//! A node, as far as decisions depend on it.

use super::amounts::{BadAmount, Kinds};
use super::pool::Pool;
use super::raw;
use super::selector::{Labels, Taint, parse_or_default};
use std::sync::Arc;

/// A node.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub labels: Arc<Labels>,
    pub taints: Vec<Taint>,
    /// It is cordoned.
    pub cordoned: bool,
    pub ready: bool,
    /// What it can give to pods, `[m]`.
    pub supply: Box<[f64]>,
    /// Most pods on it.
    pub most_pods: Option<u32>,
}

/// Taints with which autoscalers announce that a node will go.
const GOING: [&str; 3] =
    ["ToBeDeletedByClusterAutoscaler", "karpenter.sh/disrupted", "karpenter.sh/disruption"];

impl Node {
    pub(super) fn read(
        raw: &raw::Node<'_>,
        kinds: &Kinds,
        pool: &mut Pool,
    ) -> Result<Self, BadAmount> {
        let pods = raw.status.allocatable.iter().find(|(name, _)| &***name == "pods");
        Ok(Self {
            labels: pool.labels(raw.metadata.labels)?,
            taints: parse_or_default(raw.spec.taints.map(|taints| taints.get()))?,
            cordoned: raw.spec.unschedulable,
            ready: raw::holds(raw.status.conditions.as_deref(), "Ready").is_some(),
            supply: kinds.read(&raw.status.allocatable, "status.allocatable")?,
            most_pods: pods.and_then(|(_, most)| most.parse().ok()),
        })
    }

    /// Whether an autoscaler is about to take it away.
    pub(crate) fn is_going(&self) -> bool {
        self.taints.iter().any(|taint| GOING.contains(&taint.key.as_str()))
    }
}
