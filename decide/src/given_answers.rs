//! Answers that are given again when the same is asked again.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use godwit_envs::snapshot::Snapshot;
use sha2::{Digest, Sha256};

/// Most answers that are remembered.
const MOST: usize = 1_000;

/// Most bytes of answers that are remembered.
const MOST_BYTES: usize = 32 << 20;

/// What identifies a question, whoever asks it.
pub type Fingerprint = [u8; 32];

/// What a question is known by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// The client's own name for it, and what it asked.
    pub named: Option<(String, Fingerprint)>,
    /// What is asked about; only where an answer is remembered as carried out.
    pub content: Option<Fingerprint>,
}

/// A name was used for something else before.
#[derive(Debug, PartialEq, Eq)]
pub struct NameTaken;

/// A bounded number of answers; the oldest makes room for the newest.
#[derive(Debug, Default)]
pub struct Answers {
    kept: VecDeque<(u64, Asked, Bytes)>,
    /// Number of the answer with each name, and about each content.
    names: HashMap<String, u64>,
    contents: HashMap<Fingerprint, u64>,
    /// Number of the next answer.
    next: u64,
    bytes: usize,
}

impl Answers {
    /// The answer that this was given before.
    ///
    /// # Errors
    /// When its name stood for another question.
    pub fn find(&self, asked: &Asked) -> Result<Option<Bytes>, NameTaken> {
        if let Some((name, question)) = &asked.named
            && let Some((_, before, answer)) = self.names.get(name).and_then(|at| self.at(*at))
        {
            let same = before.named.as_ref().is_some_and(|named| named.1 == *question);
            return if same { Ok(Some(answer.clone())) } else { Err(NameTaken) };
        }
        let number = asked.content.as_ref().and_then(|content| self.contents.get(content));
        Ok(number.and_then(|at| self.at(*at)).map(|(_, _, answer)| answer.clone()))
    }

    /// Remembers an answer.
    pub fn keep(&mut self, asked: &Asked, answer: &Bytes) {
        if asked.named.is_none() && asked.content.is_none() || answer.len() > MOST_BYTES {
            return;
        }
        let number = self.next;
        self.next += 1;
        if let Some((name, _)) = &asked.named {
            self.names.insert(name.clone(), number);
        }
        if let Some(content) = asked.content {
            self.contents.insert(content, number);
        }
        self.bytes += answer.len();
        self.kept.push_back((number, asked.clone(), answer.clone()));
        while self.kept.len() > MOST || self.bytes > MOST_BYTES {
            let Some((number, asked, answer)) = self.kept.pop_front() else { break };
            self.bytes -= answer.len();
            self.unlink(number, &asked);
        }
    }

    /// Forgets what was answered to this: it did not leave.
    pub fn forget(&mut self, asked: &Asked) {
        let name = asked.named.as_ref().and_then(|(name, _)| self.names.get(name)).copied();
        let content = asked.content.as_ref().and_then(|content| self.contents.get(content));
        for number in [name, content.copied()].into_iter().flatten() {
            self.unlink(number, asked);
        }
    }

    fn unlink(&mut self, number: u64, asked: &Asked) {
        if let Some((name, _)) = &asked.named
            && self.names.get(name) == Some(&number)
        {
            self.names.remove(name);
        }
        if let Some(content) = &asked.content
            && self.contents.get(content) == Some(&number)
        {
            self.contents.remove(content);
        }
    }

    /// The answer with this number. Numbers are consecutive.
    fn at(&self, number: u64) -> Option<&(u64, Asked, Bytes)> {
        let first = self.kept.front()?.0;
        self.kept.get(usize::try_from(number.checked_sub(first)?).ok()?)
    }
}

/// What is asked of a plan besides the snapshot.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// Most migrations.
    pub max_moves: u32,
    /// Whether each workload that stays is told of.
    pub list_stays: bool,
    /// How long the plan may take, milliseconds.
    pub deadline_ms: Option<u64>,
}

impl Wanted {
    /// The fingerprint of these documents with it.
    pub fn fingerprint(&self, documents: &[&[u8]]) -> Fingerprint {
        let mut hash = Sha256::new();
        let Self { max_moves, list_stays, deadline_ms } = self;
        let wanted = format!("{max_moves} {list_stays} {deadline_ms:?}");
        for document in documents.iter().copied().chain([wanted.as_bytes()]) {
            hash.update((document.len() as u64).to_le_bytes());
            hash.update(document);
        }
        hash.finalize().into()
    }

    /// The fingerprint of a snapshot, however it is written, that this artifact plans for. `None`
    /// for one without a tick: nothing tells it from a later one.
    pub fn of_content(&self, snapshot: &Snapshot, artifact: &str) -> Option<Fingerprint> {
        snapshot.tick?;
        Some(self.fingerprint(&[snapshot.to_json().as_bytes(), artifact.as_bytes()]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str, question: u8) -> Asked {
        Asked { named: Some((name.to_owned(), [question; 32])), content: None }
    }

    fn about(content: usize) -> Asked {
        let mut fingerprint = [0; 32];
        fingerprint[..8].copy_from_slice(&content.to_le_bytes());
        Asked { named: None, content: Some(fingerprint) }
    }

    #[test]
    fn a_name_stands_for_one_question_and_a_content_for_itself() {
        let mut answers = Answers::default();
        answers.keep(&named("a", 1), &Bytes::from_static(b"one"));
        answers.keep(&about(7), &Bytes::from_static(b"two"));
        assert_eq!(answers.find(&named("a", 1)), Ok(Some(Bytes::from_static(b"one"))));
        assert_eq!(answers.find(&named("a", 2)), Err(NameTaken));
        assert_eq!(answers.find(&named("b", 1)), Ok(None));
        assert_eq!(answers.find(&about(7)), Ok(Some(Bytes::from_static(b"two"))));
        assert_eq!(answers.find(&about(8)), Ok(None));
        answers.forget(&about(7));
        assert_eq!(answers.find(&about(7)), Ok(None));
        answers.keep(&Asked::default(), &Bytes::from_static(b"nobody asks for it"));
        assert_eq!(answers.kept.len(), 2);
    }

    #[test]
    fn answers_are_bounded_in_number_and_in_bytes() {
        let mut answers = Answers::default();
        for content in 0..MOST + 5 {
            answers.keep(&about(content), &Bytes::from_static(b"x"));
        }
        assert_eq!((answers.kept.len(), answers.contents.len()), (MOST, MOST));
        assert_eq!(answers.find(&about(4)), Ok(None));
        assert!(answers.find(&about(5)).unwrap().is_some());
        let large = Bytes::from(vec![0; MOST_BYTES / 3]);
        for content in 0..5 {
            answers.keep(&about(content), &large);
        }
        assert!(answers.bytes <= MOST_BYTES && answers.kept.len() == 3);
        assert_eq!(answers.contents.len(), 3);
        answers.keep(&about(9), &Bytes::from(vec![0; MOST_BYTES + 1]));
        assert_eq!(answers.find(&about(9)), Ok(None));
    }
}
