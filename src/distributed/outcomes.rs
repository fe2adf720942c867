//! Validation episodes on their way between ranks.

use godwit_envs::state::term::{LEVEL_TERMS, TERMS};
use godwit_models::rollout::Outcome;

/// Numbers before the decision times: returns, terms, counts, and how many times follow.
const FIXED: usize = 1 + 2 * LEVEL_TERMS + TERMS + 4;

/// What the log reads of an outcome, as numbers.
pub(super) fn encode(outcome: &Outcome, out: &mut Vec<f64>) {
    out.push(outcome.episode_return);
    out.extend(outcome.level_terms_final.iter().map(|&value| f64::from(value)));
    out.extend(outcome.level_terms_mean.iter().map(|&value| f64::from(value)));
    out.extend(outcome.terms_paid);
    out.extend([f64::from(outcome.moves), outcome.moved_gib, outcome.downtime_s]);
    out.push(outcome.decision_seconds.len() as f64);
    out.extend(outcome.decision_seconds.iter().map(|&seconds| f64::from(seconds)));
}

/// Outcomes that [`encode`] wrote one after the other. The list of moves and the rewards per tick,
/// which no log reads, are left empty.
pub(super) fn decode(mut numbers: &[f64]) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    while numbers.len() >= FIXED {
        let mut next = || {
            let (first, rest) = numbers.split_at(1);
            numbers = rest;
            first[0]
        };
        let mut outcome = Outcome { episode_return: next(), ..Outcome::default() };
        outcome.level_terms_final = std::array::from_fn(|_| next() as f32);
        outcome.level_terms_mean = std::array::from_fn(|_| next() as f32);
        outcome.terms_paid = std::array::from_fn(|_| next());
        outcome.moves = next() as u32;
        outcome.moved_gib = next();
        outcome.downtime_s = next();
        let times = (next() as usize).min(numbers.len());
        let (seconds, rest) = numbers.split_at(times);
        outcome.decision_seconds = seconds.iter().map(|&seconds| seconds as f32).collect();
        numbers = rest;
        outcomes.push(outcome);
    }
    outcomes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_come_back_to_the_bit() {
        let outcome = |x: f64, times: usize| Outcome {
            episode_return: x / 3.0,
            level_terms_final: [x as f32 / 7.0; LEVEL_TERMS],
            level_terms_mean: [x as f32 / 9.0; LEVEL_TERMS],
            terms_paid: [x / 11.0; TERMS],
            moves: 3,
            moved_gib: x / 13.0,
            downtime_s: x / 17.0,
            decision_seconds: vec![1e-6; times],
            ..Outcome::default()
        };
        let outcomes = vec![outcome(1.0, 3), outcome(-2.0, 0), outcome(5.0, 1)];
        let mut numbers = Vec::new();
        outcomes.iter().for_each(|outcome| encode(outcome, &mut numbers));
        assert_eq!(decode(&numbers), outcomes);
    }
}
