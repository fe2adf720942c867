//! What a plan came to, and what of that says something about whoever planned.

use godwit_envs::state::ClusterState;
use godwit_models::plan::{PlannedMove, ReasonCode};

use super::drift::Outcome;
use super::evaluation::MoveStatus;
use super::undone::{Undone, undone};

/// What some moves of a plan came to.
#[derive(Debug)]
pub struct CameTo {
    /// Those that were made.
    pub undone: Undone,
    /// Those that failed, were cancelled or timed out.
    pub not_made: usize,
    /// Those of both kinds that brought, or were to bring, a workload back.
    pub returns: usize,
    /// Gain that was predicted of both kinds.
    pub predicted_gain: f32,
    /// Cost of the moves that were begun.
    pub cost: f32,
}

impl CameTo {
    /// What became of all moves, given the cluster as it is afterwards. `fates` has one for each move,
    /// `None` where nothing is known of it; `returning` are the positions of moves that bring a
    /// workload back to a node that it left a short while ago.
    pub fn all(
        state: &ClusterState,
        moves: &[PlannedMove],
        fates: &[Option<MoveStatus>],
        returning: &[usize],
    ) -> Self {
        Self::of(state, moves, fates, returning, |_| true)
    }

    /// The same of the moves that the planner was free to make or not. Moves off a node that closes,
    /// and those that mend a broken rule, are made whatever they gain: they say nothing of a policy.
    pub fn chosen(
        state: &ClusterState,
        moves: &[PlannedMove],
        fates: &[Option<MoveStatus>],
        returning: &[usize],
    ) -> Self {
        let is_due = |of: &PlannedMove| {
            matches!(of.reason, ReasonCode::Evacuates | ReasonCode::Repairs)
        };
        Self::of(state, moves, fates, returning, |planned| !is_due(planned))
    }

    fn of(
        state: &ClusterState,
        moves: &[PlannedMove],
        fates: &[Option<MoveStatus>],
        returning: &[usize],
        counts: impl Fn(&PlannedMove) -> bool,
    ) -> Self {
        let fate = |at: usize| fates[at].filter(|_| counts(&moves[at]));
        let made: Vec<bool> =
            (0..moves.len()).map(|at| fate(at) == Some(MoveStatus::Done)).collect();
        let undone = undone(state, moves, &made);
        let mut came_to =
            Self { predicted_gain: undone.predicted_gain, undone, not_made: 0, returns: 0, cost: 0.0 };
        for (at, planned) in moves.iter().enumerate() {
            let was_made = came_to.undone.moves.contains(&at);
            let failed = fate(at).filter(|status| *status != MoveStatus::Done);
            if failed.is_some() {
                came_to.not_made += 1;
                came_to.predicted_gain += planned.predicted_gain;
            }
            if was_made || failed.is_some_and(|status| status != MoveStatus::Cancelled) {
                came_to.cost += planned.cost;
            }
            if (was_made || failed.is_some()) && returning.contains(&at) {
                came_to.returns += 1;
            }
        }
        came_to
    }

    /// The realised gain for so many ticks, less the cost.
    pub fn net_gain(&self, ticks: f32) -> f32 {
        self.undone.realised_gain * ticks - self.cost
    }

    /// What counts for the planner's record, where gains last so many ticks; `None` where no move of
    /// the plan came to anything.
    pub fn outcome(&self, ticks: f32) -> Option<Outcome> {
        let moves = self.undone.moves.len() + self.not_made;
        (moves > 0).then(|| Outcome {
            predicted: self.predicted_gain.into(),
            realised: self.undone.realised_gain.into(),
            net: self.net_gain(ticks).into(),
            moves,
            returns: self.returns,
        })
    }
}
