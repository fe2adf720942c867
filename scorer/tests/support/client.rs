//! Many requests on one connection, which is faster than any client that opens one for each.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use serde_json::Value;

use super::service::Service;

/// A connection that is used again and again.
pub struct Client<'a> {
    service: &'a Service,
    stream: BufReader<TcpStream>,
}

impl<'a> Client<'a> {
    pub fn new(service: &'a Service) -> Self {
        Self { service, stream: BufReader::new(service.connect()) }
    }

    /// Status and document of the answer to a POST.
    pub fn post(&mut self, path: &str, body: &[u8]) -> (u16, Value) {
        let length = body.len();
        let head =
            format!("POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n\r\n");
        let stream = self.stream.get_mut();
        stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
        let (mut status, mut length, mut close) = (0, 0, false);
        for number in 0.. {
            let mut line = String::new();
            self.stream.read_line(&mut line).unwrap();
            match line.trim_end().split_once(' ') {
                Some(("HTTP/1.1", rest)) => status = rest[..3].parse().unwrap(),
                Some(("content-length:", value)) => length = value.parse().unwrap(),
                Some(("connection:", "close")) => close = true,
                Some(_) => {}
                None => {
                    assert!(number > 0, "{path}: no answer to {}", start_of(body));
                    break;
                }
            }
        }
        let mut answer = vec![0; length];
        self.stream.read_exact(&mut answer).unwrap();
        if close {
            *self = Self::new(self.service);
        }
        let document = serde_json::from_slice(&answer);
        (status, document.unwrap_or_else(|_| panic!("{path}: {}", start_of(&answer))))
    }
}

/// The start of a document, for messages.
pub fn start_of(document: &[u8]) -> String {
    let start = &document[..document.len().min(20_000)];
    format!("{} bytes: {}", document.len(), String::from_utf8_lossy(start))
}
