//! What a plan came to, and what of that says something about whoever planned.

use godwit_envs::state::ClusterState;
use godwit_models::plan::{Plan, PlannedMove, ReasonCode};

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

/// A plan that is over, and what is known of its moves.
#[derive(Debug, Clone, Copy)]
pub struct Over<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// Positions of moves that bring a workload back to a node that it left a short while ago.
    pub returning: &'a [usize],
    /// What became of each move; `None` where nothing is known of it.
    pub fates: &'a [Option<MoveStatus>],
}

impl Over<'_> {
    /// What became of all moves, given the cluster as it is afterwards and the ticks that gains are
    /// taken to last.
    pub fn all(&self, state: &ClusterState, ticks: u32) -> CameTo {
        self.of(state, ticks, |_| true)
    }

    /// What counts for the planner's record: that of the moves that it was free to make or not. Moves
    /// off a node that closes, and those that mend a broken rule, are made whatever they gain, and say
    /// nothing of a policy. `None` where no move came to anything.
    ///
    /// Gains are held over the ticks that they are taken to last, predicted ones by the plan's worth,
    /// realised ones by the forecast of now. Where only some of the moves came to anything, their part
    /// of the worth is that of the changes that were predicted of them.
    pub fn outcome(&self, state: &ClusterState, ticks: u32) -> Option<Outcome> {
        let came_to = self.of(state, ticks, is_chosen);
        let moves = came_to.undone.moves.len() + came_to.not_made;
        if moves == 0 {
            return None;
        }
        let is_known = |at: usize| {
            came_to.undone.moves.contains(&at)
                || self.fates[at].is_some_and(|fate| fate != MoveStatus::Done)
        };
        let change = |planned: &PlannedMove| f64::from(planned.predicted_gain.abs());
        let (mut all, mut known, mut cost) = (0.0, 0.0, 0.0);
        let moves_of_plan = self.plan.moves.iter().enumerate();
        for (at, planned) in moves_of_plan.filter(|(_, planned)| is_chosen(planned)) {
            all += change(planned);
            known += if is_known(at) { change(planned) } else { 0.0 };
            cost += f64::from(planned.cost);
        }
        let part = if all > 0.0 { known / all } else { 1.0 };
        let realised = came_to.undone.held_gain;
        Some(Outcome {
            predicted: (f64::from(self.plan.worth) + cost) * part,
            realised,
            net: realised - f64::from(came_to.cost),
            moves,
            returns: came_to.returns,
        })
    }

    /// Positions of moves that were made and had better be undone, each by itself: what that gains,
    /// held over the ticks that gains are taken to last, is more than it costs. So it may be where
    /// moves were made for others that did not come about.
    pub fn better_undone(&self, state: &ClusterState, ticks: u32) -> Vec<usize> {
        let moves = &self.plan.moves;
        let made = |at: &usize| self.fates[*at] == Some(MoveStatus::Done);
        let is_better = |at: &usize| {
            let mut alone = vec![false; moves.len()];
            alone[*at] = true;
            let found = undone(state, moves, &alone, ticks);
            !found.moves.is_empty() && -found.held_gain > f64::from(moves[*at].cost)
        };
        (0..moves.len()).filter(made).filter(is_better).collect()
    }

    fn of(
        &self,
        state: &ClusterState,
        ticks: u32,
        counts: impl Fn(&PlannedMove) -> bool,
    ) -> CameTo {
        let moves = &self.plan.moves;
        let fate = |at: usize| self.fates[at].filter(|_| counts(&moves[at]));
        let made: Vec<bool> =
            (0..moves.len()).map(|at| fate(at) == Some(MoveStatus::Done)).collect();
        let undone = undone(state, moves, &made, ticks);
        let predicted_gain = undone.predicted_gain;
        let mut came_to = CameTo { undone, predicted_gain, not_made: 0, returns: 0, cost: 0.0 };
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
            if (was_made || failed.is_some()) && self.returning.contains(&at) {
                came_to.returns += 1;
            }
        }
        came_to
    }
}

impl CameTo {
    /// The gain held over the ticks that it is taken to last, less the cost.
    pub fn net_gain(&self) -> f32 {
        (self.undone.held_gain - f64::from(self.cost)) as f32
    }
}

/// Whether a move is one that need not have been made.
fn is_chosen(planned: &PlannedMove) -> bool {
    !matches!(planned.reason, ReasonCode::Evacuates | ReasonCode::Repairs)
}
