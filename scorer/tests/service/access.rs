//! Who is let in: tokens that read or write, names of the service, files with secrets.

#![cfg(unix)] // the permissions of secret files

use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use serde_json::json;

use crate::support::Fixture;
use crate::support::service::{Answer, Service, command, rest};

const WRITE: &str = "write-t0ken-of-26-letters!";
const READ: &str = "read-t0ken-of-25-letters!";

fn secret(fixture: &Fixture, name: &str, text: &str, mode: u32) -> String {
    let path = fixture.path(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    path.display().to_string()
}

/// Starts a service that must not start; gives its message.
fn refusal(fixture: &Fixture, arguments: &[&str]) -> String {
    let output = command(fixture, arguments).output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{message}");
    message
}

#[test]
fn a_token_that_reads_changes_nothing_and_the_other_does_everything() {
    let fixture = Fixture::new("founding-3x3");
    let write = secret(&fixture, "token", WRITE, 0o600);
    let read = secret(&fixture, "read-token", READ, 0o600);
    let service = Service::start(&fixture, &["--token-file", &write, "--read-token-file", &read]);
    let send = |method: &str, path: &str, token: &str| -> Answer {
        let bearer = format!("Bearer {token}");
        service.send(method, path, &[("authorization", &bearer)], b"")
    };
    let document = send("GET", "/openapi.json", READ).ok();
    let (mut reads, mut writes) = (Vec::new(), Vec::new());
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let method = method.to_uppercase();
            if operation["security"] == json!([]) {
                continue;
            }
            let stated = operation["security"].to_string().contains("read_token");
            let answer = send(&method, path, READ);
            match answer.status == 403 {
                true => {
                    assert_eq!(answer.error(), (403, "read_only_token".to_owned()), "{path}");
                    writes.push(path.clone());
                }
                false => reads.push(path.clone()),
            }
            assert_eq!(stated, answer.status != 403, "{path}");
            let answer = send(&method, path, WRITE);
            assert!(![401, 403].contains(&answer.status), "{path} {}", answer.status);
            assert_eq!(send(&method, path, "read-t0ken-of-25-letters?").status, 401, "{path}");
        }
    }
    for path in ["/v1/plan", "/v1/decide", "/v1/feedback", "/v1/halt", "/v1/resume"] {
        assert!(writes.iter().any(|write| write == path), "{path} in {writes:?}");
    }
    for path in ["/v1/model/reload", "/v1/model/promote"] {
        assert!(writes.iter().any(|write| write == path), "{path} in {writes:?}");
    }
    for path in ["/metrics", "/v1/model", "/v1/decisions/{id}", "/openapi.json"] {
        assert!(reads.iter().any(|read| read == path), "{path} in {reads:?}");
    }
    let body = std::fs::read(fixture.snapshot()).unwrap();
    let bearer = format!("Bearer {WRITE}");
    let made = service.send("POST", "/v1/plan", &[("authorization", &bearer)], &body).ok();
    let id = made["id"].as_str().unwrap();
    assert_eq!(send("GET", &format!("/v1/decisions/{id}"), READ).ok()["id"], id);
    assert!(!service.log().contains("t0ken"), "{}", service.log());
}

#[test]
fn tokens_that_are_no_two_tokens_are_refused() {
    let fixture = Fixture::new("founding-3x3");
    let write = secret(&fixture, "token", WRITE, 0o600);
    let same = secret(&fixture, "same", &format!("\n{WRITE}\n"), 0o600);
    let short = secret(&fixture, "short", "  fifteen-letters \n", 0o600);
    let message = refusal(&fixture, &["--token-file", &write, "--read-token-file", &same]);
    assert!(message.contains("expected another token than that of --token-file"), "{message}");
    let message = refusal(&fixture, &["--token-file", &write, "--read-token-file", &short]);
    assert!(message.contains("at least 16 characters, got 15 characters"), "{message}");
    assert!(!message.contains("fifteen"), "{message}");
    assert!(refusal(&fixture, &["--read-token-file", &write]).contains("--token-file"));
    let message = refusal(&fixture, &["--allow-host", "scorer.local:80"]);
    assert!(message.contains("without a port"), "{message}");
}

/// Status line and body of the answer to a request for this host.
fn asked(service: &Service, host: &str, path: &str) -> String {
    let mut stream = service.connect();
    let head = format!("GET {path} HTTP/1.1\r\n{host}connection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    rest(stream)
}

/// A page whose name its owner has made to lead to 127.0.0.1 is of the same origin for the browser.
#[test]
fn without_a_token_a_name_that_leads_here_is_not_enough() {
    let fixture = Fixture::new("founding-3x3");
    let service = Service::start(&fixture, &["--allow-host", "scorer.local"]);
    for host in ["evil.example", "evil.example:8980", "10.0.0.1", "localhost.evil.example"] {
        let answer = asked(&service, &format!("host: {host}\r\n"), "/v1/model");
        assert!(answer.starts_with("HTTP/1.1 403 ") && answer.contains("wrong_host"), "{answer}");
    }
    let both = asked(&service, "host: localhost\r\nhost: evil.example\r\n", "/v1/model");
    assert!(both.starts_with("HTTP/1.1 403 "), "{both}");
    for host in
        ["localhost", "LOCALHOST:1", "127.0.0.1:8980", "127.8.8.8", "[::1]:1", "scorer.local"]
    {
        let answer = asked(&service, &format!("host: {host}\r\n"), "/v1/model");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{host}: {answer}");
    }
    let health = asked(&service, "host: evil.example\r\n", "/v2/health/live");
    assert!(health.starts_with("HTTP/1.1 200 "), "{health}");
    let refused = service.metric("godwit_scorer_requests_refused_total{reason=\"wrong_host\"}");
    assert_eq!(refused, 5.0);

    let token = secret(&fixture, "token", WRITE, 0o600);
    let service = Service::start(&fixture, &["--token-file", &token]);
    let headers = format!("host: scorer.example\r\nauthorization: Bearer {WRITE}\r\n");
    assert!(asked(&service, &headers, "/v1/model").starts_with("HTTP/1.1 200 "));
}

/// Secrets as a container has them: a link to a folder that is replaced whole, files of mode 0440
/// that a group may read.
#[test]
fn mounted_secrets_that_a_group_may_read_are_taken_and_those_that_all_may_read_are_not() {
    let fixture = Fixture::new("founding-3x3");
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let mount = |name: &str, text: &str, mode: u32| -> PathBuf {
        let folder = fixture.path(&format!("{name}-{mode:o}"));
        std::fs::create_dir_all(folder.join("..2026")).unwrap();
        std::fs::write(folder.join("..2026").join(name), text).unwrap();
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(folder.join("..2026").join(name), permissions).unwrap();
        symlink("..2026", folder.join("..data")).unwrap();
        symlink(format!("..data/{name}"), folder.join(name)).unwrap();
        folder.join(name)
    };
    let text = |path: PathBuf| path.display().to_string();
    let cert = text(mount("tls.crt", &made.cert.pem(), 0o444));
    let [key, open_key] =
        [0o440, 0o444].map(|mode| text(mount("tls.key", &made.signing_key.serialize_pem(), mode)));
    let [token, open_token] = [0o440, 0o444].map(|mode| text(mount("token", WRITE, mode)));
    let arguments = |token: &str, key: &str| {
        let words = ["--token-file", token, "--tls-cert", &cert, "--tls-key", key];
        words.map(str::to_owned)
    };
    let start = arguments(&token, &key);
    let service = Service::start(&fixture, &start.each_ref().map(String::as_str));
    assert!(service.url.starts_with("https://"), "{}", service.url);
    let refused = |token: &str, key: &str| {
        refusal(&fixture, &arguments(token, key).each_ref().map(String::as_str))
    };
    for message in [refused(&open_token, &key), refused(&token, &open_key)] {
        assert!(
            message.contains("that others cannot read (chmod o-rwx), got mode 444"),
            "{message}"
        );
    }
}
