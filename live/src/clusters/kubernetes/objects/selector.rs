//! Selectors: which labels, nodes and taints a rule speaks of.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Names and values.
pub(crate) type Labels = BTreeMap<String, String>;

/// A test of one label.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Requirement {
    pub key: String,
    pub operator: Operator,
    #[serde(default)]
    pub values: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
    Gt,
    Lt,
}

impl Requirement {
    fn holds(&self, value: Option<&str>) -> bool {
        let listed = || value.is_some_and(|value| self.values.iter().any(|one| one == value));
        match self.operator {
            Operator::In => listed(),
            Operator::NotIn => !listed(),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::Gt => self.numbers(value).is_some_and(|(value, bound)| value > bound),
            Operator::Lt => self.numbers(value).is_some_and(|(value, bound)| value < bound),
        }
    }

    /// The label and its bound, where both are whole numbers.
    fn numbers(&self, value: Option<&str>) -> Option<(i64, i64)> {
        Some((value?.parse().ok()?, self.values.first()?.parse().ok()?))
    }
}

/// Which pods or namespaces are meant, by their labels.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LabelSelector {
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub match_labels: Labels,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub match_expressions: Vec<Requirement>,
}

impl LabelSelector {
    pub(crate) fn matches(&self, labels: &Labels) -> bool {
        self.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value))
            && self
                .match_expressions
                .iter()
                .all(|one| one.holds(labels.get(&one.key).map(String::as_str)))
    }
}

/// A taint of a node.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Taint {
    pub key: String,
    #[serde(default)]
    pub value: String,
    pub effect: String,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
struct Toleration {
    key: String,
    operator: String,
    value: String,
    effect: String,
}

impl Toleration {
    fn tolerates(&self, taint: &Taint) -> bool {
        let effect = self.effect.is_empty() || self.effect == taint.effect;
        let any = self.operator == "Exists";
        let key = self.key == taint.key || (self.key.is_empty() && any);
        effect && key && (any || self.value == taint.value)
    }
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct NodeTerm {
    match_expressions: Vec<Requirement>,
    match_fields: Vec<Requirement>,
}

impl NodeTerm {
    /// A term without any test is met by no node.
    fn matches(&self, name: &str, labels: &Labels) -> bool {
        let label = |key: &str| labels.get(key).map(String::as_str);
        // The only field that can be selected by is the name.
        let field = |key: &str| (key == "metadata.name").then_some(name);
        !(self.match_expressions.is_empty() && self.match_fields.is_empty())
            && self.match_expressions.iter().all(|one| one.holds(label(&one.key)))
            && self.match_fields.iter().all(|one| one.holds(field(&one.key)))
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct NodeAffinity {
    required_during_scheduling_ignored_during_execution: Option<NodeTerms>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct NodeTerms {
    node_selector_terms: Vec<NodeTerm>,
}

/// On which nodes a pod may run.
#[derive(Debug, Clone, Default)]
pub(crate) struct NodeRules {
    selector: Labels,
    terms: Option<Vec<NodeTerm>>,
    tolerations: Vec<Toleration>,
}

/// Taints that say what a node's health and `unschedulable` say, too.
const SAID_OTHERWISE: [&str; 3] = [
    "node.kubernetes.io/not-ready",
    "node.kubernetes.io/unreachable",
    "node.kubernetes.io/unschedulable",
];

impl NodeRules {
    /// From the JSON of `nodeSelector`, `affinity.nodeAffinity` and `tolerations`.
    pub(super) fn parse(
        selector: Option<&str>,
        affinity: Option<&str>,
        tolerations: Option<&str>,
    ) -> Result<Self, serde_json::Error> {
        let affinity: NodeAffinity = parse_or_default(affinity)?;
        let terms = affinity.required_during_scheduling_ignored_during_execution;
        Ok(Self {
            selector: parse_or_default(selector)?,
            terms: terms.map(|terms| terms.node_selector_terms),
            tolerations: parse_or_default(tolerations)?,
        })
    }

    /// Whether the scheduler would put the pod there, as far as labels and taints are concerned.
    pub(crate) fn allow(&self, name: &str, labels: &Labels, taints: &[Taint]) -> bool {
        let hard = |taint: &&Taint| {
            matches!(taint.effect.as_str(), "NoSchedule" | "NoExecute")
                && !SAID_OTHERWISE.contains(&taint.key.as_str())
        };
        self.selector.iter().all(|(key, value)| labels.get(key) == Some(value))
            && self
                .terms
                .as_ref()
                .is_none_or(|terms| terms.iter().any(|term| term.matches(name, labels)))
            && taints
                .iter()
                .filter(hard)
                .all(|taint| self.tolerations.iter().any(|one| one.tolerates(taint)))
    }
}

/// The value of a piece of JSON, or the default where there is none.
pub(super) fn parse_or_default<T: Default + for<'a> Deserialize<'a>>(
    json: Option<&str>,
) -> Result<T, serde_json::Error> {
    json.map_or_else(|| Ok(T::default()), serde_json::from_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn requirement(key: &str, operator: Operator, values: &[&str]) -> Requirement {
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        Requirement { key: key.to_owned(), operator, values }
    }

    #[test]
    fn every_operator_means_what_kubernetes_means_by_it() {
        use Operator::{DoesNotExist, Exists, Gt, In, Lt, NotIn};
        for (operator, values, value, expected) in [
            (In, &["a", "b"][..], Some("b"), true),
            (In, &["a", "b"], Some("c"), false),
            (In, &["a", "b"], None, false),
            (NotIn, &["a"], Some("b"), true),
            (NotIn, &["a"], Some("a"), false),
            (NotIn, &["a"], None, true),
            (Exists, &[], Some(""), true),
            (Exists, &[], None, false),
            (DoesNotExist, &[], None, true),
            (DoesNotExist, &[], Some("x"), false),
            (Gt, &["4"], Some("10"), true),
            (Gt, &["4"], Some("4"), false),
            (Gt, &["4"], Some("many"), false),
            (Gt, &["4"], None, false),
            (Lt, &["4"], Some("3"), true),
            (Lt, &["4"], Some("5"), false),
        ] {
            let one = requirement("key", operator, values);
            assert_eq!(one.holds(value), expected, "{operator:?} {values:?} {value:?}");
        }
    }

    #[test]
    fn terms_are_alternatives_and_an_empty_one_is_met_by_no_node() {
        let affinity = r#"{"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
            {"matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]},
                                  {"key": "cpus", "operator": "Gt", "values": ["8"]}]},
            {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n2"]}]},
            {}]}}"#;
        let rules = NodeRules::parse(None, Some(affinity), None).unwrap();
        assert!(rules.allow("n1", &labels(&[("disk", "ssd"), ("cpus", "16")]), &[]));
        assert!(!rules.allow("n1", &labels(&[("disk", "ssd"), ("cpus", "8")]), &[]));
        assert!(rules.allow("n2", &labels(&[]), &[]));
        assert!(!rules.allow("n3", &labels(&[]), &[]));
    }

    #[test]
    fn taints_keep_away_whoever_does_not_tolerate_them() {
        let taint = |key: &str, value: &str, effect: &str| Taint {
            key: key.to_owned(),
            value: value.to_owned(),
            effect: effect.to_owned(),
        };
        let gpu = taint("gpu", "yes", "NoSchedule");
        for (tolerations, allowed) in [
            (r"[]", false),
            (r#"[{"key": "gpu", "value": "yes", "effect": "NoSchedule"}]"#, true),
            (r#"[{"key": "gpu", "value": "no"}]"#, false),
            (r#"[{"key": "gpu", "operator": "Exists"}]"#, true),
            (r#"[{"key": "gpu", "operator": "Exists", "effect": "NoExecute"}]"#, false),
            (r#"[{"operator": "Exists"}]"#, true),
            (r#"[{"key": "other", "operator": "Exists"}]"#, false),
        ] {
            let rules = NodeRules::parse(None, None, Some(tolerations)).unwrap();
            let taints = [gpu.clone()];
            assert_eq!(rules.allow("n", &labels(&[]), &taints), allowed, "{tolerations}");
        }
        let soft = [
            taint("slow", "", "PreferNoSchedule"),
            taint("node.kubernetes.io/unschedulable", "", "NoSchedule"),
        ];
        assert!(NodeRules::default().allow("n", &labels(&[]), &soft));
    }

    #[test]
    fn a_selector_without_tests_matches_all_and_every_test_has_to_hold() {
        let web = labels(&[("app", "web"), ("tier", "front")]);
        assert!(LabelSelector::default().matches(&web));
        let text = r#"{"matchLabels": {"app": "web"},
            "matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["back"]}]}"#;
        let selector: LabelSelector = serde_json::from_str(text).unwrap();
        assert!(selector.matches(&web));
        assert!(!selector.matches(&labels(&[("app", "web"), ("tier", "back")])));
        assert!(!selector.matches(&labels(&[("app", "db")])));
    }
}
