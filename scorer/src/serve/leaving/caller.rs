//! Whether anybody still waits for an answer.

use std::sync::Arc;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering::SeqCst;

const WAITS: u8 = 0;
const TAKEN: u8 = 1;
const GONE: u8 = 2;

/// Held where the answer is waited for: with it goes whoever waits.
#[derive(Debug, Default)]
pub struct Waiting(Arc<AtomicU8>);

/// Whoever waits, as the one sees it who answers.
#[derive(Debug, Clone)]
pub struct Caller(Arc<AtomicU8>);

impl Waiting {
    /// The other side.
    pub fn caller(&self) -> Caller {
        Caller(Arc::clone(&self.0))
    }

    /// Stops waiting, unless the answer is on its way; gives whether it did.
    pub fn give_up(&self) -> bool {
        self.0.compare_exchange(WAITS, GONE, SeqCst, SeqCst) != Err(TAKEN)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.give_up();
    }
}

impl Caller {
    /// Takes hold of the one who waits: from now on the answer will be waited for. Gives whether
    /// someone is there.
    pub fn take(&self) -> bool {
        self.0.compare_exchange(WAITS, TAKEN, SeqCst, SeqCst).is_ok()
    }

    /// There is no answer yet after all.
    pub fn let_go(&self) {
        self.0.store(WAITS, SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_gone_is_answered_nothing_and_an_answer_on_its_way_is_waited_for() {
        let waiting = Waiting::default();
        let caller = waiting.caller();
        assert!(caller.take() && !waiting.give_up());
        caller.let_go();
        assert!(waiting.give_up() && !caller.take());
        let waiting = Waiting::default();
        let caller = waiting.caller();
        drop(waiting);
        assert!(!caller.take());
    }
}
