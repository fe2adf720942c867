//! The order in which the moves to a placement are feasible one after the other.
//!
//! A placement that fits can still be out of reach: two workloads that exchange full nodes wait
//! for each other for ever. The search makes every move at once that can do no harm, which is one
//! whose destination has room for all that is still to come to it; where there is none it branches
//! over the feasible moves.

use godwit_envs::outlook::fits;
use godwit_envs::state::ClusterState;
use std::collections::HashSet;

/// Most states in which the search branches.
const MOST_BRANCHES: u32 = 2000;

/// A workload and its destination.
pub type Move = (usize, usize);

/// What is known about the order of a solution's moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ordering {
    /// All moves, each feasible in its turn.
    Complete,
    /// No order of all moves exists, for example because of a cycle without free room; every
    /// order was tried.
    Impossible,
    /// None was found before the search was given up.
    NotFound,
}

/// An order of moves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ordered {
    /// Moves, each feasible in its turn: all of them, or as many as could be ordered.
    pub moves: Vec<Move>,
    /// The moves that had no place in the order.
    pub blocked: Vec<Move>,
    /// Whether these are all.
    pub ordering: Ordering,
}

/// Orders these moves, one for each workload at most.
pub fn order(state: &ClusterState, moves: &[Move]) -> Ordered {
    let mut search =
        Search { longest: Vec::new(), seen: HashSet::new(), branches: 0, given_up: false };
    let complete = search.go_on(state.clone(), moves.to_vec(), Vec::new());
    let ordering = match (complete, search.given_up) {
        (true, _) => Ordering::Complete,
        (false, false) => Ordering::Impossible,
        (false, true) => Ordering::NotFound,
    };
    let done = search.longest;
    let blocked = moves.iter().filter(|planned| !done.contains(planned)).copied().collect();
    Ordered { moves: done, blocked, ordering }
}

struct Search {
    longest: Vec<Move>,
    /// Sets of waiting moves from which there is no way on.
    seen: HashSet<Vec<Move>>,
    branches: u32,
    given_up: bool,
}

impl Search {
    /// Whether all waiting moves can be made; the moves are in [`Search::longest`] then.
    fn go_on(&mut self, mut state: ClusterState, mut waiting: Vec<Move>, done: Vec<Move>) -> bool {
        let mut done = done;
        while let Some(at) = waiting.iter().position(|&planned| harmless(&state, &waiting, planned))
        {
            let planned = waiting.remove(at);
            if !make(&mut state, planned) {
                // `harmless` has checked the move.
                return false;
            }
            done.push(planned);
        }
        if done.len() > self.longest.len() {
            self.longest.clone_from(&done);
        }
        if waiting.is_empty() {
            return true;
        }
        if !self.seen.insert(waiting.clone()) {
            return false;
        }
        self.branches += 1;
        if self.branches > MOST_BRANCHES {
            self.given_up = true;
            return false;
        }
        for at in 0..waiting.len() {
            let mut next = state.clone();
            if !make(&mut next, waiting[at]) {
                continue;
            }
            let (mut rest, mut done) = (waiting.clone(), done.clone());
            done.push(rest.remove(at));
            if self.go_on(next, rest, done) {
                return true;
            }
            if self.given_up {
                return false;
            }
        }
        false
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

/// Whether the move is feasible and leaves its destination room for all others that go there.
fn harmless(state: &ClusterState, waiting: &[Move], (workload, destination): Move) -> bool {
    if state.check(workload, destination).is_err() {
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
