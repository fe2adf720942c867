use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::thread;
use std::time::Duration;

use serde_json::json;
use socket2::{Domain, SockAddr, Socket, Type};
use tempfile::TempDir;

use super::{Address, Monitor, QmpError};

const GREETING: &str = "{\"QMP\": {\"version\": {}, \"capabilities\": []}}\n";
const DONE: &str = "{\"return\": {}}\n";

/// A process that answers each line with the next of these texts, and then hangs up.
fn monitor(folder: &Path, answers: &[&'static str]) -> Address {
    let path = folder.join("qmp");
    let listener = UnixListener::bind(&path).unwrap();
    let answers = answers.to_vec();
    thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
        for answer in answers {
            // Whoever has heard enough hangs up first.
            if (&stream).write_all(answer.as_bytes()).is_err() || lines.next().is_none() {
                return;
            }
        }
    });
    Address::Unix(path)
}

fn connect(answers: &[&'static str]) -> (Result<Monitor, QmpError>, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let address = monitor(folder.path(), answers);
    (Monitor::connect(&address, Duration::from_secs(20)), folder)
}

fn complaint(error: QmpError) -> String {
    match error {
        QmpError::Silent(_, why) => why,
        other => panic!("expected silence, got {other:?}"),
    }
}

#[test]
fn events_between_command_and_answer_are_skipped() {
    let event = "{\"event\": \"STOP\", \"timestamp\": {}}\n{\"return\": 7}\n";
    let (mut monitor, _folder) = connect(&[GREETING, DONE, event]);
    assert_eq!(monitor.as_mut().unwrap().execute("query-x", json!({})), Ok(json!(7)));
}

#[test]
fn a_refusal_is_told_with_its_reason() {
    let refusal = "{\"error\": {\"class\": \"GenericError\", \"desc\": \"not now\"}}\n";
    let (mut monitor, _folder) = connect(&[GREETING, DONE, refusal]);
    let error = monitor.as_mut().unwrap().execute("cont", json!({})).unwrap_err();
    assert!(matches!(&error, QmpError::Refused(_, why) if why == "not now"), "{error:?}");
}

#[test]
fn what_is_no_monitor_is_silent_with_the_reason() {
    for (answers, expected) in [
        (&["SSH-2.0-OpenSSH\n"][..], "expected value at line 1 column 1"),
        (&["{\"hello\": 1}\n"][..], "a greeting of QMP was expected"),
        (&[""][..], "the connection ended, or a line has no end"),
        (&["{\"QMP\": {}"][..], "the connection ended, or a line has no end"),
        (&[GREETING][..], "the connection ended, or a line has no end"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("qmp");
        let listener = UnixListener::bind(&path).unwrap();
        let serving = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            answers.iter().for_each(|answer| stream.write_all(answer.as_bytes()).unwrap());
        });
        let monitor = Monitor::connect(&Address::Unix(path), Duration::from_secs(20));
        serving.join().unwrap();
        let why = complaint(monitor.err().expect("this is no monitor"));
        // A connection that ends before it was listened to may also show as broken.
        assert!(why == expected || why.contains("os error"), "{why}");
    }
}

#[test]
fn an_answer_of_another_kind_is_told() {
    let (mut monitor, _folder) = connect(&[GREETING, DONE, "{\"return\": \"text\"}\n"]);
    let answer = monitor.as_mut().unwrap().ask::<u32>("query-x", json!({}));
    let why = complaint(answer.unwrap_err());
    assert_eq!(why, "query-x: invalid type: string \"text\", expected u32");
}

#[test]
fn nothing_that_listens_is_absent_and_what_does_not_answer_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let address = Address::Unix(folder.path().join("qmp"));
    let short = Duration::from_millis(50);
    assert_eq!(Monitor::connect(&address, short).err(), Some(QmpError::Absent(address.clone())));
    let Address::Unix(path) = &address else { unreachable!() };
    let listener = UnixListener::bind(path).unwrap();
    let silent = Monitor::connect(&address, short).err().unwrap();
    assert_eq!(complaint(silent), "it took too long");
    // The file of a process that has ended stays.
    drop(listener);
    assert_eq!(Monitor::connect(&address, short).err(), Some(QmpError::Absent(address.clone())));
}

#[test]
fn a_process_that_accepts_nothing_holds_nobody_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("qmp");
    let listener = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
    listener.bind(&SockAddr::unix(&path).unwrap()).unwrap();
    listener.listen(1).unwrap();
    let complaints = (0..4).map(|_| {
        let monitor = Monitor::connect(&Address::Unix(path.clone()), Duration::from_millis(10));
        complaint(monitor.err().expect("expected silence"))
    });
    let complaints: Vec<String> = complaints.collect();
    // Two wait to be accepted; a plain `connect` would wait for ever after that.
    let [late, full] = ["it took too long", "it accepts no connections"];
    assert_eq!(complaints, [late, late, full, full]);
}

#[test]
fn many_who_talk_to_one_process_at_once_are_all_let_in() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("qmp");
    let listener = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
    listener.bind(&SockAddr::unix(&path).unwrap()).unwrap();
    listener.listen(1).unwrap();
    let serving = thread::spawn(move || {
        for _ in 0..8 {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(format!("{GREETING}{DONE}").as_bytes()).unwrap();
            // Until this one hangs up, the others wait.
            while stream.read(&mut [0; 64]).is_ok_and(|count| count > 0) {}
        }
    });
    thread::scope(|scope| {
        for _ in 0..8 {
            let address = Address::Unix(path.clone());
            scope.spawn(move || Monitor::connect(&address, Duration::from_secs(60)).unwrap());
        }
    });
    serving.join().unwrap();
}

#[test]
fn bytes_that_come_one_by_one_do_not_stretch_the_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("qmp");
    let listener = UnixListener::bind(&path).unwrap();
    let dripping = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        while stream.write_all(b" ").is_ok() {
            thread::sleep(Duration::from_millis(5));
        }
    });
    let monitor = Monitor::connect(&Address::Unix(path), Duration::from_millis(100));
    assert_eq!(complaint(monitor.err().unwrap()), "it took too long");
    dripping.join().unwrap();
}

#[test]
fn a_line_without_an_end_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("qmp");
    let listener = UnixListener::bind(&path).unwrap();
    let talking = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        while stream.write_all(&[b' '; 65_536]).is_ok() {}
    });
    let monitor = Monitor::connect(&Address::Unix(path), Duration::from_secs(60));
    let why = complaint(monitor.err().unwrap());
    assert_eq!(why, "the connection ended, or a line has no end");
    talking.join().unwrap();
}

#[test]
fn addresses_are_read_or_refused() {
    assert_eq!(Address::parse("unix:/run/a"), Ok(Address::Unix("/run/a".into())));
    assert_eq!(Address::parse("tcp:10.0.0.1:5"), Ok(Address::Tcp("10.0.0.1:5".into())));
    assert_eq!(Address::parse("tcp:[::1]:5").unwrap().to_string(), "tcp:[::1]:5");
    let long = format!("unix:/{}", "x".repeat(200));
    for text in ["", "unix:", "unix:a", &long, "tcp:", "tcp:a", "tcp::5", "tcp:a:0", "tcp:a:65536"]
    {
        assert!(Address::parse(text).is_err(), "{text}");
    }
}
