//! Moves while the cluster has trouble: nothing moves twice, nothing is lost, and what is told is true.

use std::path::Path;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use godwit_live::cluster::{CallError, Executor, Order, Progress, Whereabouts};
use godwit_live::clusters::proxmox;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use serde_json::{Value, json};

use crate::stand_in::{StandIn, executor, order, outcome};

#[test]
fn locks_and_lost_quorum_are_told_as_not_now() {
    let Some(mut cluster) = StandIn::start() else { return };
    cluster.vm(100, "pve1", json!({}));
    let executor = executor(&cluster.settings());
    let order = order("qemu/100", "pve1", "pve2");
    let later = |cluster: &mut StandIn, sign: &str| {
        let Err(CallError::Later { reason, .. }) = executor.start(&order) else { panic!("{sign}") };
        assert!(reason.contains(sign), "{reason}");
        assert_eq!(cluster.truth()["began"], json!({}));
    };
    cluster.tell("lock", 100.into());
    later(&mut cluster, "qemu/100 is locked (backup)");
    cluster.tell("unlock", 100.into());
    cluster.tell("quorate", false.into());
    later(&mut cluster, "no quorum");
    cluster.tell("quorate", true.into());
    let handle = executor.start(&order).unwrap();
    assert!(matches!(outcome(&*executor, &order, &handle).0, Progress::Done(_)));
}

#[test]
fn a_migration_that_fails_says_why_and_that_the_guest_is_where_it_was() {
    let Some(mut cluster) = StandIn::start() else { return };
    let executor = executor(&cluster.settings());
    for (vmid, ha) in [(100, false), (101, true)] {
        cluster.vm(vmid, "pve1", json!({}));
        if ha {
            cluster.tell("ha", vmid.into());
        }
        cluster.tell("fail_in_task", json!(["target has no bridge vmbr7"]));
        let order = order(&format!("qemu/{vmid}"), "pve1", "pve2");
        let handle = executor.start(&order).unwrap();
        let expected =
            "the migration's task ended with \"migration aborted\" (target has no bridge vmbr7)";
        assert_eq!(outcome(&*executor, &order, &handle).0, Progress::Failed(expected.to_owned()));
        assert_eq!(executor.find(&order).unwrap(), Whereabouts::At("pve1".to_owned()));
    }
}

#[test]
fn a_guest_whose_node_goes_away_under_a_migration_is_lost() {
    let Some(mut cluster) = StandIn::start() else { return };
    cluster.vm(100, "pve2", json!({}));
    cluster.tell("move_secs", 300.into());
    let executor = executor(&cluster.settings());
    let order = order("qemu/100", "pve2", "pve1");
    let handle = executor.start(&order).unwrap();
    cluster.tell("offline", "pve2".into());
    let expected = "its node pve2 is offline";
    assert_eq!(outcome(&*executor, &order, &handle).0, Progress::Lost(expected.to_owned()));
    assert_eq!(executor.find(&order).unwrap(), Whereabouts::Nowhere);
}

#[test]
fn a_move_whose_answer_was_lost_is_found_and_not_begun_again() {
    let Some(mut cluster) = StandIn::start() else { return };
    cluster.vm(100, "pve1", json!({}));
    let executor = executor(&cluster.settings());
    let order = order("qemu/100", "pve1", "pve2");
    cluster.tell("lose_answers", 1.into());
    assert!(matches!(executor.start(&order), Err(CallError::Unknown(_))));
    let Whereabouts::UnderWay(handle) = executor.find(&order).unwrap() else { panic!("not found") };
    let Err(CallError::Later { .. }) = executor.start(&order) else { panic!("begun twice") };
    assert!(matches!(outcome(&*executor, &order, &handle).0, Progress::Done(_)));
    assert_eq!(cluster.truth()["began"]["100"], 1);
}

#[test]
fn no_call_hangs_where_the_cluster_does() {
    let Some(mut cluster) = StandIn::start() else { return };
    cluster.vm(100, "pve1", json!({}));
    let mut settings = cluster.settings();
    settings.timeout_s = 1;
    cluster.tell("hang", 1.0.into());
    let begin = Instant::now();
    let error = proxmox::open(&settings, Path::new("")).unwrap().source.look().unwrap_err();
    assert!(matches!(error, CallError::Unknown(_)), "{error:?}");
    assert!(begin.elapsed() < Duration::from_secs(10));
}

/// A hundred and twenty moves of eight guests while one request in twenty is dropped, answers get lost,
/// migrations fail, guests are locked and the HA manager has half of them.
#[test]
fn under_all_faults_every_outcome_is_told_truly_and_no_move_begins_twice() {
    let Some(mut cluster) = StandIn::start() else { return };
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(7);
    cluster.tell("move_secs", 5.into());
    cluster.tell("ha_delay", 3.into());
    let guests: Vec<String> = (100..108).map(|vmid| format!("qemu/{vmid}")).collect();
    for vmid in 100..108 {
        cluster.vm(vmid, "pve1", json!({}));
        if vmid % 2 == 0 {
            cluster.tell("ha", vmid.into());
        }
    }
    let executor = executor(&cluster.settings());
    let mut told: BTreeMap<&str, u32> = BTreeMap::new();
    let mut began = 0;
    for number in 0..120 {
        let guest = &guests[rng.random_range(0..guests.len())];
        let source = cluster.node_of(guest);
        let destination = format!("pve{}", rng.random_range(1..=3));
        if destination == source {
            continue;
        }
        let vmid: u32 = guest["qemu/".len()..].parse().unwrap();
        let (locked, fails) = (rng.random_bool(0.1), rng.random_bool(0.2));
        let failures = if fails { json!(["no route to target"]) } else { json!([]) };
        cluster.tell("fail_in_task", failures);
        cluster.tell("lose_answers", rng.random_bool(0.2).into());
        if locked {
            cluster.tell("lock", vmid.into());
        }
        cluster.tell("network", 0.05.into());
        let mut order = order(guest, &source, &destination);
        order.id = format!("d{number}.0");
        let told_now = carried_out(&*executor, &order);
        cluster.tell("network", 0.0.into());
        if locked {
            cluster.tell("unlock", vmid.into());
        }
        cluster.settle();
        let truth = cluster.truth();
        let now = truth["nodes"][guest].as_str().unwrap();
        let total: u64 =
            truth["began"].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum();
        let (expected, moved) = match &told_now {
            Told::Ended(Progress::Done(_)) => (destination.as_str(), Some(1)),
            Told::Ended(Progress::Failed(_)) => (source.as_str(), Some(1)),
            Told::NotBegun => (source.as_str(), Some(0)),
            // Nobody watched it, but where it is was asked for.
            Told::At(node) => (node.as_str(), None),
            other => panic!("{order:?}: {other:?}"),
        };
        assert_eq!(now, expected, "{order:?}: {told_now:?}");
        assert!(total - began <= 1, "{order:?} began twice");
        if let Some(moved) = moved {
            assert_eq!(total - began, moved, "{order:?}: {told_now:?}");
        }
        began = total;
        *told.entry(told_now.name()).or_default() += 1;
        everyone_is_there(&mut cluster, &guests);
    }
    println!("{told:?}");
    assert!(told.values().all(|count| *count > 0) && told.len() >= 3, "{told:?}");
}

#[derive(Debug)]
enum Told {
    /// The cluster refused.
    NotBegun,
    /// Nobody knows whether it began; it is there now, and nothing is under way.
    At(String),
    Ended(Progress),
}

impl Told {
    fn name(&self) -> &'static str {
        match self {
            Self::NotBegun => "not begun",
            Self::At(_) => "found",
            Self::Ended(Progress::Done(_)) => "done",
            Self::Ended(_) => "failed",
        }
    }
}

/// As whoever calls would do it: start once, and where nobody knows, find.
fn carried_out(executor: &dyn Executor, order: &Order) -> Told {
    match executor.start(order) {
        Ok(handle) => return Told::Ended(outcome(executor, order, &handle).0),
        Err(CallError::Unknown(_)) => {}
        Err(_) => return Told::NotBegun,
    }
    let end = Instant::now() + Duration::from_secs(60);
    while Instant::now() < end {
        match executor.find(order) {
            Ok(Whereabouts::UnderWay(handle)) => {
                return Told::Ended(outcome(executor, order, &handle).0);
            }
            Ok(Whereabouts::At(node)) => return Told::At(node),
            Ok(Whereabouts::Nowhere) => panic!("{order:?} is nowhere"),
            Err(_) => std::thread::sleep(Duration::from_millis(10)),
        }
    }
    panic!("{order:?} is never found");
}

fn everyone_is_there(cluster: &mut StandIn, guests: &[String]) {
    let seen = proxmox::open(&cluster.settings(), Path::new("")).unwrap().source.look().unwrap();
    let names: BTreeSet<&str> = seen.snapshot.workloads.iter().map(|w| w.name.as_str()).collect();
    assert_eq!(seen.snapshot.workloads.len(), guests.len());
    assert!(guests.iter().all(|guest| names.contains(guest.as_str())), "{names:?}");
    let running: Value = cluster.truth()["running"].clone();
    assert!(running.as_object().unwrap().values().all(|on| on == &json!(true)), "{running}");
}
