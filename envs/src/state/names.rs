//! Names as numbers.

use std::collections::HashMap;

/// Numbers names in the order in which they first occur.
#[derive(Default)]
pub(super) struct Index(HashMap<String, u32>);

impl Index {
    pub(super) fn of(&mut self, name: &str) -> u32 {
        if let Some(&at) = self.0.get(name) {
            return at;
        }
        let next = self.0.len() as u32;
        self.0.insert(name.to_owned(), next);
        next
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The names by their numbers.
    pub(super) fn names(self) -> Vec<String> {
        let mut names = vec![String::new(); self.0.len()];
        self.0.into_iter().for_each(|(name, at)| names[at as usize] = name);
        names
    }
}
