//! What a pod's rules say about other pods beside it.

use serde::{Deserialize, Serialize};

use super::selector::{LabelSelector, Labels, parse_or_default};

/// The label by which nodes are told apart.
pub(crate) const HOST: &str = "kubernetes.io/hostname";

/// The pods that a pod must not share a place with.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Apart {
    /// The node label whose value is the place.
    pub topology_key: String,
    pub label_selector: Option<LabelSelector>,
    namespaces: Vec<String>,
    namespace_selector: Option<LabelSelector>,
    match_label_keys: Vec<String>,
}

impl Apart {
    /// Whether a pod is meant, seen from one of the namespace `home`.
    pub(crate) fn matches(&self, home: &str, namespace: &str, labels: &Labels) -> bool {
        let there = match (&self.namespaces[..], &self.namespace_selector) {
            ([], None) => home == namespace,
            (listed, None) => listed.iter().any(|one| one == namespace),
            // Labels of namespaces are not read: more pods are kept apart than need be.
            (_, Some(_)) => true,
        };
        // Without a selector no pod is meant.
        there && self.label_selector.as_ref().is_some_and(|selector| selector.matches(labels))
    }

    /// Whether pods of other namespaces may be meant.
    pub(crate) fn looks_abroad(&self) -> bool {
        !self.namespaces.is_empty() || self.namespace_selector.is_some()
    }
}

/// A constraint on how evenly pods are spread.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Spread {
    /// The node label whose value is the place.
    pub topology_key: String,
    /// Most by which a place may have more of the pods than the place that has fewest.
    pub max_skew: u32,
    when_unsatisfiable: String,
    pub label_selector: Option<LabelSelector>,
    pub min_domains: Option<u32>,
    match_label_keys: Vec<String>,
}

/// What a pod's rules say about other pods beside it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Neighbours {
    /// Required anti-affinity.
    pub apart: Vec<Apart>,
    /// Spread constraints that have to hold.
    pub spread: Vec<Spread>,
    /// It has to be beside certain pods.
    pub together: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct AntiAffinity {
    required_during_scheduling_ignored_during_execution: Vec<Apart>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PodAffinity {
    required_during_scheduling_ignored_during_execution: Vec<serde::de::IgnoredAny>,
}

impl Neighbours {
    /// From the JSON of `affinity.podAntiAffinity`, `affinity.podAffinity` and
    /// `topologySpreadConstraints` of a pod with these labels.
    pub(super) fn parse(
        anti: Option<&str>,
        affinity: Option<&str>,
        spread: Option<&str>,
        labels: &Labels,
    ) -> Result<Self, serde_json::Error> {
        let anti: AntiAffinity = parse_or_default(anti)?;
        let affinity: PodAffinity = parse_or_default(affinity)?;
        let mut apart = anti.required_during_scheduling_ignored_during_execution;
        for one in &mut apart {
            let keys = std::mem::take(&mut one.match_label_keys);
            narrow(&mut one.label_selector, keys, labels);
        }
        let mut spread: Vec<Spread> = parse_or_default(spread)?;
        // What is only preferred is left to the scheduler.
        spread.retain(|one| one.when_unsatisfiable == "DoNotSchedule");
        for one in &mut spread {
            let keys = std::mem::take(&mut one.match_label_keys);
            narrow(&mut one.label_selector, keys, labels);
        }
        let together = !affinity.required_during_scheduling_ignored_during_execution.is_empty();
        Ok(Self { apart, spread, together })
    }
}

/// `matchLabelKeys`: the pod's own values of these labels are asked for, too.
fn narrow(selector: &mut Option<LabelSelector>, keys: Vec<String>, labels: &Labels) {
    let Some(selector) = selector else { return };
    for key in keys {
        if let Some(value) = labels.get(&key) {
            selector.match_labels.insert(key, value.clone());
        }
    }
}
