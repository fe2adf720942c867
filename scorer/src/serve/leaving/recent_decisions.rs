//! The most recent decisions, as they were sent.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

/// Bytes that a decision takes besides its answer and its name.
const OVERHEAD: usize = 128;

/// A ring of a bounded number of decisions and of bytes; the oldest ones make room for the newest.
#[derive(Debug)]
pub struct History {
    most: usize,
    most_bytes: usize,
    recent: Mutex<Recent>,
}

#[derive(Debug, Default)]
struct Recent {
    entries: VecDeque<Entry>,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    id: String,
    /// The answer, or the length of one that is too large to be kept.
    document: Result<Bytes, usize>,
    evaluated: bool,
}

/// Why there is no answer of that name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// No decision of this name is remembered.
    Unknown,
    /// The answer alone is larger than all that may be kept: this many bytes.
    TooLarge(usize),
}

impl History {
    /// Room for this many decisions, and for this many bytes.
    pub fn new(most: usize, most_bytes: usize) -> Self {
        Self { most, most_bytes, recent: Mutex::default() }
    }

    /// Remembers a decision.
    pub fn push(&self, id: String, document: &[u8]) {
        // A copy of exactly its length: a buffer that was written to may hold twice as much.
        let fits = document.len() + id.len() + OVERHEAD <= self.most_bytes;
        let document = match fits {
            true => Ok(Bytes::copy_from_slice(document)),
            false => Err(document.len()),
        };
        let entry = Entry { id, document, evaluated: false };
        let mut recent = self.recent();
        recent.bytes += entry.bytes();
        recent.entries.push_back(entry);
        while recent.entries.len() > self.most || recent.bytes > self.most_bytes {
            let Some(oldest) = recent.entries.pop_front() else { break };
            recent.bytes -= oldest.bytes();
        }
    }

    /// The decision with this id.
    ///
    /// # Errors
    /// When it is not, or no longer, kept.
    pub fn find(&self, id: &str) -> Result<Bytes, Missing> {
        let recent = self.recent();
        let entry = recent.entries.iter().rev().find(|entry| entry.id == id);
        entry.ok_or(Missing::Unknown)?.document.clone().map_err(Missing::TooLarge)
    }

    /// Marks a decision as evaluated; gives whether it was not before. One that has just been
    /// forgotten counts as evaluated.
    pub fn evaluate(&self, id: &str) -> bool {
        let mut recent = self.recent();
        let entry = recent.entries.iter_mut().rev().find(|entry| entry.id == id);
        entry.is_some_and(|entry| !std::mem::replace(&mut entry.evaluated, true))
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn bytes(&self) -> usize {
        OVERHEAD + self.id.len() + self.document.as_ref().map_or(0, Bytes::len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_answers_make_room_when_the_bytes_run_out() {
        let history = History::new(100, 10_000);
        for number in 0..50 {
            history.push(format!("{number:02}"), &[b' '; 1_000]);
        }
        // 1,000 and 2 and 128 bytes each: eight of them.
        assert_eq!(history.find("41"), Err(Missing::Unknown));
        assert!((42..50).all(|number| history.find(&number.to_string()).is_ok()));
        assert_eq!(history.recent().bytes, 8 * 1_130);
    }

    #[test]
    fn an_answer_larger_than_the_bound_drives_no_other_out() {
        let history = History::new(100, 10_000);
        history.push("small".to_owned(), &[b' '; 10]);
        history.push("large".to_owned(), &vec![b' '; 10_000]);
        assert_eq!(history.find("large"), Err(Missing::TooLarge(10_000)));
        assert!(history.find("small").is_ok());
        assert_eq!(History::new(9, 0).find("small"), Err(Missing::Unknown));
    }

    #[test]
    fn nothing_is_kept_where_nothing_may_be() {
        for history in [History::new(0, 10_000), History::new(9, 0)] {
            history.push("one".to_owned(), b"{}");
            assert_eq!(history.recent().entries.len(), 0);
            assert_eq!(history.recent().bytes, 0);
        }
    }
}
