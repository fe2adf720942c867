//! Whether the policy still earns what it predicts: the record of its evaluated plans, and the
//! demotion that follows from a bad one.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use schemars::JsonSchema;
use serde::Serialize;

/// When a policy is demoted.
#[derive(Debug, Clone, Copy)]
pub struct Demotion {
    /// Evaluated plans that are looked at, the latest ones; 0 for never.
    pub window: u32,
    /// Largest share of the predicted gains that may be missed.
    pub most_missed: f64,
}

/// How the artifact that decides now has done.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct Standing {
    /// Evaluated plans that are looked at, the latest ones.
    pub evaluations: usize,
    /// Predicted minus realised gains, as a share of the predicted ones; below 0 where more came out
    /// than was predicted.
    pub missed_share: f64,
    /// Whether the fallback plans instead.
    pub demoted: bool,
}

/// The record of the artifact that decides now.
#[derive(Debug)]
pub struct Drift {
    rule: Demotion,
    record: Mutex<Record>,
}

#[derive(Debug, Default)]
struct Record {
    /// Predicted and realised gain of each plan, the oldest first.
    gains: VecDeque<(f64, f64)>,
    demoted: bool,
}

impl Drift {
    /// A policy without a record.
    pub fn new(rule: Demotion) -> Self {
        Self { rule, record: Mutex::default() }
    }

    /// Whether the policy is demoted.
    pub fn is_demoted(&self) -> bool {
        self.record().demoted
    }

    /// A plan of the policy was evaluated; gives where it stands now, and whether this demoted it.
    pub fn evaluated(&self, predicted: f64, realised: f64) -> (Standing, bool) {
        let mut record = self.record();
        record.gains.push_back((predicted, realised));
        // A service that demotes nobody still tells the standing of the last plans.
        let window = if self.rule.window == 0 { 20 } else { self.rule.window as usize };
        if record.gains.len() > window {
            record.gains.pop_front();
        }
        let full = self.rule.window > 0 && record.gains.len() == window;
        let fails = full && record.missed_share() > self.rule.most_missed;
        let demoted_now = fails && !record.demoted;
        record.demoted |= fails;
        (record.standing(), demoted_now)
    }

    /// Where the policy stands.
    pub fn standing(&self) -> Standing {
        self.record().standing()
    }

    /// The policy decides (again), without a record.
    pub fn clear(&self) {
        *self.record() = Record::default();
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        // A record is whole after each statement that changes it.
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Record {
    /// Sums, not a mean of ratios: a plan that predicts next to nothing must not decide.
    fn missed_share(&self) -> f64 {
        let missed: f64 = self.gains.iter().map(|(predicted, realised)| predicted - realised).sum();
        let predicted: f64 = self.gains.iter().map(|(predicted, _)| predicted.abs()).sum();
        if predicted > 0.0 { missed / predicted } else { 0.0 }
    }

    fn standing(&self) -> Standing {
        Standing {
            evaluations: self.gains.len(),
            missed_share: self.missed_share(),
            demoted: self.demoted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_that_misses_its_gains_is_demoted_once_the_window_is_full() {
        let drift = Drift::new(Demotion { window: 3, most_missed: 0.5 });
        assert_eq!(drift.evaluated(2.0, 0.0).0.missed_share, 1.0);
        assert!(!drift.evaluated(2.0, 2.0).1);
        // (2 + 0 + 1) missed of 2 + 2 + 1: 0.6.
        let (standing, demoted_now) = drift.evaluated(1.0, 0.0);
        assert_eq!(standing, Standing { evaluations: 3, missed_share: 0.6, demoted: true });
        assert!(demoted_now && drift.is_demoted());
        // Demoted once, and until someone says otherwise.
        assert!(!drift.evaluated(1.0, 9.0).1 && drift.is_demoted());
        drift.clear();
        assert!(!drift.is_demoted());
        assert_eq!(drift.standing().evaluations, 0);
    }

    #[test]
    fn old_plans_are_forgotten_and_a_good_record_stays() {
        let drift = Drift::new(Demotion { window: 2, most_missed: 0.5 });
        for (predicted, realised) in [(1.0, 0.1), (1.0, 1.2), (-0.5, 1.0), (2.0, 1.1)] {
            assert!(!drift.evaluated(predicted, realised).1);
        }
        // -1.5 and 0.9 missed of 0.5 + 2.
        assert!((drift.standing().missed_share + 0.24).abs() < 1e-12);
    }

    #[test]
    fn with_a_window_of_none_nobody_is_demoted() {
        let drift = Drift::new(Demotion { window: 0, most_missed: 0.5 });
        assert!((0..50).all(|_| !drift.evaluated(1.0, -1.0).1));
        assert_eq!(drift.standing().missed_share, 2.0);
    }
}
