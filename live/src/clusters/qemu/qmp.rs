//! Conversations with a QEMU monitor (QMP): lines of JSON over a socket.
//!
//! A monitor talks to one client at a time, so each conversation is a connection of its own, and short.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::ToSocketAddrs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use socket2::{Domain, SockAddr, Socket, Type};

/// Between two tries to be let in.
const PAUSE: Duration = Duration::from_millis(5);

/// Most bytes of a line: the longest ones, lists of devices, have some ten thousand.
const MOST_BYTES: u64 = 1 << 20;

/// Where a monitor listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A Unix socket.
    Unix(PathBuf),
    /// `host:port`.
    Tcp(String),
}

/// Why a command brought no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QmpError {
    /// Nothing listens there: no such process.
    #[error("nothing listens at {0}")]
    Absent(Address),
    /// Nobody answered in time, or in a way that nobody understands. What was asked for may be done.
    #[error("no answer from {0}: {1}")]
    Silent(Address, String),
    /// QEMU said no.
    #[error("{0}: {1}")]
    Refused(Address, String),
}

impl Address {
    /// Reads `unix:PATH` or `tcp:HOST:PORT`.
    ///
    /// # Errors
    /// What was expected instead.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if let Some(path) = text.strip_prefix("unix:") {
            return match SockAddr::unix(path) {
                Ok(_) if path.starts_with('/') => Ok(Self::Unix(path.into())),
                _ => Err("unix: and an absolute path of at most 107 bytes"),
            };
        }
        let expected = "unix:/PATH or tcp:HOST:PORT";
        let (host, port) =
            text.strip_prefix("tcp:").and_then(|rest| rest.rsplit_once(':')).ok_or(expected)?;
        match port.parse::<u16>() {
            Ok(port) if port > 0 && !host.is_empty() => Ok(Self::Tcp(format!("{host}:{port}"))),
            _ => Err(expected),
        }
    }

    fn connect(&self, deadline: Instant) -> io::Result<Socket> {
        match self {
            Self::Unix(path) => {
                let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
                let address = SockAddr::unix(path)?;
                // Otherwise it would wait for ever where the process behind the socket hangs.
                socket.set_nonblocking(true)?;
                // Only two or three can wait for a monitor: more are turned away at once.
                while let Err(error) = socket.connect(&address) {
                    if error.kind() != io::ErrorKind::WouldBlock || Instant::now() >= deadline {
                        return Err(error);
                    }
                    thread::sleep(PAUSE);
                }
                socket.set_nonblocking(false)?;
                Ok(socket)
            }
            Self::Tcp(name) => {
                let address = name.to_socket_addrs()?.next();
                let address = address.ok_or_else(|| io::Error::other("the name has no address"))?;
                let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
                let left = deadline.saturating_duration_since(Instant::now());
                socket.connect_timeout(&address.into(), left)?;
                Ok(socket)
            }
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp(name) => write!(f, "tcp:{name}"),
        }
    }
}

/// A conversation under way.
pub struct Monitor {
    address: Address,
    socket: BufReader<Socket>,
    deadline: Instant,
}

impl Monitor {
    /// Begins a conversation that may take so long in all.
    ///
    /// # Errors
    /// When nothing listens there, or what does is no monitor or busy with somebody else.
    pub fn connect(address: &Address, time_out: Duration) -> Result<Self, QmpError> {
        let deadline = Instant::now() + time_out;
        let socket = address.connect(deadline).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                QmpError::Absent(address.clone())
            }
            io::ErrorKind::WouldBlock => {
                QmpError::Silent(address.clone(), "it accepts no connections".to_owned())
            }
            _ => QmpError::Silent(address.clone(), error.to_string()),
        })?;
        let mut monitor =
            Self { address: address.clone(), socket: BufReader::new(socket), deadline };
        let greeting = monitor.line()?;
        if greeting.get("QMP").is_none() {
            return Err(monitor.silent("a greeting of QMP was expected"));
        }
        monitor.execute("qmp_capabilities", json!({}))?;
        Ok(monitor)
    }

    /// Gives a command and waits for its answer.
    ///
    /// # Errors
    /// When QEMU says no, or nothing in time.
    pub fn execute(&mut self, command: &str, arguments: Value) -> Result<Value, QmpError> {
        let line = format!("{}\n", json!({ "execute": command, "arguments": arguments }));
        let left = self.time_left()?;
        let socket = self.socket.get_mut();
        let sent = socket
            .set_write_timeout(Some(left))
            .and_then(|()| socket.write_all(line.as_bytes()))
            .map_err(|error| error.to_string());
        sent.map_err(|error| self.silent(&error))?;
        loop {
            let mut answer = self.line()?;
            if let Some(value) = answer.get_mut("return") {
                return Ok(value.take());
            }
            if let Some(error) = answer.get("error") {
                let text = error.get("desc").and_then(Value::as_str).unwrap_or("no reason given");
                return Err(QmpError::Refused(self.address.clone(), text.to_owned()));
            }
            // What is left are events.
        }
    }

    /// Asks a question, and reads the answer as what is expected of it.
    ///
    /// # Errors
    /// As for [`Monitor::execute`], and when the answer is another one.
    pub fn ask<T: DeserializeOwned>(
        &mut self,
        command: &str,
        arguments: Value,
    ) -> Result<T, QmpError> {
        let answer = self.execute(command, arguments)?;
        serde_json::from_value(answer).map_err(|error| self.silent(&format!("{command}: {error}")))
    }

    fn line(&mut self) -> Result<Value, QmpError> {
        let mut line = Vec::new();
        // Bytes may come one by one, each within the time-out of a single read.
        while line.last() != Some(&b'\n') {
            let left = self.time_left()?;
            let socket = &mut self.socket;
            let read = socket.get_ref().set_read_timeout(Some(left)).and_then(|()| {
                let room = MOST_BYTES - line.len() as u64;
                let available = socket.fill_buf()?;
                let end = available.iter().position(|byte| *byte == b'\n');
                let wanted = end.map_or(available.len(), |end| end + 1) as u64;
                socket.take(wanted.min(room)).read_to_end(&mut line)
            });
            match read {
                Ok(0) => return Err(self.silent("the connection ended, or a line has no end")),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Err(self.silent("it took too long"));
                }
                Err(error) => return Err(self.silent(&error.to_string())),
            }
        }
        serde_json::from_slice(&line).map_err(|error| self.silent(&error.to_string()))
    }

    fn time_left(&self) -> Result<Duration, QmpError> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(self.silent("it took too long")) } else { Ok(left) }
    }

    fn silent(&self, why: &str) -> QmpError {
        QmpError::Silent(self.address.clone(), why.to_owned())
    }
}

#[cfg(test)]
mod tests;
