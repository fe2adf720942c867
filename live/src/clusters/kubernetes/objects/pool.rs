//! Pods of one template share what they have in common: each distinct text is read once.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde_json::value::RawValue;

use super::neighbours::Neighbours;
use super::raw;
use super::selector::{Labels, NodeRules, parse_or_default};

/// What has been read so far, by its text.
#[derive(Debug, Default)]
pub(super) struct Pool {
    words: HashSet<Arc<str>>,
    labels: HashMap<Box<str>, Arc<Labels>>,
    node_rules: HashMap<Box<str>, Arc<NodeRules>>,
    neighbours: HashMap<Box<str>, Arc<Neighbours>>,
    /// No rule about other pods, as most pods have none.
    alone: Arc<Neighbours>,
}

impl Pool {
    /// Forgets what nobody holds any more.
    pub(super) fn sweep(&mut self) {
        fn held<T>(value: &Arc<T>) -> bool {
            Arc::strong_count(value) > 1
        }
        self.words.retain(|word| Arc::strong_count(word) > 1);
        self.labels.retain(|_, labels| held(labels));
        self.node_rules.retain(|_, rules| held(rules));
        self.neighbours.retain(|_, rules| held(rules));
    }

    pub(super) fn word(&mut self, word: &str) -> Arc<str> {
        if let Some(known) = self.words.get(word) {
            return Arc::clone(known);
        }
        let word: Arc<str> = Arc::from(word);
        self.words.insert(Arc::clone(&word));
        word
    }

    pub(super) fn labels(
        &mut self,
        json: Option<&RawValue>,
    ) -> Result<Arc<Labels>, serde_json::Error> {
        let json = json.map(RawValue::get);
        read_once(&mut self.labels, json.unwrap_or_default(), || parse_or_default(json))
    }

    pub(super) fn node_rules(
        &mut self,
        spec: &raw::PodSpec<'_>,
    ) -> Result<Arc<NodeRules>, serde_json::Error> {
        let affinity = spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity);
        let texts =
            [spec.node_selector, affinity, spec.tolerations].map(|it| it.map(RawValue::get));
        let [selector, affinity, tolerations] = texts;
        let text = texts.map(Option::unwrap_or_default).join("\n");
        let read = || NodeRules::parse(selector, affinity, tolerations);
        read_once(&mut self.node_rules, &text, read)
    }

    pub(super) fn neighbours(
        &mut self,
        spec: &raw::PodSpec<'_>,
        labels: &Arc<Labels>,
    ) -> Result<Arc<Neighbours>, serde_json::Error> {
        let affinity = spec.affinity.as_ref();
        let anti = affinity.and_then(|affinity| affinity.pod_anti_affinity);
        let with = affinity.and_then(|affinity| affinity.pod_affinity);
        let texts = [anti, with, spec.topology_spread_constraints].map(|it| it.map(RawValue::get));
        if texts == [None; 3] {
            return Ok(Arc::clone(&self.alone));
        }
        // The pod's own labels may complete a rule.
        let [anti, with, spread] = texts;
        let own = if texts.iter().flatten().any(|text| text.contains("LabelKeys")) {
            format!("{labels:?}")
        } else {
            String::new()
        };
        let text = format!("{}\n{own}", texts.map(Option::unwrap_or_default).join("\n"));
        read_once(&mut self.neighbours, &text, || Neighbours::parse(anti, with, spread, labels))
    }
}

fn read_once<T>(
    known: &mut HashMap<Box<str>, Arc<T>>,
    text: &str,
    read: impl FnOnce() -> Result<T, serde_json::Error>,
) -> Result<Arc<T>, serde_json::Error> {
    if let Some(value) = known.get(text) {
        return Ok(Arc::clone(value));
    }
    let value = Arc::new(read()?);
    known.insert(Box::from(text), Arc::clone(&value));
    Ok(value)
}
