//! Clients that take their time are cut off, and are in nobody's way.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::Fixture;
use crate::support::service::{PATIENCE, Service, eventually, rest};

#[test]
fn slow_clients_are_cut_off() {
    let fixture = Fixture::new("founding-3x3");
    let bounds = ["--header-timeout-ms", "300", "--request-timeout-ms", "300"];
    let service = Service::start(&fixture, &bounds);
    let mut half_a_head = service.connect();
    half_a_head.write_all(b"GET /v2 HTTP/1.1\r\nhost:").unwrap();
    let idle = service.connect();
    let half_a_body = service.begin("/v1/plan", b"{\"format\":0}");
    assert_eq!(rest(half_a_head), "");
    assert_eq!(rest(idle), "");
    let answer = rest(half_a_body);
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("slow_body"), "{answer}");
    eventually("both to be counted", || {
        service.metric("godwit_scorer_requests_refused_total{reason=\"slow_headers\"}") == 2.0
    });
}

/// Sends this piece by piece, again and again, until the other side has closed the connection.
fn trickle(mut stream: TcpStream, piece: &[u8]) -> (String, Duration) {
    let started = Instant::now();
    let mut answer = [0; 4096];
    stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let mut got = Vec::new();
    while started.elapsed() < PATIENCE {
        let sent = stream.write_all(piece);
        match stream.read(&mut answer) {
            Ok(0) => break,
            Ok(bytes) => got.extend(&answer[..bytes]),
            Err(error) if error.kind() == ErrorKind::WouldBlock && sent.is_ok() => {}
            // A connection that is reset is closed, too.
            Err(_) => break,
        }
    }
    (String::from_utf8(got).unwrap(), started.elapsed())
}

#[test]
fn clients_that_never_stop_sending_are_cut_off() {
    let fixture = Fixture::new("founding-3x3");
    let bounds = ["--header-timeout-ms", "400", "--request-timeout-ms", "400"];
    let service = Service::start(&fixture, &bounds);
    let mut head = service.connect();
    head.write_all(b"GET /v2 HTTP/1.1\r\nx: ").unwrap();
    let mut second = service.connect();
    let first = b"GET /v2 HTTP/1.1\r\nhost: localhost\r\n\r\nGET /v2 HTTP/1.1\r\nx: ";
    second.write_all(first).unwrap();
    let body = service.begin("/v1/plan", &[b' '; 4000]);
    let mut chunks = service.connect();
    let chunked =
        b"POST /v1/plan HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n";
    chunks.write_all(chunked).unwrap();
    thread::scope(|scope| {
        let clients = [
            (head, &b"a"[..], None),
            (second, b"a", Some("HTTP/1.1 200 ")),
            (body, b" ", Some("slow_body")),
            (chunks, b"1\r\n \r\n", Some("slow_body")),
        ];
        let clients = clients.map(|(stream, piece, expected)| {
            (scope.spawn(move || trickle(stream, piece)), expected)
        });
        for (client, expected) in clients {
            let (answer, took) = client.join().unwrap();
            assert!(took < Duration::from_secs(5), "{took:?} for {expected:?}");
            match expected {
                Some(expected) => assert!(answer.contains(expected), "{answer}"),
                None => assert_eq!(answer, ""),
            }
        }
    });
    service.get("/v2").ok();
}

#[test]
fn clients_that_do_not_read_are_cut_off() {
    let fixture = Fixture::new("founding-3x3");
    let service = Service::start(&fixture, &["--request-timeout-ms", "300"]);
    let mut stream = service.connect();
    // More than the system keeps for a client that reads nothing.
    let requests = b"GET /openapi.json HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(2000);
    stream.write_all(&requests).unwrap();
    eventually("the client to be counted", || {
        let text = String::from_utf8(service.get("/metrics").body).unwrap();
        text.lines().any(|line| line.contains("reason=\"slow_reader\"") && line.ends_with(" 1"))
    });
    eventually("the place to be free", || service.metric("godwit_scorer_connections") == 1.0);
    drop(stream);
}
