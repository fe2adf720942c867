//! Turns a policy's decisions into an ordered list of migrations that can be carried out.
//!
//! The policy decides on a scratch copy of the cluster until it stays or a limit is reached. The
//! moves keep their order and are grouped into waves: the moves of a wave may run at the same
//! time, and a wave starts when the one before it is complete. Within a wave every moved workload
//! holds its demand on source and destination alike, and still no destination exceeds its supply.
//! Each move also names the moves that it has to wait for, which are fewer than a wave's.
//!
//! In online scenarios a plan holds the moves of one tick.

mod after;
mod ahead;
mod document;
mod draft;
mod held;
mod reach;
mod routes;
#[cfg(test)]
pub(crate) mod tests;
mod waves;
mod worth;

pub use document::{LaterMove, LevelChange, Method, Plan, PlannedMove, ReasonCode, StopReason};
pub use held::held;
pub use reach::{Fencing, Reach, tick_end_s};

use crate::policy::Policy;
use draft::{Continuation, Draft};
use godwit_envs::scenario::Mode;
use godwit_envs::state::ClusterState;
use std::time::Instant;
use worth::{Chain, End};

/// Plans from a state. `max_moves` caps the number of moves further than the state's own budget;
/// after `deadline` no further decision is begun.
///
/// In rebalance scenarios the plan is cut behind the move with which the objective, costs
/// included, is best: trailing moves that never paid off are not carried out. And a workload that
/// it moves more than once goes straight to where it ends, where the constraints allow that.
pub fn plan(
    state: &ClusterState,
    policy: &mut dyn Policy,
    max_moves: u32,
    deadline: Option<Instant>,
) -> Plan {
    let reach = Reach { deadline, ..Reach::of(max_moves) };
    plan_within(state, policy, reach, &mut |_, _| {})
}

/// [`plan`], with `fence` called before each decision.
pub fn plan_within(
    state: &ClusterState,
    policy: &mut dyn Policy,
    reach: Reach,
    fence: &mut Fencing<'_>,
) -> Plan {
    let payback_ticks = reach.payback_ticks.unwrap_or(state.rules.limits.payback_ticks);
    let mut draft = Draft::new(state, reach.expires_s, payback_ticks);
    loop {
        let before = draft.moves.len();
        let stop_reason = draft.decide(policy, reach, fence);
        let decided = draft.moves.len();
        let mut found = draft.chains();
        let mut continuation = None;
        if found.end() < decided && stop_reason == StopReason::BudgetSpent {
            continuation = draft.go_on(found.end(), policy, reach.deadline, fence);
        }
        if let Some(continuation) = &continuation {
            found.chains.push(Chain { moves: found.end()..decided, end: End::GoesOn });
            found.worth += continuation.worth;
        }
        let kept = found.end();
        let enough = found.are_worth(f64::from(reach.min_gain_share) * draft.held[0]);
        draft = draft.worthwhile(state, &found, enough, fence);
        draft.continuation = continuation.filter(|_| enough);
        if draft.continuation.is_none()
            && let Some(shorter) = routes::shorten(state, &draft, fence)
        {
            draft = shorter;
        }
        let stop_reason = match stop_reason {
            _ if !enough => StopReason::GainBelowThreshold,
            StopReason::OutOfTime | StopReason::InfeasibleChoice => stop_reason,
            // Before the deadline: a plan that is made again without a clock says the same.
            _ if kept < decided => StopReason::NoGain,
            // Fewer moves come to the same: there is room for more.
            StopReason::BudgetSpent | StopReason::MaxMoves
                if !draft.is_cut
                    && draft.continuation.is_none()
                    && (before + 1..decided).contains(&draft.moves.len()) =>
            {
                continue;
            }
            _ => stop_reason,
        };
        return finish(state, draft, stop_reason);
    }
}

/// The plan that a draft comes to, told.
fn finish(state: &ClusterState, mut draft: Draft, stop_reason: StopReason) -> Plan {
    for (planned, after) in after::after(state, &draft.moves).into_iter().enumerate() {
        draft.moves[planned].after = after;
    }
    let found = draft.chains();
    worth::give_reasons(&mut draft.moves, &found);
    let (later, further) = match draft.continuation {
        Some(Continuation { later, worth }) => (later, worth),
        None => (Vec::new(), 0.0),
    };
    Plan {
        waves: draft.moves.last().map_or(0, |last| last.wave + 1),
        stop_reason,
        objective_before: draft.levels[0],
        objective_after: draft.levels[draft.moves.len()],
        worth: (found.worth + further) as f32,
        later,
        payback_ticks: match draft.scratch.rules.episode.mode {
            Mode::Online => Some(draft.payback_ticks),
            Mode::Rebalance => None,
        },
        moves: draft.moves,
    }
}
