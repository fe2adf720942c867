//! A running `godwit-scorer serve`, and how tests talk to it.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::Fixture;

/// Longest time for anything that a test waits for.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A service on a free port, ended when it is dropped.
pub struct Service {
    child: Child,
    pub url: String,
    log: std::path::PathBuf,
    client: ureq::Agent,
}

/// What a request was answered with.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: ureq::http::HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {:?}", String::from_utf8_lossy(&self.body)))
    }

    /// The document of an answer that must be a success.
    pub fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{:?}", String::from_utf8_lossy(&self.body));
        self.json()
    }

    /// Status and code of an answer that must be an error.
    pub fn error(&self) -> (u16, String) {
        assert!(!self.message().is_empty());
        let json = self.json();
        let code = match json["error"].is_string() {
            // The Open Inference Protocol has no place for it in the body.
            true => self.headers["x-error-code"].to_str().unwrap(),
            false => json["error"]["code"].as_str().unwrap(),
        };
        (self.status, code.to_owned())
    }

    /// What an answer says that must be an error.
    pub fn message(&self) -> String {
        let json = self.json();
        let error = &json["error"];
        let message = error.as_str().or_else(|| error["message"].as_str());
        message.unwrap_or_else(|| panic!("{json}")).to_owned()
    }
}

/// The program with `serve` for the fixture's model on a free port.
pub fn command(fixture: &Fixture, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_godwit-scorer"));
    command.arg("serve").arg("--model").arg(fixture.model());
    if !arguments.contains(&"--listen") {
        command.args(["--listen", "127.0.0.1:0"]);
    }
    if !arguments.contains(&"--think") {
        // Plans that are compared must not depend on the clock.
        command.args(["--think", "0"]);
    }
    command.args(arguments);
    command
}

impl Service {
    /// Starts the service and waits until it listens.
    pub fn start(fixture: &Fixture, arguments: &[&str]) -> Self {
        Self::spawn(fixture, command(fixture, arguments))
    }

    /// [`Service::start`], with the command to start it.
    pub fn spawn(fixture: &Fixture, mut command: Command) -> Self {
        let log = fixture.path("log");
        let mut child =
            command.stdout(Stdio::piped()).stderr(File::create(&log).unwrap()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let Some(url) = line.trim_end().strip_prefix("listening on ") else {
            panic!("not listening: {line:?} {}", std::fs::read_to_string(&log).unwrap())
        };
        let client = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(PATIENCE))
            // The service may close an idle connection just when it would be used again.
            .max_idle_connections(0)
            .build()
            .new_agent();
        Self { child, url: url.replace("0.0.0.0", "127.0.0.1"), log, client }
    }

    pub fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], b"")
    }

    pub fn post(&self, path: &str, body: impl AsRef<[u8]>) -> Answer {
        self.send("POST", path, &[], body.as_ref())
    }

    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let request = ureq::http::Request::builder().method(method).uri(self.url.clone() + path);
        let request =
            headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let response = match method {
            "GET" => self.client.run(request.body(()).unwrap()),
            _ => self.client.run(request.body(body).unwrap()),
        };
        let mut response = response.unwrap();
        Answer {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: response.body_mut().read_to_vec().unwrap(),
        }
    }

    /// A bare connection, for what no client does.
    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.url.split("//").nth(1).unwrap()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Begins a request on a bare connection: headers, and the first half of the body.
    pub fn begin(&self, path: &str, body: &[u8]) -> TcpStream {
        let mut stream = self.connect();
        let length = body.len();
        let head = format!("POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}");
        write!(stream, "{head}\r\nconnection: close\r\n\r\n").unwrap();
        stream.write_all(&body[..length / 2]).unwrap();
        stream
    }

    /// The value of the metric whose line starts with this; the mode, which all have, may be left
    /// out.
    pub fn metric(&self, name: &str) -> f64 {
        let text = String::from_utf8(self.get("/metrics").body).unwrap();
        let mode = text.split_once("godwit_scorer_halted{").unwrap().1.split_once('}').unwrap().0;
        let value = text.lines().find_map(|line| {
            let plain = line.replacen(mode, "", 1).replacen("{,", "{", 1).replacen("{}", "", 1);
            let value = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok();
            value(line).or_else(|| value(&plain))
        });
        value.unwrap_or_else(|| panic!("no {name} in\n{text}"))
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// A figure of the process in KiB as Linux states it: `VmRSS`, `VmHWM`.
    pub fn memory_kib(&self, figure: &str) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(figure)).unwrap();
        line.trim_start_matches(':').trim_end_matches("kB").trim().parse().unwrap()
    }

    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }

    /// Waits for the process to end by itself.
    pub fn ended(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("the end of the process", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Fails when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Everything until the other side closes the connection.
pub fn rest(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    // A connection that is reset is closed, too.
    let _ = stream.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Waits until `condition` holds.
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
