//! The table `[kubernetes]` of `live.toml`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a Kubernetes cluster is reached, seen and changed. Every field may be left out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// A kubeconfig file; left out, the service account of the pod that this runs in. Tokens and keys
    /// stand there, never here.
    pub kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig; left out, its current one.
    pub context: Option<String>,
    /// Namespaces whose pods may be moved; empty, all but `kube-system`. Pods of other namespaces are
    /// counted, one workload per node, and stay.
    pub namespaces: Vec<String>,
    /// How pods are moved. Pods of KubeVirt's machines migrate live, whatever stands here.
    pub move_by: MoveBy,
    /// What a workload's demand is.
    pub demand: Demand,
    /// What Kubernetes calls resources of the snapshot that have other names there, for example
    /// `gpu = "nvidia.com/gpu"`. `cpu` is in cores; `memory`, `ephemeral-storage` and `hugepages-*`
    /// are in GiB; everything else is counted.
    pub resource_names: BTreeMap<String, String>,
    /// What a cordoned node is.
    pub cordoned: Cordoned,
    /// What becomes of pods with data on their node: `emptyDir`, `hostPath`, ephemeral volumes. A pod
    /// annotated `cluster-autoscaler.kubernetes.io/safe-to-evict: "true"` moves in any case.
    pub local_volumes: LocalVolumes,
    /// Where pods with persistent volume claims may go.
    pub claims: Claims,
    /// The node label that gives nodes their class.
    pub class_label: String,
    /// The node label that names a node's zone.
    pub zone_label: String,
    /// Bandwidth of a node's link, GiB/s, above 0: what live migrations share.
    pub bandwidth_gib_s: f32,
    /// Longest that one call to the API server may take, seconds, above 0.
    pub call_timeout_s: f64,
    /// Longest from the start of a restart until the new pod is ready, seconds, above 0. After it, the
    /// workload counts as lost.
    pub restart_deadline_s: f64,
    /// The namespace in which orders that restart pods are written down, one ConfigMap each.
    pub orders_namespace: String,
}

/// How pods are moved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MoveBy {
    /// Pods are evicted, and start anew where the scheduler puts them.
    Eviction,
    /// Only KubeVirt's machines move; other pods stay.
    #[default]
    Kubevirt,
    /// Koordinator reserves room on the destination and then evicts.
    Koordinator,
}

/// What a workload's demand is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Demand {
    /// What its pod requests: what the scheduler goes by.
    #[default]
    Requests,
    /// What it uses, as `metrics.k8s.io` says; its requests where that says nothing.
    Use,
    /// The larger of the two.
    Max,
}

/// What a cordoned node is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Cordoned {
    /// It takes no more workloads, and those on it stay.
    #[default]
    Closed,
    /// Its workloads have to leave.
    Draining,
}

/// What becomes of pods with data on their node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LocalVolumes {
    /// They stay.
    #[default]
    Stay,
    /// They move, and the data is lost.
    Lose,
}

/// Where pods with persistent volume claims may go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Claims {
    /// Nowhere: for volumes on the nodes' own discs.
    Stay,
    /// To nodes of their zone: for volumes of a cloud's zones.
    #[default]
    Zone,
    /// Anywhere: for volumes that every node reaches.
    Anywhere,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            kubeconfig: None,
            context: None,
            namespaces: Vec::new(),
            move_by: MoveBy::default(),
            demand: Demand::default(),
            resource_names: BTreeMap::new(),
            cordoned: Cordoned::default(),
            local_volumes: LocalVolumes::default(),
            claims: Claims::default(),
            class_label: "node.kubernetes.io/instance-type".to_owned(),
            zone_label: "topology.kubernetes.io/zone".to_owned(),
            bandwidth_gib_s: 1.25,
            call_timeout_s: 10.0,
            restart_deadline_s: 600.0,
            orders_namespace: "godwit".to_owned(),
        }
    }
}

impl Settings {
    /// Whether pods of a namespace may be moved.
    pub(super) fn moves_in(&self, namespace: &str) -> bool {
        match self.namespaces.is_empty() {
            true => namespace != "kube-system",
            false => self.namespaces.iter().any(|name| name == namespace),
        }
    }
}
