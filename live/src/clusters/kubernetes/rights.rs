//! What is asked of the API server, and with which verbs: nothing else is.

/// A resource of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resource {
    /// Its API group; empty for the core.
    pub group: &'static str,
    /// The version of the group that is spoken.
    pub version: &'static str,
    /// Its name in paths, with the sub-resource behind a `/`.
    pub name: &'static str,
}

impl Resource {
    /// The path of a resource, of one namespace or object where these are given.
    pub(super) fn path(&self, namespace: Option<&str>, object: Option<&str>) -> String {
        let group = match self.group {
            "" => format!("/api/{}", self.version),
            group => format!("/apis/{group}/{}", self.version),
        };
        let namespace = namespace.map(|it| format!("/namespaces/{it}")).unwrap_or_default();
        let (name, below) = self.name.split_once('/').unwrap_or((self.name, ""));
        let object = object.map(|it| format!("/{it}")).unwrap_or_default();
        let below = if below.is_empty() { String::new() } else { format!("/{below}") };
        format!("{group}{namespace}/{name}{object}{below}")
    }
}

/// Nodes.
pub const NODES: Resource = Resource { group: "", version: "v1", name: "nodes" };
/// Pods.
pub const PODS: Resource = Resource { group: "", version: "v1", name: "pods" };
/// The eviction of a pod.
pub const EVICTIONS: Resource = Resource { group: "", version: "v1", name: "pods/eviction" };
/// Where orders that restart pods are written down.
pub const CONFIG_MAPS: Resource = Resource { group: "", version: "v1", name: "configmaps" };
/// PodDisruptionBudgets.
pub const BUDGETS: Resource =
    Resource { group: "policy", version: "v1", name: "poddisruptionbudgets" };
/// What pods use.
pub const POD_USE: Resource =
    Resource { group: "metrics.k8s.io", version: "v1beta1", name: "pods" };
/// KubeVirt's machines.
pub const MACHINES: Resource =
    Resource { group: "kubevirt.io", version: "v1", name: "virtualmachineinstances" };
/// KubeVirt's migrations.
pub const MIGRATIONS: Resource =
    Resource { group: "kubevirt.io", version: "v1", name: "virtualmachineinstancemigrations" };
/// Koordinator's migrations.
pub const JOBS: Resource =
    Resource { group: "scheduling.koordinator.sh", version: "v1alpha1", name: "podmigrationjobs" };

/// Every verb that is used. The rights in `deploy/kubernetes/` are these and no others.
pub const RIGHTS: [(Resource, &[&str]); 9] = [
    (NODES, &["list", "watch"]),
    (PODS, &["get", "list", "watch"]),
    (EVICTIONS, &["create"]),
    (CONFIG_MAPS, &["create", "delete", "get", "list"]),
    (BUDGETS, &["list", "watch"]),
    (POD_USE, &["list"]),
    (MACHINES, &["get", "list", "watch"]),
    (MIGRATIONS, &["create", "delete", "get"]),
    (JOBS, &["create", "delete", "get"]),
];
