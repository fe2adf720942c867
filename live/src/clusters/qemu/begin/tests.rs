use serde_json::json;

use super::super::presence::{Migration, SocketAddress};
use super::super::testing::{Process, begin, mover, order};
use super::with_port;
use crate::cluster::CallError;

fn running() -> Process {
    Process { status: "running", ..Process::default() }
}

fn waiting() -> Process {
    Process { status: "inmigrate", ..Process::default() }
}

#[test]
fn a_destination_is_told_not_to_run_by_itself_and_its_source_to_wait_for_its_word() {
    let folder = tempfile::tempdir().unwrap();
    let source = begin(folder.path(), "a", Process { marked: true, ..running() });
    let destination = begin(folder.path(), "b", waiting());
    let (mover, order) = (mover(folder.path()), order());
    mover.begin(&mover.route(&order).unwrap(), &order).unwrap();
    assert_eq!(destination.lock().unwrap().told(), ["stop"]);
    let source = source.lock().unwrap();
    // A mark from before would say that the guest may have run there already.
    let [unmark, capabilities, parameters, migrate] = &source.commands[..] else {
        panic!("expected four commands, got {:?}", source.told())
    };
    assert_eq!(unmark["execute"], "object-del");
    assert_eq!(capabilities["execute"], "migrate-set-capabilities");
    let return_path = json!([{ "capability": "return-path", "state": true }]);
    assert_eq!(capabilities["arguments"]["capabilities"], return_path);
    assert_eq!(parameters["execute"], "migrate-set-parameters");
    // 1 GiB/s.
    let expected = json!({ "max-bandwidth": 1_073_741_824, "downtime-limit": 300 });
    assert_eq!(parameters["arguments"], expected);
    assert_eq!(migrate["execute"], "migrate");
    assert_eq!(migrate["arguments"]["uri"], "tcp:x:7");
}

#[test]
fn what_is_left_over_at_the_destination_is_ended_and_a_guest_there_is_not() {
    for (status, ended) in [("postmigrate", true), ("paused", false), ("running", false)] {
        let folder = tempfile::tempdir().unwrap();
        let source = begin(folder.path(), "a", running());
        let destination = begin(folder.path(), "b", Process { status, ..Process::default() });
        let (mover, order) = (mover(folder.path()), order());
        let told = mover.begin(&mover.route(&order).unwrap(), &order).unwrap_err();
        match ended {
            true => assert!(matches!(told, CallError::Later { .. }), "{told:?}"),
            false => assert!(matches!(told, CallError::Refused(_)), "{told:?}"),
        }
        let quit: &[&str] = if ended { &["quit"] } else { &[] };
        assert_eq!(destination.lock().unwrap().told(), quit);
        assert_eq!(source.lock().unwrap().told(), [""; 0]);
    }
}

#[test]
fn a_port_that_the_system_chose_takes_the_place_of_0() {
    let port = |text: &str| SocketAddress { port: Some(text.to_owned()) };
    let waiting = Migration { socket_address: vec![port("40123")], ..Migration::default() };
    assert_eq!(with_port("tcp:10.0.0.7:0", &waiting).as_deref(), Ok("tcp:10.0.0.7:40123"));
    assert_eq!(with_port("tcp:10.0.0.7:50", &waiting).as_deref(), Ok("tcp:10.0.0.7:50"));
    assert_eq!(with_port("unix:/run/x:0", &waiting).as_deref(), Ok("unix:/run/x:0"));
    assert_eq!(
        with_port("tcp:h:0", &Migration::default()).unwrap_err(),
        "tcp:h:0: expected the port that it got, got none"
    );
}
