//! How moves end when nothing goes wrong that the cluster does not tell.

use godwit_live::cluster::{CallError, Figures, Progress, Whereabouts};
use godwit_models::plan::Method;
use serde_json::json;

use crate::stand_in::{StandIn, executor, order, outcome};

#[test]
fn a_live_migration_ends_on_its_destination_with_what_was_measured() {
    let Some(mut cluster) = StandIn::start() else { return };
    cluster.vm(100, "pve1", json!({}));
    let executor = executor(&cluster.settings());
    assert!(executor.promises().state_is_kept);
    let order = order("qemu/100", "pve1", "pve2");
    let handle = executor.start(&order).unwrap();
    assert_eq!(executor.find(&order).unwrap(), Whereabouts::UnderWay(handle.clone()));
    let (ended, shares) = outcome(&*executor, &order, &handle);
    let figures =
        Figures { transfer_s: Some(20.0), moved_gib: Some(10.0), downtime_s: Some(0.045) };
    assert_eq!(ended, Progress::Done(figures));
    assert!(
        shares.is_sorted() && shares.iter().all(|share| (0.0..=1.0).contains(share)),
        "{shares:?}"
    );
    assert!(!shares.is_empty());
    assert_eq!(cluster.node_of("qemu/100"), "pve2");
    assert_eq!(executor.find(&order).unwrap(), Whereabouts::At("pve2".to_owned()));
    // The same order again would not move it twice.
    assert!(matches!(executor.start(&order), Err(CallError::Refused(_))));
}

#[test]
fn a_container_is_restarted_elsewhere_only_where_the_settings_say_so() {
    let Some(mut cluster) = StandIn::start() else { return };
    cluster.ct(200, "pve1");
    let order = order("lxc/200", "pve1", "pve3");
    let refused = executor(&cluster.settings()).start(&order).unwrap_err();
    let why = "lxc/200 is a container, and `containers` is off";
    assert_eq!(refused, CallError::Refused(why.to_owned()));
    let mut settings = cluster.settings();
    settings.containers = true;
    let executor = executor(&settings);
    assert!(!executor.promises().state_is_kept);
    let handle = executor.start(&order).unwrap();
    assert_eq!(outcome(&*executor, &order, &handle).0, Progress::Done(Figures::default()));
    assert_eq!(cluster.node_of("lxc/200"), "pve3");
}

#[test]
fn what_the_ha_manager_moves_is_under_way_until_it_runs_elsewhere() {
    let Some(mut cluster) = StandIn::start() else { return };
    cluster.vm(100, "pve1", json!({}));
    cluster.tell("ha", 100.into());
    let executor = executor(&cluster.settings());
    let order = order("qemu/100", "pve1", "pve2");
    let handle = executor.start(&order).unwrap();
    assert!(handle.0.contains(":hamigrate:"), "{handle:?}");
    // Its task has ended long before the guest moves.
    assert!(matches!(executor.watch(&order, &handle), Ok(Progress::Running { .. })));
    assert!(matches!(executor.find(&order).unwrap(), Whereabouts::UnderWay(_)));
    let (ended, _) = outcome(&*executor, &order, &handle);
    assert!(matches!(ended, Progress::Done(Figures { moved_gib: Some(10.0), .. })), "{ended:?}");
    assert_eq!(cluster.node_of("qemu/100"), "pve2");
}

#[test]
fn a_request_that_the_ha_manager_never_begins_fails() {
    let Some(mut cluster) = StandIn::start() else { return };
    cluster.vm(100, "pve1", json!({}));
    cluster.tell("ha", 100.into());
    cluster.tell("ha_acts", false.into());
    let mut settings = cluster.settings();
    settings.ha_wait_s = 1;
    let executor = executor(&settings);
    let order = order("qemu/100", "pve1", "pve2");
    let handle = executor.start(&order).unwrap();
    let expected = "the HA manager did not begin with it within 1 s";
    assert_eq!(outcome(&*executor, &order, &handle).0, Progress::Failed(expected.to_owned()));
    assert_eq!(executor.find(&order).unwrap(), Whereabouts::At("pve1".to_owned()));
}

#[test]
fn a_migration_that_is_given_up_leaves_the_guest_where_it_was() {
    let Some(mut cluster) = StandIn::start() else { return };
    cluster.tell("move_secs", 300.into());
    cluster.tell("ha_delay", 5.into());
    let executor = executor(&cluster.settings());
    for (vmid, ha) in [(100, false), (101, true)] {
        cluster.vm(vmid, "pve1", json!({}));
        if ha {
            cluster.tell("ha", vmid.into());
        }
        let order = order(&format!("qemu/{vmid}"), "pve1", "pve2");
        let handle = executor.start(&order).unwrap();
        // What the HA manager has not begun yet cannot be given up yet.
        let end = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while let Err(error) = executor.cancel(&order, &handle) {
            assert!(ha && matches!(error, CallError::Later { .. }), "{error}");
            assert!(std::time::Instant::now() < end);
        }
        assert_eq!(outcome(&*executor, &order, &handle).0, Progress::Cancelled);
        assert_eq!(cluster.node_of(&order.workload), "pve1");
    }
}

#[test]
fn what_cannot_be_asked_for_is_refused_before_anything_is_sent() {
    let Some(mut cluster) = StandIn::start() else { return };
    cluster.vm(100, "pve1", json!({}));
    let executor = executor(&cluster.settings());
    let mut cold = order("qemu/100", "pve1", "pve2");
    cold.method = Method::ColdRestart;
    for (order, expected) in [
        (cold, "qemu/100: only the HA manager can restart a guest of a node that has failed"),
        (
            order("vm100", "pve1", "pve2"),
            "expected a workload like qemu/100 or lxc/101, got \"vm100\"",
        ),
        (order("qemu/100", "pve1", "../x"), "expected the name of a node, got \"../x\""),
        (order("qemu/100", "pve3", "pve2"), "expected qemu/100 on pve3, got pve1"),
    ] {
        assert_eq!(executor.start(&order).unwrap_err(), CallError::Refused(expected.to_owned()));
    }
    assert_eq!(cluster.truth()["began"], json!({}));
}
