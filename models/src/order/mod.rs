//! The order in which the moves to a placement are feasible one after the other.
//!
//! A placement that fits can still be out of reach: two workloads that exchange full nodes wait
//! for each other for ever. The search makes every move at once that can do no harm, which is one
//! whose destination has room for all that is still to come to it; where there is none it branches
//! over the feasible moves. Where no order leads on, a waiting workload may be parked: it stops on
//! another node that has room, which takes one more move. As few are parked as will do.

use godwit_envs::state::ClusterState;
use godwit_envs::state::outlook::fits;
use std::collections::HashSet;

/// Most states in which a search branches that is given all the time it needs.
pub const MOST_BRANCHES: u32 = 2000;

/// A workload and its destination.
pub type Move = (usize, usize);

/// What is known about the order of a solution's moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ordering {
    /// All moves, each feasible in its turn.
    Complete,
    /// No order of all moves exists, for example because of a cycle without free room; every
    /// order was tried, and every place to park after the moves that do no harm.
    Impossible,
    /// None was found before the search was given up.
    NotFound,
}

/// An order of moves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ordered {
    /// Moves, each feasible in its turn: all of them, with those that park workloads between, or as
    /// many as could be ordered without parking.
    pub moves: Vec<Move>,
    /// The moves that had no place in the order.
    pub blocked: Vec<Move>,
    /// Whether these are all.
    pub ordering: Ordering,
}

/// Orders these moves, one for each workload at most, without parking.
pub fn order(state: &ClusterState, moves: &[Move]) -> Ordered {
    order_within(state, moves, 0, MOST_BRANCHES)
}

/// Orders these moves, one for each workload at most, with at most `parked` workloads parked on the
/// way, once each. The search is given up after about `branches` states in which it branches.
pub fn order_within(state: &ClusterState, moves: &[Move], parked: usize, branches: u32) -> Ordered {
    let mut search = Search { branches, ..Search::default() };
    let mut complete = search.go_on(state.clone(), moves.to_vec(), Vec::new(), 0);
    let mut done = std::mem::take(&mut search.longest);
    for parked in 1..=parked.min(moves.len()) {
        if complete || search.given_up {
            break;
        }
        search.seen.clear();
        complete = search.go_on(state.clone(), moves.to_vec(), Vec::new(), parked);
        if complete {
            done = std::mem::take(&mut search.longest);
        }
    }
    let ordering = match (complete, search.given_up) {
        (true, _) => Ordering::Complete,
        (false, false) => Ordering::Impossible,
        (false, true) => Ordering::NotFound,
    };
    let blocked = moves.iter().filter(|planned| !done.contains(planned)).copied().collect();
    Ordered { moves: done, blocked, ordering }
}

#[derive(Default)]
struct Search {
    longest: Vec<Move>,
    /// Situations, with how many may still be parked, from which there is no way on.
    seen: HashSet<(Vec<Waiting>, usize)>,
    /// How often the search may still branch.
    branches: u32,
    given_up: bool,
}

/// What matters of a workload that waits: its move, the node that it is on, and the ticks for which
/// it may not leave that.
type Waiting = (Move, u32, u16);

impl Search {
    /// Whether all waiting moves can be made, with so many workloads parked at most; the moves are
    /// in [`Search::longest`] then.
    fn go_on(
        &mut self,
        mut state: ClusterState,
        mut waiting: Vec<Move>,
        mut done: Vec<Move>,
        parked: usize,
    ) -> bool {
        while let Some(at) = waiting.iter().position(|&planned| harmless(&state, &waiting, planned))
        {
            let planned = waiting.remove(at);
            if !make(&mut state, planned) {
                // `harmless` has checked the move.
                return false;
            }
            done.push(planned);
        }
        if waiting.is_empty() || done.len() > self.longest.len() {
            self.longest.clone_from(&done);
        }
        if waiting.is_empty() {
            return true;
        }
        let situation = waiting
            .iter()
            .map(|&planned| (planned, state.placement[planned.0], state.cooldown[planned.0]));
        if !self.seen.insert((situation.collect(), parked)) {
            return false;
        }
        if self.branches == 0 {
            self.given_up = true;
            return false;
        }
        self.branches -= 1;
        for at in 0..waiting.len() {
            let mut rest = waiting.clone();
            let planned = rest.remove(at);
            if self.branch(&state, planned, rest, &done, parked) {
                return true;
            }
        }
        if parked > 0 {
            for &(k, destination) in &waiting {
                // Once each: what has moved is parked already.
                if done.iter().any(|&(moved, _)| moved == k) {
                    continue;
                }
                for node in (0..state.spec.nodes()).filter(|&node| node != destination) {
                    if self.branch(&state, (k, node), waiting.clone(), &done, parked - 1) {
                        return true;
                    }
                }
            }
        }
        false
    }

    /// Makes a move, if it is feasible, and goes on with those that then wait.
    fn branch(
        &mut self,
        state: &ClusterState,
        planned: Move,
        waiting: Vec<Move>,
        done: &[Move],
        parked: usize,
    ) -> bool {
        if self.given_up || state.check(planned.0, planned.1).is_err() {
            return false;
        }
        let mut next = state.clone();
        let done = [done, &[planned]].concat();
        make(&mut next, planned) && self.go_on(next, waiting, done, parked)
    }
}

/// Makes a move if it is feasible, as the environment does: each one takes a tick.
pub fn make(state: &mut ClusterState, (workload, destination): Move) -> bool {
    if state.migrate(workload, destination).is_err() {
        return false;
    }
    let moves_left = state.moves_left;
    state.start_tick();
    state.moves_left = moves_left;
    true
}

/// Whether the move is feasible and leaves its destination room for all others that go there. Where
/// workloads are counted by node or zone, each move may be in the way of another.
fn harmless(state: &ClusterState, waiting: &[Move], (workload, destination): Move) -> bool {
    if state.check(workload, destination).is_err() || state.spec.places.is_some() {
        return false;
    }
    let padded = state.spec.padded_nodes();
    (0..state.spec.resources).all(|j| {
        let comes: f32 = waiting
            .iter()
            .filter(|(_, to)| *to == destination)
            .map(|&(k, _)| state.demand_of(k)[j])
            .sum();
        let at = j * padded + destination;
        comes <= 0.0 || fits(state.now.held[at], comes, state.spec.supply[at])
    })
}

#[cfg(test)]
mod tests;
