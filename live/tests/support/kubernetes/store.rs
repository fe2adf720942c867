//! The objects, and what has happened to them.

use std::collections::{BTreeMap, BTreeSet};

use rand_xoshiro::Xoshiro256PlusPlus;
use serde_json::{Value, json};
use tokio::sync::broadcast;

use super::faults::Faults;

/// Path of a resource without version, for example `pods`; then namespace and name.
pub type Key = (String, String, String);

/// One line of a watch.
#[derive(Debug, Clone)]
pub struct Event {
    pub version: u64,
    pub resource: String,
    pub line: String,
}

/// Everything that the server holds.
pub struct Store {
    pub objects: BTreeMap<Key, Value>,
    pub version: u64,
    pub events: Vec<Event>,
    /// Events up to here are forgotten.
    pub forgotten: u64,
    pub news: broadcast::Sender<Event>,
    pub rng: Xoshiro256PlusPlus,
    pub faults: Faults,
    /// Resources that the server does not know.
    pub absent: Vec<&'static str>,
    /// Uids of pods whose eviction was granted, in order.
    pub evicted: Vec<String>,
    /// Verbs and resources that were asked for.
    pub asked: BTreeSet<(String, String)>,
    pub(super) uids: u64,
}

impl Store {
    pub(super) fn new(rng: Xoshiro256PlusPlus, faults: Faults) -> Self {
        Self {
            objects: BTreeMap::new(),
            version: 1,
            events: Vec::new(),
            forgotten: 0,
            news: broadcast::channel(4096).0,
            rng,
            faults,
            absent: vec!["virtualmachineinstances"],
            evicted: Vec::new(),
            asked: BTreeSet::new(),
            uids: 0,
        }
    }

    /// Puts an object there, or in the place of one of its name.
    pub fn put(&mut self, resource: &str, mut object: Value) -> Value {
        self.version += 1;
        let meta = &mut object["metadata"];
        meta["resourceVersion"] = json!(self.version.to_string());
        if meta["uid"].is_null() {
            self.uids += 1;
            meta["uid"] = json!(format!("uid-{}", self.uids));
        }
        let key = key(resource, &object);
        let what = if self.objects.contains_key(&key) { "MODIFIED" } else { "ADDED" };
        self.objects.insert(key, object.clone());
        self.tell(resource, what, &object);
        object
    }

    /// Changes an object.
    pub fn change(
        &mut self,
        resource: &str,
        namespace: &str,
        name: &str,
        by: impl FnOnce(&mut Value),
    ) {
        let mut object = self.get(resource, namespace, name).unwrap().clone();
        by(&mut object);
        self.put(resource, object);
    }

    pub fn remove(&mut self, resource: &str, namespace: &str, name: &str) -> Option<Value> {
        let key = (resource.to_owned(), namespace.to_owned(), name.to_owned());
        let mut object = self.objects.remove(&key)?;
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.tell(resource, "DELETED", &object);
        Some(object)
    }

    pub fn get(&self, resource: &str, namespace: &str, name: &str) -> Option<&Value> {
        self.objects.get(&(resource.to_owned(), namespace.to_owned(), name.to_owned()))
    }

    /// All objects of a resource.
    pub fn all(&self, resource: &str) -> impl Iterator<Item = &Value> {
        self.objects.iter().filter(move |(key, _)| key.0 == resource).map(|(_, object)| object)
    }

    /// Forgets what has happened: watches from before are told 410 Gone.
    pub fn forget(&mut self) {
        self.forgotten = self.version;
        self.events.clear();
    }

    fn tell(&mut self, resource: &str, what: &str, object: &Value) {
        let line = json!({ "type": what, "object": object }).to_string();
        let event = Event { version: self.version, resource: resource.to_owned(), line };
        self.events.push(event.clone());
        // Nobody may be listening.
        let _ = self.news.send(event);
    }
}

fn key(resource: &str, object: &Value) -> Key {
    let part = |name: &str| object["metadata"][name].as_str().unwrap_or_default().to_owned();
    (resource.to_owned(), part("namespace"), part("name"))
}
