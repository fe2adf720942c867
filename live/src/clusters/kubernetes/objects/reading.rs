//! Reads lists and events: one object at a time, so that no list is ever held as a whole.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::raw::{Budget, ContainerUse, Machine, Node, Pod, PodUse, Text};

/// The kinds that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A node.
    Node,
    /// A pod.
    Pod,
    /// A PodDisruptionBudget.
    Budget,
    /// A KubeVirt VirtualMachineInstance.
    Machine,
    /// What a pod uses.
    PodUse,
}

impl Kind {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "Node" => Self::Node,
            "Pod" => Self::Pod,
            "PodDisruptionBudget" => Self::Budget,
            "VirtualMachineInstance" => Self::Machine,
            "PodMetrics" => Self::PodUse,
            _ => return None,
        })
    }
}

/// An object.
pub(super) enum Raw<'a> {
    Node(Node<'a>),
    // By far the largest, but never kept.
    Pod(Box<Pod<'a>>),
    Budget(Budget<'a>),
    Machine(Machine<'a>),
    PodUse(PodUse<'a>),
    /// Of a kind that is of no use here.
    Other,
}

impl<'a> Raw<'a> {
    fn read<D: Deserializer<'a>>(kind: Option<Kind>, from: D) -> Result<Self, D::Error> {
        Ok(match kind {
            Some(Kind::Node) => Self::Node(Node::deserialize(from)?),
            Some(Kind::Pod) => Self::Pod(Box::new(Pod::deserialize(from)?)),
            Some(Kind::Budget) => Self::Budget(Budget::deserialize(from)?),
            Some(Kind::Machine) => Self::Machine(Machine::deserialize(from)?),
            Some(Kind::PodUse) => Self::PodUse(PodUse::deserialize(from)?),
            None => IgnoredAny::deserialize(from).map(|_| Self::Other)?,
        })
    }
}

/// An object that says itself of what kind it is, before what depends on it.
impl<'de: 'a, 'a> Deserialize<'de> for Raw<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KindFirst;
        impl<'de> Visitor<'de> for KindFirst {
            type Value = Raw<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with its kind")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw<'de>, A::Error> {
                let mut used = Vec::new();
                while let Some(key) = map.next_key::<Text<'de>>()? {
                    match &*key {
                        "kind" => {
                            let kind = Kind::named(&map.next_value::<Text<'de>>()?);
                            let mut raw = Raw::read(kind, MapAccessDeserializer::new(map))?;
                            if let Raw::PodUse(raw) = &mut raw {
                                raw.containers.append(&mut used);
                            }
                            return Ok(raw);
                        }
                        // kubectl sorts by name: what a pod uses stands before the kind.
                        "containers" => used = map.next_value::<Vec<ContainerUse<'de>>>()?,
                        "metadata" | "spec" | "status" => {
                            let expected = "expected the kind before the other fields";
                            return Err(A::Error::custom(format_args!(
                                "{expected}, got {}",
                                &*key
                            )));
                        }
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(Raw::Other)
            }
        }
        deserializer.deserialize_map(KindFirst)
    }
}

/// What stands beside the items of a list.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct ListMeta {
    /// Where a watch goes on.
    pub resource_version: String,
    /// How to ask for the next page; empty for the last.
    #[serde(rename = "continue")]
    pub next: String,
}

/// Reads a list and hands on each of its items. Where `kind` is given, all are of it and need not say
/// so, as in the API's answers.
pub(super) fn read_list<'a>(
    json: &'a str,
    kind: Option<Kind>,
    sink: &mut dyn FnMut(Raw<'a>),
) -> Result<ListMeta, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let meta = List { kind, sink }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(meta)
}

struct List<'s, 'a> {
    kind: Option<Kind>,
    sink: &'s mut dyn FnMut(Raw<'a>),
}

impl<'a> DeserializeSeed<'a> for List<'_, 'a> {
    type Value = ListMeta;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<ListMeta, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'a> Visitor<'a> for List<'_, 'a> {
    type Value = ListMeta;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of objects, as `kubectl get -o json` writes it")
    }

    fn visit_map<A: MapAccess<'a>>(mut self, mut map: A) -> Result<ListMeta, A::Error> {
        let (mut meta, mut listed) = (ListMeta::default(), false);
        while let Some(key) = map.next_key::<Text<'a>>()? {
            match &*key {
                "items" => {
                    map.next_value_seed(Items(&mut self))?;
                    listed = true;
                }
                "metadata" => meta = map.next_value()?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        match listed {
            true => Ok(meta),
            false => Err(A::Error::missing_field("items")),
        }
    }
}

struct Items<'l, 's, 'a>(&'l mut List<'s, 'a>);

impl<'a> DeserializeSeed<'a> for Items<'_, '_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'a> Visitor<'a> for Items<'_, '_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of objects")
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(raw) = seq.next_element_seed(Item(self.0.kind))? {
            (self.0.sink)(raw);
        }
        Ok(())
    }
}

struct Item(Option<Kind>);

impl<'a> DeserializeSeed<'a> for Item {
    type Value = Raw<'a>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Raw<'a>, D::Error> {
        match self.0 {
            Some(kind) => Raw::read(Some(kind), deserializer),
            None => Raw::deserialize(deserializer),
        }
    }
}

/// One line of a watch.
#[derive(Deserialize)]
pub(super) struct Event<'a> {
    /// `ADDED`, `MODIFIED`, `DELETED`, `BOOKMARK` or `ERROR`.
    #[serde(borrow, rename = "type")]
    pub what: Text<'a>,
    /// What it is about.
    #[serde(borrow)]
    pub object: Raw<'a>,
}
