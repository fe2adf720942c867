//! Time: the machine's, or one that is played.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What tells the time and waits.
pub trait Clock: Send + Sync {
    /// Seconds since 1970 (UTC).
    fn now_s(&self) -> f64;

    /// Waits for so many seconds.
    fn sleep(&self, seconds: f64);
}

/// The machine's time.
#[derive(Debug, Clone, Copy)]
pub struct WallClock;

/// The machine's time, seconds since 1970 (UTC).
pub fn now_s() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

impl Clock for WallClock {
    fn now_s(&self) -> f64 {
        now_s()
    }

    fn sleep(&self, seconds: f64) {
        std::thread::sleep(Duration::try_from_secs_f64(seconds).unwrap_or_default());
    }
}

/// Time that passes only while someone waits, at so many times the machine's.
#[derive(Debug)]
pub struct PlayedClock {
    now_s: Mutex<f64>,
    speed: f64,
}

impl PlayedClock {
    /// A clock that shows `now_s`; an infinite speed waits for nothing.
    pub fn new(now_s: f64, speed: f64) -> Self {
        Self { now_s: Mutex::new(now_s), speed }
    }
}

impl Clock for PlayedClock {
    fn now_s(&self) -> f64 {
        *self.now_s.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sleep(&self, seconds: f64) {
        WallClock.sleep(seconds / self.speed);
        *self.now_s.lock().unwrap_or_else(PoisonError::into_inner) += seconds;
    }
}
