//! Migrations between hosts with libvirt, which `live/tests/python/virsh.py` plays.

use std::path::Path;

use std::time::{Duration, Instant};

use godwit_live::cluster::{CallError, Figures, Progress, Whereabouts};
use godwit_live::clusters::libvirt;

use crate::libvirt::Play;
use crate::watching::{order, outcome};

#[test]
fn a_migration_ends_on_its_destination_with_what_was_measured() {
    let play = Play::small();
    play.put("hold", "");
    let mut cluster = libvirt::open(&play.settings(), Path::new("")).unwrap();
    let executor = cluster.executor.take().unwrap();
    let order = order("web", "n1", "n2");
    let handle = executor.start(&order).unwrap();
    assert_eq!(executor.find(&order).unwrap(), Whereabouts::UnderWay(handle.clone()));
    // On its way it is seen once, where it runs, and is not moved again.
    let Progress::Running { share: Some(share), .. } = executor.watch(&order, &handle).unwrap()
    else {
        panic!("not under way")
    };
    assert!((0.0..=0.5).contains(&share), "{share}");
    let seen = cluster.source.look().unwrap();
    let [web] = seen.snapshot.workloads.as_slice() else { panic!("{seen:?}") };
    assert_eq!((web.node.as_deref(), web.movable), (Some("n1"), false));
    assert!(matches!(executor.start(&order), Err(CallError::Later { .. })));
    play.remove("hold");
    let (ended, shares) = outcome(&*executor, &order, &handle);
    let figures = Figures { transfer_s: Some(3.0), moved_gib: Some(2.5), downtime_s: Some(0.045) };
    assert_eq!(ended, Progress::Done(figures));
    assert!(shares.is_sorted(), "{shares:?}");
    assert_eq!(executor.find(&order).unwrap(), Whereabouts::At("n2".to_owned()));
    assert!(matches!(executor.start(&order), Err(CallError::Refused(_))));
    assert_eq!(play.state()["n1"]["began"], 1);
}

#[test]
fn a_migration_that_fails_or_is_given_up_leaves_the_domain_where_it_was() {
    let play = Play::small();
    let executor = libvirt::open(&play.settings(), Path::new("")).unwrap().executor.unwrap();
    play.put("fail", "unexpectedly failed");
    play.put("hold", "");
    let order = order("web", "n1", "n2");
    let handle = executor.start(&order).unwrap();
    play.remove("hold");
    let Progress::Failed(why) = outcome(&*executor, &order, &handle).0 else { panic!("went on") };
    assert!(
        why.contains("migration out job: unexpectedly failed") || why.contains("no migration"),
        "{why}"
    );

    play.put("hold", "");
    let mut second = order.clone();
    second.id = "d2.0".to_owned();
    let handle = executor.start(&second).unwrap();
    executor.cancel(&second, &handle).unwrap();
    let ended = outcome(&*executor, &second, &handle).0;
    // The words of the end come beside it: whoever asks at once may not have them yet.
    assert!(matches!(ended, Progress::Cancelled | Progress::Failed(_)), "{ended:?}");
    let end = Instant::now() + Duration::from_secs(30);
    while executor.watch(&second, &handle) != Ok(Progress::Cancelled) {
        assert!(Instant::now() < end);
    }
    assert_eq!(executor.find(&second).unwrap(), Whereabouts::At("n1".to_owned()));
    assert!(play.state()["n2"]["domains"].as_object().unwrap().is_empty());
}

#[test]
fn a_migration_goes_on_and_is_found_whatever_becomes_of_who_began_it() {
    let play = Play::small();
    play.put("hold", "");
    let order = order("web", "n1", "n2");
    let begun = libvirt::open(&play.settings(), Path::new(""))
        .unwrap()
        .executor
        .unwrap()
        .start(&order)
        .unwrap();
    // Another process, which knows the order alone.
    let executor = libvirt::open(&play.settings(), Path::new("")).unwrap().executor.unwrap();
    let Whereabouts::UnderWay(handle) = executor.find(&order).unwrap() else { panic!("not found") };
    assert_eq!(handle, begun);
    play.remove("hold");
    assert!(matches!(outcome(&*executor, &order, &handle).0, Progress::Done(_)));
}

#[test]
fn a_call_that_breaks_off_is_told_as_unknown_and_the_domain_is_found() {
    let play = Play::small();
    play.put("lose", "");
    // The job does not show before the connection breaks.
    play.put("hang-domjobinfo", "");
    let mut settings = play.settings();
    settings.timeout_s = 2;
    let executor = libvirt::open(&settings, Path::new("")).unwrap().executor.unwrap();
    let order = order("web", "n1", "n2");
    let error = executor.start(&order).unwrap_err();
    assert!(matches!(error, CallError::Unknown(_)), "{error:?}");
    play.remove("hang-domjobinfo");
    let executor = libvirt::open(&play.settings(), Path::new("")).unwrap().executor.unwrap();
    assert!(matches!(executor.find(&order), Ok(Whereabouts::At(_) | Whereabouts::UnderWay(_))));
}

#[test]
fn a_migration_that_never_begins_says_why() {
    let play = Play::small();
    let executor = libvirt::open(&play.settings(), Path::new("")).unwrap().executor.unwrap();
    let why = "Unsafe migration: Migration without shared storage is unsafe";
    play.put("refuse", why);
    let order = order("web", "n1", "n2");
    let expected = format!("migrate on n1: it ended with 1: error: {why}");
    assert_eq!(executor.start(&order).unwrap_err(), CallError::Refused(expected));
    assert_eq!(executor.find(&order).unwrap(), Whereabouts::At("n1".to_owned()));
}

#[test]
fn no_call_hangs_where_virsh_does() {
    let play = Play::small();
    let mut settings = play.settings();
    settings.timeout_s = 1;
    let executor = libvirt::open(&settings, Path::new("")).unwrap().executor.unwrap();
    play.put("hang-domstate", "");
    let begin = Instant::now();
    let error = executor.find(&order("web", "n1", "n2")).unwrap_err();
    assert!(error.to_string().ends_with("did not end within 1 s"), "{error}");
    assert!(begin.elapsed() < Duration::from_secs(30));
}
