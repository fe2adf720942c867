//! When a search and its stages end.

use std::time::{Duration, Instant};

/// When a search ends, and what it draws. With both limits the first that is reached ends it, with
/// neither it returns the start.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct SearchRules {
    /// Seed of all that is drawn.
    pub seed: u64,
    /// Time after which it ends.
    pub time: Option<Duration>,
    /// Moves tried after which it ends.
    pub iterations: Option<u64>,
}

/// Where a stage of a search ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub start: Instant,
    pub rules: SearchRules,
    /// Shares of the whole search that are over when the stage begins and ends.
    pub from: f64,
    pub to: f64,
}

impl Limits {
    /// What share of the way to the end of the stage is over after so many moves; 1 and above when
    /// the stage is over. The clock is read only where there is a limit of time.
    pub fn progress(&self, tried: u64) -> f64 {
        let moves = self.rules.iterations.map(|most| ratio(tried as f64, most as f64));
        let time = self
            .rules
            .time
            .map(|most| ratio(self.start.elapsed().as_secs_f64(), most.as_secs_f64()));
        match (moves, time) {
            (None, None) => 1.0,
            (moves, time) => {
                let done = moves.unwrap_or(0.0).max(time.unwrap_or(0.0));
                if done >= self.to {
                    1.0
                } else {
                    (done - self.from).max(0.0) / (self.to - self.from)
                }
            }
        }
    }

    /// Moves that may be tried until progress is looked at again, after so many.
    pub fn round(&self, tried: u64) -> u64 {
        self.rules.iterations.map_or(ROUND, |most| ROUND.min(most.saturating_sub(tried)))
    }
}

/// Most moves between two looks at the progress: some tens of microseconds.
const ROUND: u64 = 512;

fn ratio(done: f64, whole: f64) -> f64 {
    if whole > 0.0 { done / whole } else { 1.0 }
}
