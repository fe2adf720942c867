//! What of a cluster no snapshot says, one sentence each.

use std::collections::BTreeMap;

use super::holds::Hold;
use crate::clusters::kubernetes::objects::{Pod, Taint};

/// How many there are of something, and one of them.
#[derive(Debug, Default)]
struct Count {
    count: usize,
    example: String,
}

impl Count {
    fn add(&mut self, name: &str) {
        if self.count == 0 {
            name.clone_into(&mut self.example);
        }
        self.count += 1;
    }

    fn pods(&self) -> String {
        match self.count {
            1 => format!("1 pod ({})", self.example),
            count => format!("{count} pods (such as {})", self.example),
        }
    }
}

/// What was found so far.
#[derive(Debug, Default)]
pub(super) struct Notes {
    stays: BTreeMap<Hold, Count>,
    waits: Count,
    gone: BTreeMap<String, Count>,
    migrating: Count,
    soft_taints: BTreeMap<String, usize>,
}

impl Notes {
    /// A pod stays, if it does.
    pub(super) fn stays(&mut self, hold: Option<Hold>, name: &str) {
        if let Some(hold) = hold {
            self.stays.entry(hold).or_default().add(name);
        }
    }

    /// A pod waits for a node.
    pub(super) fn waits(&mut self, name: &str) {
        self.waits.add(name);
    }

    /// A pod is on a node that is not there any more.
    pub(super) fn gone(&mut self, name: &str, node: &str) {
        self.gone.entry(node.to_owned()).or_default().add(name);
    }

    /// A virtual machine has more pods than the one that it runs in.
    pub(super) fn migrating(&mut self, pod: &Pod) {
        self.migrating.add(&format!("{}/{}", pod.namespace, pod.name));
    }

    /// Taints that only ask for nodes to be avoided.
    pub(super) fn soft_taints<'a>(&mut self, taints: impl Iterator<Item = &'a Taint>) {
        for taint in taints {
            if taint.effect == "PreferNoSchedule" {
                *self.soft_taints.entry(taint.key.clone()).or_default() += 1;
            }
        }
    }

    /// The sentences.
    pub(super) fn sentences(self) -> Vec<String> {
        let stays = self
            .stays
            .iter()
            .map(|(hold, some)| format!("{} stay: {}", some.pods(), hold.reason()));
        let waits =
            (self.waits.count > 0).then(|| format!("{} wait for a node", self.waits.pods()));
        let gone = self.gone.iter().map(|(node, some)| {
            format!("{} left out: their node {node} is not there", some.pods())
        });
        let migrating = (self.migrating.count > 0).then(|| {
            let machines = self.migrating.pods();
            format!("{machines} left out: their virtual machine runs in another pod")
        });
        let soft = self.soft_taints.iter().map(|(key, nodes)| {
            format!("{nodes} nodes would rather take no pods (PreferNoSchedule, {key}): not heeded")
        });
        stays.chain(waits).chain(gone).chain(migrating).chain(soft).collect()
    }
}
