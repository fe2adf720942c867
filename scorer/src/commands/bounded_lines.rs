//! Lines of bytes from a reader, none of which takes more memory than is allowed.

use std::io::{self, BufRead, ErrorKind};

/// A line of a reader.
#[derive(Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// Its bytes, without those that end it.
    Whole(&'a [u8]),
    /// It was too long, and has been read to its end; its length, without the byte that ends it.
    TooLong(u64),
}

/// Reads lines into a buffer that is used again and again.
#[derive(Debug)]
pub struct Lines<R> {
    reader: R,
    most_bytes: usize,
    buffer: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    /// Lines of at most so many bytes.
    pub fn new(reader: R, most_bytes: usize) -> Self {
        Self { reader, most_bytes, buffer: Vec::new() }
    }

    /// The next line; `None` at the end. The last one needs no end of its own.
    ///
    /// # Errors
    /// When the reader fails.
    pub fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        self.buffer.clear();
        let mut length = 0_u64;
        let mut ended = false;
        while !ended {
            let bytes = match self.reader.fill_buf() {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                bytes => bytes?,
            };
            if bytes.is_empty() {
                if length == 0 {
                    return Ok(None);
                }
                break;
            }
            let end = bytes.iter().position(|byte| *byte == b'\n');
            let part = &bytes[..end.unwrap_or(bytes.len())];
            length += part.len() as u64;
            // What is too long is never looked at.
            if length <= self.most_bytes as u64 {
                self.buffer.extend_from_slice(part);
            }
            ended = end.is_some();
            let read = part.len() + usize::from(ended);
            self.reader.consume(read);
        }
        Ok(Some(match length <= self.most_bytes as u64 {
            true => Line::Whole(self.buffer.strip_suffix(b"\r").unwrap_or(&self.buffer)),
            false => Line::TooLong(length),
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Read, repeat};

    use super::*;

    #[test]
    fn lines_end_where_they_end() {
        for capacity in [1, 2, 64] {
            let text = &b"ab\n\n\xff\r\nabcde\nabcdef\nlast"[..];
            let mut lines = Lines::new(BufReader::with_capacity(capacity, text), 5);
            for expected in [
                Line::Whole(b"ab"),
                Line::Whole(b""),
                Line::Whole(b"\xff"),
                Line::Whole(b"abcde"),
                Line::TooLong(6),
                Line::Whole(b"last"),
            ] {
                assert_eq!(lines.next().unwrap(), Some(expected));
            }
            assert_eq!(lines.next().unwrap(), None);
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_not_kept() {
        const LENGTH: u64 = 1 << 30;
        let endless = BufReader::new(repeat(b'x').take(LENGTH));
        let mut lines = Lines::new(endless, 1000);
        assert_eq!(lines.next().unwrap(), Some(Line::TooLong(LENGTH)));
        assert!(lines.buffer.capacity() < 10_000, "{}", lines.buffer.capacity());
        assert_eq!(lines.next().unwrap(), None);
    }
}
