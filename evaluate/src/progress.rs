//! How far a long command is: a bar on a terminal, a plain line now and then elsewhere.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal as _;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Seconds between two plain lines.
const PLAIN_EVERY: Duration = Duration::from_secs(20);

/// A count that grows up to a known length; shown on standard error.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    unit: &'static str,
    /// When the last plain line was due; nothing where a bar is drawn, or nothing shown.
    plain: Option<Mutex<Instant>>,
}

impl Progress {
    /// Counts `length` of `unit` (a plural), or shows nothing.
    pub fn new(shown: bool, length: u64, unit: &'static str) -> Self {
        if !shown {
            return Self { bar: ProgressBar::hidden(), unit, plain: None };
        }
        let template = format!("{{bar:30}} {{pos}}/{{len}} {unit}, {{eta}} left, {{msg}}");
        let bar = ProgressBar::new(length);
        // If the template were wrong, the default style would do.
        let bar = match ProgressStyle::with_template(&template) {
            Ok(style) => bar.with_style(style),
            Err(_) => bar,
        };
        let plain = (!std::io::stderr().is_terminal()).then(|| Mutex::new(Instant::now()));
        Self { bar, unit, plain }
    }

    /// Shows nothing.
    pub fn hidden() -> Self {
        Self::new(false, 0, "")
    }

    /// Names what is under way.
    pub fn set_message(&self, message: impl Into<String>) {
        self.bar.set_message(message.into());
    }

    /// Counts on.
    pub fn inc(&self, count: u64) {
        self.bar.inc(count);
        self.say_now_and_then();
    }

    /// Counts from here.
    pub fn set_position(&self, count: u64) {
        self.bar.set_position(count);
        self.say_now_and_then();
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn say_now_and_then(&self) {
        let Some(plain) = &self.plain else { return };
        let mut last = plain.lock().unwrap_or_else(PoisonError::into_inner);
        if last.elapsed() < PLAIN_EVERY {
            return;
        }
        *last = Instant::now();
        let elapsed = self.bar.elapsed();
        let (done, length) = (self.bar.position(), self.bar.length().unwrap_or_default());
        eprintln!("{}", line(&self.bar.message(), done, length, self.unit, elapsed));
    }
}

/// The time left is worked out from the mean pace so far.
fn line(message: &str, done: u64, length: u64, unit: &str, elapsed: Duration) -> String {
    let left = elapsed.as_secs_f64() * length.saturating_sub(done) as f64 / done.max(1) as f64;
    let seconds = left.round() as u64;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let message = if message.is_empty() { String::new() } else { format!("{message}: ") };
    format!("{message}{done} of {length} {unit}, {hours}:{minutes:02}:{seconds:02} left")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_line_says_how_long_it_will_still_take() {
        let minute = Duration::from_secs(60);
        assert_eq!(
            line("rollouts", 50, 4000, "states", minute),
            "rollouts: 50 of 4000 states, 1:19:00 left"
        );
        assert_eq!(line("", 10, 10, "episodes", minute), "10 of 10 episodes, 0:00:00 left");
    }
}
