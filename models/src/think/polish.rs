//! The plans next to a plan.

use super::account::Moves;
use crate::baselines::greedy::best_single_move::BestSingleMoveRules;
use crate::baselines::scan::{Scan, ValuedMove};
use godwit_envs::scenario::Mode;
use godwit_envs::state::ClusterState;

/// Moves that are looked at where one is added or takes the last one's place.
const MOST_MOVES: usize = 8;

/// The plans next to a plan, those that cost least to carry out first.
#[derive(Default)]
pub(super) struct Neighbours {
    pub moves: Vec<Moves>,
    scan: Scan,
    found: Vec<ValuedMove>,
}

impl Neighbours {
    /// Those of this plan. Not all of them are feasible.
    pub fn prepare(&mut self, state: &ClusterState, plan: &[(usize, usize)]) {
        self.moves.clear();
        for at in 0..plan.len() {
            let mut moves = plan.to_vec();
            moves.remove(at);
            self.moves.push(moves);
        }
        for at in 1..plan.len() {
            let mut moves = plan.to_vec();
            moves.swap(at - 1, at);
            self.moves.push(moves);
        }
        self.extend(state, plan);
        if let Some((_, before)) = plan.split_last() {
            self.extend(state, before);
        }
        for at in 0..plan.len() {
            for node in (0..state.spec.nodes()).filter(|&node| node != plan[at].1) {
                let mut moves = plan.to_vec();
                moves[at].1 = node;
                self.moves.push(moves);
            }
        }
    }

    /// The most valuable moves behind these.
    fn extend(&mut self, state: &ClusterState, before: &[(usize, usize)]) {
        let mut played = state.clone();
        for &(workload, destination) in before {
            if played.migrate(workload, destination).is_err() {
                return;
            }
            // As the account does: in a static world each move counts as a tick.
            if state.rules.episode.mode == Mode::Rebalance {
                played.start_tick();
            }
        }
        if played.moves_left == 0 {
            return;
        }
        self.scan.prepare(&played, BestSingleMoveRules::default().persistence);
        self.scan.best_of_each(&played, &mut self.found);
        self.found.sort_by(|a, b| b.gain.total_cmp(&a.gain));
        for added in self.found.iter().take(MOST_MOVES) {
            let mut moves = before.to_vec();
            moves.push((added.workload, added.destination));
            self.moves.push(moves);
        }
    }
}
