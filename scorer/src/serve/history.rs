//! The most recent decisions, as they were sent.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

/// A bounded ring; the oldest decision makes room for the newest.
#[derive(Debug)]
pub struct History {
    capacity: usize,
    recent: Mutex<VecDeque<(String, Bytes)>>,
}

impl History {
    /// Room for this many decisions.
    pub fn new(capacity: usize) -> Self {
        Self { capacity, recent: Mutex::default() }
    }

    /// Remembers a decision.
    pub fn push(&self, id: String, document: Bytes) {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.push_back((id, document));
        if recent.len() > self.capacity {
            recent.pop_front();
        }
    }

    /// The decision with this id, if it is still remembered.
    pub fn find(&self, id: &str) -> Option<Bytes> {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.iter().rev().find(|(known, _)| known == id).map(|(_, document)| document.clone())
    }
}
