//! Jobs that wait for a worker. Small ones never wait for a large one that holds a worker, and no
//! job is passed by others for ever.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How much later the turn of a job is for each KiB of it: 3 ms for ten nodes and fifty workloads,
/// two seconds for 8 MiB, about what such bodies take.
const DELAY_PER_KIB: Duration = Duration::from_micros(250);

/// Jobs of two classes, each in the order of their turns. A job's turn comes by the time at which it
/// came and its size: it is passed by smaller ones only, and for no longer than its size says.
#[derive(Debug)]
pub struct Queue<J> {
    /// Bytes of the largest job that is small.
    small_bytes: usize,
    waiting: Mutex<Waiting<J>>,
    more: Condvar,
}

/// Which jobs a worker takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// All, by their turns.
    All,
    /// Small ones only: it is there for them whatever the others hold.
    Small,
}

#[derive(Debug)]
struct Waiting<J> {
    small: BinaryHeap<Reverse<Ticket<J>>>,
    large: BinaryHeap<Reverse<Ticket<J>>>,
    next: u64,
    closed: bool,
}

#[derive(Debug)]
struct Ticket<J> {
    turn: Instant,
    /// Whoever came first of those whose turn is the same.
    number: u64,
    job: J,
}

impl<J> Queue<J> {
    /// An empty queue.
    pub fn new(small_bytes: usize) -> Self {
        let waiting =
            Waiting { small: BinaryHeap::new(), large: BinaryHeap::new(), next: 0, closed: false };
        Self { small_bytes, waiting: Mutex::new(waiting), more: Condvar::new() }
    }

    /// Has the job wait, which came at this time and is of this size.
    pub fn push(&self, came: Instant, bytes: usize, job: J) {
        let delay = DELAY_PER_KIB * u32::try_from(bytes / 1024).unwrap_or(u32::MAX);
        let mut waiting = self.lock();
        let ticket = Ticket { turn: came + delay, number: waiting.next, job };
        waiting.next += 1;
        if bytes <= self.small_bytes {
            waiting.small.push(Reverse(ticket));
            self.more.notify_one();
        } else {
            waiting.large.push(Reverse(ticket));
            // One alone might be a worker that does not take it.
            self.more.notify_all();
        }
    }

    /// The job whose turn it is, once there is one; `None` when the queue was closed.
    pub fn pop(&self, takes: Takes) -> Option<J> {
        let mut waiting = self.lock();
        loop {
            if waiting.closed {
                return None;
            }
            if let Some(job) = waiting.take(takes) {
                return Some(job);
            }
            waiting = self.more.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Sends every worker home, those that wait and those that come later.
    pub fn close(&self) {
        self.lock().closed = true;
        self.more.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Waiting<J>> {
        // No job runs under the lock, and what is done under it does not panic half-way.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<J> Waiting<J> {
    fn take(&mut self, takes: Takes) -> Option<J> {
        let large_first = match (self.small.peek(), self.large.peek()) {
            (Some(Reverse(small)), Some(Reverse(large))) => large < small,
            (None, Some(_)) => true,
            (_, None) => false,
        };
        let from = match takes {
            Takes::All if large_first => &mut self.large,
            Takes::All | Takes::Small => &mut self.small,
        };
        from.pop().map(|Reverse(ticket)| ticket.job)
    }
}

impl<J> Ticket<J> {
    fn key(&self) -> (Instant, u64) {
        (self.turn, self.number)
    }
}

impl<J> PartialEq for Ticket<J> {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl<J> Eq for Ticket<J> {}

impl<J> PartialOrd for Ticket<J> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<J> Ord for Ticket<J> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: usize = 1 << 10;
    const LARGE: usize = 8 << 20;

    fn queue() -> (Queue<&'static str>, Instant) {
        (Queue::new(64 << 10), Instant::now())
    }

    #[test]
    fn jobs_of_one_size_keep_their_order() {
        let (queue, now) = queue();
        for job in ["first", "second", "third"] {
            queue.push(now, SMALL, job);
        }
        let order = [0; 3].map(|_| queue.pop(Takes::All).unwrap());
        assert_eq!(order, ["first", "second", "third"]);
    }

    #[test]
    fn small_jobs_pass_large_ones_but_not_for_ever() {
        let (queue, now) = queue();
        let after = |seconds: f64| now + Duration::from_secs_f64(seconds);
        queue.push(now, LARGE, "large");
        queue.push(after(1.9), SMALL, "soon after");
        queue.push(after(2.1), SMALL, "long after");
        let order = [0; 3].map(|_| queue.pop(Takes::All).unwrap());
        assert_eq!(order, ["soon after", "large", "long after"]);
    }

    #[test]
    fn a_worker_for_small_jobs_takes_no_large_one() {
        let (queue, now) = queue();
        queue.push(now, LARGE, "large");
        queue.push(now, SMALL, "small");
        assert_eq!(queue.pop(Takes::Small), Some("small"));
        std::thread::scope(|scope| {
            let reserved = scope.spawn(|| queue.pop(Takes::Small));
            assert_eq!(queue.pop(Takes::All), Some("large"));
            queue.push(now, LARGE, "another");
            queue.push(now, 64 << 10, "largest small");
            assert_eq!(reserved.join().unwrap(), Some("largest small"));
        });
        assert_eq!(queue.pop(Takes::All), Some("another"));
    }

    #[test]
    fn a_closed_queue_sends_workers_home() {
        let (queue, _) = queue();
        std::thread::scope(|scope| {
            let workers = [Takes::All, Takes::Small].map(|takes| {
                let queue = &queue;
                scope.spawn(move || queue.pop(takes))
            });
            queue.close();
            assert_eq!(workers.map(|worker| worker.join().unwrap()), [None, None]);
        });
    }
}
