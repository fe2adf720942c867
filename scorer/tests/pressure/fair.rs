//! What one client asks for is in no other's way.

#![cfg(target_os = "linux")] // where every address of 127.0.0.0/8 is this machine

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::Fixture;
use crate::support::greedy::greedy_bodies;
use crate::support::service::{PATIENCE, Service, command, eventually, rest};

const HEALTH: &str = "GET /v2/health/live HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

/// The largest cluster that may be planned for.
fn large(fixture: &Fixture) -> String {
    let mut bodies = greedy_bodies(fixture).into_iter();
    bodies.find(|(what, ..)| *what == "the largest cluster").unwrap().2
}

/// As many large plans as the service works on at once, one after another: small ones are answered
/// meanwhile, and large ones, too.
#[test]
fn small_plans_do_not_wait_for_large_ones() {
    let fixture = Fixture::new("quickstart");
    let (large, small) = (large(&fixture), std::fs::read(fixture.snapshot()).unwrap());
    for workers in ["1", "2"] {
        let bounds = ["--workers", workers, "--request-timeout-ms", "60000"];
        let service = Service::start(&fixture, &bounds);
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            let greedy: Vec<_> = (0..4)
                .map(|_| {
                    let (service, large, over) = (&service, &large, &over);
                    scope.spawn(move || {
                        let mut longest = Duration::ZERO;
                        while !over.load(Relaxed) {
                            let asked = Instant::now();
                            let answer = service.post("/v1/plan", large);
                            assert!([200, 503].contains(&answer.status), "{}", answer.status);
                            longest = longest.max(asked.elapsed());
                        }
                        longest
                    })
                })
                .collect();
            eventually("the large plans", || {
                service.metric("godwit_scorer_requests_in_flight") == 5.0
            });
            let took: Vec<Duration> = (0..50)
                .map(|_| {
                    let asked = Instant::now();
                    service.post("/v1/plan", &small).ok();
                    thread::sleep(Duration::from_millis(20));
                    asked.elapsed() - Duration::from_millis(20)
                })
                .collect();
            over.store(true, Relaxed);
            let longest = greedy.into_iter().map(|client| client.join().unwrap()).max().unwrap();
            let mut sorted = took.clone();
            sorted.sort();
            println!(
                "{workers} workers: small {:?} to {:?}, large {longest:?}",
                sorted[0], sorted[49]
            );
            // Those that wait for a large plan take as long as it: all but a few of these would.
            assert!(sorted[40] < longest / 5, "{took:?} beside {longest:?}");
        });
        assert!(
            service.metric("godwit_scorer_requests_total{route=\"/v1/plan\",status=\"200\"}")
                > 50.0
        );
    }
}

#[test]
fn large_bodies_have_half_of_the_requests_and_small_ones_find_room() {
    let fixture = Fixture::new("founding-3x3");
    let bounds = ["--max-requests", "4", "--max-body-bytes", "320000"];
    let service = Service::start(&fixture, &bounds);
    let body = std::fs::read(fixture.snapshot()).unwrap();
    // More than 10,000 bytes are many here; and so may be those that do not state how many.
    let _large = service.begin("/v1/plan", &[b' '; 10_001]);
    let mut unknown = service.connect();
    let chunked = "POST /v1/plan HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n";
    unknown.write_all(chunked.as_bytes()).unwrap();
    eventually("both", || service.metric("godwit_scorer_requests_in_flight") == 3.0);
    let refused = service.post("/v1/plan", vec![b' '; 10_001]);
    assert_eq!(refused.error(), (503, "busy".to_owned()));
    assert!(refused.message().contains("2 requests of more than 10000 bytes"));
    service.post("/v1/plan", &body).ok();
    assert_eq!(service.post("/v1/plan", vec![b' '; 10_000]).error().0, 400);
    drop(unknown);
    eventually("room", || service.post("/v1/plan", vec![b' '; 10_001]).status == 400);
}

#[test]
fn half_open_headers_keep_nobody_out() {
    let fixture = Fixture::new("founding-3x3");
    let service = Service::start(&fixture, &["--max-connections", "8"]);
    let half_open = || {
        let mut stream = service.connect();
        stream.write_all(b"GET /v2/health/live HTTP/1.1\r\nhost:").unwrap();
        stream
    };
    let mut held: Vec<TcpStream> = (0..50).map(|_| half_open()).collect();
    for _ in 0..20 {
        let asked = Instant::now();
        let mut health = service.connect();
        health.write_all(HEALTH.as_bytes()).unwrap();
        assert!(rest(health).starts_with("HTTP/1.1 200 "));
        assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
        held.push(half_open());
    }
    let made_room = service.metric("godwit_scorer_requests_refused_total{reason=\"made_room\"}");
    assert!(made_room >= 50.0, "{made_room}");
    // Whoever is being answered stays, whatever comes.
    let body = std::fs::read(fixture.snapshot()).unwrap();
    let mut slow = service.begin("/v1/plan", &body);
    eventually("the request", || service.metric("godwit_scorer_requests_in_flight") == 2.0);
    held.extend((0..50).map(|_| half_open()));
    slow.write_all(&body[body.len() / 2..]).unwrap();
    assert!(rest(slow).starts_with("HTTP/1.1 200 "));
}

#[test]
fn half_open_headers_keep_nobody_out_where_files_are_scarce() {
    let fixture = Fixture::new("founding-3x3");
    let plain = command(&fixture, &[]);
    let mut few_files = Command::new("sh");
    few_files.args(["-c", "ulimit -n 100 && exec \"$0\" \"$@\""]);
    few_files.arg(plain.get_program()).args(plain.get_args());
    let service = Service::spawn(&fixture, few_files);
    assert_eq!(service.metric("process_max_fds"), 100.0);
    let held: Vec<TcpStream> = (0..300).map(|_| service.connect()).collect();
    assert_eq!(service.get("/v2/health/ready").status, 200);
    assert!(service.metric("process_open_fds") < 100.0);
    drop(held);
}

/// A connection to the service from this address.
fn connect_from(service: &Service, address: &str) -> TcpStream {
    let to: SocketAddr = service.url.split("//").nth(1).unwrap().parse().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let stream = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::new(address.parse().unwrap(), 0)).unwrap();
        socket.connect(to).await.unwrap().into_std().unwrap()
    });
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

#[test]
fn connections_of_one_address_are_bounded() {
    let fixture = Fixture::new("founding-3x3");
    let service = Service::start(&fixture, &["--max-connections-per-address", "2"]);
    let busy = |address| {
        let mut stream = connect_from(&service, address);
        let head = "POST /v1/plan HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\ncontent-length: 9";
        let mut answer = [0; 12];
        // A connection that is refused may be closed before it is written to.
        let written = stream.write_all(format!("{head}\r\n\r\n").as_bytes());
        let read = written.and_then(|()| stream.read_exact(&mut answer));
        read.is_ok().then(|| assert_eq!(&answer, b"HTTP/1.1 100")).map(|()| stream)
    };
    let first = busy("127.0.0.2").unwrap();
    let _second = busy("127.0.0.2").unwrap();
    assert!(busy("127.0.0.2").is_none());
    let _another = busy("127.0.0.3").unwrap();
    let refused = "godwit_scorer_requests_refused_total{reason=\"connections_per_address\"}";
    assert_eq!(service.metric(refused), 1.0);
    drop(first);
    eventually("room", || busy("127.0.0.2").is_some());
}
