//! Thinking: before a policy's plan is taken, it is compared in the simulator with others.
//!
//! 1. The policy makes its plan: the moves of this tick online, of the whole budget in a static world.
//! 2. Each baseline of a small portfolio makes one, the quickest first ([`PORTFOLIO`]).
//! 3. In a static world the best one so far is polished: one move is left out, sent elsewhere,
//!    replaced, added, or two change places, as long as that is better (`polish`).
//! 4. There, if there is time, searches make theirs, and one that is better is polished, too.
//!
//! All of them are compared by one account, whose module says what it is (`account`); who is best
//! there is chosen, and of equals the policy. So the plan is never behind that of any baseline that
//! was asked, by that account. Online the account does not know everything, so another plan must be
//! better by a margin ([`margin`]). And the more plans are compared by an account that is wrong now
//! and then, the more often one is chosen because of its error: that is why online only a few are.
//! Polished plans and those of searches made more moves there, and returned no more.
//!
//! What is thought is counted in simulations. The clock only says after how many of them it ends:
//! with as many simulations, and no clock, the same is thought again.

mod account;
mod polish;
mod portfolio;
#[cfg(test)]
mod tests;

pub use account::{Moves, cost, margin};
pub use portfolio::{Entry, PORTFOLIO};

use crate::policy::{Policy, Thought};
use account::{is_better, propose};
use godwit_envs::observe::ranges::Unfamiliar;
use godwit_envs::scenario::{Mode, Rules};
use godwit_envs::state::{Action, ClusterState};
use std::time::{Duration, Instant};

/// How long may be thought.
#[derive(Debug, Clone, Copy, Default)]
pub struct Allowance {
    /// How long it takes at most, which says what searches are asked; nothing is thought in no time.
    pub time: Duration,
    /// When it ends; what has begun then is given up, but for one decision of a baseline.
    pub until: Option<Instant>,
    /// After how many simulations it ends.
    pub simulations: Option<u32>,
}

impl Allowance {
    /// So long from now.
    pub fn from_now(time: Duration) -> Self {
        // An end beyond the clock's range is none.
        Self { time, until: Instant::now().checked_add(time), simulations: None }
    }
}

/// Who made a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Origin {
    /// Position in the portfolio; `None` for the policy.
    baseline: Option<usize>,
    polished: bool,
}

/// The plan that is best so far.
struct Best {
    moves: Moves,
    cost: f64,
    origin: Origin,
}

/// A policy that thinks before it moves.
pub struct Think {
    name: String,
    policy: Box<dyn Policy>,
    /// One for each row of [`PORTFOLIO`].
    portfolio: Vec<Box<dyn Policy>>,
    /// Time for each tick (static: each episode) where nobody calls [`Think::begin`].
    each: Duration,
    begun: bool,
    left: Left,
    /// The plan, the next move last; `None` where the policy decides move by move.
    plan: Option<Moves>,
    /// The cluster that the plan goes on from.
    expected: Expected,
    /// Whose plan was taken first since the last reset.
    origin: Option<Origin>,
}

/// What is left of an allowance.
#[derive(Debug, Default)]
struct Left {
    allowance: Allowance,
    made: u32,
}

impl Left {
    fn is_over(&self) -> bool {
        let Allowance { time, until, simulations } = self.allowance;
        time.is_zero()
            || simulations.is_some_and(|most| self.made >= most)
            || until.is_some_and(|until| Instant::now() >= until)
    }
}

/// What the cluster is like while a plan holds.
#[derive(Debug, Default)]
struct Expected {
    placement: Vec<u32>,
    demand: Vec<f32>,
    tick: u32,
}

impl Think {
    /// `policy`, which must remember nothing, after so much thought in each tick (static: at the start
    /// of each episode). In no time it decides as `policy` does.
    pub fn new(name: &str, policy: Box<dyn Policy>, each: Duration) -> Self {
        Self {
            name: name.to_owned(),
            policy,
            portfolio: PORTFOLIO.iter().map(Entry::policy).collect(),
            each,
            begun: false,
            left: Left::default(),
            plan: None,
            expected: Expected::default(),
            origin: None,
        }
    }

    /// From here on so much may be thought, all ticks together, until this is called again.
    pub fn begin(&mut self, allowance: Allowance) {
        self.begun = true;
        self.left = Left { allowance, made: 0 };
    }

    /// Whether the cluster is the one that the plan, or what was left of it, was made for.
    fn is_expected(&self, state: &ClusterState) -> bool {
        let online = state.rules.episode.mode == Mode::Online;
        let Expected { placement, demand, tick } = &self.expected;
        *placement == state.placement
            && (!online || (*tick == state.tick && *demand == state.demand))
    }

    /// The next move of the plan, if there is one for this cluster.
    fn resume(&mut self, state: &ClusterState) -> Option<Action> {
        let expected = self.is_expected(state);
        let plan = self.plan.as_mut().filter(|_| expected)?;
        let Some((workload, destination)) = plan.pop() else { return Some(Action::Stay) };
        if state.check(workload, destination).is_err() {
            self.plan = None;
            return None;
        }
        self.expected.placement[workload] = destination as u32;
        Some(Action::Migrate { workload, destination })
    }

    fn expect(&mut self, state: &ClusterState) {
        self.expected.placement.clone_from(&state.placement);
        self.expected.demand.clone_from(&state.demand);
        self.expected.tick = state.tick;
    }

    /// The best plan that was found; `None` where there was no time for any comparison.
    fn think(&mut self, state: &ClusterState) -> Option<Best> {
        if self.left.is_over() {
            return None;
        }
        let moves = propose(self.policy.as_mut(), state, &|| self.left.is_over())?;
        let cost = self.simulate(state, &moves)?;
        let margin = margin(state);
        let origin = Origin { baseline: None, polished: false };
        let mut best = Best { moves, cost: cost - margin, origin };
        self.ask(state, &mut best, |entry| entry.least_ms == 0);
        if state.rules.episode.mode == Mode::Online {
            return Some(best);
        }
        self.polish(state, &mut best);
        let before = best.origin;
        let time = self.left.allowance.time;
        let in_time = |entry: &Entry| Duration::from_millis(entry.least_ms.into()) <= time;
        self.ask(state, &mut best, |entry| entry.least_ms > 0 && in_time(entry));
        if best.origin != before {
            self.polish(state, &mut best);
        }
        Some(best)
    }

    /// Lets some of the portfolio make plans.
    fn ask(&mut self, state: &ClusterState, best: &mut Best, who: impl Fn(&Entry) -> bool) {
        for (at, entry) in PORTFOLIO.iter().enumerate() {
            if !who(entry) || !entry.suits(state) {
                continue;
            }
            if self.left.is_over() {
                return;
            }
            // Draws begin anew: what was thought before must not matter.
            self.portfolio[at].reset(0);
            let is_over = || self.left.is_over();
            let Some(moves) = propose(self.portfolio[at].as_mut(), state, &is_over) else { return };
            if moves == best.moves {
                continue;
            }
            let Some(cost) = self.simulate(state, &moves) else { continue };
            if is_better(cost, best.cost) {
                let origin = Origin { baseline: Some(at), polished: false };
                *best = Best { moves, cost, origin };
            }
        }
    }

    /// Changes the best plan as long as that is better and there is time.
    fn polish(&mut self, state: &ClusterState, best: &mut Best) {
        let mut neighbours = polish::Neighbours::default();
        loop {
            neighbours.prepare(state, &best.moves);
            let found = neighbours.moves.iter().find_map(|moves| {
                let cost = self.simulate(state, moves)?;
                is_better(cost, best.cost).then(|| (moves.clone(), cost))
            });
            let Some((moves, cost)) = found else { return };
            *best = Best { moves, cost, origin: Origin { polished: true, ..best.origin } };
        }
    }

    /// What these moves cost; `None` where they are not feasible, or time is up.
    fn simulate(&mut self, state: &ClusterState, moves: &Moves) -> Option<f64> {
        if self.left.is_over() {
            return None;
        }
        let left = &self.left;
        let cost = cost(state, moves, self.policy.as_mut(), &|| left.is_over())?;
        self.left.made += 1;
        Some(cost)
    }
}

impl Origin {
    fn name(self) -> String {
        let who = self.baseline.map_or("policy", |at| PORTFOLIO[at].name);
        if self.polished { format!("{who}, polished") } else { who.to_owned() }
    }
}

impl Policy for Think {
    fn name(&self) -> &str {
        &self.name
    }

    fn reset(&mut self, seed: u64) {
        self.policy.reset(seed);
        self.plan = None;
        self.origin = None;
        self.expected = Expected::default();
    }

    fn act(&mut self, state: &ClusterState) -> Action {
        if let Some(action) = self.resume(state) {
            return action;
        }
        // A plan of this tick that could not be carried out is made anew in the time that is left.
        if !self.begun && !self.is_expected(state) {
            self.left = Left { allowance: Allowance::from_now(self.each), made: 0 };
        }
        let best = self.think(state);
        self.expect(state);
        let Some(Best { mut moves, origin, .. }) = best else { return self.policy.act(state) };
        self.origin = self.origin.or(Some(origin));
        moves.reverse();
        self.plan = Some(moves);
        self.resume(state).unwrap_or(Action::Stay)
    }

    fn sees_health(&self, rules: &Rules) -> bool {
        self.policy.sees_health(rules)
    }

    fn unfamiliar(&mut self, state: &ClusterState) -> Vec<Unfamiliar> {
        self.policy.unfamiliar(state)
    }

    fn thought(&self) -> Option<Thought> {
        let origin = self.origin?.name();
        Some(Thought { origin, simulations: self.left.made })
    }
}

impl std::fmt::Debug for Think {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Think").field("name", &self.name).finish_non_exhaustive()
    }
}
