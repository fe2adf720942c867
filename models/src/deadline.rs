//! Until when a decision may be thought about.

use std::time::{Duration, Instant};

/// The end of the time for one decision; without a limit there is none.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    begun: Instant,
    limit: Option<Duration>,
}

impl Deadline {
    /// So much time from now on.
    pub fn after(limit: Option<Duration>) -> Self {
        Self { begun: Instant::now(), limit }
    }

    /// Whether there is a limit. Without one no result may depend on a clock.
    pub fn is_limited(&self) -> bool {
        self.limit.is_some()
    }

    /// Whether the time is up.
    pub fn has_passed(&self) -> bool {
        self.limit.is_some_and(|limit| self.begun.elapsed() >= limit)
    }

    /// Share of the time that has passed; 0 without a limit.
    pub fn share(&self) -> f32 {
        let share =
            |limit: Duration| self.begun.elapsed().as_secs_f32() / limit.as_secs_f32().max(1e-9);
        self.limit.map_or(0.0, |limit| share(limit).min(1.0))
    }
}
