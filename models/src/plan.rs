//! Turns a policy's decisions into an ordered list of migrations that can be carried out.
//!
//! The policy decides on a scratch copy of the cluster until it stays or a limit is reached. The
//! moves keep their order and are grouped into waves: the moves of a wave may run at the same
//! time, and a wave starts when the one before it is complete. Within a wave every moved workload
//! holds its demand on source and destination alike, and still no destination exceeds its supply.
//!
//! In online scenarios a plan holds the moves of one tick.

mod waves;

use crate::policy::Policy;
use godwit_envs::constraints::Infeasible;
use godwit_envs::migration::MigrationCost;
use godwit_envs::objective::{LEVEL_TERMS, Term};
use godwit_envs::observation::LANES;
use godwit_envs::outlook::Tile;
use godwit_envs::scenario::Mode;
use godwit_envs::state::{Action, ClusterState};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Instant;
use waves::Waves;

/// What to migrate, in order, or why nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The migrations in order; waves ascend.
    pub moves: Vec<PlannedMove>,
    /// Number of waves.
    pub waves: u32,
    /// Why the plan ends where it ends.
    pub stop_reason: StopReason,
    /// Weighted level terms before the plan.
    pub objective_before: f32,
    /// Weighted level terms once every transfer of the plan is complete; costs not included.
    pub objective_after: f32,
}

/// One migration of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlannedMove {
    /// Workload index in the snapshot.
    pub workload: usize,
    /// The workload's name.
    pub workload_name: String,
    /// Index of the node it leaves.
    pub source: usize,
    /// That node's name.
    pub source_name: String,
    /// Index of the node it goes to.
    pub destination: usize,
    /// That node's name.
    pub destination_name: String,
    /// Decrease of the weighted objective (per tick in online scenarios) once this transfer is
    /// complete, given the moves before it; the cost is not taken off. May be negative for a move
    /// that makes room for a later one.
    pub predicted_gain: f32,
    /// Change of each level term, not weighted.
    pub change: LevelChange,
    /// Weighted cost of the migration: traffic and downtime.
    pub cost: f32,
    /// Traffic, GiB.
    pub moved_gib: f32,
    /// Expected length of the transfer, seconds, as the world model prices it.
    pub transfer_s: f32,
    /// Expected time in which the workload does not run, seconds.
    pub downtime_s: f32,
    /// Wave, from 0.
    pub wave: u32,
    /// What it is good for.
    pub reason: ReasonCode,
}

/// Change of each level term; units as in [`Term`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LevelChange {
    /// See [`Term::MaxLoad`].
    pub max_load: f32,
    /// See [`Term::Imbalance`].
    pub imbalance: f32,
    /// See [`Term::Overload`].
    pub overload: f32,
    /// See [`Term::Fragmentation`].
    pub fragmentation: f32,
    /// See [`Term::MachineReassignment`].
    #[serde(default, skip_serializing_if = "is_zero")]
    pub machine_reassignment: f32,
}

/// The weighted term that a move improves most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReasonCode {
    /// Mostly lowers the highest load.
    LowersMaxLoad,
    /// Mostly evens the loads out.
    LowersImbalance,
    /// Mostly takes demand off nodes that have too little supply.
    LowersOverload,
    /// Mostly completes deployable slots.
    LowersFragmentation,
    /// Mostly lowers the cost of the machine-reassignment problem.
    LowersMachineReassignment,
    /// Improves no weighted term by itself: it prepares later moves.
    MakesRoom,
}

/// Why a plan ends where it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// The policy prefers to move nothing more.
    PolicyStays,
    /// No migration is feasible any more.
    NoFeasibleMove,
    /// The scenario's budget (of the episode, or of this tick) is spent.
    BudgetSpent,
    /// As many moves as the caller asked for.
    MaxMoves,
    /// Time is up.
    Deadline,
    /// The policy chose a migration that is not allowed.
    InfeasibleChoice,
    /// The policy's moves would not have improved the objective by what they cost.
    NoGain,
    /// The policy's moves would have improved the objective by less than the operator asks for.
    GainBelowThreshold,
    /// Someone has halted all migrations; the policy was not asked.
    Halted,
    /// The snapshot is too doubtful, or the time is not right; the policy was not asked.
    Refused,
}

/// Plans from a state. `max_moves` caps the number of moves further than the state's own budget;
/// after `deadline` no further decision is begun.
///
/// In rebalance scenarios the plan is cut behind the move with which the objective, costs
/// included, is best: trailing moves that never paid off are not carried out.
pub fn plan(
    state: &ClusterState,
    policy: &mut dyn Policy,
    max_moves: u32,
    deadline: Option<Instant>,
) -> Plan {
    plan_within(state, policy, max_moves, deadline, &mut |_, _| {})
}

/// [`plan`], with `fence` called before each decision to set the fences of the state that the policy
/// sees, from the moves so far.
pub fn plan_within(
    state: &ClusterState,
    policy: &mut dyn Policy,
    max_moves: u32,
    deadline: Option<Instant>,
    fence: &mut dyn FnMut(&mut ClusterState, &[PlannedMove]),
) -> Plan {
    let mut draft = Draft::new(state);
    let stop_reason = draft.decide(policy, max_moves, deadline, fence);
    draft.finish(stop_reason)
}

struct Draft {
    /// What the policy sees.
    scratch: ClusterState,
    /// The same with the plan's transfers complete: what gains are measured on.
    settled: ClusterState,
    moves: Vec<PlannedMove>,
    waves: Waves,
    /// Level of `settled` after each move, `[1 + moves]`.
    levels: Vec<f32>,
}

impl Draft {
    fn new(state: &ClusterState) -> Self {
        Self {
            scratch: state.clone(),
            settled: state.clone(),
            moves: Vec::new(),
            waves: Waves::new(state),
            levels: vec![state.level()],
        }
    }

    fn decide(
        &mut self,
        policy: &mut dyn Policy,
        max_moves: u32,
        deadline: Option<Instant>,
        fence: &mut dyn FnMut(&mut ClusterState, &[PlannedMove]),
    ) -> StopReason {
        loop {
            fence(&mut self.scratch, &self.moves);
            if self.scratch.moves_left == 0 {
                return StopReason::BudgetSpent;
            }
            if self.moves.len() >= max_moves as usize {
                return StopReason::MaxMoves;
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return StopReason::Deadline;
            }
            let Action::Migrate { workload, destination } = policy.act(&self.scratch) else {
                return if has_feasible_move(&self.scratch) {
                    StopReason::PolicyStays
                } else {
                    StopReason::NoFeasibleMove
                };
            };
            if self.migrate(workload, destination).is_err() {
                return StopReason::InfeasibleChoice;
            }
        }
    }

    fn migrate(&mut self, workload: usize, destination: usize) -> Result<(), Infeasible> {
        self.scratch.check(workload, destination)?;
        let source = self.scratch.placement[workload] as usize;
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
        let wave = self.waves.add(&self.scratch, workload, source, destination);
        self.record(workload, source, destination, change, price, wave);
        Ok(())
    }

    fn record(
        &mut self,
        workload: usize,
        source: usize,
        destination: usize,
        change: [f32; LEVEL_TERMS],
        price: MigrationCost,
        wave: u32,
    ) {
        let state = &self.scratch;
        let spec = &*state.spec;
        let [max_load, imbalance, overload, fragmentation, ..] = change;
        let machine_reassignment = change[Term::MachineReassignment as usize];
        let levels = &self.levels;
        self.moves.push(PlannedMove {
            workload,
            workload_name: spec.workload_names[workload].clone(),
            source,
            source_name: spec.node_names[source].clone(),
            destination,
            destination_name: spec.node_names[destination].clone(),
            predicted_gain: levels[levels.len() - 2] - levels[levels.len() - 1],
            change: LevelChange {
                max_load,
                imbalance,
                overload,
                fragmentation,
                machine_reassignment,
            },
            cost: state.objective.value(&state.flow_terms(workload, &price)),
            moved_gib: price.moved_gib,
            transfer_s: price.transfer_s,
            downtime_s: price.downtime_s,
            wave,
            reason: reason(state, &change),
        });
    }

    fn finish(mut self, mut stop_reason: StopReason) -> Plan {
        if self.scratch.rules.episode.mode == Mode::Rebalance {
            let (mut kept, mut best, mut cost) = (0, self.levels[0], 0.0);
            for (at, planned) in self.moves.iter().enumerate() {
                cost += planned.cost;
                if self.levels[at + 1] + cost < best {
                    best = self.levels[at + 1] + cost;
                    kept = at + 1;
                }
            }
            if kept == 0 && !self.moves.is_empty() {
                stop_reason = StopReason::NoGain;
            }
            self.moves.truncate(kept);
        }
        Plan {
            waves: self.moves.last().map_or(0, |last| last.wave + 1),
            stop_reason,
            objective_before: self.levels[0],
            objective_after: self.levels[self.moves.len()],
            moves: self.moves,
        }
    }
}

fn is_zero(x: &f32) -> bool {
    *x == 0.0
}

fn reason(state: &ClusterState, change: &[f32; LEVEL_TERMS]) -> ReasonCode {
    let codes = [
        (Term::MaxLoad, ReasonCode::LowersMaxLoad),
        (Term::Imbalance, ReasonCode::LowersImbalance),
        (Term::Overload, ReasonCode::LowersOverload),
        (Term::Fragmentation, ReasonCode::LowersFragmentation),
        (Term::MachineReassignment, ReasonCode::LowersMachineReassignment),
    ];
    // A change below this is rounding.
    let (mut most, mut code) = (1e-5, ReasonCode::MakesRoom);
    for (term, candidate) in codes {
        let gain = -state.objective.weights[term as usize] * change[term as usize];
        if gain > most {
            (most, code) = (gain, candidate);
        }
    }
    code
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
#[path = "plan_tests.rs"]
mod tests;
