//! Where a run stands, in a line of at most 80 columns.

use std::fmt;

/// What a line says.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Standing {
    /// Share of the env steps that are made, 0 to 1.
    pub progress: f64,
    /// Seconds until the run ends, where they are known.
    pub left: Option<f64>,
    /// Env steps per second.
    pub rate: Option<f64>,
    /// Mean return of the last training episodes.
    pub last_return: Option<f64>,
    /// Best validation return so far.
    pub best: Option<f64>,
}

impl fmt::Display for Standing {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        let number = |value: Option<f64>| value.map_or("-".to_owned(), number);
        write!(out, "{:.0} %, ", 100.0 * self.progress)?;
        if let Some(left) = self.left {
            write!(out, "{} left, ", span(left))?;
        }
        if let Some(rate) = self.rate {
            write!(out, "{} steps/s, ", thousands(rate))?;
        }
        let (last, best) = (number(self.last_return), number(self.best));
        write!(out, "return {last}, best validation return {best}")
    }
}

/// A number in at most six characters.
fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 9.95e9 => format!("{value:.0e}"),
        size if size >= 99_999.5 => format!("{value:.1e}"),
        size if size >= 999.95 => format!("{value:.0}"),
        size if size >= 99.995 => format!("{value:.1}"),
        size if size >= 9.9995 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

fn thousands(rate: f64) -> String {
    match rate {
        rate if rate >= 9.95e6 => format!("{:.0}M", rate / 1e6),
        rate if rate >= 999_500.0 => format!("{:.1}M", rate / 1e6),
        rate if rate >= 9_999.5 => format!("{:.0}k", rate / 1e3),
        rate => format!("{rate:.0}"),
    }
}

/// A time that nobody knows to the second.
pub(super) fn span(seconds: f64) -> String {
    match seconds {
        seconds if seconds < 100.0 => format!("{seconds:.0} s"),
        seconds if seconds < 6_000.0 => format!("{:.0} min", seconds / 60.0),
        seconds if seconds < 36_000.0 => format!("{:.1} h", seconds / 3600.0),
        seconds if seconds < 360_000.0 => format!("{:.0} h", seconds / 3600.0),
        seconds => format!("{:.0} days", (seconds / 86_400.0).min(999.0)),
    }
}

/// Seconds until a run ends: when its env steps are made at this rate, or when its time is up.
pub(super) fn seconds_left(env_steps: u64, rate: f64, time: Option<f64>) -> f64 {
    let steps = env_steps as f64 / rate;
    time.map_or(steps, |time| steps.min(time.max(0.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_fits_80_columns() {
        let usual = Standing {
            progress: 0.124,
            left: Some(754.0),
            rate: Some(12_345.6),
            last_return: Some(-1.23456),
            best: Some(-0.98765),
        };
        assert_eq!(
            usual.to_string(),
            "12 %, 13 min left, 12k steps/s, return -1.235, best validation return -0.988"
        );
        let values = [-0.99996, -99.999, -999.99, -12_345.6, -99_999.9, -9.99e9];
        for (value, seconds) in values.into_iter().zip([0.0, 99.9, 359_999.0, 1e20, 5_999.0, 60.0])
        {
            for rate in [0.0, 9_999.4, 999_999.0, 12.3e6] {
                let line = Standing {
                    progress: 1.0,
                    left: Some(seconds),
                    rate: Some(rate),
                    last_return: Some(value),
                    best: Some(value),
                };
                let line = line.to_string();
                assert!(line.chars().count() <= 80, "{line}");
            }
        }
        assert_eq!(Standing::default().to_string(), "0 %, return -, best validation return -");
    }

    #[test]
    fn a_run_ends_with_its_env_steps_or_with_its_time() {
        assert_eq!(seconds_left(1_000, 10.0, None), 100.0);
        assert_eq!(seconds_left(1_000, 10.0, Some(30.0)), 30.0);
        assert_eq!(seconds_left(1_000, 10.0, Some(300.0)), 100.0);
        assert_eq!(seconds_left(1_000, 10.0, Some(-1.0)), 0.0);
    }
}
