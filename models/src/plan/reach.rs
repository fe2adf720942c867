//! How far a plan may go, and what bounds it from outside.

use crate::plan::document::PlannedMove;
use godwit_envs::scenario::{Mode, Rules};
use godwit_envs::state::ClusterState;
use std::time::Instant;

/// How far a plan may go.
#[derive(Debug, Clone, Copy)]
pub struct Reach {
    /// Most moves, next to the state's own budget.
    pub max_moves: u32,
    /// No further decision is begun after this.
    pub deadline: Option<Instant>,
    /// Moves start before this, seconds after the snapshot; and before the end of the tick in
    /// online scenarios.
    pub expires_s: Option<f32>,
    /// Ticks within which moves have to pay; those of the rules where it is left out.
    pub payback_ticks: Option<u32>,
    /// Least share of the objective held over the payback time that the plan has to be worth; with
    /// 0 it must not lose.
    pub min_gain_share: f32,
}

impl Reach {
    /// As far as the policy goes in so many moves.
    pub fn of(max_moves: u32) -> Self {
        let (deadline, expires_s, payback_ticks, min_gain_share) = Default::default();
        Self { max_moves, deadline, expires_s, payback_ticks, min_gain_share }
    }
}

/// When the moves of a plan expire by the rules: with the tick in online scenarios, seconds after
/// the snapshot.
pub fn tick_end_s(rules: &Rules) -> Option<f32> {
    (rules.episode.mode == Mode::Online).then_some(rules.episode.tick_s)
}

/// Sets the fences of the state that decisions are made on, from the moves so far.
pub type Fencing<'a> = dyn FnMut(&mut ClusterState, &[PlannedMove]) + 'a;
