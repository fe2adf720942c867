//! The same sequences on a real API server, which is killed now and then, with the rights that are
//! deployed and no others.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard};
use std::time::Instant;

use godwit_live::clusters::kubernetes::MoveBy;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use serde_json::Value;

use crate::real::{Server, StandIn};
use crate::sequences::{Ground, Run, objects};

/// Longest that a call may take, seconds.
const CALL_S: f64 = 2.0;

/// A real server, and who plays the rest of the cluster.
struct Real<'s> {
    server: Mutex<&'s mut Server>,
    stand_in: Mutex<StandIn>,
    /// How often the server was killed.
    kills: Mutex<usize>,
}

impl Real<'_> {
    fn stand_in(&self) -> MutexGuard<'_, StandIn> {
        self.stand_in.lock().unwrap()
    }
}

impl Ground for Real<'_> {
    fn kubeconfig(&self) -> PathBuf {
        self.server.lock().unwrap().kubeconfig()
    }

    fn step(&self) {
        self.stand_in().step();
    }

    fn pods(&self) -> Vec<Value> {
        loop {
            if let Some(pods) = self.stand_in().pods() {
                return pods;
            }
        }
    }

    fn evicted(&self) -> Vec<String> {
        self.stand_in().evicted()
    }

    fn machine_node(&self) -> String {
        self.stand_in().machine_node()
    }

    fn strike(&self, rng: &mut Xoshiro256PlusPlus) {
        if rng.random_bool(0.01) {
            self.server.lock().unwrap().kill_and_begin();
            *self.kills.lock().unwrap() += 1;
        }
    }
}

fn sequences() -> u64 {
    std::env::var("GODWIT_SEQUENCES").ok().and_then(|n| n.parse().ok()).unwrap_or(20)
}

/// Plays them one after the other, by evictions; machines migrate live in any case.
#[test]
fn a_real_api_server_takes_what_is_asked_and_orders_end_as_told() {
    let Some(mut server) = Server::start() else { return };
    let (began, mut evicted, mut kills) = (Instant::now(), 0, 0);
    for seed in 0..sequences() {
        let all = objects(&mut Xoshiro256PlusPlus::seed_from_u64(seed));
        let rng = Xoshiro256PlusPlus::seed_from_u64(seed ^ 0x5eed);
        let stand_in = StandIn::new(server.admin(), rng, &all);
        let ground = Real {
            server: Mutex::new(&mut server),
            stand_in: Mutex::new(stand_in),
            kills: Mutex::new(0),
        };
        let mut run = Run::new(&ground, seed, MoveBy::Eviction, CALL_S);
        for n in 0..3 {
            run.order(n);
        }
        drop(run);
        evicted += ground.evicted().len();
        kills += ground.kills.into_inner().unwrap();
    }
    println!(
        "{} sequences of 3 orders on a real API server: {evicted} evictions, {kills} servers killed, {:.0?}",
        sequences(),
        began.elapsed()
    );
    assert!(evicted > 0);
}
