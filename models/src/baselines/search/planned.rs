//! Plays the way to a placement that was searched for, move by move: what the planning baselines
//! share.
//!
//! 1. A plan is made anew where none is remembered or the cluster is not as the plan expects it;
//!    online also with every tick.
//! 2. The moves to the placement are ordered: of those that are feasible in their turn the most
//!    valuable is made next. Where none is, online, transfers end and a tick passes, as long as
//!    the plan may look ahead; what never becomes feasible is dropped.
//! 3. Of that order the start of the highest value is kept, if it is worth more than the least
//!    gain of its moves; online of that only what is made in this tick. Otherwise nothing moves.
//!    Values count transfers as ended.
//!
//! Every plan ends at a lower weighted objective than it began with, so a static cluster comes to
//! rest. Only making a plan allocates.

use crate::baselines::scan::{tick_weights, value};
use crate::baselines::search::trial::{PlanRules, Trial};
use crate::deadline::Deadline;
use godwit_envs::scenario::Mode;
use godwit_envs::state::{Action, ClusterState};
use std::time::Duration;

/// A plan and where it stands.
#[derive(Debug, Clone, Default)]
pub struct Planned {
    /// Workload and destination, the next one last.
    plan: Vec<(usize, usize)>,
    /// Placement that the plan goes on from.
    expected: Vec<u32>,
    /// Tick that the plan was made at.
    tick: u32,
    /// Moves that wait for their turn.
    waiting: Vec<(usize, usize)>,
    /// How many ticks each outlook stands for.
    ticks: Vec<f32>,
    /// Time that a search may take.
    limit: Option<Duration>,
}

impl Planned {
    /// Forgets the plan.
    pub fn clear(&mut self) {
        self.plan.clear();
    }

    /// From now on each search may take so long.
    pub fn limit_time(&mut self, limit: Option<Duration>) {
        self.limit = limit;
    }

    /// The next move: of the plan, or of the one to the best placement that `search` notes.
    pub fn act(
        &mut self,
        state: &ClusterState,
        rules: PlanRules,
        search: impl FnOnce(&mut Trial),
    ) -> Action {
        if let Some(action) = self.resume(state) {
            return action;
        }
        let deadline = Deadline::after(self.limit);
        let mut trial = Trial::new(state, rules, deadline);
        if trial.can_move() {
            search(&mut trial);
            self.tick = state.tick;
            self.expected.clone_from(&state.placement);
            self.plan_moves(state, rules, &trial.best_placement);
        }
        self.resume(state).unwrap_or(Action::Stay)
    }

    /// The next move of the plan, if the cluster is as expected.
    fn resume(&mut self, state: &ClusterState) -> Option<Action> {
        let online = state.rules.episode.mode == Mode::Online;
        if self.expected != state.placement || (online && self.tick != state.tick) {
            self.plan.clear();
        }
        let (workload, destination) = self.plan.pop()?;
        if state.check(workload, destination).is_err() {
            self.plan.clear();
            return None;
        }
        self.expected[workload] = destination as u32;
        Some(Action::Migrate { workload, destination })
    }

    /// Rules 2 and 3.
    fn plan_moves(&mut self, state: &ClusterState, rules: PlanRules, goal: &[u32]) {
        self.plan.clear();
        self.plan.extend(order(state, rules, goal, &mut self.waiting, &mut self.ticks).0);
        self.plan.reverse();
    }
}

/// The moves to a placement that are worth making now, in order, and the value of the plan that
/// they start.
pub(crate) fn order(
    state: &ClusterState,
    rules: PlanRules,
    goal: &[u32],
    waiting: &mut Vec<(usize, usize)>,
    ticks: &mut Vec<f32>,
) -> (Vec<(usize, usize)>, f32) {
    let mut made = Vec::new();
    waiting.clear();
    for (k, (&to, &from)) in goal.iter().zip(&state.placement).enumerate() {
        if to != from && state.may_leave(k).is_ok() {
            waiting.push((k, to as usize));
        }
    }
    tick_weights(state, rules.single.persistence, ticks);
    let surcharge = rules.single.least_gain(state);
    let episode = &state.rules.episode;
    let mut ahead = if episode.mode == Mode::Online { rules.ahead_ticks } else { 0 };
    // One is as the cluster will be, the other as if every transfer ended at once: what moves are
    // worth is what they leave behind.
    let mut played = state.clone();
    let mut settled = state.clone();
    settled.moves_left = u32::MAX;
    settled.run_transfers(f32::MAX);
    // Moves of this tick, of the best start of the order, and what that is worth.
    let (mut now, mut keep, mut best, mut total) = (usize::MAX, 0, 0.0, 0.0);
    while !waiting.is_empty() {
        let mut next: Option<(usize, f32)> = None;
        for (at, &(k, to)) in waiting.iter().enumerate() {
            if played.check(k, to).is_ok() {
                let value = value(&settled, ticks, k, to);
                if next.is_none_or(|(_, most)| value > most) {
                    next = Some((at, value));
                }
            }
        }
        if let Some((at, value)) = next {
            let (k, to) = waiting.remove(at);
            if played.migrate(k, to).and(settled.migrate(k, to)).is_err() {
                break;
            }
            settled.run_transfers(f32::MAX);
            made.push((k, to));
            total += value - surcharge;
            if total > best {
                (best, keep) = (total, made.len());
            }
        } else if ahead > 0 {
            ahead -= 1;
            now = now.min(made.len());
            played.run_transfers(episode.tick_s);
            played.start_tick();
        } else {
            break;
        }
    }
    made.truncate(keep.min(now));
    (made, best)
}
