//! The net-gain rule: what moves are worth, and which moves of a draft are.
//!
//! What counts is the weighted objective held over the payback time, by the simulator's own account:
//! while transfers run source and destination both hold the demand, and afterwards demand follows
//! the forecast, if the state has one. Moves come in chains: a chain ends with the first move with
//! which it is worth more than it costs. What is behind the last chain is cut, and within a chain
//! nothing is kept that the chain is worth as much without.
//!
//! Held levels are a function of the state alone. So in a world where nothing changes, plan after
//! plan lowers one and the same number, and nothing can go to and fro for ever.

use crate::plan::document::{PlannedMove, ReasonCode};
use crate::plan::draft::Draft;
use crate::plan::reach::Fencing;
use crate::plan::routes;
use godwit_envs::state::ClusterState;
use godwit_envs::state::term::Term;
use std::ops::Range;

/// Most moves that a plan is tried without.
const MOST_TRIALS: usize = 100;

/// Most nodes and workloads of those trials together: plans are made within milliseconds.
const MOST_ENTITIES: usize = 100_000;

/// Share of the terms that sums of 32-bit numbers may be off by.
const ROUNDING: f64 = 1e-6;

/// Moves that are worth their costs together, and not before the last of them.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Chain {
    /// Positions of its moves.
    pub moves: Range<usize>,
    /// What it is kept for.
    pub end: End,
}

/// What a chain is kept for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// It is worth its costs.
    Pays,
    /// Its last move has to be made whatever it costs.
    IsDue,
    /// It is worth its costs with moves of later ticks.
    GoesOn,
}

/// What a draft's moves come to.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Chains {
    /// The chains in order; moves behind the last one are worth nothing.
    pub chains: Vec<Chain>,
    /// What the chains lower the held objective by, costs taken off; those that are due left out.
    pub worth: f64,
}

impl Chains {
    /// Number of moves up to the end of the last chain.
    pub fn end(&self) -> usize {
        self.chains.last().map_or(0, |chain| chain.moves.end)
    }

    /// Whether those that are not due, if there are any, are worth so much.
    pub fn are_worth(&self, least: f64) -> bool {
        self.worth >= least || self.chains.iter().all(|chain| chain.end == End::IsDue)
    }
}

impl Draft {
    /// The chains of the moves so far.
    pub(super) fn chains(&self) -> Chains {
        let margin = self.margin();
        let mut found = Chains::default();
        let mut first = 0;
        for (at, is_due) in self.due.iter().enumerate() {
            let worth = self.worth_of(first..at + 1);
            if *is_due || worth > margin {
                let end = if *is_due { End::IsDue } else { End::Pays };
                found.chains.push(Chain { moves: first..at + 1, end });
                found.worth += if *is_due { 0.0 } else { worth };
                first = at + 1;
            }
        }
        found
    }

    /// What the held objective falls by with these moves, costs taken off.
    pub(super) fn worth_of(&self, moves: Range<usize>) -> f64 {
        let costs: f64 = self.moves[moves.clone()].iter().map(|m| f64::from(m.cost)).sum();
        self.held[moves.start] - self.held[moves.end] - costs
    }

    /// What a chain has to be worth: more than rounding may come to. The cost of a
    /// machine-reassignment problem is exact.
    pub(super) fn margin(&self) -> f64 {
        let exact = f64::from(self.scratch.objective.weights[Term::MachineReassignment as usize])
            * self.settled.reassignment_cost() as f64;
        ROUNDING * (self.held[0] - exact).abs().max(1.0)
    }

    /// The draft with these chains of it alone, each with no move that it is worth as much without.
    /// `state` is what the draft began with. Where it is not worth `enough`, only the chains that
    /// are due are left.
    pub(super) fn worthwhile(
        mut self,
        state: &ClusterState,
        found: &Chains,
        enough: bool,
        fence: &mut Fencing<'_>,
    ) -> Self {
        let is_kept = |chain: &&Chain| enough || chain.end == End::IsDue;
        let all = found.chains.iter().filter(is_kept).count() == found.chains.len();
        if all && found.chains.iter().all(|chain| chain.moves.len() == 1) {
            self.truncate(found.end());
            return self;
        }
        let anew = || Draft::new(state, self.expires_s, self.payback_ticks);
        let mut draft = anew();
        for chain in found.chains.iter().filter(is_kept) {
            if !draft.add_chain(chain, &self.moves[chain.moves.clone()], fence) {
                if !all {
                    return anew();
                }
                // Something that was left out served a later chain, too.
                self.truncate(found.end());
                return self.without_idle_moves(state, fence);
            }
        }
        draft
    }

    /// The same with no move that lowers nothing by itself, need not be made, and that the plan as a
    /// whole is worth as much without. In large clusters, where each trial takes long, only the last
    /// of them are looked at.
    fn without_idle_moves(self, state: &ClusterState, fence: &mut Fencing<'_>) -> Self {
        let (margin, worth) = (self.margin(), self.chains().worth);
        let entities = state.spec.nodes() + state.spec.workloads();
        let mut trials = (MOST_ENTITIES / entities.max(1)).clamp(1, MOST_TRIALS);
        let mut kept: Vec<(usize, usize)> =
            self.moves.iter().map(|planned| (planned.workload, planned.destination)).collect();
        let mut best = self;
        for at in (0..kept.len()).rev() {
            if trials == 0 {
                break;
            }
            // Positions up to `at` are the same in `best`: what was left out was behind it.
            if best.due[at] || best.worth_of(at..at + 1) > margin {
                continue;
            }
            trials -= 1;
            let mut fewer = kept.clone();
            fewer.remove(at);
            let mut shorter = Draft::new(state, best.expires_s, best.payback_ticks);
            if !shorter.add(&fewer, fence) {
                continue;
            }
            let chains = shorter.chains();
            if chains.end() == fewer.len() && chains.worth > worth - margin {
                (kept, best) = (fewer, shorter);
            }
        }
        best
    }

    /// Adds the moves of a chain that it needs; `false`, and a draft of no use, if they are not
    /// possible here or not worth their costs.
    fn add_chain(&mut self, chain: &Chain, moves: &[PlannedMove], fence: &mut Fencing<'_>) -> bool {
        let first = self.moves.len();
        let mut kept: Vec<(usize, usize)> =
            moves.iter().map(|planned| (planned.workload, planned.destination)).collect();
        if chain.end == End::GoesOn {
            return self.add(&kept, fence);
        }
        let mut best = self.clone();
        if !best.add(&kept, fence) {
            return false;
        }
        for at in (0..kept.len() - 1).rev() {
            let mut fewer = kept.clone();
            fewer.remove(at);
            let mut shorter = self.clone();
            if shorter.add(&fewer, fence)
                && shorter.worth_of(first..shorter.moves.len())
                    >= best.worth_of(first..best.moves.len())
            {
                (kept, best) = (fewer, shorter);
            }
        }
        *self = best;
        self.chains().end() == self.moves.len()
    }

    fn add(&mut self, moves: &[(usize, usize)], fence: &mut Fencing<'_>) -> bool {
        moves.iter().all(|&(workload, destination)| {
            fence(&mut self.scratch, &self.moves);
            self.migrate(workload, destination) == Ok(true)
        })
    }
}

/// Says of moves that improve nothing by themselves what they are for.
pub(super) fn give_reasons(moves: &mut [PlannedMove], found: &Chains) {
    for chain in &found.chains {
        let last = chain.moves.end - 1;
        if moves[last].reason == ReasonCode::MakesRoom {
            moves[last].reason = ReasonCode::AheadOfDemand;
        }
    }
    for planned in &mut moves[found.end()..] {
        planned.reason = ReasonCode::BeginsChain;
    }
    routes::mark_parking(moves);
}
