//! Values that change over a run.

use serde::{Deserialize, Serialize};

/// Linear from `from` to `to` over the first `share` of the run, then constant.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// Value at the start.
    pub from: f64,
    /// Value at the end.
    pub to: f64,
    /// Share of the run (0 to 1) after which `to` is reached.
    pub share: f64,
}

impl Schedule {
    /// The value after `progress` (0 to 1) of the run.
    pub fn at(&self, progress: f64) -> f64 {
        let t = if self.share > 0.0 { (progress / self.share).min(1.0) } else { 1.0 };
        self.from + (self.to - self.from) * t
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_is_linear_then_constant() {
        let schedule = Schedule { from: 1.0, to: 0.0, share: 0.5 };
        assert_eq!([0.0, 0.25, 0.5, 1.0].map(|p| schedule.at(p)), [1.0, 0.5, 0.0, 0.0]);
    }
}
