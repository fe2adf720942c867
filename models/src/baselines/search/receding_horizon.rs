//! Planning with the simulator: a receding horizon over best single moves.
//!
//! Rules:
//!
//! 1. The first moves that are looked at are staying and, of each workload's most valuable move
//!    ([`crate::baselines::scan`]), the most valuable ones; where nodes drain also as many moves off
//!    them, as `evacuate` would make them.
//! 2. After each of them the world is played on with best single moves. Online for some ticks,
//!    with transfers, cooldowns and budgets as they are, and with the forecast as the future:
//!    demand is interpolated between now and the horizons, and stays what it is after the last,
//!    draining nodes fail at their deadlines, and the cluster's scheduler places who waits.
//!    That costs the weighted objective held over each tick plus the moves' own costs, and the
//!    objective at the end for some ticks more. In a static world for some moves; that costs
//!    minus what they gain.
//! 3. What `best-single-move` would do is replaced by the first move of the lowest cost, if that
//!    saves more than the least gain. The next decision plans anew.
//!
//! Nothing of the true future is known: the future is what [`ClusterState`] forecasts.
//!
//! Parameters: first moves, ticks, ticks at the end, moves, those of single moves.
//!
//! Source: Bertsekas, Tsitsiklis and Wu, "Rollout algorithms for combinatorial optimization",
//! Journal of Heuristics 1997, in a receding horizon (Mayne et al., "Constrained model predictive
//! control: stability and optimality", Automatica 2000).
//!
//! In a static world the objective at the end of the foreseen moves never rises, and falls where
//! another move than the best single one is made: it comes to rest.

use crate::baselines::declaration::{Declaration, with_single};
use crate::baselines::greedy::best_single_move::BestSingleMoveRules;
use crate::baselines::greedy::evacuate::ways_out;
use crate::baselines::scan::{Scan, ValuedMove};
use crate::baselines::search::foreseen::{expect, let_fail};
use crate::deadline::Deadline;
use crate::policy::Policy;
use godwit_envs::scenario::{Mode, Rules};
use godwit_envs::state::{Action, ClusterState};
use std::time::Duration;

/// Parameters of [`RecedingHorizon`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RecedingHorizonRules {
    /// Those of the single moves that are played after the first.
    pub single: BestSingleMoveRules,
    /// First moves that are looked at, next to staying.
    pub first_moves: usize,
    /// Online: ticks that are played.
    pub ticks: u32,
    /// Online: ticks for which the objective at the end counts.
    pub tail_ticks: u32,
    /// Rebalance: moves that are played after the first.
    pub moves: u32,
}

impl Default for RecedingHorizonRules {
    /// As far as the embedded scenarios forecast.
    fn default() -> Self {
        Self {
            single: BestSingleMoveRules::default(),
            first_moves: 8,
            ticks: 12,
            tail_ticks: 6,
            moves: 10,
        }
    }
}

pub(crate) fn declaration() -> Declaration<RecedingHorizonRules> {
    with_single!(
        Declaration::new(RecedingHorizonRules::default(), RecedingHorizon::new),
        "persistence",
        "ticks for which a single move's gain counts"
    )
    .integer("first_moves", "first moves that are looked at", 1..=16, |r| {
        (&mut r.first_moves).into()
    })
    .integer("ticks", "ticks that are played", 1..=24, |r| (&mut r.ticks).into())
    .online()
    .integer("tail_ticks", "ticks for which the end counts", 0..=24, |r| (&mut r.tail_ticks).into())
    .online()
    .integer("moves", "moves that are played in a static world", 0..=20, |r| (&mut r.moves).into())
}

/// Plays the first moves out and takes the best.
#[derive(Debug, Clone, Default)]
pub struct RecedingHorizon {
    rules: RecedingHorizonRules,
    scan: Scan,
    first: Vec<ValuedMove>,
    limit: Option<Duration>,
    /// When the present decision has to be there; none before the first.
    deadline: Option<Deadline>,
}

impl RecedingHorizon {
    /// With these parameters.
    pub fn new(rules: RecedingHorizonRules) -> Self {
        Self { rules, ..Self::default() }
    }

    /// The next best single move in a world that is played on.
    fn next(&mut self, played: &ClusterState) -> Option<ValuedMove> {
        self.scan.prepare(played, self.rules.single.persistence);
        self.scan.best(played, self.rules.single.least_gain(played))
    }

    fn is_out_of_time(&self) -> bool {
        self.deadline.is_some_and(|deadline| deadline.has_passed())
    }

    /// Cost of a first move and what follows it (rule 2); infinite where there is no time for that.
    fn play(&mut self, state: &ClusterState, first: Option<ValuedMove>) -> f32 {
        match state.rules.episode.mode {
            Mode::Rebalance => first.map_or(0.0, |first| self.play_moves(state, first)),
            Mode::Online => self.play_ticks(state, first),
        }
    }

    fn play_moves(&mut self, state: &ClusterState, first: ValuedMove) -> f32 {
        let mut played = state.clone();
        let mut cost = 0.0;
        let mut next = Some(first);
        for _ in 0..=self.rules.moves {
            let Some(made) = next else { break };
            if self.is_out_of_time() {
                return f32::INFINITY;
            }
            if played.migrate(made.workload, made.destination).is_err() {
                break;
            }
            cost -= made.gain;
            played.start_tick();
            next = self.next(&played);
        }
        cost
    }

    fn play_ticks(&mut self, state: &ClusterState, first: Option<ValuedMove>) -> f32 {
        let episode = &state.rules.episode;
        let left = episode.ticks.saturating_sub(state.tick).max(1);
        let ticks = self.rules.ticks.clamp(1, left);
        let mut played = state.clone();
        let mut cost = 0.0;
        let mut next = first;
        for tick in 1..=ticks {
            if self.is_out_of_time() {
                return f32::INFINITY;
            }
            while let Some(made) = next {
                let Ok(price) = played.migrate(made.workload, made.destination) else { break };
                cost += played.objective.value(&played.flow_terms(made.workload, &price));
                next = if played.moves_left > 0 { self.next(&played) } else { None };
            }
            let held = played.run_transfers(episode.tick_s);
            cost += played.objective.level(&held);
            played.start_tick();
            expect(state, tick, &mut played);
            cost += let_fail(&mut played);
            next = if tick < ticks { self.next(&played) } else { None };
        }
        cost + self.rules.tail_ticks.min(left - ticks) as f32 * played.level()
    }
}

impl Policy for RecedingHorizon {
    fn name(&self) -> &str {
        "receding-horizon"
    }

    fn reset(&mut self, _seed: u64) {}

    fn limit_time(&mut self, limit: Option<Duration>) {
        self.limit = limit;
    }

    fn act(&mut self, state: &ClusterState) -> Action {
        self.deadline = Some(Deadline::after(self.limit));
        let least = self.rules.single.least_gain(state);
        let mut first = std::mem::take(&mut self.first);
        self.scan.prepare(state, self.rules.single.persistence);
        self.scan.best_of_each(state, &mut first);
        first.sort_by(|a, b| b.gain.total_cmp(&a.gain));
        first.truncate(self.rules.first_moves.max(1));
        let usual_moves = first.len();
        for (workload, destination) in ways_out(state).take(self.rules.first_moves) {
            let gain = self.scan.value(state, workload, destination);
            let way = ValuedMove { workload, destination, gain };
            if !first.contains(&way) {
                first.push(way);
            }
        }
        let usual = first[..usual_moves].first().copied().filter(|best| best.gain > least);
        let mut chosen = usual;
        if !first.is_empty() {
            let mut lowest = self.play(state, usual) - least;
            for other in first.iter().copied().map(Some).chain([None]) {
                if self.is_out_of_time() {
                    break;
                }
                if other != usual {
                    let cost = self.play(state, other);
                    if cost < lowest {
                        (chosen, lowest) = (other, cost);
                    }
                }
            }
        }
        self.first = first;
        chosen.map_or(Action::Stay, |best| Action::Migrate {
            workload: best.workload,
            destination: best.destination,
        })
    }

    /// What a restart costs, against which it weighs a move, is in the rules of faults.
    fn sees_health(&self, rules: &Rules) -> bool {
        rules.faults.is_some()
    }
}
