//! Who is let in, what is refused, and how the service ends.

#![cfg(unix)] // signals, and the permissions of token files

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::Fixture;
use crate::support::service::{Service, command, eventually, rest};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

const TOKEN: &str = "s3cret-t0ken-of-24-bytes";

fn token_file(fixture: &Fixture, text: &str, mode: u32) -> String {
    let path = fixture.path("token");
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    path.display().to_string()
}

/// Starts a service that must not start; gives its message.
fn refusal(fixture: &Fixture, arguments: &[&str]) -> String {
    let output = command(fixture, arguments).output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert_eq!(output.stdout, b"", "{message}");
    message
}

#[test]
fn every_route_but_health_asks_for_the_token() {
    let fixture = Fixture::new("founding-3x3");
    let token = token_file(&fixture, &format!("  {TOKEN}\n"), 0o600);
    let service = Service::start(&fixture, &["--token-file", &token]);
    let right = format!("Bearer {TOKEN}");
    let document = service.send("GET", "/openapi.json", &[("authorization", &right)], b"").ok();
    let mut asked = 0;
    for (path, operations) in document["paths"].as_object().unwrap() {
        for method in operations.as_object().unwrap().keys().map(|name| name.to_uppercase()) {
            let send = |headers: &[(&str, &str)]| service.send(&method, path, headers, b"");
            if path.starts_with("/v2/health/") {
                assert_eq!(send(&[]).status, 200, "{path}");
                continue;
            }
            asked += 1;
            for wrong in [
                "Bearer s3cret-t0ken-of-24-byteS",
                "Bearer s3cret",
                "Bearer",
                "Basic s3cret-t0ken-of-24-bytes",
                "",
            ] {
                let answer = send(&[("authorization", wrong)]);
                assert_eq!(answer.error(), (401, "unauthorized".to_owned()), "{path} {wrong}");
            }
            let answer = send(&[]);
            assert_eq!(answer.error().0, 401, "{path}");
            assert_eq!(answer.headers["www-authenticate"], "Bearer");
            assert_ne!(send(&[("authorization", &right)]).status, 401, "{path}");
        }
    }
    assert_eq!(asked, 19);
    assert_eq!(service.get("/v1/unknown").error().0, 401);
    assert!(service.log().contains("unauthorized"));
    assert!(!service.log().contains("s3cret"), "{}", service.log());
}

#[test]
fn without_a_token_web_pages_are_refused() {
    let fixture = Fixture::new("founding-3x3");
    let service = Service::start(&fixture, &[]);
    let origin = [("origin", "http://example.org")];
    let answer = service.send("POST", "/v1/resume", &origin, b"");
    assert_eq!(answer.error(), (403, "web_page".to_owned()));
    assert_eq!(service.send("GET", "/v2/health/live", &origin, b"").status, 200);
}

#[test]
fn an_exposed_service_needs_a_token_and_tls() {
    let fixture = Fixture::new("founding-3x3");
    let token = token_file(&fixture, TOKEN, 0o600);
    let public = ["--listen", "0.0.0.0:0"];
    let with = |more: &[&'static str]| [&public[..], more].concat();
    assert!(refusal(&fixture, &public).contains("expected --token-file to listen on 0.0.0.0:0"));
    assert!(refusal(&fixture, &with(&["--insecure-no-tls"])).contains("--token-file"));
    let message = refusal(&fixture, &[&public[..], &["--token-file", &token]].concat());
    assert!(message.contains("expected --tls-cert and --tls-key"), "{message}");
    let behind_a_proxy = [&public[..], &["--token-file", &token, "--insecure-no-tls"]].concat();
    let service = Service::start(&fixture, &behind_a_proxy);
    assert_eq!(service.get("/metrics").status, 401);
}

#[test]
fn tokens_that_protect_nothing_are_refused() {
    let fixture = Fixture::new("founding-3x3");
    for (text, mode, expected) in [
        (TOKEN, 0o604, "expected a file that others cannot read (chmod o-rwx), got mode 604"),
        (" \n", 0o600, "expected a token, got an empty file"),
        ("two words", 0o600, "expected visible ASCII characters"),
        ("15-letter-words", 0o600, "expected a token of at least 16 characters, got 15 characters"),
    ] {
        let token = token_file(&fixture, text, mode);
        let message = refusal(&fixture, &["--token-file", &token]);
        assert!(message.contains(expected), "{message}");
        assert!(!message.contains("words"), "{message}");
    }
    let message = refusal(&fixture, &["--token-file", "/nonexistent"]);
    assert!(message.contains("expected a readable file"), "{message}");
}

#[test]
fn settings_that_do_not_go_together_are_refused() {
    let fixture = Fixture::new("founding-3x3");
    let missing = fixture.path("none.pem").display().to_string();
    for (arguments, expected) in [
        (&["--mode", "shadow"][..], "expected --baseline in mode shadow, got none"),
        (&["--mode", "shadow", "--baseline", "best"], "best-single-move"),
        (&["--baseline", "stay"], "expected mode shadow next to --baseline stay, got another"),
        (&["--return", "policy"], "expected mode shadow next to --return, got another"),
        (&["--tls-cert", &missing], "--tls-key"),
        (&["--tls-cert", &missing, "--tls-key", &missing], "expected a PEM file"),
        (&["--max-requests", "0"], "--max-requests"),
        (&["--mode", "live"], "dry-run"),
    ] {
        let message = refusal(&fixture, arguments);
        assert!(message.contains(expected), "{message}");
    }
    std::fs::write(fixture.model(), "no artifact").unwrap();
    assert!(refusal(&fixture, &[]).contains("archive: expected a readable zip file"));
}

#[test]
fn large_bodies_are_refused() {
    let fixture = Fixture::new("founding-3x3");
    let service = Service::start(&fixture, &["--max-body-bytes", "1000"]);
    let refused = |answer: String| {
        assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
        assert!(answer.contains("body_too_large"), "{answer}");
    };
    // By the length that is stated, before anything is sent.
    let mut stream = service.connect();
    stream
        .write_all(b"POST /v1/plan HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1001\r\n\r\n")
        .unwrap();
    refused(rest(stream));
    // By what is sent, where no length is stated.
    let mut stream = service.connect();
    let head = b"POST /v1/plan HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n";
    stream.write_all(head).unwrap();
    stream.write_all(format!("3e9\r\n{}\r\n", " ".repeat(1001)).as_bytes()).unwrap();
    refused(rest(stream));
    assert_eq!(service.post("/v1/plan", " ".repeat(1000)).error().0, 400);
}

#[test]
fn large_headers_are_refused() {
    let fixture = Fixture::new("founding-3x3");
    let service = Service::start(&fixture, &["--max-headers", "8", "--max-header-bytes", "1000"]);
    for headers in ["a: 1\r\n".repeat(9), format!("a: {}\r\n", "x".repeat(1000))] {
        let mut stream = service.connect();
        write!(stream, "GET /v2 HTTP/1.1\r\n{headers}\r\n").unwrap();
        let answer = rest(stream);
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    }
}

#[test]
fn a_full_service_asks_to_come_later_and_can_still_be_halted() {
    let fixture = Fixture::new("founding-3x3");
    let service = Service::start(&fixture, &["--max-requests", "1"]);
    let body = std::fs::read(fixture.snapshot()).unwrap();
    let mut slow = service.begin("/v1/plan", &body);
    eventually("the first request", || service.metric("godwit_scorer_requests_in_flight") == 2.0);
    let answer = service.post("/v1/plan", "");
    assert_eq!(answer.error(), (503, "busy".to_owned()));
    assert_eq!(answer.headers["retry-after"], "1");
    assert_eq!(service.post("/v1/halt", "").status, 200);
    slow.write_all(&body[body.len() / 2..]).unwrap();
    let answer = rest(slow);
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("\"halted\""), "{answer}");
    service.post("/v1/plan", &body).ok();
}

#[test]
fn connections_are_bounded() {
    let fixture = Fixture::new("founding-3x3");
    let service = Service::start(&fixture, &["--max-connections", "1"]);
    let mut first = service.connect();
    // A request that is being answered keeps its place.
    let head =
        "POST /v1/plan HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\ncontent-length: 9";
    write!(first, "{head}\r\n\r\n").unwrap();
    let mut answer = [0; 12];
    first.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 100");
    assert_eq!(rest(service.connect()), "");
    drop(first);
    eventually("room", || {
        let mut stream = service.connect();
        let sent =
            stream.write_all(b"GET /v2 HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        sent.is_ok() && rest(stream).starts_with("HTTP/1.1 200")
    });
    eventually("room for the count", || {
        let mut stream = service.connect();
        let sent = stream
            .write_all(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        sent.is_ok()
            && rest(stream).contains("refused_total{mode=\"dry_run\",reason=\"connections\"} ")
    });
}

#[test]
fn told_to_end_it_finishes_what_has_begun() {
    for signal in ["TERM", "INT"] {
        let fixture = Fixture::new("founding-3x3");
        let mut service = Service::start(&fixture, &[]);
        let body = std::fs::read(fixture.snapshot()).unwrap();
        let idle = service.connect();
        let mut begun = service.begin("/v1/plan", &body);
        eventually("the request", || service.metric("godwit_scorer_requests_in_flight") == 2.0);
        service.signal(signal);
        // An idle connection is closed, and no other one is accepted.
        assert_eq!(rest(idle), "");
        let address = service.url.split("//").nth(1).unwrap().to_owned();
        eventually("the door to close", || TcpStream::connect(&address).is_err());
        begun.write_all(&body[body.len() / 2..]).unwrap();
        let answer = rest(begun);
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("\"plan\""), "{answer}");
        assert_eq!(service.ended().code(), Some(0), "{}", service.log());
    }
}

#[test]
fn told_to_end_it_says_that_it_is_not_ready_before_it_refuses_connections() {
    let fixture = Fixture::new("founding-3x3");
    let mut service = Service::start(&fixture, &["--drain-delay-ms", "1500"]);
    let body = std::fs::read(fixture.snapshot()).unwrap();
    assert_eq!(service.get("/v2/health/ready").status, 200);
    let told = Instant::now();
    service.signal("TERM");
    eventually("the service not to be ready", || service.get("/v2/health/ready").status == 503);
    // Whoever has not noticed yet is still answered.
    service.post("/v1/plan", &body).ok();
    assert!(told.elapsed() < Duration::from_millis(1500), "too slow to tell");
    assert_eq!(service.ended().code(), Some(0), "{}", service.log());
    assert!(told.elapsed() >= Duration::from_millis(1500), "it did not wait");

    let mut service = Service::start(&fixture, &["--drain-delay-ms", "60000"]);
    service.signal("TERM");
    eventually("the first signal", || service.log().contains("still accepting connections"));
    service.signal("TERM");
    assert_eq!(service.ended().code(), Some(0), "{}", service.log());
}

#[test]
fn what_does_not_finish_in_time_is_cut_off() {
    let fixture = Fixture::new("founding-3x3");
    let mut service = Service::start(&fixture, &["--drain-s", "0"]);
    let begun = service.begin("/v1/plan", b"0123456789");
    eventually("the request", || service.metric("godwit_scorer_requests_in_flight") == 2.0);
    service.signal("TERM");
    assert_eq!(service.ended().code(), Some(0));
    assert_eq!(rest(begun), "");
    assert!(service.log().contains("cut off"), "{}", service.log());

    let mut service = Service::start(&fixture, &[]);
    let begun = service.begin("/v1/plan", b"0123456789");
    eventually("the request", || service.metric("godwit_scorer_requests_in_flight") == 2.0);
    let started = Instant::now();
    service.signal("TERM");
    eventually("the first signal", || service.log().contains("no further connections"));
    service.signal("TERM");
    assert_eq!(service.ended().code(), Some(0));
    assert!(started.elapsed() < Duration::from_secs(8), "the request timeout ended it");
    assert_eq!(rest(begun), "");
}

#[test]
fn a_log_that_nobody_reads_does_no_harm() {
    let fixture = Fixture::new("founding-3x3");
    let mut child = command(&fixture, &[])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stderr.take());
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim_end().split("//").nth(1).unwrap();
    for _ in 0..3 {
        let mut stream = TcpStream::connect(address).unwrap();
        stream
            .write_all(b"GET /v2 HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
            .unwrap();
        let answer = rest(stream);
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

/// A certificate for localhost and its key, as files, and whom a client has to trust.
fn certificate(fixture: &Fixture) -> ([PathBuf; 2], RootCertStore) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let files = ["cert.pem", "key.pem"].map(|name| fixture.path(name));
    std::fs::write(&files[0], made.cert.pem()).unwrap();
    std::fs::write(&files[1], made.signing_key.serialize_pem()).unwrap();
    std::fs::set_permissions(&files[1], std::fs::Permissions::from_mode(0o600)).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    (files, roots)
}

#[test]
fn an_exposed_service_speaks_tls() {
    let fixture = Fixture::new("founding-3x3");
    let (files, roots) = certificate(&fixture);
    let [cert, key] = files.map(|path| path.display().to_string());
    let token = token_file(&fixture, TOKEN, 0o600);
    let service = Service::start(
        &fixture,
        &["--listen", "0.0.0.0:0", "--tls-cert", &cert, "--tls-key", &key, "--token-file", &token],
    );
    assert!(service.url.starts_with("https://"), "{}", service.url);
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let session = ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
    let mut stream = StreamOwned::new(session, service.connect());
    write!(
        stream,
        "GET /v1/model HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {TOKEN}\r\n\
         connection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("founding-3x3"), "{answer}");

    // Who does not speak TLS is told nothing.
    let mut plain = service.connect();
    plain.write_all(b"GET /v2 HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    assert!(!rest(plain).contains("HTTP"));
}
