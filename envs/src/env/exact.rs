//! Exact values of small rebalance worlds, by enumerating every placement: what a learner that
//! works must reach. Time and memory grow as N^K x budget, so this is for tests and examples.

use crate::scenario::Mode;
use crate::state::term::{TERMS, Term};
use crate::state::{Action, ClusterState, full_budget};

/// Most (placement, moves left) pairs that are enumerated.
pub const MOST_STATES: usize = 4_000_000;

/// Why a world cannot be solved exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ExactError {
    /// Time passes: the state is more than a placement.
    #[error("exact values: expected a rebalance scenario, got an online one")]
    Online,
    /// A cooldown makes the state more than a placement and a budget.
    #[error("exact values: expected cooldown_ticks of at most 1, got {0}")]
    Cooldown(u32),
    /// Too many states.
    #[error("exact values: expected at most {MOST_STATES} states (N^K x budget), got more")]
    TooLarge,
}

/// The optimal values of every placement and every number of moves left.
#[derive(Debug, Clone)]
pub struct ExactValues {
    state: ClusterState,
    gamma: f64,
    /// Weighted objective of each placement, by its code.
    level: Vec<f64>,
    /// Optimal values `[moves left][placement]`.
    values: Vec<Vec<f64>>,
}

impl ExactValues {
    /// Solves the world that `state` is in, with its demands as they are. Each move takes one
    /// tick, so the second move of a plan is discounted by `gamma`; `Stay` and the last move of
    /// the budget end the episode.
    ///
    /// # Errors
    /// When the world is online, has cooldowns or is too large.
    pub fn solve(state: &ClusterState, gamma: f64) -> Result<Self, ExactError> {
        let rules = &state.rules;
        if rules.episode.mode != Mode::Rebalance {
            return Err(ExactError::Online);
        }
        // One tick passes with each move, so a cooldown of 1 is over when the next is chosen.
        if rules.limits.cooldown_ticks > 1 {
            return Err(ExactError::Cooldown(rules.limits.cooldown_ticks));
        }
        let budget = full_budget(rules) as usize;
        let placements = u32::try_from(state.spec.workloads())
            .ok()
            .and_then(|workloads| state.spec.nodes().checked_pow(workloads))
            .filter(|count| count.saturating_mul(budget + 1) <= MOST_STATES)
            .ok_or(ExactError::TooLarge)?;
        let mut state = state.clone();
        state.cooldown.fill(0);
        state.transfers.clear();
        let mut solved =
            Self { state, gamma, level: Vec::with_capacity(placements), values: Vec::new() };
        let mut moves: Vec<Vec<(u32, f32)>> = Vec::with_capacity(placements);
        for code in 0..placements {
            solved.stand_at(code);
            solved.level.push(f64::from(solved.state.level()));
            moves.push(solved.moves());
        }
        solved.values.push(vec![0.0; placements]);
        for left in 1..=budget {
            let next = &solved.values[left - 1];
            let values = (0..placements)
                .map(|code| {
                    let gain = |&(to, cost): &(u32, f32)| {
                        let to = to as usize;
                        solved.level[code] - solved.level[to] - f64::from(cost) + gamma * next[to]
                    };
                    // Staying is worth 0 and always allowed.
                    moves[code].iter().map(gain).fold(0.0, f64::max)
                })
                .collect();
            solved.values.push(values);
        }
        Ok(solved)
    }

    /// The optimal discounted return from a placement with this many moves left.
    pub fn value(&self, placement: &[u32], moves_left: u32) -> f64 {
        let left = (moves_left as usize).min(self.values.len() - 1);
        self.values[left][self.code(placement)]
    }

    /// The value of an action in `state` under optimal play after it; `None` where it is not
    /// allowed. `state` must be of the world that was solved.
    pub fn q(&self, state: &ClusterState, action: Action) -> Option<f64> {
        let Action::Migrate { workload, destination } = action else { return Some(0.0) };
        state.check(workload, destination).ok()?;
        let cost = state.migration_cost(workload, destination);
        let cost = state.objective.value(&state.flow_terms(workload, &cost));
        let mut placement = state.placement.clone();
        let before = self.level[self.code(&placement)];
        placement[workload] = destination as u32;
        let gain = before - self.level[self.code(&placement)] - f64::from(cost);
        Some(gain + self.gamma * self.value(&placement, state.moves_left - 1))
    }

    /// A placement as a number in base N.
    fn code(&self, placement: &[u32]) -> usize {
        let n = self.state.spec.nodes();
        placement.iter().rev().fold(0, |code, &node| code * n + node as usize)
    }

    fn stand_at(&mut self, code: usize) {
        let n = self.state.spec.nodes();
        let mut rest = code;
        for node in &mut self.state.placement {
            *node = (rest % n) as u32;
            rest /= n;
        }
        self.state.moves_left = 1;
        self.state.rebuild();
    }

    /// Where the allowed moves from the present placement lead, and what they cost.
    fn moves(&self) -> Vec<(u32, f32)> {
        let state = &self.state;
        let mut moves = Vec::new();
        let mut placement = state.placement.clone();
        for k in 0..state.spec.workloads() {
            for destination in 0..state.spec.nodes() {
                if state.check(k, destination).is_err() {
                    continue;
                }
                let cost = state.migration_cost(k, destination);
                let mut terms = [0.0; TERMS];
                terms[Term::MovedGib as usize] = cost.moved_gib;
                terms[Term::DowntimeS as usize] = cost.downtime_s * state.spec.priority[k];
                placement[k] = destination as u32;
                moves.push((self.code(&placement) as u32, state.objective.value(&terms)));
            }
            placement[k] = state.placement[k];
        }
        moves
    }
}
