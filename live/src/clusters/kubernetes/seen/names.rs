//! What pods are called as workloads: by their owner and their number among its pods, so that a pod
//! which comes in the place of another has its name.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use godwit_envs::hex;
use godwit_envs::snapshot::MAX_NAME_BYTES;
use sha2::{Digest, Sha256};

use crate::clusters::kubernetes::objects::{Owner, Pod};

/// The kind that owns the pods of KubeVirt's machines.
pub(crate) const MACHINE: &str = "VirtualMachineInstance";

/// The numbers that pods have among the pods of their owner.
#[derive(Debug, Default)]
pub(crate) struct Ordinals(HashMap<String, HashMap<Arc<str>, u32>>);

impl Ordinals {
    /// The name of each pod. A pod keeps its number for as long as it lives, and a new one takes the
    /// lowest that no living pod of its owner has: that of the pod in whose place it came. Numbers
    /// are first given by age. One that is on its way out gives its number up to the pod that comes
    /// in its place, and goes by its own name from then on.
    ///
    /// `pods` are all pods that have not ended, in order of [`by_owner`].
    pub(crate) fn name(&mut self, pods: &[&Pod]) -> Vec<String> {
        let mut names = Vec::with_capacity(pods.len());
        let mut before = std::mem::take(&mut self.0);
        for pods in pods.chunk_by(|a, b| (&a.namespace, &a.owner) == (&b.namespace, &b.owner)) {
            if let Some(owner) = &pods[0].owner {
                let base = base_name(&pods[0].namespace, owner);
                self.0.extend(before.remove_entry(&base));
            }
            names.extend(self.name_owner(pods));
        }
        names
    }

    /// The same for all pods of one owner, or for pods without one.
    pub(crate) fn name_owner(&mut self, pods: &[&Pod]) -> Vec<String> {
        let Some((first, owner)) = pods.first().and_then(|pod| Some((pod, pod.owner.as_ref()?)))
        else {
            return pods.iter().map(|pod| own_name(pod)).collect();
        };
        let base = base_name(&first.namespace, owner);
        match &*owner.kind {
            MACHINE => pods.iter().map(|_| shortened(base.clone())).collect(),
            "StatefulSet" => {
                let name = |pod: &&Pod| match pod.name.rsplit_once('-') {
                    Some((_, ordinal)) => shortened(format!("{base}/{ordinal}")),
                    None => own_name(pod),
                };
                pods.iter().map(name).collect()
            }
            _ => {
                let numbers = number(pods, self.0.get(&base));
                let numbered = pods.iter().zip(&numbers);
                let held = numbered.filter_map(|(pod, n)| Some((Arc::clone(&pod.uid), (*n)?)));
                let held = held.collect();
                let name = |(pod, number): (&&Pod, &Option<u32>)| match number {
                    Some(number) => shortened(format!("{base}/{number}")),
                    None => own_name(pod),
                };
                let names = pods.iter().zip(&numbers).map(name).collect();
                self.0.insert(base, held);
                names
            }
        }
    }

    /// The numbers of the pods of an owner, by uid.
    pub(crate) fn of(&self, namespace: &str, owner: &Owner) -> HashMap<Arc<str>, u32> {
        self.0.get(&base_name(namespace, owner)).cloned().unwrap_or_default()
    }

    /// Takes up numbers that were written down.
    pub(crate) fn restore(
        &mut self,
        namespace: &str,
        owner: &Owner,
        numbers: impl IntoIterator<Item = (Arc<str>, u32)>,
    ) {
        self.0.entry(base_name(namespace, owner)).or_default().extend(numbers);
    }
}

/// The order in which [`Ordinals::name`] takes pods: those of an owner together, older ones first.
pub(crate) fn by_owner(a: &Pod, b: &Pod) -> std::cmp::Ordering {
    fn key(pod: &Pod) -> (&str, Option<(&str, &str)>, i64, &str) {
        let owner = pod.owner.as_ref().map(|owner| (&*owner.kind, &*owner.name));
        (&pod.namespace, owner, pod.created_s, &pod.uid)
    }
    key(a).cmp(&key(b))
}

/// Numbers for the pods of one owner, from those that they had.
fn number(pods: &[&Pod], before: Option<&HashMap<Arc<str>, u32>>) -> Vec<Option<u32>> {
    let held = |pod: &Pod| before.and_then(|before| before.get(&pod.uid)).copied();
    let living = pods.iter().filter(|pod| !pod.leaving);
    let mut taken: BTreeSet<u32> = living.filter_map(|pod| held(pod)).collect();
    let mut numbers = vec![None; pods.len()];
    let mut next = 0;
    let mut lowest = |taken: &mut BTreeSet<u32>| {
        while !taken.insert(next) {
            next += 1;
        }
        next
    };
    for (pod, number) in pods.iter().zip(&mut numbers).filter(|(pod, _)| !pod.leaving) {
        *number = held(pod).or_else(|| Some(lowest(&mut taken)));
    }
    for (pod, number) in pods.iter().zip(&mut numbers).filter(|(pod, _)| pod.leaving) {
        *number = match held(pod) {
            Some(held) => taken.insert(held).then_some(held),
            None => Some(lowest(&mut taken)),
        };
    }
    numbers
}

fn base_name(namespace: &str, owner: &Owner) -> String {
    format!("{namespace}/{}/{}", owner.kind, owner.name)
}

fn own_name(pod: &Pod) -> String {
    shortened(format!("{}/Pod/{}", pod.namespace, pod.name))
}

/// A name that a snapshot can hold: of a longer one, the beginning and a hash.
pub(super) fn shortened(name: String) -> String {
    const KEPT: usize = 200;
    if name.len() <= MAX_NAME_BYTES {
        return name;
    }
    let kept: String = name.chars().take(KEPT).filter(char::is_ascii).collect();
    format!("{kept}~{}", &hex(&Sha256::digest(name.as_bytes()))[..16])
}
