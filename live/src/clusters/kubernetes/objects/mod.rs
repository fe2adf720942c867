//! What is known of a cluster's objects: nodes, pods, budgets, machines and what pods use.

mod amounts;
mod neighbours;
mod node;
mod pod;
mod pool;
mod quantity;
mod raw;
mod reading;
mod selector;
mod time;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use godwit_envs::input::InputError;

pub(super) use amounts::{BadAmount, Kinds};
pub(super) use neighbours::{Apart, HOST, Neighbours, Spread};
pub(super) use node::Node;
pub(super) use pod::{Owner, Pod};
pub(super) use reading::{Kind, ListMeta};
pub(super) use selector::{LabelSelector, Labels, Taint};
pub(super) use time::seconds;

use pool::Pool;
use reading::{Event, Raw, read_list};

/// A PodDisruptionBudget.
#[derive(Debug, Clone)]
pub(super) struct Budget {
    pub namespace: Arc<str>,
    pub name: Box<str>,
    /// Whose pods it protects; nobody's where it is absent.
    pub selector: Option<LabelSelector>,
    /// How many of them may be evicted now.
    pub disruptions_allowed: u32,
}

/// A KubeVirt machine.
#[derive(Debug, Clone)]
pub(super) struct Machine {
    pub node: Option<Box<str>>,
    /// Its memory can be copied to another node.
    pub can_migrate: bool,
}

/// What a pod uses.
#[derive(Debug, Clone)]
pub(super) struct PodUse {
    /// Of each resource kind, `[m]`; 0 for those that are not measured.
    pub amounts: Box<[f64]>,
    /// When it was measured, seconds since 1970.
    pub at_s: Option<i64>,
}

/// Namespace and name.
pub(super) type Name = (Arc<str>, Box<str>);

/// All objects of a cluster that decisions depend on.
#[derive(Debug)]
pub(super) struct Objects {
    pub kinds: Kinds,
    pub nodes: BTreeMap<Box<str>, Node>,
    /// By uid.
    pub pods: HashMap<Arc<str>, Pod>,
    /// By uid.
    pub budgets: HashMap<Arc<str>, Budget>,
    pub machines: HashMap<Name, Machine>,
    pub uses: HashMap<Name, PodUse>,
    pool: Pool,
}

/// What an event of a watch came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// Up to here all is known: the resource version.
    UpTo(String),
    /// The server cannot go on, most often as it does not remember that far back.
    Ended,
}

impl Objects {
    pub(super) fn new(kinds: Kinds) -> Self {
        Self {
            kinds,
            nodes: BTreeMap::new(),
            pods: HashMap::new(),
            budgets: HashMap::new(),
            machines: HashMap::new(),
            uses: HashMap::new(),
            pool: Pool::default(),
        }
    }

    /// Adds what a list holds, as `kubectl get -o json` or the API writes it. Where `kind` is given, all
    /// items are of it.
    ///
    /// # Errors
    /// When the text is no such list, or an item holds what cannot be read; `label` is what errors call
    /// it.
    pub(super) fn add_list(
        &mut self,
        json: &str,
        kind: Option<Kind>,
        label: &str,
    ) -> Result<ListMeta, InputError> {
        let mut bad = None;
        let meta = read_list(json, kind, &mut |raw| {
            if bad.is_none() {
                bad = self.add(&raw).err();
            }
        });
        if let Some(bad) = bad {
            return Err(bad.within(label));
        }
        meta.map_err(|error| InputError::Syntax {
            file: label.to_owned(),
            line: error.line(),
            format: "Kubernetes list",
            message: error.to_string(),
        })
    }

    /// Takes in one line of a watch.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn hear(&mut self, line: &str, label: &str) -> Result<Heard, InputError> {
        let event: Event<'_> = serde_json::from_str(line).map_err(|error| InputError::Syntax {
            file: label.to_owned(),
            line: 1,
            format: "watch event",
            message: error.to_string(),
        })?;
        let version = event.object.meta().map(|meta| meta.resource_version.to_string());
        match &*event.what {
            "DELETED" => self.remove(&event.object),
            "BOOKMARK" => {}
            "ERROR" => return Ok(Heard::Ended),
            _ => self.add(&event.object).map_err(|bad| bad.within(label))?,
        }
        Ok(Heard::UpTo(version.unwrap_or_default()))
    }

    /// Takes the objects of a kind from a new list of them.
    pub(super) fn replace(&mut self, kind: Kind, listed: Self) {
        match kind {
            Kind::Node => self.nodes = listed.nodes,
            Kind::Pod => {
                self.pods = listed.pods;
                // Pods that come later share with these.
                self.pool = listed.pool;
            }
            Kind::Budget => self.budgets = listed.budgets,
            Kind::Machine => self.machines = listed.machines,
            Kind::PodUse => self.uses = listed.uses,
        }
    }

    /// Forgets texts that no object has any more.
    pub(super) fn sweep(&mut self) {
        self.pool.sweep();
    }

    fn add(&mut self, raw: &Raw<'_>) -> Result<(), BadObject> {
        let within = |kind: &str, meta: &raw::Meta<'_>| {
            let name = match &*meta.namespace {
                "" => format!("{kind} {}", &*meta.name),
                namespace => format!("{kind} {namespace}/{}", &*meta.name),
            };
            move |bad: BadAmount| BadObject { name, bad }
        };
        let pool = &mut self.pool;
        match raw {
            Raw::Node(raw) => {
                let node = Node::read(raw, &self.kinds, pool);
                let node = node.map_err(|bad| within("node", &raw.metadata)(bad))?;
                self.nodes.insert(Box::from(&*raw.metadata.name), node);
            }
            Raw::Pod(raw) => {
                let pod = Pod::read(raw, &self.kinds, pool);
                let pod = pod.map_err(|bad| within("pod", &raw.metadata)(bad))?;
                self.pods.insert(Arc::clone(&pod.uid), pod);
            }
            Raw::Budget(raw) => {
                let meta = &raw.metadata;
                let selector = raw.spec.selector.map(|json| serde_json::from_str(json.get()));
                let selector = selector
                    .transpose()
                    .map_err(|error| within("poddisruptionbudget", meta)(BadAmount::from(error)))?;
                let budget = Budget {
                    namespace: pool.word(&meta.namespace),
                    name: Box::from(&*meta.name),
                    selector,
                    disruptions_allowed: u32::try_from(raw.status.disruptions_allowed).unwrap_or(0),
                };
                self.budgets.insert(Arc::from(&*meta.uid), budget);
            }
            Raw::Machine(raw) => {
                let conditions = raw.status.conditions.as_deref();
                let node = raw.status.node_name.as_deref();
                let machine = Machine {
                    node: node.filter(|name| !name.is_empty()).map(Box::from),
                    can_migrate: raw::holds(conditions, "LiveMigratable").is_some(),
                };
                self.machines.insert(name(pool, &raw.metadata), machine);
            }
            Raw::PodUse(raw) => {
                let mut amounts = vec![0.0; self.kinds.len()];
                for container in &raw.containers {
                    let usage = self.kinds.read(&container.usage, "containers.usage");
                    let usage = usage.map_err(|bad| within("podmetrics", &raw.metadata)(bad))?;
                    amounts.iter_mut().zip(&usage).for_each(|(sum, more)| *sum += more);
                }
                let at_s = raw.timestamp.as_deref().and_then(seconds);
                let used = PodUse { amounts: amounts.into(), at_s };
                self.uses.insert(name(pool, &raw.metadata), used);
            }
            Raw::Other => {}
        }
        Ok(())
    }

    fn remove(&mut self, raw: &Raw<'_>) {
        let Some(meta) = raw.meta() else { return };
        match raw {
            Raw::Node(_) => drop(self.nodes.remove(&*meta.name)),
            Raw::Pod(_) => drop(self.pods.remove(&*meta.uid)),
            Raw::Budget(_) => drop(self.budgets.remove(&*meta.uid)),
            Raw::Machine(_) => drop(self.machines.remove(&name(&mut self.pool, meta))),
            Raw::PodUse(_) | Raw::Other => {}
        }
    }
}

fn name(pool: &mut Pool, meta: &raw::Meta<'_>) -> Name {
    (pool.word(&meta.namespace), Box::from(&*meta.name))
}

impl<'a> Raw<'a> {
    fn meta(&self) -> Option<&raw::Meta<'a>> {
        match self {
            Raw::Node(raw) => Some(&raw.metadata),
            Raw::Pod(raw) => Some(&raw.metadata),
            Raw::Budget(raw) => Some(&raw.metadata),
            Raw::Machine(raw) => Some(&raw.metadata),
            Raw::PodUse(raw) => Some(&raw.metadata),
            Raw::Other => None,
        }
    }
}

/// An object that cannot be read.
struct BadObject {
    name: String,
    bad: BadAmount,
}

impl BadObject {
    fn within(self, label: &str) -> InputError {
        let field = format!("{}: {}", self.name, self.bad.field);
        InputError::field(label, field, self.bad.expected, self.bad.got)
    }
}
