//! Random sequences of orders, faults and crashes: nothing is evicted twice, no budget is broken, and
//! every order ends as it was told.

use std::collections::{BTreeMap, BTreeSet};
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
use crate::support::{Faults, Server, Store, is_healthy};

const NODES: [&str; 4] = ["n1", "n2", "n3", "n4"];
/// Longest that a call may take here.
const CALL_S: f64 = 0.25;

/// One cluster, one client, and what it was told.
struct Run {
    server: Server,
    by: MoveBy,
    rng: Xoshiro256PlusPlus,
    cluster: Cluster,
    until: Instant,
    seed: u64,
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

impl Run {
    fn new(seed: u64, by: MoveBy) -> Self {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let server = Server::start(seed, Faults::default());
        {
            let mut store = server.store();
            store.absent.clear();
            for name in NODES {
                store.put("nodes", node(name, "a"));
            }
            for app in ["web", "api"] {
                for n in 0..3 {
                    store.put("pods", pod(app, n, NODES[rng.random_range(0..NODES.len())]));
                }
            }
            store.put("pods", stateful(NODES[rng.random_range(0..NODES.len())]));
            let [pod, vmi] = machine("vm", NODES[rng.random_range(0..NODES.len())]);
            store.put("pods", pod);
            store.put("virtualmachineinstances", vmi);
            let mut web = budget("web", 1);
            web["spec"]["minAvailable"] = json!(2);
            store.put("poddisruptionbudgets", web);
            if rng.random_bool(0.5) {
                // The budget is spent until it is ready.
                store.change("pods", "shop", "web-7d9f-0", |pod| {
                    pod["status"] = json!({ "phase": "Pending", "conditions": [
                        { "type": "Ready", "status": "False" },
                    ] });
                });
            }
        }
        let cluster = connected(&server, by, || ());
        server.store().faults = Faults::some();
        let until = Instant::now() + Duration::from_secs(50);
        Self { server, by, rng, cluster, until, seed }
    }

    fn executor(&self) -> &dyn Executor {
        self.cluster.executor.as_deref().unwrap()
    }

    /// Lets a little time go by in the cluster, and here.
    fn step(&self) {
        let mut store = self.server.store();
        store.step();
        let healthy = store.all("pods").filter(|pod| pod["metadata"]["labels"]["app"] == "web");
        let healthy = healthy.filter(|pod| is_healthy(pod)).count();
        assert!(healthy >= 2, "seed {}: the budget is broken", self.seed);
        drop(store);
        assert!(Instant::now() < self.until, "seed {}: no end", self.seed);
        std::thread::sleep(Duration::from_millis(1));
    }

    /// The process ends, and another begins.
    fn crash(&mut self) {
        self.cluster = connected(&self.server, self.by, || self.step());
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
    fn order(&mut self, n: u64) {
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
        let before = Before::of(&self.server);
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
            match self.executor().watch(order, &handle) {
                Ok(Progress::Running { .. }) | Err(_) => self.step(),
                Ok(Progress::Done(_)) => return End::At(order.destination.clone()),
                Ok(Progress::Elsewhere(node)) => return End::At(node),
                Ok(Progress::Failed(_) | Progress::Cancelled) => return End::Nothing,
                Ok(Progress::Lost(reason)) => panic!("seed {}: lost: {reason}", self.seed),
            }
        }
    }

    fn check(&self, order: &Order, end: &End, before: &Before) {
        let store = self.server.store();
        let what = format!("seed {} {:?}: {order:?} ended {end:?}", self.seed, self.by);
        let new = store.evicted.len() - before.evicted;
        let distinct: BTreeSet<&String> = store.evicted.iter().collect();
        assert_eq!(distinct.len(), store.evicted.len(), "{what}: a pod was evicted twice");
        if order.workload == "shop/VirtualMachineInstance/vm" {
            let told = match end {
                End::Nothing => &before.machine,
                End::At(node) | End::Found(node) => node,
            };
            assert_eq!((&machine_node(&store), new), (told, 0), "{what}");
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
                assert!(store.all("pods").any(|pod| is_on(pod, node) && !is_new(pod)), "{what}");
            }
            End::Found(node) | End::At(node) => {
                assert_eq!(new, 1, "{what}");
                assert!(
                    store.all("pods").any(|pod| is_on(pod, node) && is_new(pod) && is_healthy(pod)),
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
    fn of(server: &Server) -> Self {
        let store = server.store();
        let uids = store.all("pods").map(|pod| pod["metadata"]["uid"].to_string());
        Self { evicted: store.evicted.len(), uids: uids.collect(), machine: machine_node(&store) }
    }
}

fn machine_node(store: &Store) -> String {
    let machine = store.get("virtualmachineinstances", "shop", "vm").unwrap();
    machine["status"]["nodeName"].as_str().unwrap().to_owned()
}

fn stateful(node: &str) -> Value {
    let mut db = pod("db", 0, node);
    db["metadata"]["name"] = json!("db-0");
    db["metadata"]["ownerReferences"] =
        json!([{ "kind": "StatefulSet", "name": "db", "controller": true }]);
    db
}

/// A new client; `wait` comes between two tries.
fn connected(server: &Server, by: MoveBy, wait: impl Fn()) -> Cluster {
    let settings = Settings {
        kubeconfig: Some(server.kubeconfig()),
        call_timeout_s: CALL_S,
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
                    let mut run = Run::new(seed, by);
                    for n in 0..3 {
                        run.order(n);
                    }
                    asked.lock().unwrap().append(&mut run.server.store().asked);
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
