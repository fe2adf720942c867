//! A plan while it is being made: the moves so far, and the states that they lead to.

use crate::duties::{self, Duty};
use crate::plan::document::{LaterMove, LevelChange, Method, PlannedMove, ReasonCode, StopReason};
use crate::plan::held::held;
use crate::plan::reach::{Fencing, Reach, tick_end_s};
use crate::plan::waves::{Turn, Waves};
use crate::policy::Policy;
use godwit_envs::lanes::LANES;
use godwit_envs::scenario::Mode;
use godwit_envs::state::migration::MigrationCost;
use godwit_envs::state::outlook::Tile;
use godwit_envs::state::term::{LEVEL_TERMS, Term};
use godwit_envs::state::{Action, ClusterState, Infeasible};
use std::time::Instant;

/// A plan while it is being made.
#[derive(Clone)]
pub(super) struct Draft {
    /// What the policy sees.
    pub scratch: ClusterState,
    /// The same with the plan's transfers complete: what gains are measured on.
    pub settled: ClusterState,
    pub moves: Vec<PlannedMove>,
    pub waves: Waves,
    /// Level of `settled` after each move, `[1 + moves]`.
    pub levels: Vec<f32>,
    /// The objective held over the payback time after each move, `[1 + moves]`.
    pub held: Vec<f64>,
    /// Whether each move is made whatever it costs, `[moves]`.
    pub due: Vec<bool>,
    /// Ticks within which moves have to pay.
    pub payback_ticks: u32,
    /// Whether moves were taken off the end, so that the states are those of another plan.
    pub is_cut: bool,
    /// How the last moves, behind the last chain, come to be worth their costs.
    pub continuation: Option<Continuation>,
    /// When every move of the plan expires.
    pub expires_s: Option<f32>,
}

/// How a chain goes on.
#[derive(Debug, Clone)]
pub(super) struct Continuation {
    /// Its moves in later ticks.
    pub later: Vec<LaterMove>,
    /// What the whole chain is worth.
    pub worth: f64,
}

impl Draft {
    pub(super) fn new(state: &ClusterState, expires_s: Option<f32>, payback_ticks: u32) -> Self {
        let ends = [expires_s, tick_end_s(&state.rules)];
        Self {
            scratch: state.clone(),
            settled: state.clone(),
            moves: Vec::new(),
            waves: Waves::new(state),
            levels: vec![state.level()],
            held: vec![held(state, payback_ticks)],
            due: Vec::new(),
            payback_ticks,
            is_cut: false,
            continuation: None,
            expires_s: ends.into_iter().flatten().reduce(f32::min),
        }
    }

    pub(super) fn decide(
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
    pub(super) fn migrate(
        &mut self,
        workload: usize,
        destination: usize,
    ) -> Result<bool, Infeasible> {
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
        self.held.push(held(&self.scratch, self.payback_ticks));
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
            after: Vec::new(),
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
    pub(super) fn truncate(&mut self, moves: usize) {
        self.is_cut |= moves < self.moves.len();
        self.moves.truncate(moves);
        self.due.truncate(moves);
        self.levels.truncate(moves + 1);
        self.held.truncate(moves + 1);
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
