//! Random sequences of orders, faults and crashes: nothing is evicted twice, no budget is broken, and
//! every order ends as it was told.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use godwit_live::cluster::{
    CallError, Cluster, Executor, Figures, Handle, Order, Progress, Whereabouts,
};
use godwit_live::clusters::kubernetes::rights::RIGHTS;
use godwit_live::clusters::kubernetes::{MoveBy, OpenError, Settings, open};
use godwit_models::plan::Method;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use serde_json::{Value, json};

use crate::objects::{budget, evicting, machine, node, pod};
use crate::support::{Faults, Server, is_healthy};

const NODES: [&str; 4] = ["n1", "n2", "n3", "n4"];
/// Longest that a call may take at the stand-in.
const CALL_S: f64 = 0.25;

/// A cluster that sequences are played in.
pub trait Ground: Sync {
    /// What leads to its API server.
    fn kubeconfig(&self) -> PathBuf;
    /// Lets a little time go by.
    fn step(&self);
    /// All pods.
    fn pods(&self) -> Vec<Value>;
    /// Uids of pods whose eviction was granted, in order.
    fn evicted(&self) -> Vec<String>;
    /// Where the machine is.
    fn machine_node(&self) -> String;
    /// Something goes wrong with the server, if it does so now.
    fn strike(&self, _: &mut Xoshiro256PlusPlus) {}
}

impl Ground for Server {
    fn kubeconfig(&self) -> PathBuf {
        Server::kubeconfig(self)
    }

    fn step(&self) {
        self.store().step();
        std::thread::sleep(Duration::from_millis(1));
    }

    fn pods(&self) -> Vec<Value> {
        self.store().all("pods").cloned().collect()
    }

    fn evicted(&self) -> Vec<String> {
        self.store().evicted.clone()
    }

    fn machine_node(&self) -> String {
        let store = self.store();
        let machine = store.get("virtualmachineinstances", "shop", "vm").unwrap();
        machine["status"]["nodeName"].as_str().unwrap().to_owned()
    }
}

/// One cluster, one client, and what it was told.
pub struct Run<'g> {
    ground: &'g dyn Ground,
    by: MoveBy,
    /// Longest that a call may take, seconds.
    call_s: f64,
    rng: Xoshiro256PlusPlus,
    cluster: Cluster,
    until: Instant,
    seed: u64,
    /// What was heard last, for whoever looks into a failure.
    last: String,
}

/// How an order ended.
#[derive(Debug)]
enum End {
    /// It was never begun, or came to nothing: the workload is where it was.
    Nothing,
    /// It was moved, and the workload is on this node.
    At(String),
    /// Whatever came of the order, it is over, and the workload is on this node.
    Found(String),
}

/// What a sequence begins with: two services with a budget for one of them, a database, a machine.
pub fn objects(rng: &mut Xoshiro256PlusPlus) -> Vec<(&'static str, Value)> {
    let mut all: Vec<(&str, Value)> = NODES.iter().map(|name| ("nodes", node(name, "a"))).collect();
    for app in ["web", "api"] {
        for n in 0..3 {
            all.push(("pods", pod(app, n, NODES[rng.random_range(0..NODES.len())])));
        }
    }
    all.push(("pods", stateful(NODES[rng.random_range(0..NODES.len())])));
    let [pod, vmi] = machine("vm", NODES[rng.random_range(0..NODES.len())]);
    all.extend([("pods", pod), ("virtualmachineinstances", vmi)]);
    let mut web = budget("web", 1);
    web["spec"]["minAvailable"] = json!(2);
    all.push(("poddisruptionbudgets", web));
    if rng.random_bool(0.5) {
        // The budget is spent until it is ready.
        let first = &mut all[NODES.len()].1;
        first["status"] = json!({ "phase": "Pending", "conditions": [
            { "type": "Ready", "status": "False" },
        ] });
    }
    all
}

impl<'g> Run<'g> {
    pub fn new(ground: &'g dyn Ground, seed: u64, by: MoveBy, call_s: f64) -> Self {
        Self {
            ground,
            by,
            call_s,
            rng: Xoshiro256PlusPlus::seed_from_u64(seed),
            cluster: connected(ground, by, call_s, || ground.step()),
            until: Instant::now() + Duration::from_secs(50),
            seed,
            last: String::new(),
        }
    }

    fn executor(&self) -> &dyn Executor {
        self.cluster.executor.as_deref().unwrap()
    }

    /// Lets a little time go by.
    fn step(&self) {
        self.ground.step();
        let pods = self.ground.pods();
        let healthy = pods.iter().filter(|pod| pod["metadata"]["labels"]["app"] == "web");
        let healthy = healthy.filter(|pod| is_healthy(pod)).count();
        assert!(healthy >= 2, "seed {}: the budget is broken", self.seed);
        assert!(Instant::now() < self.until, "seed {}: no end; {}", self.seed, self.last);
    }

    /// The process ends, and another begins.
    fn crash(&mut self) {
        self.cluster = connected(self.ground, self.by, self.call_s, || self.step());
    }

    /// Where the workloads are, as they are seen.
    fn look(&mut self) -> BTreeMap<String, String> {
        loop {
            if let Ok(seen) = self.cluster.source.look() {
                let movable = seen.snapshot.workloads.into_iter().filter(|one| one.movable);
                return movable.filter_map(|one| Some((one.name, one.node?))).collect();
            }
            self.step();
        }
    }

    /// Draws an order, carries it out, and compares what was told with what has happened.
    pub fn order(&mut self, n: u64) {
        let workloads: Vec<(String, String)> = self.look().into_iter().collect();
        let (workload, source) = workloads[self.rng.random_range(0..workloads.len())].clone();
        let others: Vec<&str> = NODES.into_iter().filter(|name| *name != source).collect();
        let destination = others[self.rng.random_range(0..others.len())].to_owned();
        let order = Order {
            id: format!("s{}.{n}", self.seed),
            workload,
            source,
            destination,
            method: Method::Live,
            predicted: Figures::default(),
        };
        let before = Before::of(self.ground);
        let end = match self.begin(&order) {
            Some(handle) => self.follow(&order, handle),
            None => End::Nothing,
        };
        self.check(&order, &end, &before);
    }

    /// Starts an order; `None` where it was not begun.
    fn begin(&mut self, order: &Order) -> Option<Result<Handle, End>> {
        for _ in 0..20 {
            let began = self.executor().start(order);
            if self.rng.random_bool(0.1) {
                self.crash();
                return Some(self.found(order));
            }
            match began {
                Ok(handle) => return Some(Ok(handle)),
                Err(CallError::Refused(_)) => return None,
                Err(CallError::Later { .. }) => self.step(),
                Err(CallError::Unknown(_)) => return Some(self.found(order)),
            }
        }
        None
    }

    fn found(&mut self, order: &Order) -> Result<Handle, End> {
        loop {
            match self.executor().find(order) {
                Ok(Whereabouts::UnderWay(handle)) => return Ok(handle),
                Ok(Whereabouts::At(node)) => return Err(End::Found(node)),
                Ok(Whereabouts::Nowhere) | Err(_) => self.step(),
            }
        }
    }

    /// Watches an order to its end.
    fn follow(&mut self, order: &Order, began: Result<Handle, End>) -> End {
        let mut handle = match began {
            Ok(handle) => handle,
            Err(end) => return end,
        };
        let mut given_up = false;
        loop {
            self.ground.strike(&mut self.rng);
            if self.rng.random_bool(0.05) {
                self.crash();
                match self.found(order) {
                    Ok(again) => handle = again,
                    Err(end) => return end,
                }
            }
            if self.rng.random_bool(0.02) {
                // It may be refused, and a move that cannot be given up goes on.
                let _ = self.executor().cancel(order, &handle);
                given_up = true;
            }
            // What was begun once is not begun again.
            if !given_up && self.rng.random_bool(0.05) {
                let again = self.executor().start(order);
                assert!(again.is_err(), "seed {}: {order:?} was begun twice", self.seed);
            }
            let said = self.executor().watch(order, &handle);
            self.last = format!("{order:?}: {said:?}");
            match said {
                Ok(Progress::Running { .. }) | Err(_) => self.step(),
                Ok(Progress::Done(_)) => return End::At(order.destination.clone()),
                Ok(Progress::Elsewhere(node)) => return End::At(node),
                Ok(Progress::Failed(_) | Progress::Cancelled) => return End::Nothing,
                Ok(Progress::Lost(reason)) => panic!("seed {}: lost: {reason}", self.seed),
            }
        }
    }

    fn check(&self, order: &Order, end: &End, before: &Before) {
        let (evicted, pods) = (self.ground.evicted(), self.ground.pods());
        let what = format!("seed {} {:?}: {order:?} ended {end:?}", self.seed, self.by);
        let new = evicted.len() - before.evicted;
        let distinct: BTreeSet<&String> = evicted.iter().collect();
        assert_eq!(distinct.len(), evicted.len(), "{what}: a pod was evicted twice");
        if order.workload == "shop/VirtualMachineInstance/vm" {
            let told = match end {
                End::Nothing => &before.machine,
                End::At(node) | End::Found(node) => node,
            };
            assert_eq!((&self.ground.machine_node(), new), (told, 0), "{what}");
            return;
        }
        let owner = order.workload.split('/').nth(2).unwrap();
        let is_on = |pod: &Value, node: &str| {
            pod["metadata"]["labels"]["app"] == owner && pod["spec"]["nodeName"] == json!(node)
        };
        let is_new = |pod: &Value| !before.uids.contains(&pod["metadata"]["uid"].to_string());
        match end {
            End::Nothing => assert_eq!(new, 0, "{what}, but its pod was evicted"),
            End::Found(node) if new == 0 => {
                assert!(pods.iter().any(|pod| is_on(pod, node) && !is_new(pod)), "{what}");
            }
            End::Found(node) | End::At(node) => {
                assert_eq!(new, 1, "{what}");
                assert!(
                    pods.iter().any(|pod| is_on(pod, node) && is_new(pod) && is_healthy(pod)),
                    "{what}"
                );
            }
        }
    }
}

/// How things were before an order.
struct Before {
    evicted: usize,
    /// Of all pods.
    uids: BTreeSet<String>,
    /// The node of the machine.
    machine: String,
}

impl Before {
    fn of(ground: &dyn Ground) -> Self {
        let uids = ground.pods().iter().map(|pod| pod["metadata"]["uid"].to_string()).collect();
        Self { evicted: ground.evicted().len(), uids, machine: ground.machine_node() }
    }
}

fn stateful(node: &str) -> Value {
    let mut db = pod("db", 0, node);
    db["metadata"]["name"] = json!("db-0");
    db["metadata"]["ownerReferences"] =
        json!([{ "kind": "StatefulSet", "name": "db", "controller": true }]);
    db
}

/// A new client; `wait` comes between two tries.
fn connected(ground: &dyn Ground, by: MoveBy, call_s: f64, wait: impl Fn()) -> Cluster {
    let settings = Settings {
        kubeconfig: Some(ground.kubeconfig()),
        call_timeout_s: call_s,
        move_by: by,
        ..evicting()
    };
    loop {
        match open(&settings, &["cpu".to_owned(), "memory".to_owned()]) {
            Ok(cluster) => return cluster,
            Err(OpenError::Orders { .. }) => wait(),
            Err(error) => panic!("{error}"),
        }
    }
}

/// A stand-in of a server that holds what a sequence begins with, and makes mistakes.
fn prepared(seed: u64) -> Server {
    let server = Server::start(seed, Faults::default());
    let mut store = server.store();
    store.absent.clear();
    for (resource, object) in objects(&mut Xoshiro256PlusPlus::seed_from_u64(seed)) {
        store.put(resource, object);
    }
    drop(store);
    server
}

/// Plays sequences on many threads, as they mostly wait; what was asked of the servers.
fn play(sequences: u64, by: MoveBy) -> BTreeSet<(String, String)> {
    let next = AtomicU64::new(0);
    let asked = Mutex::new(BTreeSet::new());
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..24 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= sequences {
                        return;
                    }
                    let server = prepared(seed);
                    let mut run = Run::new(&server, seed, by, CALL_S);
                    server.store().faults = Faults::some();
                    for n in 0..3 {
                        run.order(n);
                    }
                    asked.lock().unwrap().append(&mut server.store().asked);
                }
            });
        }
    });
    println!("{sequences} sequences of 3 orders, {by:?}: {:.1?}", began.elapsed());
    asked.into_inner().unwrap()
}

/// What is granted and asked for, but for what only `move_by` and `demand` of others need.
fn granted(without: &[&str]) -> BTreeSet<(String, String)> {
    let rights = RIGHTS.iter().filter(|(right, _)| !without.contains(&right.name));
    rights
        .filter(|(right, _)| right.group != "metrics.k8s.io")
        .flat_map(|(right, verbs)| {
            verbs.iter().map(|verb| ((*verb).to_owned(), right.name.to_owned()))
        })
        .collect()
}

#[test]
fn evictions_end_as_told_whatever_goes_wrong() {
    let asked = play(600, MoveBy::Eviction);
    assert_eq!(asked, granted(&["podmigrationjobs"]), "rights that nobody uses");
}

#[test]
fn reservations_end_as_told_whatever_goes_wrong() {
    let mut asked = play(200, MoveBy::Koordinator);
    // Orders are struck where the API server denies something, and it denies no reservation here.
    asked.insert(("delete".to_owned(), "configmaps".to_owned()));
    assert_eq!(asked, granted(&["pods/eviction"]), "rights that nobody uses");
}

#[test]
fn live_migrations_end_as_told_whatever_goes_wrong() {
    let asked = play(200, MoveBy::Kubevirt);
    assert!(
        !asked.iter().any(|(_, resource)| resource == "configmaps" || resource == "pods/eviction")
    );
}
