//! The best placement by mixed-integer programming, played as a sequence of moves.
//!
//! Rules:
//!
//! 1. At the first decision of an episode, and whenever the cluster is not as the plan left it,
//!    the placement of the lowest weighted objective, costs of the moves included, is solved for
//!    within the moves that are left ([`crate::milp`]). `imbalance` stands in as a mean absolute
//!    deviation.
//! 2. Where its moves cannot be made one after the other, workloads are parked on the way
//!    ([`crate::order`]) as far as the moves that are left allow that. It is then also solved for
//!    with the demand of moving workloads kept on their sources too, and the better plan counts.
//! 3. Of the ordered moves the start of the lowest objective is played move by move.
//! 4. Otherwise, and always in online scenarios, where a scenario's own terms have a weight and where
//!    workloads are counted by node or zone, stay: the program knows one placement, not what comes
//!    after it, and linear terms alone.
//!
//! Parameters: limits of a solve on time and size of the search tree, gap that counts as none.
//!
//! The same state leads to the same moves as long as the time limit is not reached.

use crate::milp::{Imbalance, Options, Solution, solve};
use crate::order::{MOST_BRANCHES, Move, Ordering, make, order_within};
use crate::policy::Policy;
use godwit_envs::scenario::Mode;
use godwit_envs::state::{Action, ClusterState};
use std::time::Duration;

/// Gains up to this share of the objective (or of 1, if that is more) are rounding.
const ROUNDING: f32 = 1e-5;

/// Plays the moves to the best placement.
#[derive(Debug, Clone)]
pub struct Milp {
    options: Options,
    /// Time for one decision, next to what the options say.
    limit: Option<Duration>,
    /// Whether this episode has been planned.
    planned: bool,
    /// The next move last.
    plan: Vec<Move>,
    /// Placement that the plan goes on from.
    expected: Vec<u32>,
}

impl Default for Milp {
    /// A search tree of 20 nodes, to within a tenth of a percent: about a second for ten nodes and
    /// fifty workloads. The time limit is out of the way, so that plans do not depend on speed.
    fn default() -> Self {
        Self::new(Options {
            time_limit: Duration::from_secs(60),
            node_limit: Some(20),
            relative_gap: 1e-3,
            ..Options::default()
        })
    }
}

impl Milp {
    /// With these limits on a solve; the options `transient` and `imbalance` are the policy's own.
    pub fn new(options: Options) -> Self {
        let options = Options { imbalance: Imbalance::Deviation, ..options };
        Self { options, limit: None, planned: false, plan: Vec::new(), expected: Vec::new() }
    }

    fn search(&mut self, state: &ClusterState) {
        self.planned = true;
        self.expected.clone_from(&state.placement);
        self.plan.clear();
        let level = state.level();
        let mut best = level - ROUNDING * level.abs().max(1.0);
        // Two solves at most.
        let time_limit = self.limit.map_or(Duration::MAX, |limit| limit / 2);
        let options =
            Options { time_limit: time_limit.min(self.options.time_limit), ..self.options };
        for transient in [false, true] {
            let Ok(solution) = solve(state, &Options { transient, ..options }) else { return };
            let parked = parked(state, &solution);
            for moves in [Some(&solution.moves), parked.as_ref()].into_iter().flatten() {
                let (keep, value) = best_start(state, moves);
                if value < best {
                    best = value;
                    self.plan = moves[..keep].iter().rev().copied().collect();
                }
            }
            if solution.ordering == Ordering::Complete {
                return;
            }
        }
    }
}

/// The moves to a solution that no order of its moves leads to, with workloads parked on the way.
fn parked(state: &ClusterState, solution: &Solution) -> Option<Vec<Move>> {
    if solution.ordering == Ordering::Complete {
        return None;
    }
    let moves = [&solution.moves[..], &solution.blocked].concat();
    let spare = (state.moves_left as usize).checked_sub(moves.len())?;
    let ordered = order_within(state, &moves, spare, MOST_BRANCHES);
    (ordered.ordering == Ordering::Complete).then_some(ordered.moves)
}

/// How many of the moves to make, and the weighted objective, costs included, after them.
fn best_start(state: &ClusterState, moves: &[Move]) -> (usize, f32) {
    let mut played = state.clone();
    let (mut keep, mut best, mut cost) = (0, state.level(), 0.0);
    for (at, &planned) in moves.iter().enumerate() {
        let price = played.migration_cost(planned.0, planned.1);
        cost += played.objective.value(&played.flow_terms(planned.0, &price));
        if !make(&mut played, planned) {
            break;
        }
        let value = played.level() + cost;
        if value < best {
            (keep, best) = (at + 1, value);
        }
    }
    (keep, best)
}

impl Policy for Milp {
    fn name(&self) -> &str {
        "milp"
    }

    fn reset(&mut self, _seed: u64) {
        self.planned = false;
        self.plan.clear();
    }

    fn limit_time(&mut self, limit: Option<Duration>) {
        self.limit = limit;
    }

    fn act(&mut self, state: &ClusterState) -> Action {
        if state.rules.episode.mode == Mode::Online || state.moves_left == 0 {
            return Action::Stay;
        }
        if !self.planned || self.expected != state.placement {
            self.search(state);
        }
        match self.plan.pop() {
            Some((workload, destination)) if state.check(workload, destination).is_ok() => {
                self.expected[workload] = destination as u32;
                Action::Migrate { workload, destination }
            }
            _ => {
                self.plan.clear();
                Action::Stay
            }
        }
    }
}
