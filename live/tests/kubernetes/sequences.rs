//! Random sequences of orders, faults and crashes: nothing is evicted twice, no budget is broken, and
//! every order ends as it was told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use godwit_live::cluster::{
    CallError, Cluster, Executor, Figures, Handle, Order, Progress, Whereabouts,
};
use godwit_live::clusters::kubernetes::{MoveBy, Settings, open};
use godwit_models::plan::Method;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use serde_json::{Value, json};

use crate::objects::{budget, evicting, machine, node, pod};
use crate::support::{Faults, Server};

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
    /// The workload is on this node.
    At(String),
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
        }
        let cluster = connect(&server, by).unwrap();
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
        let healthy = healthy.filter(|pod| crate::support::is_healthy(pod)).count();
        assert!(healthy >= 2, "seed {}: the budget is broken", self.seed);
        drop(store);
        assert!(Instant::now() < self.until, "seed {}: no end", self.seed);
        std::thread::sleep(Duration::from_millis(1));
    }

    /// The process ends, and another begins.
    fn crash(&mut self) {
        loop {
            match connect(&self.server, self.by) {
                Ok(cluster) => {
                    self.cluster = cluster;
                    return;
                }
                Err(_) => self.step(),
            }
        }
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
        let (evicted, uids) = {
            let store = self.server.store();
            let uids = store.all("pods").map(|pod| pod["metadata"]["uid"].to_string());
            (store.evicted.len(), uids.collect::<BTreeSet<String>>())
        };
        let end = match self.begin(&order) {
            Some(handle) => self.follow(&order, handle),
            None => End::Nothing,
        };
        self.check(&order, &end, evicted, &uids);
    }

    /// Starts an order; `None` where it was not begun.
    fn begin(&mut self, order: &Order) -> Option<Result<Handle, End>> {
        for _ in 0..20 {
            let began = self.executor().start(order);
            if self.rng.random_bool(0.1) {
                self.crash();
                return self.found(order);
            }
            match began {
                Ok(handle) => return Some(Ok(handle)),
                Err(CallError::Refused(_)) => return None,
                Err(CallError::Later { .. }) => self.step(),
                Err(CallError::Unknown(_)) => return self.found(order),
            }
        }
        None
    }

    fn found(&mut self, order: &Order) -> Option<Result<Handle, End>> {
        loop {
            match self.executor().find(order) {
                Ok(Whereabouts::UnderWay(handle)) => return Some(Ok(handle)),
                Ok(Whereabouts::At(node)) if node == order.source => return None,
                Ok(Whereabouts::At(node)) => return Some(Err(End::At(node))),
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
        loop {
            if self.rng.random_bool(0.05) {
                self.crash();
                match self.found(order) {
                    Some(Ok(again)) => handle = again,
                    Some(Err(end)) => return end,
                    None => return End::Nothing,
                }
            }
            if self.rng.random_bool(0.02) {
                // It may be refused, and a move that cannot be given up goes on.
                let _ = self.executor().cancel(order, &handle);
            }
            // What was begun once is not begun again.
            if self.rng.random_bool(0.05) {
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

    fn check(&self, order: &Order, end: &End, evicted: usize, before: &BTreeSet<String>) {
        let store = self.server.store();
        let what = format!("seed {} {:?}: {order:?} ended {end:?}", self.seed, self.by);
        let new = &store.evicted[evicted..];
        let distinct: BTreeSet<&String> = store.evicted.iter().collect();
        assert_eq!(distinct.len(), store.evicted.len(), "{what}: a pod was evicted twice");
        if let Some(name) = order.workload.strip_prefix("shop/VirtualMachineInstance/") {
            let node = &store.get("virtualmachineinstances", "shop", name).unwrap()["status"]["nodeName"];
            let told = match end {
                End::Nothing => &order.source,
                End::At(node) => node,
            };
            assert_eq!(node, &json!(told), "{what}");
            assert_eq!(new.len(), 0, "{what}");
            return;
        }
        let owner = order.workload.split('/').nth(2).unwrap();
        match end {
            End::Nothing => assert_eq!(new.len(), 0, "{what}, but its pod was evicted"),
            End::At(node) => {
                assert_eq!(new.len(), 1, "{what}");
                let successor = |pod: &&Value| {
                    pod["metadata"]["labels"]["app"] == owner
                        && pod["spec"]["nodeName"] == json!(node)
                        && !before.contains(&pod["metadata"]["uid"].to_string())
                        && crate::support::is_healthy(pod)
                };
                assert!(store.all("pods").any(|pod| successor(&pod)), "{what}");
            }
        }
    }
}

fn stateful(node: &str) -> Value {
    let mut db = pod("db", 0, node);
    db["metadata"]["name"] = json!("db-0");
    db["metadata"]["ownerReferences"] =
        json!([{ "kind": "StatefulSet", "name": "db", "controller": true }]);
    db
}

fn connect(
    server: &Server,
    by: MoveBy,
) -> Result<Cluster, godwit_live::clusters::kubernetes::OpenError> {
    let settings = Settings {
        kubeconfig: Some(server.kubeconfig()),
        call_timeout_s: CALL_S,
        move_by: by,
        ..evicting()
    };
    open(&settings, &["cpu".to_owned(), "memory".to_owned()])
}

/// Plays sequences on many threads, as they mostly wait.
fn play(sequences: u64, by: MoveBy) {
    let next = AtomicU64::new(0);
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
                }
            });
        }
    });
    println!("{sequences} sequences of 3 orders, {by:?}: {:.1?}", began.elapsed());
}

#[test]
fn evictions_end_as_told_whatever_goes_wrong() {
    play(600, MoveBy::Eviction);
}

#[test]
fn reservations_end_as_told_whatever_goes_wrong() {
    play(200, MoveBy::Koordinator);
}

#[test]
fn live_migrations_end_as_told_whatever_goes_wrong() {
    play(200, MoveBy::Kubevirt);
}
