//! Clusters that a program of the user's speaks for; among them the example that comes with godwit.

use std::path::Path;

use godwit_live::cluster::{CallError, Cluster, Progress, Whereabouts};
use godwit_live::clusters::command::{self, OpenError};
use serde_json::json;

use crate::watching::{order, outcome};

/// A program of one line of shell.
fn shell(script: &str, moves: bool, timeout_s: u32) -> Result<Cluster, OpenError> {
    let settings = json!({
        "program": "sh", "arguments": ["-c", script], "moves": moves, "timeout_s": timeout_s,
    });
    command::open(&serde_json::from_value(settings).unwrap(), Path::new(""))
}

fn look_error(script: &str) -> CallError {
    shell(script, false, 20).unwrap().source.look().unwrap_err()
}

#[test]
fn the_example_moves_a_workload_gives_one_up_and_refuses_what_it_has_begun() {
    let folder = tempfile::tempdir().unwrap();
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/command/cluster.py");
    let state = folder.path().join("state.json");
    // How long a move takes in the example, seconds.
    let open = |move_s: &str| {
        let arguments = json!([format!("MOVE_S={move_s}"), "python3", example, state]);
        let settings = json!({"program": "env", "arguments": arguments, "moves": true});
        command::open(&serde_json::from_value(settings).unwrap(), Path::new("")).unwrap()
    };
    let mut cluster = open("600");
    let executor = cluster.executor.take().unwrap();
    assert!(executor.promises().state_is_kept && executor.promises().can_be_cancelled);
    let seen = cluster.source.look().unwrap();
    assert_eq!(seen.snapshot.workloads.len(), 3);
    assert_eq!(seen.snapshot.nodes[0].supply, [16.0, 64.0]);

    let first = order("db", "n1", "n2");
    let handle = executor.start(&first).unwrap();
    assert_eq!(executor.find(&first).unwrap(), Whereabouts::UnderWay(handle.clone()));
    let mut other = first.clone();
    other.id = "d2.0".to_owned();
    let Err(CallError::Later { reason, after }) = executor.start(&other) else { panic!("begun") };
    assert_eq!((reason.as_str(), after.map(|s| s.as_secs())), ("it is being moved", Some(5)));
    assert!(matches!(
        executor.watch(&first, &handle),
        Ok(Progress::Running { share: Some(_), .. })
    ));
    let ended = outcome(&*open("0").executor.unwrap(), &first, &handle).0;
    assert!(matches!(ended, Progress::Done(_)), "{ended:?}");
    assert_eq!(executor.find(&first).unwrap(), Whereabouts::At("n2".to_owned()));
    let why = "this order was begun before";
    assert_eq!(executor.start(&first).unwrap_err(), CallError::Refused(why.to_owned()));

    other.workload = "web".to_owned();
    let handle = executor.start(&other).unwrap();
    executor.cancel(&other, &handle).unwrap();
    assert_eq!(executor.watch(&other, &handle).unwrap(), Progress::Cancelled);
    assert_eq!(executor.find(&other).unwrap(), Whereabouts::At("n1".to_owned()));
}

#[test]
fn whatever_a_program_does_wrong_is_told_with_what_it_complained_about() {
    for (script, expected) in [
        ("echo 'no such zone' >&2; exit 4", "sh: it ended with 4: no such zone"),
        ("exit 1", "sh: it ended with 1 and said nothing on standard error"),
        ("echo '{\"notes\": []}'", "sh: answer to \"look\": snapshot: expected a value, got none"),
        ("echo hm", "sh: answer to \"look\": line 1: expected valid JSON"),
        (
            "echo '{\"snapshot\": {\"format\": 3}}'",
            "sh: answer to \"look\": snapshot.format: expected",
        ),
    ] {
        let error = look_error(script);
        assert!(matches!(&error, CallError::Unknown(_)), "{script}: {error:?}");
        assert!(error.to_string().starts_with(expected), "{script}: {error}");
    }
    let invalid = r#"echo '{"snapshot": {"format": "godwit-snapshot/1", "resources": [], "nodes": [], "workloads": []}}'"#;
    let CallError::Refused(why) = look_error(invalid) else { panic!("valid") };
    assert!(why.starts_with("sh: resources: expected 1 to "), "{why}");
}

#[test]
fn a_program_says_no_not_now_and_nobody_knows() {
    let refused = look_error(r#"echo '{"refused": "not this one"}'"#);
    assert_eq!(refused, CallError::Refused("not this one".to_owned()));
    let later = look_error(r#"echo '{"later": {"reason": "busy"}}'"#);
    assert_eq!(later, CallError::Later { reason: "busy".to_owned(), after: None });
    let unknown = look_error(r#"echo '{"unknown": "the line went dead"}'"#);
    assert_eq!(unknown, CallError::Unknown("the line went dead".to_owned()));
}

#[test]
fn a_program_that_hangs_or_is_not_there_is_told_apart() {
    let error = shell("sleep 600", false, 1).unwrap().source.look().unwrap_err();
    assert_eq!(error, CallError::Unknown("sh did not end within 1 s".to_owned()));
    let settings = json!({"program": "/no/such/program"});
    let mut cluster =
        command::open(&serde_json::from_value(settings).unwrap(), Path::new("")).unwrap();
    assert!(cluster.executor.is_none());
    // Nothing was begun: the call can be made again.
    assert!(matches!(cluster.source.look(), Err(CallError::Later { .. })));
}

#[test]
fn a_program_that_moves_workloads_has_to_tell_its_promises() {
    let error = shell("echo '{}'", true, 20).err().unwrap().to_string();
    assert!(
        error.starts_with("program: expected its promises, got: sh: answer to \"promises\""),
        "{error}"
    );
    let error = shell("exit 0", false, 0).err().unwrap().to_string();
    assert_eq!(error, "timeout_s: expected 1 to 3600 seconds, got 0");
}

#[test]
fn the_program_is_told_the_call_and_the_order() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("asked");
    let promises = r#"{"promises": {"state_is_kept": false, "destination_is_kept": false, "can_be_cancelled": false, "is_measured": false}}"#;
    let script = format!(
        "cat > {0}; grep -q promises {0} && echo '{promises}' || echo '{{\"handle\": \"h\"}}'",
        file.display()
    );
    let executor = shell(&script, true, 20).unwrap().executor.unwrap();
    assert!(!executor.promises().state_is_kept);
    executor.start(&order("web", "n1", "n2")).unwrap();
    let asked: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let order = json!({
        "id": "d1.0", "workload": "web", "source": "n1", "destination": "n2", "method": "live", "predicted": {},
    });
    assert_eq!(asked, json!({"call": "start", "order": order}));
}
