//! Turns a policy's decisions into an ordered list of migrations that can be carried out.
//!
//! The policy decides on a scratch copy of the cluster until it stays or a limit is reached. The
//! moves keep their order and are grouped into waves: the moves of a wave may run at the same
//! time, and a wave starts when the one before it is complete. Within a wave every moved workload
//! holds its demand on source and destination alike, and still no destination exceeds its supply.
//!
//! In online scenarios a plan holds the moves of one tick.

mod ahead;
mod document;
mod routes;
mod waves;
mod worth;

pub use ahead::LaterMove;
pub use document::{LevelChange, Method, Plan, PlannedMove, ReasonCode, StopReason};

use crate::duties::{self, Duty};
use crate::policy::Policy;
use ahead::Continuation;
use godwit_envs::lanes::LANES;
use godwit_envs::scenario::{Mode, Rules};
use godwit_envs::state::Infeasible;
use godwit_envs::state::migration::MigrationCost;
use godwit_envs::state::objective::{LEVEL_TERMS, Term};
use godwit_envs::state::outlook::Tile;
use godwit_envs::state::{Action, ClusterState};
use std::time::Instant;
use waves::{Turn, Waves};
use worth::{Chain, End};

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

/// Sets the fences of the state that decisions are made on, from the moves so far.
pub type Fencing<'a> = dyn FnMut(&mut ClusterState, &[PlannedMove]) + 'a;

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
        return draft.finish(stop_reason);
    }
}

#[derive(Clone)]
struct Draft {
    /// What the policy sees.
    scratch: ClusterState,
    /// The same with the plan's transfers complete: what gains are measured on.
    settled: ClusterState,
    moves: Vec<PlannedMove>,
    waves: Waves,
    /// Level of `settled` after each move, `[1 + moves]`.
    levels: Vec<f32>,
    /// The objective held over the payback time after each move, `[1 + moves]`.
    held: Vec<f64>,
    /// Whether each move is made whatever it costs, `[moves]`.
    due: Vec<bool>,
    /// Ticks within which moves have to pay.
    payback_ticks: u32,
    /// Whether moves were taken off the end, so that the states are those of another plan.
    is_cut: bool,
    /// How the last moves, behind the last chain, come to be worth their costs.
    continuation: Option<Continuation>,
    /// When every move of the plan expires.
    expires_s: Option<f32>,
}

impl Draft {
    fn new(state: &ClusterState, expires_s: Option<f32>, payback_ticks: u32) -> Self {
        let ends = [expires_s, tick_end_s(&state.rules)];
        Self {
            scratch: state.clone(),
            settled: state.clone(),
            moves: Vec::new(),
            waves: Waves::new(state),
            levels: vec![state.level()],
            held: vec![worth::held(state, payback_ticks)],
            due: Vec::new(),
            payback_ticks,
            is_cut: false,
            continuation: None,
            expires_s: ends.into_iter().flatten().reduce(f32::min),
        }
    }

    fn decide(
        &mut self,
        policy: &mut dyn Policy,
        reach: Reach,
        fence: &mut Fencing<'_>,
    ) -> StopReason {
        loop {
            fence(&mut self.scratch, &self.moves);
            if self.scratch.moves_left == 0 {
                return StopReason::BudgetSpent;
            }
            if self.moves.len() >= reach.max_moves as usize {
                return StopReason::MaxMoves;
            }
            if reach.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return StopReason::Deadline;
            }
            let Action::Migrate { workload, destination } = policy.act(&self.scratch) else {
                return if has_feasible_move(&self.scratch) {
                    StopReason::PolicyStays
                } else {
                    StopReason::NoFeasibleMove
                };
            };
            match self.migrate(workload, destination) {
                Ok(true) => {}
                Ok(false) => return StopReason::OutOfTime,
                Err(_) => return StopReason::InfeasibleChoice,
            }
        }
    }

    /// Adds a move; `false` if it could start only when it has expired, and then adds nothing.
    fn migrate(&mut self, workload: usize, destination: usize) -> Result<bool, Infeasible> {
        self.scratch.check(workload, destination)?;
        let source = self.scratch.placement[workload] as usize;
        let transfer_s = self.scratch.migration_cost(workload, destination).transfer_s;
        let turn = self.waves.add(&self.scratch, workload, source, destination, transfer_s);
        if self.expires_s.is_some_and(|expires_s| turn.start_s >= expires_s) {
            return Ok(false);
        }
        let duty = self.duty(workload, destination);
        let price = self.scratch.migrate(workload, destination)?;
        if self.scratch.rules.episode.mode == Mode::Rebalance {
            // As the environment does: each move counts as a tick.
            self.scratch.start_tick();
        }
        let before = self.settled.level_terms();
        let cost_before = self.settled.reassignment_cost();
        self.settled.placement[workload] = destination as u32;
        self.settled.rebuild();
        let after = self.settled.level_terms();
        self.levels.push(self.settled.level());
        let mut change = [0.0; LEVEL_TERMS];
        for (change, (after, before)) in change.iter_mut().zip(after.iter().zip(before)) {
            *change = after - before;
        }
        change[Term::MachineReassignment as usize] =
            (self.settled.reassignment_cost() - cost_before) as f32;
        self.record(workload, [source, destination], &change, duty, price, turn);
        self.held.push(worth::held(&self.scratch, self.payback_ticks));
        self.due.push(duty.is_some());
        Ok(true)
    }

    fn record(
        &mut self,
        workload: usize,
        [source, destination]: [usize; 2],
        change: &[f32; LEVEL_TERMS],
        duty: Option<Duty>,
        price: MigrationCost,
        turn: Turn,
    ) {
        let state = &self.scratch;
        let spec = &*state.spec;
        let levels = &self.levels;
        self.moves.push(PlannedMove {
            workload,
            workload_name: spec.workload_names[workload].clone(),
            source,
            source_name: spec.node_names[source].clone(),
            destination,
            destination_name: spec.node_names[destination].clone(),
            predicted_gain: levels[levels.len() - 2] - levels[levels.len() - 1],
            change: LevelChange::new(change),
            cost: state.objective.value(&state.flow_terms(workload, &price)),
            moved_gib: price.moved_gib,
            transfer_s: price.transfer_s,
            downtime_s: price.downtime_s,
            wave: turn.wave,
            earliest_start_s: turn.start_s,
            expires_s: self.expires_s,
            method: Method::of(state, source),
            reason: match duty {
                Some(Duty::Evacuates) => ReasonCode::Evacuates,
                Some(Duty::Repairs) => ReasonCode::Repairs,
                None => ReasonCode::of(&state.objective, change),
            },
        });
    }

    /// Why this migration is made whatever it costs, if it is. Where the objective prices overload,
    /// what lowers it has to pay as everything else does, if the node has any supply at all.
    fn duty(&self, workload: usize, destination: usize) -> Option<Duty> {
        let state = &self.scratch;
        let source = state.placement[workload] as usize;
        duties::purpose(state, workload, destination).filter(|duty| {
            *duty == Duty::Evacuates
                || !state.objective.uses(Term::Overload)
                || duties::breaks_placement(state, workload, source)
        })
    }

    /// Leaves the first moves, to be told of: no more can be added.
    fn truncate(&mut self, moves: usize) {
        self.is_cut |= moves < self.moves.len();
        self.moves.truncate(moves);
        self.due.truncate(moves);
        self.levels.truncate(moves + 1);
        self.held.truncate(moves + 1);
    }

    fn finish(mut self, stop_reason: StopReason) -> Plan {
        let found = self.chains();
        worth::give_reasons(&mut self.moves, &found);
        let (later, further) = match self.continuation {
            Some(Continuation { later, worth }) => (later, worth),
            None => (Vec::new(), 0.0),
        };
        Plan {
            waves: self.moves.last().map_or(0, |last| last.wave + 1),
            stop_reason,
            objective_before: self.levels[0],
            objective_after: self.levels[self.moves.len()],
            worth: (found.worth + further) as f32,
            later,
            payback_ticks: match self.scratch.rules.episode.mode {
                Mode::Online => Some(self.payback_ticks),
                Mode::Rebalance => None,
            },
            moves: self.moves,
        }
    }
}

fn has_feasible_move(state: &ClusterState) -> bool {
    let spec = &*state.spec;
    let mut tile = Tile::default();
    (0..spec.padded_nodes()).step_by(LANES).any(|first| {
        state.now.tile_of_block(spec, first, &mut tile);
        (0..spec.workloads())
            .any(|k| state.may_leave(k).is_ok() && state.open_lanes(k, &tile).contains(&true))
    })
}

#[cfg(test)]
#[path = "plan_simulation_tests.rs"]
pub(crate) mod simulation_tests;
#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
#[cfg(test)]
#[path = "plan_times_tests.rs"]
mod times_tests;
