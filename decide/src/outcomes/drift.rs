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
    /// Largest share of the predicted gains that may be missed; also of plans that gain no more than
    /// they cost, and of moves that bring workloads back.
    pub most_missed: f64,
}

/// What a plan came to.
#[derive(Debug, Clone, Copy, Default)]
pub struct Outcome {
    /// Gain that was predicted of the moves that were carried out, and of those that were to be and
    /// failed, held over the time that it is taken to last; costs not taken off.
    pub predicted: f64,
    /// What came of it, held as long.
    pub realised: f64,
    /// The same, less what the moves cost.
    pub net: f64,
    /// Those moves.
    pub moves: usize,
    /// How many of them brought a workload back.
    pub returns: usize,
}

/// How the artifact that decides now has done.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct Standing {
    /// Evaluated plans that are looked at, the latest ones.
    pub evaluations: usize,
    /// Predicted minus realised gains, as a share of the predicted ones; below 0 where more came out
    /// than was predicted.
    pub missed_share: f64,
    /// Share of the plans whose gain, for as long as it is taken to last, was no more than their
    /// cost.
    pub worthless_share: f64,
    /// Share of the moves that brought a workload back to a node that it had left a short while ago.
    pub return_share: f64,
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
    /// What each plan came to, the oldest first.
    plans: VecDeque<Outcome>,
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
    pub fn evaluated(&self, outcome: Outcome) -> (Standing, bool) {
        let mut record = self.record();
        record.plans.push_back(outcome);
        // A service that demotes nobody still tells the standing of the last plans.
        let window = if self.rule.window == 0 { 20 } else { self.rule.window as usize };
        if record.plans.len() > window {
            record.plans.pop_front();
        }
        let full = self.rule.window > 0 && record.plans.len() == window;
        let Standing { missed_share, worthless_share, return_share, .. } = record.standing();
        let worst = missed_share.max(worthless_share).max(return_share);
        let fails = full && worst > self.rule.most_missed;
        let demoted_now = fails && !record.demoted;
        record.demoted |= fails;
        (record.standing(), demoted_now)
    }

    /// The policy was demoted before, as is known from elsewhere.
    pub fn demote(&self) {
        self.record().demoted = true;
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
        let missed: f64 = self.plans.iter().map(|plan| plan.predicted - plan.realised).sum();
        let predicted: f64 = self.plans.iter().map(|plan| plan.predicted.abs()).sum();
        if predicted > 0.0 { missed / predicted } else { 0.0 }
    }

    /// A plan that predicts nothing and gains nothing misses nothing, and is worthless.
    fn worthless_share(&self) -> f64 {
        // Less is rounding.
        let worthless = self.plans.iter().filter(|plan| plan.net <= 1e-6).count();
        worthless as f64 / self.plans.len().max(1) as f64
    }

    fn return_share(&self) -> f64 {
        let of_all = |count: fn(&Outcome) -> usize| self.plans.iter().map(count).sum::<usize>();
        of_all(|plan| plan.returns) as f64 / of_all(|plan| plan.moves).max(1) as f64
    }

    fn standing(&self) -> Standing {
        Standing {
            evaluations: self.plans.len(),
            missed_share: self.missed_share(),
            worthless_share: self.worthless_share(),
            return_share: self.return_share(),
            demoted: self.demoted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A plan of one move that cost nothing.
    fn came_to(predicted: f64, realised: f64) -> Outcome {
        Outcome { predicted, realised, net: realised, moves: 1, returns: 0 }
    }

    #[test]
    fn a_policy_that_misses_its_gains_is_demoted_once_the_window_is_full() {
        let drift = Drift::new(Demotion { window: 3, most_missed: 0.5 });
        assert_eq!(drift.evaluated(came_to(2.0, 0.1)).0.missed_share, 0.95);
        assert!(!drift.evaluated(came_to(2.0, 1.9)).1);
        // (1.9 + 0.1 + 1) missed of 2 + 2 + 1: 0.6.
        let (standing, demoted_now) = drift.evaluated(came_to(1.0, 0.0));
        assert!((standing.missed_share - 0.6).abs() < 1e-12, "{standing:?}");
        assert!(standing.worthless_share < 0.5 && standing.demoted);
        assert!(demoted_now && drift.is_demoted());
        // Demoted once, and until someone says otherwise.
        assert!(!drift.evaluated(came_to(1.0, 9.0)).1 && drift.is_demoted());
        drift.clear();
        assert!(!drift.is_demoted());
        assert_eq!(drift.standing().evaluations, 0);
    }

    #[test]
    fn old_plans_are_forgotten_and_a_good_record_stays() {
        let drift = Drift::new(Demotion { window: 2, most_missed: 0.5 });
        for (predicted, realised) in [(1.0, 0.1), (1.0, 1.2), (-0.5, 1.0), (2.0, 1.1)] {
            assert!(!drift.evaluated(came_to(predicted, realised)).1);
        }
        // -1.5 and 0.9 missed of 0.5 + 2.
        assert!((drift.standing().missed_share + 0.24).abs() < 1e-12);
    }

    #[test]
    fn plans_that_predict_nothing_and_gain_nothing_are_worthless() {
        let drift = Drift::new(Demotion { window: 3, most_missed: 0.5 });
        // The gain is more than nothing, and less than the cost.
        let dear = Outcome { predicted: 0.01, realised: 0.01, net: -0.2, moves: 1, returns: 0 };
        for (outcome, demoted) in
            [(came_to(0.0, 0.0), false), (came_to(1.0, 1.0), false), (dear, true)]
        {
            assert_eq!(drift.evaluated(outcome).1, demoted);
        }
        let standing = drift.standing();
        assert_eq!((standing.missed_share, standing.worthless_share), (0.0, 2.0 / 3.0));
    }

    #[test]
    fn moves_that_bring_workloads_back_count() {
        let drift = Drift::new(Demotion { window: 2, most_missed: 0.5 });
        let plan = |moves, returns| Outcome { moves, returns, ..came_to(1.0, 1.0) };
        assert!(!drift.evaluated(plan(4, 2)).1);
        // 5 of 8.
        let (standing, demoted_now) = drift.evaluated(plan(4, 3));
        assert!(demoted_now && standing.return_share == 0.625, "{standing:?}");
    }

    #[test]
    fn with_a_window_of_none_nobody_is_demoted() {
        let drift = Drift::new(Demotion { window: 0, most_missed: 0.5 });
        assert!((0..50).all(|_| !drift.evaluated(came_to(1.0, -1.0)).1));
        assert_eq!(drift.standing().missed_share, 2.0);
    }
}
