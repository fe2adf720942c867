//! What a workload's name says, and the pod that has it now.

use std::sync::Arc;

use crate::cluster::CallError;
use crate::clusters::kubernetes::objects::{Owner, Pod};
use crate::clusters::kubernetes::seen::{MACHINE, by_owner};
use crate::clusters::kubernetes::watching::World;

/// A workload, by the parts of its name.
pub(super) struct Workload {
    name: String,
    pub namespace: String,
    owner: Owner,
}

impl Workload {
    /// Takes a name apart.
    pub(super) fn parse(name: &str) -> Result<Self, CallError> {
        let parts: Vec<&str> = name.split('/').collect();
        match parts[..] {
            [namespace, kind, owner] | [namespace, kind, owner, _] if kind != "Pod" => Ok(Self {
                name: name.to_owned(),
                namespace: namespace.to_owned(),
                owner: Owner { kind: kind.into(), name: owner.into() },
            }),
            _ => {
                let expected = "expected NAMESPACE/KIND/OWNER or NAMESPACE/KIND/OWNER/NUMBER";
                Err(CallError::Refused(format!("{expected}, got {name:?}")))
            }
        }
    }

    /// The machine that it is, if it is one.
    pub(super) fn machine(&self) -> Option<&str> {
        (&*self.owner.kind == MACHINE).then_some(&*self.owner.name)
    }

    /// The pod that has its name.
    pub(super) fn pod<'w>(&self, world: &'w mut World) -> Option<&'w Pod> {
        let pods = world.objects.pods.values();
        let mut own: Vec<&Pod> = pods
            .filter(|pod| !pod.ended && *pod.namespace == *self.namespace)
            .filter(|pod| pod.owner.as_ref() == Some(&self.owner))
            .collect();
        own.sort_unstable_by(|a, b| by_owner(a, b));
        let names = world.ordinals.name_owner(&own);
        let found = names.iter().position(|name| *name == self.name)?;
        let uid = Arc::clone(&own[found].uid);
        world.objects.pods.get(&uid)
    }
}
