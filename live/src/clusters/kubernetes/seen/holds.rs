//! Why pods stay where they are.

use super::names::MACHINE;
use crate::clusters::kubernetes::objects::Pod;
use crate::clusters::kubernetes::settings::{Claims, LocalVolumes, MoveBy, Settings};

/// Why a pod is not moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Hold {
    /// Of a DaemonSet, or stands for a file on its node.
    OfItsNode,
    OtherNamespace,
    Leaving,
    NotManaged,
    Annotated,
    Critical,
    OnlyMachinesMove,
    MachineCannotMigrate,
    DataOnNode,
    Claim,
    Together,
    OtherPlaces,
    ManyGroups,
    Spread,
    ManyBudgets,
    NoNode,
}

impl Hold {
    /// The reason, to stand behind "stay: ".
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::OfItsNode => "they belong to their node (DaemonSets and static pods)",
            Self::OtherNamespace => "their namespace is not one whose pods may be moved",
            Self::Leaving => "they are on their way out",
            Self::NotManaged => "no controller would bring them back",
            Self::Annotated => "their annotations forbid it",
            Self::Critical => "they are critical to the cluster (priority 2000000000 or more)",
            Self::OnlyMachinesMove => "move_by lets only virtual machines move",
            Self::MachineCannotMigrate => "KubeVirt does not say that the machine can migrate live",
            Self::DataOnNode => "they have data on their node (local_volumes says what to do)",
            Self::Claim => "they have persistent volume claims (claims says where they may go)",
            Self::Together => "they have to be beside other pods (podAffinity)",
            Self::OtherPlaces => {
                "their anti-affinity speaks of places that are neither nodes nor zones"
            }
            Self::ManyGroups => "they are in two anti-affinity groups at once",
            Self::Spread => "a snapshot cannot say how they have to be spread",
            Self::ManyBudgets => "several disruption budgets protect them, and none can be asked",
            Self::NoNode => "no node meets their rules",
        }
    }

    /// Whether pods that stay for this reason are counted together, one workload per node.
    pub(super) fn is_counted_by_node(self) -> bool {
        matches!(self, Self::OfItsNode | Self::OtherNamespace)
    }
}

/// From this priority on, pods are part of the cluster itself.
const CRITICAL: i32 = 2_000_000_000;

/// Whether a pod belongs to a virtual machine.
pub(super) fn is_machine(pod: &Pod) -> bool {
    pod.owner.as_ref().is_some_and(|owner| &*owner.kind == MACHINE)
}

/// Why a pod stays, from what it is itself.
pub(super) fn own_hold(pod: &Pod, can_migrate: bool, settings: &Settings) -> Option<Hold> {
    let kind = pod.owner.as_ref().map(|owner| &*owner.kind);
    if pod.mirror || matches!(kind, Some("DaemonSet" | "Node")) {
        return Some(Hold::OfItsNode);
    }
    if !settings.moves_in(&pod.namespace) {
        return Some(Hold::OtherNamespace);
    }
    if pod.leaving {
        return Some(Hold::Leaving);
    }
    if pod.may_be_evicted == Some(false) {
        return Some(Hold::Annotated);
    }
    if is_machine(pod) {
        return (!can_migrate).then_some(Hold::MachineCannotMigrate);
    }
    if kind.is_none() {
        return Some(Hold::NotManaged);
    }
    if settings.move_by == MoveBy::Kubevirt {
        return Some(Hold::OnlyMachinesMove);
    }
    if pod.priority >= CRITICAL {
        return Some(Hold::Critical);
    }
    let keeps_data = settings.local_volumes == LocalVolumes::Stay;
    if pod.data.on_node && keeps_data && pod.may_be_evicted != Some(true) {
        return Some(Hold::DataOnNode);
    }
    (pod.data.claim && settings.claims == Claims::Stay).then_some(Hold::Claim)
}
