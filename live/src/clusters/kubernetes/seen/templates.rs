//! Pods that are alike: of one namespace, with the same labels and the same rules about others. What
//! rules say of a pod is worked out once for all of its kind.

use std::collections::{BTreeMap, HashMap};

use crate::clusters::kubernetes::objects::{Labels, Neighbours, Pod};

/// Pods that are alike.
pub(super) struct Template<'a> {
    pub namespace: &'a str,
    pub labels: &'a Labels,
    pub neighbours: &'a Neighbours,
    /// Nodes on which some of them are.
    pub nodes: Vec<usize>,
    /// How many they are.
    pub pods: usize,
}

/// All templates of a cluster.
pub(super) struct Templates<'a> {
    pub all: Vec<Template<'a>>,
    by_namespace: BTreeMap<&'a str, Vec<usize>>,
}

impl<'a> Templates<'a> {
    /// The templates of pods and the template of each; `nodes` are the nodes that the pods are on.
    pub(super) fn of(pods: &[&'a Pod], nodes: &[Option<usize>]) -> (Self, Vec<usize>) {
        let mut known = HashMap::new();
        let mut all: Vec<Template<'a>> = Vec::new();
        let mut which = Vec::with_capacity(pods.len());
        for (pod, node) in pods.iter().zip(nodes) {
            // Equal ones are one and the same: see `objects::pool`.
            let key = (
                pod.namespace.as_ptr().addr(),
                std::sync::Arc::as_ptr(&pod.labels).addr(),
                std::sync::Arc::as_ptr(&pod.neighbours).addr(),
            );
            let t = *known.entry(key).or_insert_with(|| {
                all.push(Template {
                    namespace: &pod.namespace,
                    labels: &pod.labels,
                    neighbours: &pod.neighbours,
                    nodes: Vec::new(),
                    pods: 0,
                });
                all.len() - 1
            });
            all[t].pods += 1;
            all[t].nodes.extend(*node);
            which.push(t);
        }
        let mut by_namespace: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (t, template) in all.iter_mut().enumerate() {
            template.nodes.sort_unstable();
            template.nodes.dedup();
            by_namespace.entry(template.namespace).or_default().push(t);
        }
        (Self { all, by_namespace }, which)
    }

    /// Those of one namespace.
    pub(super) fn in_namespace(&self, namespace: &str) -> &[usize] {
        self.by_namespace.get(namespace).map_or(&[], Vec::as_slice)
    }
}
