//! What of Kubernetes' objects is read, as it stands in JSON. Everything else is skipped unread.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// Text that is borrowed where JSON has it without escapes.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Text<'a>(Cow<'a, str>);

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyText;
        impl<'de> Visitor<'de> for AnyText {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(AnyText)
    }
}

/// Amounts by the name of their resource.
pub(super) type Amounts<'a> = BTreeMap<Text<'a>, Text<'a>>;

/// What every object has.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Meta<'a> {
    #[serde(borrow)]
    pub name: Text<'a>,
    #[serde(borrow)]
    pub namespace: Text<'a>,
    #[serde(borrow)]
    pub uid: Text<'a>,
    #[serde(borrow)]
    pub resource_version: Text<'a>,
    #[serde(borrow)]
    pub creation_timestamp: Option<Text<'a>>,
    #[serde(borrow)]
    pub deletion_timestamp: Option<Text<'a>>,
    #[serde(borrow)]
    pub labels: Option<&'a RawValue>,
    #[serde(borrow)]
    pub annotations: Option<Annotations<'a>>,
    #[serde(borrow)]
    pub owner_references: Option<Vec<OwnerReference<'a>>>,
}

/// The annotations that matter.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Annotations<'a> {
    #[serde(borrow, rename = "cluster-autoscaler.kubernetes.io/safe-to-evict")]
    pub safe_to_evict: Option<Text<'a>>,
    #[serde(borrow, rename = "descheduler.alpha.kubernetes.io/prefer-no-eviction")]
    pub prefer_no_eviction: Option<Text<'a>>,
    #[serde(borrow, rename = "kubernetes.io/config.mirror")]
    pub mirror: Option<Text<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct OwnerReference<'a> {
    #[serde(borrow)]
    pub kind: Text<'a>,
    #[serde(borrow)]
    pub name: Text<'a>,
    pub controller: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Node<'a> {
    #[serde(borrow)]
    pub metadata: Meta<'a>,
    #[serde(borrow)]
    pub spec: NodeSpec<'a>,
    #[serde(borrow)]
    pub status: NodeStatus<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct NodeSpec<'a> {
    pub unschedulable: bool,
    #[serde(borrow)]
    pub taints: Option<&'a RawValue>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct NodeStatus<'a> {
    #[serde(borrow)]
    pub allocatable: Amounts<'a>,
    #[serde(borrow)]
    pub conditions: Option<Vec<Condition<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Condition<'a> {
    #[serde(borrow, rename = "type")]
    pub name: Text<'a>,
    #[serde(borrow)]
    pub status: Text<'a>,
    #[serde(borrow)]
    pub last_transition_time: Option<Text<'a>>,
}

/// A condition that holds; `None` where it does not, or nothing is said of it.
pub(super) fn holds<'c, 'a>(
    conditions: Option<&'c [Condition<'a>]>,
    name: &str,
) -> Option<&'c Condition<'a>> {
    let found = conditions?.iter().find(|condition| &*condition.name == name)?;
    (&*found.status == "True").then_some(found)
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Pod<'a> {
    #[serde(borrow)]
    pub metadata: Meta<'a>,
    #[serde(borrow)]
    pub spec: PodSpec<'a>,
    #[serde(borrow)]
    pub status: PodStatus<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct PodSpec<'a> {
    #[serde(borrow)]
    pub node_name: Option<Text<'a>>,
    #[serde(borrow)]
    pub containers: Option<Vec<Container<'a>>>,
    #[serde(borrow)]
    pub init_containers: Option<Vec<Container<'a>>>,
    /// Of the whole pod: goes before what its containers say.
    #[serde(borrow)]
    pub resources: Resources<'a>,
    #[serde(borrow)]
    pub overhead: Option<Amounts<'a>>,
    pub priority: i32,
    #[serde(borrow)]
    pub node_selector: Option<&'a RawValue>,
    #[serde(borrow)]
    pub affinity: Option<Affinity<'a>>,
    #[serde(borrow)]
    pub tolerations: Option<&'a RawValue>,
    #[serde(borrow)]
    pub topology_spread_constraints: Option<&'a RawValue>,
    #[serde(borrow)]
    pub volumes: Option<Vec<Volume<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Affinity<'a> {
    #[serde(borrow)]
    pub node_affinity: Option<&'a RawValue>,
    #[serde(borrow)]
    pub pod_affinity: Option<&'a RawValue>,
    #[serde(borrow)]
    pub pod_anti_affinity: Option<&'a RawValue>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Container<'a> {
    #[serde(borrow)]
    pub resources: Resources<'a>,
    #[serde(borrow)]
    pub restart_policy: Option<Text<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Resources<'a> {
    #[serde(borrow)]
    pub requests: Option<Amounts<'a>>,
    #[serde(borrow)]
    pub limits: Option<Amounts<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Volume<'a> {
    #[serde(borrow)]
    pub empty_dir: Option<EmptyDir<'a>>,
    #[serde(borrow)]
    pub host_path: Option<&'a RawValue>,
    #[serde(borrow)]
    pub ephemeral: Option<&'a RawValue>,
    #[serde(borrow)]
    pub persistent_volume_claim: Option<&'a RawValue>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct EmptyDir<'a> {
    #[serde(borrow)]
    pub medium: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct PodStatus<'a> {
    #[serde(borrow)]
    pub phase: Text<'a>,
    #[serde(borrow)]
    pub conditions: Option<Vec<Condition<'a>>>,
}

/// A PodDisruptionBudget.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Budget<'a> {
    #[serde(borrow)]
    pub metadata: Meta<'a>,
    #[serde(borrow)]
    pub spec: BudgetSpec<'a>,
    pub status: BudgetStatus,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct BudgetSpec<'a> {
    #[serde(borrow)]
    pub selector: Option<&'a RawValue>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct BudgetStatus {
    pub disruptions_allowed: i32,
}

/// A KubeVirt VirtualMachineInstance.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Machine<'a> {
    #[serde(borrow)]
    pub metadata: Meta<'a>,
    #[serde(borrow)]
    pub status: MachineStatus<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct MachineStatus<'a> {
    #[serde(borrow)]
    pub node_name: Option<Text<'a>>,
    #[serde(borrow)]
    pub conditions: Option<Vec<Condition<'a>>>,
}

/// What a pod uses, from `metrics.k8s.io`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct PodUse<'a> {
    #[serde(borrow)]
    pub metadata: Meta<'a>,
    #[serde(borrow)]
    pub timestamp: Option<Text<'a>>,
    #[serde(borrow)]
    pub containers: Vec<ContainerUse<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ContainerUse<'a> {
    #[serde(borrow)]
    pub usage: Amounts<'a>,
}
