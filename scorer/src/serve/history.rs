//! The most recent decisions, as they were sent.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

/// A bounded ring; the oldest decision makes room for the newest.
#[derive(Debug)]
pub struct History {
    capacity: usize,
    recent: Mutex<VecDeque<Entry>>,
}

#[derive(Debug)]
struct Entry {
    id: String,
    document: Bytes,
    evaluated: bool,
}

impl History {
    /// Room for this many decisions.
    pub fn new(capacity: usize) -> Self {
        Self { capacity, recent: Mutex::default() }
    }

    /// Remembers a decision.
    pub fn push(&self, id: String, document: Bytes) {
        let mut recent = self.recent();
        recent.push_back(Entry { id, document, evaluated: false });
        if recent.len() > self.capacity {
            recent.pop_front();
        }
    }

    /// The decision with this id, if it is still remembered.
    pub fn find(&self, id: &str) -> Option<Bytes> {
        let recent = self.recent();
        let entry = recent.iter().rev().find(|entry| entry.id == id)?;
        Some(entry.document.clone())
    }

    /// Marks a decision as evaluated; gives whether it was not before. One that has just been
    /// forgotten counts as evaluated.
    pub fn evaluate(&self, id: &str) -> bool {
        let mut recent = self.recent();
        let entry = recent.iter_mut().rev().find(|entry| entry.id == id);
        entry.is_some_and(|entry| !std::mem::replace(&mut entry.evaluated, true))
    }

    fn recent(&self) -> MutexGuard<'_, VecDeque<Entry>> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
